package report

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/download"
	"spate/job"
	"spate/planner"
)

// wrote stores a job's output of one file.
func (p *past) wrote(planned job.Planned, path, content string) {
	p.t.Helper()
	sum := sha256.Sum256([]byte(content))
	m := job.Manifest{
		V: job.MessageVersion, Key: planned.Key, Attempt: "a1-00", Run: "earlier", At: noon, Document: []byte(`{}`),
		Files: []job.File{{Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}},
	}
	data, err := m.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(job.ManifestPath(planned.Key), string(data))
	p.put(job.AttemptPrefix(planned.Key, m.Attempt)+path, content)
}

// picked are the jobs of results, with their states and what is missing.
func picked(r *Results) []string {
	var jobs []string
	for _, o := range r.Outputs {
		text := o.Job + " " + o.State
		if o.Missing != "" {
			text += ": " + o.Missing
		}
		jobs = append(jobs, text)
	}
	return jobs
}

// book is a run of two deals, one of which failed, that has ended.
func book(p *past) (*planner.Run, []job.Planned) {
	p.t.Helper()
	run := p.run("nightly-1", "nightly", job.RunFailed, noon.Add(-time.Hour))
	run.Labels = map[string]string{"as_of": "2026-11-21", "desk": "all"}
	deals := []job.Planned{deal("deal-1", `{"n":1}`), deal("deal-2", `{"n":2}`), deal("deal-3", `{"n":3}`)}
	deals[0].Labels = map[string]string{"desk": "property"}
	jobs := p.manifest(run, deals[0], deals[1], deals[2], sum("north", "deal-1"), sum("total", "north", "deal-2"), sum("check", "north"))
	p.index(run.ID, jobs, "cached", "failed", "cancelled", "done", "blocked", "done")
	p.wrote(jobs[0], "loss.csv", "1")
	p.wrote(jobs[3], "deep/loss.csv", "12")
	p.wrote(jobs[5], "ok.txt", "")
	return run, jobs
}

func TestResultsAreOfTheJobsThatAreMeant(t *testing.T) {
	p := newPast(t)
	run, _ := book(p)
	for _, c := range []struct {
		name string
		o    ResultsOptions
		want []string
	}{
		{"all", ResultsOptions{}, []string{
			"deal-1 cached", "deal-2 failed: it is failed", "deal-3 cancelled: its run was cancelled before", "north done",
			"total blocked: it is blocked", "check done",
		}},
		{"roots", ResultsOptions{Roots: true}, []string{
			"deal-3 cancelled: its run was cancelled before", "total blocked: it is blocked", "check done",
		}},
		{"id and pattern", ResultsOptions{Jobs: []string{"north", "*-[13]"}}, []string{
			"deal-1 cached", "deal-3 cancelled: its run was cancelled before", "north done",
		}},
		{"a job's label before the run's", ResultsOptions{Labels: map[string]string{"desk": "property"}}, []string{"deal-1 cached"}},
		{"labels of both", ResultsOptions{Labels: map[string]string{"desk": "all", "as_of": "2026-11-21"}, Roots: true, Jobs: []string{"*c*"}}, []string{
			"check done",
		}},
	} {
		got, err := p.Results(t.Context(), noon, run, c.o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, picked(got)); diff != "" || got.Jobs != 6 {
			t.Errorf("%s: of %d jobs (-want +got):\n%s", c.name, got.Jobs, diff)
		}
	}
}

