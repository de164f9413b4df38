package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

// put writes an object.
func (w *world) put(key, content string) {
	w.t.Helper()
	if _, err := w.bucket.Put(w.t.Context(), key, []byte(content), objects.Condition{}); err != nil {
		w.t.Fatal(err)
	}
}

// submitRaw submits a run file as it is, past all checks of the client's.
func (w *world) submitRaw(id, runFile string) {
	w.t.Helper()
	w.put(job.SubmissionPath(id), runFile)
	w.send("submissions", fmt.Sprintf(`{"v":1,"id":%q}`, id))
}

func TestARunThatCannotBePlannedIsRejectedWithEveryReason(t *testing.T) {
	for name, tc := range map[string]struct {
		run, jobs string
		reason    string
		errors    []string // beginnings, after the jobs' URL
	}{
		"an unknown pool": {
			run: `{"name":"n","pool":"elsewhere","jobs":[{"id":"a","task":"price"}]}`, reason: `there is no pool "elsewhere"; the configuration has [deals rollup]`,
		},
		"a run file that is none": {
			run: `{"name":"n"}`, reason: "the run file has 2 errors",
			errors: []string{"s3://data/submissions/run/run.json:1: run file has no pool", "s3://data/submissions/run/run.json:1: run file has no jobs"},
		},
		"missing inputs": {
			run: fromS3, reason: "2 inputs are missing",
			jobs: `{"id":"a","task":"price","inputs":{"x":"s3://data/there.csv","y":"s3://data/gone.csv"}}` + "\n\n" +
				`{"id":"b","task":"price","inputs":{"x":"s3://nowhere/gone.csv"}}` + "\n",
			errors: []string{`JOBS:1: job "a": there is no input s3://data/gone.csv`, `JOBS:3: job "b": there is no input s3://nowhere/gone.csv`},
		},
		"one missing input": {
			run: fromS3, reason: "1 input is missing", jobs: `{"id":"a","task":"price","inputs":{"x":"s3://data/gone.csv"}}` + "\n",
			errors: []string{`JOBS:1: job "a": there is no input s3://data/gone.csv`},
		},
		"a circle, an orphan and an unknown task": {
			run: fromS3, reason: "the jobs have 3 errors",
			jobs: `{"id":"a","task":"price","needs":{"x":"b"}}` + "\n" + `{"id":"b","task":"price","needs":{"x":"a"}}` + "\n" +
				`{"id":"c","task":"prise","needs":{"x":"d"}}` + "\n",
			errors: []string{`JOBS:3:18: unknown task "prise"`, `JOBS:2:39: jobs wait for each other: a → b → a`, `JOBS:3:39: job "c" needs "d"`},
		},
		"parameters that would not survive": {
			run:  strings.Replace(fromS3, "{", `{"params":{"currency":"USD"},`, 1),
			jobs: `{"id":"a","task":"price","params":{"n":1,"n":2}}` + "\n", reason: "the jobs have 1 error",
			errors: []string{`JOBS:1:`},
		},
		"a pool that others feed": {
			run: `{"name":"n","pool":"feeds","jobs":[{"id":"a","task":"price"}]}`, reason: `pool "feeds" takes no runs: its jobs come from other producers (source: external)`,
		},
		"jobs that are not there": {
			run: `{"name":"n","pool":"rollup","jobs_from":"s3://data/gone.jsonl"}`, reason: "jobs_from: there is no object s3://data/gone.jsonl",
		},
		"jobs on the submitter's disk": {
			run: `{"name":"n","pool":"rollup","jobs_from":"jobs.jsonl"}`, reason: `jobs_from: "jobs.jsonl" is no S3 URL: want s3://bucket/object`,
		},
		"jobs that were changed": {
			run:  strings.Replace(fromS3, "{", `{"jobs_sha256":"`+strings.Repeat("0", 64)+`",`, 1),
			jobs: oneJob, reason: "s3://data/jobs.jsonl has SHA-256 " + sha256Hex(oneJob) + ", the run file says " + strings.Repeat("0", 64) + ": it was changed after it was submitted",
		},
		"a job that no message can hold": {
			run: fromS3, jobs: oneJob + `{"id":"b","task":"price","params":{"p":"` + strings.Repeat("x", job.MaxMessageBytes) + `"}}` + "\n",
			reason: "1 jobs are too large", errors: []string{`JOBS:2: job "b": encode message of job b: `},
		},
		// Each input stands in a message twice: in the document by its name, and with its place.
		"a job whose message alone is too large": {
			run: fromS3, jobs: `{"id":"a","task":"price","inputs":{` + manyInputs(1000) + `}}` + "\n",
			reason: "1 jobs are too large", errors: []string{`JOBS:1: job "a": encode message of job a: `},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.put("there.csv", "1,2,3")
				w.put("jobs.jsonl", tc.jobs)
				w.start()
				w.submitRaw("run", tc.run)
				r := w.await("run")

				if r.State != job.RunRejected || r.Reason != tc.reason || r.Ended.IsZero() {
					t.Errorf("the run is %s: %s", r.State, r.Reason)
				}
				want := tc.errors
				if want == nil {
					want = []string{tc.reason}
				}
				if len(r.Errors) != len(want) {
					t.Fatalf("errors %q, want %q", r.Errors, want)
				}
				for i := range want {
					if !strings.HasPrefix(r.Errors[i], strings.ReplaceAll(want[i], "JOBS", "s3://data/jobs.jsonl")) {
						t.Errorf("error %d is\n%s\nwant\n%s", i, r.Errors[i], want[i])
					}
				}
				w.wantDepth(testPool, 0)
				w.wantDepth("submissions", 0)
				if ids := w.worker.received(); len(ids) != 0 {
					t.Errorf("jobs were sent: %v", ids)
				}
			})
		})
	}
}

