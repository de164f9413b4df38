package planner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

const (
	fromFile = "name: nightly\npool: rollup\njobs_from: jobs.jsonl\n"
	oneJob   = `{"id":"a","task":"price"}` + "\n"
)

func TestPrepareNamesEveryFaultWithItsPlace(t *testing.T) {
	catalogue := job.Catalogue{"price": {Name: "price"}}
	for name, tc := range map[string]struct {
		run, jobs string
		want      []string // of each error, after the directory
	}{
		"a run file of errors": {
			run:  "name: Nightly\npol: rollup\njobs:\n- {id: a, task: price}\n",
			want: []string{"run.yaml:1: run file has no pool", `run.yaml:1:7: name "Nightly": want lower-case`, `run.yaml:2:1: unknown field "pol" of a run file; did you mean "pool"?`},
		},
		"jobs of errors": {
			run: fromFile,
			jobs: oneJob + `{"id":"a","task":"price"}` + "\n" + `{"id":"b","task":"prise","needs":{"x":"nobody"}}` + "\n" +
				`{"id":"c","task":"price","params":[1]}` + "\n" + "{\n",
			want: []string{
				`jobs.jsonl:2:7: job id "a" is taken by the job of line 1`, `jobs.jsonl:3:18: unknown task "prise"; did you mean "price"?`,
				`jobs.jsonl:3:39: job "b" needs "nobody"`, `jobs.jsonl:4:35: params`, `jobs.jsonl:5`,
			},
		},
		"a circle": {
			run:  fromFile,
			jobs: `{"id":"a","task":"price","needs":{"x":"b"}}` + "\n" + `{"id":"b","task":"price","needs":{"x":"a"}}` + "\n",
			want: []string{`jobs.jsonl:2:39: jobs wait for each other: a → b → a`},
		},
		"parameters that would not survive": {
			run:  fromFile + "params: {currency: USD}\n",
			jobs: `{"id":"a","task":"price","params":{"n":1,"n":2}}` + "\n",
			want: []string{`jobs.jsonl:1:`},
		},
		"inline jobs": {
			run:  "name: nightly\npool: rollup\njobs:\n- {id: a, task: price, needs: {x: b}}\n",
			want: []string{`run.yaml:4:35: job "a" needs "b", which no job of this run is called`},
		},
		"no jobs":        {run: fromFile, jobs: "\n\n", want: []string{"jobs.jsonl: no jobs"}},
		"a file too few": {run: "name: nightly\npool: rollup\njobs_from: elsewhere.jsonl\n", want: []string{"run.yaml:3:12: jobs_from: open "}},
		"no S3 URL":      {run: "name: nightly\npool: rollup\njobs_from: s3://data\n", want: []string{`run.yaml:3:12: jobs_from: "s3://data" is no S3 URL`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t}
			path := w.write(tc.run, tc.jobs)
			p, err := Prepare(path, catalogue)
			if err == nil {
				p.Close()
				t.Fatal("no error")
			}
			got := strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", ""), "\n")
			if len(got) != len(tc.want) {
				t.Fatalf("%d errors, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tc.want[i]) {
					t.Errorf("error %d is\n%s\nwant it to begin with\n%s", i, got[i], tc.want[i])
				}
			}
		})
	}
}