func TestResultsThatAreNotThereAreNamed(t *testing.T) {
	p := newPast(t)
	run, _ := book(p)
	for want, o := range map[string]ResultsOptions{
		"there is no job norht in run nightly-1; similar are north":                             {Jobs: []string{"deal-1", "norht"}},
		"there is no job deal-9* in run nightly-1; similar are deal-1, deal-2, deal-3":          {Jobs: []string{"deal-9*"}},
		"no job of run nightly-1 has the label desk=marine; its values there are all, property": {Labels: map[string]string{"desk": "marine"}},
		"no job of run nightly-1 has the label desc=property; the labels there are as_of, desk": {Labels: map[string]string{"desc": "property"}},
		"there are such jobs and such labels, but no job of which all of it holds":              {Jobs: []string{"north"}, Labels: map[string]string{"desk": "property"}},
		"pattern deal-[: syntax error in pattern":                                               {Jobs: []string{"deal-["}},
	} {
		if _, err := p.Results(t.Context(), noon, run, o); fmt.Sprint(err) != want {
			t.Errorf("%+v: error is %v, want %s", o, err, want)
		}
	}
}

func TestOutputsHaveTheFilesOfTheirManifest(t *testing.T) {
	p := newPast(t)
	run, jobs := book(p)
	looked := 0
	results, err := p.Results(t.Context(), noon, run, ResultsOptions{Jobs: []string{"north"}, Progress: func(done, of int) { looked = 10*of + done }})
	if err != nil {
		t.Fatal(err)
	}
	prefix := "s3://data/" + job.OutputPrefix(jobs[3].Key)
	want := JobOutput{
		Job: "north", Task: "sum", Key: jobs[3].Key, State: "done", Labels: run.Labels, Named: true,
		Manifest: prefix + "_manifest.json", MadeBy: "earlier", MadeAt: noon, Bytes: 2,
		Files: []OutputFile{{
			Path: "deep/loss.csv", Size: 2, SHA256: "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918",
			URL: prefix + "a1-00/deep/loss.csv", object: job.OutputPrefix(jobs[3].Key) + "a1-00/deep/loss.csv",
		}},
	}
	if diff := cmp.Diff([]JobOutput{want}, results.Outputs, cmp.AllowUnexported(OutputFile{})); diff != "" {
		t.Error(diff)
	}
	if looked != 11 {
		t.Errorf("progress is %d", looked)
	}
	dir := t.TempDir()
	tally, err := download.To(t.Context(), dir, p.Objects, results.Downloads(), nil)
	if err != nil || tally.Fetched != 1 {
		t.Fatalf("tally %+v, %v", tally, err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "north", "deep", "*")); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestOutputsThatAreGoneOrForgedAreNotTaken(t *testing.T) {
	p := newPast(t)
	run, jobs := book(p)
	forged := fmt.Sprintf(`{"v":%d,"key":"%s","attempt":"a1-00","document":{},"files":[{"path":"../../.profile","size":1,"sha256":""}]}`,
		job.MessageVersion, jobs[3].Key)
	p.put(job.ManifestPath(jobs[3].Key), forged)
	p.put(job.ManifestPath(jobs[5].Key), "{")
	p.index(run.ID, jobs, "cached", "done", "cancelled", "done", "blocked", "done")
	results, err := p.Results(t.Context(), noon, run, ResultsOptions{Jobs: []string{"deal-2", "north", "check"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"no longer in S3", `has an element ".."`, "parse manifest"} {
		if o := results.Outputs[i]; !o.Lost || !strings.Contains(o.Missing, want) || len(o.Files) > 0 {
			t.Errorf("%s: %+v, want %s", o.Job, o, want)
		}
	}
	if files := results.Downloads(); len(files) > 0 {
		t.Errorf("to be downloaded are %v", files)
	}
}

func TestAJobWhoseIDIsNoDirectoryIsRefused(t *testing.T) {
	p := newPast(t)
	run := p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-time.Hour))
	jobs := p.manifest(run, deal("../deal", `{}`))
	p.index(run.ID, jobs, "done")
	if _, err := p.Results(t.Context(), noon, run, ResultsOptions{}); err == nil || !strings.Contains(err.Error(), `id "../deal"`) {
		t.Errorf("error is %v", err)
	}
}

func TestResultsThatCannotBeAskedForAreAnError(t *testing.T) {
	p := newPast(t)
	run, _ := book(p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Results(ctx, noon, run, ResultsOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