const fromS3 = `{"name":"n","pool":"rollup","jobs_from":"s3://data/jobs.jsonl"}`

func sha256Hex(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// manyInputs are inputs with long names that are vouched for, so that none needs to exist.
func manyInputs(n int) string {
	var inputs []string
	for i := range n {
		inputs = append(inputs, fmt.Sprintf(`"%s%04d":{"url":"s3://d/x","sha256":"%064d"}`, strings.Repeat("n", 100), i, i))
	}
	return strings.Join(inputs, ",")
}

func TestASubmissionWithoutARunFileIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.send("submissions", `{"v":1,"id":"run"}`)
		r := w.await("run")
		if r.State != job.RunRejected || r.Reason != "the submission run names a run file that is not in S3: s3://data/submissions/run/run.json" {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
	})
}

func TestARejectedRunKeepsAHundredErrorsAndTheNumberOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.put("jobs.jsonl", strings.Repeat("{}\n", 200))
		w.submitRaw("run", fromS3)
		r := w.await("run")
		if len(r.Errors) != maxErrors+1 || r.Errors[maxErrors] != "and 300 more" {
			t.Errorf("%d errors, the last %q", len(r.Errors), r.Errors[len(r.Errors)-1])
		}
	})
}

func TestInlineJobsAndJobsInS3AndJobsOfAFileHaveTheSameKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		lines := jobLines(portfolio)
		w.put("jobs.jsonl", lines)
		w.submitRaw("in-s3", fromS3)
		w.submitRaw("inline", `{"name":"n","pool":"rollup","jobs":[`+strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",")+`]}`)
		w.submit("of-a-file", portfolio)
		for _, id := range []string{"in-s3", "inline", "of-a-file"} {
			r := w.await(id)
			if r.State != job.RunSucceeded || r.Progress.Jobs != 6 {
				t.Errorf("run %s is %s: %s", id, r.State, r.Reason)
			}
			if diff := cmp.Diff(w.keys("in-s3"), w.keys(id)); diff != "" {
				t.Errorf("run %s: %s", id, diff)
			}
			if id == "in-s3" && r.JobsSHA256 != sha256Hex(lines) {
				t.Errorf("run %s has recorded SHA-256 %q of its jobs", id, r.JobsSHA256)
			}
		}
		if keys, _ := w.worker.executed(); keys != 6 {
			t.Errorf("%d jobs were computed", keys)
		}
	})
}

func TestWhatAKeyDependsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		random := w.task
		random.Name, random.Deterministic = "roll", false
		o := w.options(1, nil)
		o.Catalogue["roll"] = random
		w.startPlanner(o)
		w.background(w.worker.run)
		w.put("melt.csv", "1")
		key := func(id, run, jobs string) job.Key {
			t.Helper()
			w.put("jobs.jsonl", jobs)
			w.submitRaw(id, run)
			if r := w.await(id); r.State != job.RunSucceeded {
				t.Fatalf("run %s is %s: %s %v", id, r.State, r.Reason, r.Errors)
			}
			return w.keys(id)["a"]
		}
		const spec = `{"id":"a","task":"price","params":{"n":1.0},"inputs":{"melt.csv":"s3://data/melt.csv"}}`
		original := key("original", fromS3, spec)
		for id, got := range map[string]job.Key{
			"the-same":      key("the-same", fromS3, spec),
			"another-label": key("another-label", strings.Replace(fromS3, "{", `{"owner":"me","labels":{"day":"2"},`, 1), spec),
			"params-of-run": key("params-of-run", strings.Replace(fromS3, "{", `{"params":{"n":1},`, 1), strings.Replace(spec, `"params":{"n":1.0},`, "", 1)),
		} {
			if got != original {
				t.Errorf("run %s has another key", id)
			}
		}
		keys := []job.Key{original}
		different := func(id string, got job.Key) {
			t.Helper()
			if slices.Contains(keys, got) {
				t.Errorf("run %s has the key of an earlier one", id)
			}
			keys = append(keys, got)
		}
		different("params", key("params", fromS3, strings.Replace(spec, "1.0", "2", 1)))
		different("staged", key("staged", fromS3, strings.Replace(spec, `"melt.csv":`, `"elt.csv":`, 1)))
		different("roll-1", key("roll-1", fromS3, strings.Replace(spec, "price", "roll", 1)))
		different("roll-2", key("roll-2", fromS3, strings.Replace(spec, "price", "roll", 1)))
		w.images.set(Image{TaskDefinition: "arn:family:2", Digest: "sha256:22bb", Platform: "linux/amd64"}, nil)
		different("image", key("image", fromS3, spec))
		w.put("melt.csv", "2")
		different("input", key("input", fromS3, spec))
		time.Sleep(time.Hour)
		w.put("melt.csv", "1") // the very bytes of before
		w.images.set(Image{TaskDefinition: "arn:family:1", Digest: testImage, Platform: "linux/amd64"}, nil)
		if got := key("back-again", fromS3, spec); got != original {
			t.Error("the same bytes later make another key")
		}
	})
}