func TestPrepareKeepsJobsThatLieInS3ThereAndWantsAReadableFile(t *testing.T) {
	w := &world{t: t}
	p, err := Prepare(w.write("name: nightly\npool: rollup\njobs_from: s3://data/jobs.jsonl\n", ""), nil)
	if err != nil || p.Jobs != 0 || p.RunFile.JobsFrom != "s3://data/jobs.jsonl" {
		t.Errorf("prepared %+v, %v", p, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Prepare(filepath.Join(t.TempDir(), "nothing.yaml"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run file that is not there: %v", err)
	}
}

func TestSubmitTheSameTwiceIsOneSubmissionAndAnotherIsRefused(t *testing.T) {
	w := newWorld(t)
	prepare := func(run, jobs string) *Prepared {
		t.Helper()
		p, err := Prepare(w.write(run, jobs), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	submissions := w.queue("submissions")
	for range 2 {
		id, err := Submit(t.Context(), w.bucket, submissions, "mine", prepare(fromFile, oneJob))
		if err != nil || id != "mine" {
			t.Fatalf("id %q, %v", id, err)
		}
	}
	w.wantDepth("submissions", 2)
	for name, p := range map[string]*Prepared{
		"other jobs":  prepare(fromFile, strings.ReplaceAll(oneJob, `"a"`, `"b"`)),
		"other pool":  prepare(strings.ReplaceAll(fromFile, "rollup", "deals"), oneJob),
		"jobs inline": prepare("name: nightly\npool: rollup\njobs:\n- {id: z, task: price}\n", ""),
	} {
		if _, err := Submit(t.Context(), w.bucket, submissions, "mine", p); !errors.Is(err, ErrSubmitted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Submit(t.Context(), w.bucket, submissions, "Mine!", prepare(fromFile, oneJob)); err == nil {
		t.Error("a bad id was taken")
	}
	w.wantDepth("submissions", 2)
	data, _, err := w.bucket.Get(t.Context(), job.SubmissionPath("mine"))
	if err != nil {
		t.Fatal(err)
	}
	run, err := job.ParseRunFile("run.json", data)
	if err != nil || run.Pool != "rollup" {
		t.Errorf("the submission is %+v, %v", run, err)
	}
	_, object, err := job.ParseObjectURL(run.JobsFrom)
	if err != nil {
		t.Fatal(err)
	}
	jobs, _, err := w.bucket.Get(t.Context(), object)
	if err != nil || string(jobs) != oneJob {
		t.Errorf("the jobs are %q, %v", jobs, err)
	}
}

// The same put is sent again, and then finds its own object.
func TestSubmitWhoseAnswerWasLostIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const writes = 2 // the jobs and the run file
		for at := range writes {
			p, err := Prepare(w.write(fromFile, oneJob), nil)
			if err != nil {
				t.Fatal(err)
			}
			g := &gate{at: at + 1, kind: losesReply}
			_, err = Submit(t.Context(), objects.New(w.connect(g).S3, testBucket), w.queue("submissions"), fmt.Sprint("mine-", at), p)
			if err != nil || len(g.writes) != writes+1 {
				t.Errorf("the answer to write %d is lost: %v after %d writes", at+1, err, len(g.writes))
			}
			p.Close()
		}
		w.wantDepth("submissions", writes)
	})
}

func TestASubmissionThatWasNotTakenIsToldSo(t *testing.T) {
	w := newWorld(t)
	p, err := Prepare(w.write(fromFile, oneJob), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := Submit(t.Context(), objects.New(w.clients.S3, "elsewhere"), w.queue("submissions"), "mine", p); err == nil {
		t.Error("no error without a bucket")
	}
	w.wantDepth("submissions", 0)
}

func TestSubmissionIDsSortByTimeAndFitTheirLimit(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 4, 5, 0, time.FixedZone("CET", 3600))
	id, long := NewSubmissionID("nightly", now), NewSubmissionID(strings.Repeat("n", job.MaxNameLength), now)
	if !strings.HasPrefix(id, "nightly-20261121-020405-") || job.CheckName(id) != nil {
		t.Errorf("the id is %q", id)
	}
	if len(long) != job.MaxNameLength || job.CheckName(long) != nil {
		t.Errorf("the id is %q", long)
	}
	if again := NewSubmissionID("nightly", now); again == id {
		t.Error("the same id twice")
	}
	if diff := cmp.Diff(len(id), len("nightly-20261121-020405-abcdef")); diff != "" {
		t.Error(diff)
	}
}
