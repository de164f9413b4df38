package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

func TestFailedJobsAreGroupedByWhatTheyFailedOf(t *testing.T) {
	p := newPast(t)
	run := p.run("nightly-1", "nightly", job.RunActive, noon.Add(-time.Hour))
	jobs := p.manifest(run, deal("deal-1", `{}`), deal("deal-2", `{"a":2}`), deal("deal-3", `{"a":3}`), deal("deal-4", `{"a":4}`),
		sum("left", "deal-1", "deal-2"), sum("right", "deal-3", "deal-4"), sum("all", "left", "right"))
	code := 65
	fail := func(j job.Planned, attempt int, retried bool, cause string, lines ...string) {
		p.item(planner.Failure{
			Key:    table.Key{PK: table.RunPrefix + run.ID, SK: "FAILURE#" + j.Key.String() + "#" + time.Duration(attempt).String()},
			JobKey: j.Key.String(), Job: j.ID, Attempt: attempt, ExitCode: &code, Cause: cause, LastLines: lines, Retried: retried, Verdict: "it is permanent",
		})
	}
	p.outputs.presence[jobs[3].Key] = job.Hit // it was tried twice
	fail(jobs[3], 1, true, "exit code 65", "no licence")
	fail(jobs[0], 1, false, "exit code 65", "reading", "row 17 of /data/a.csv: loss is negative")
	fail(jobs[1], 1, true, "exit code 65", "no licence")
	fail(jobs[1], 2, false, "exit code 65", "row 4 of /data/b.csv: loss is negative")
	fail(jobs[2], 1, false, "exit code 65", "no such curve")
	got, err := p.Failed(t.Context(), noon, run)
	if err != nil {
		t.Fatal(err)
	}
	want := &Failed{Failed: 3, Blocked: 3, Groups: []FailureGroup{
		{
			Task: "price", Cause: "exit code 65", ExitCode: &code, Verdict: "it is permanent", Attempts: 2, Jobs: []string{"deal-1", "deal-2"}, Blocks: 2,
			LastLines: []string{"reading", "row 17 of /data/a.csv: loss is negative"},
		},
		{
			Task: "price", Cause: "exit code 65", ExitCode: &code, Verdict: "it is permanent", Attempts: 1, Jobs: []string{"deal-3"}, Blocks: 2,
			LastLines: []string{"no such curve"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextsThatDifferInNumbersAndPathsAreAlike(t *testing.T) {
	for _, same := range [][2]string{
		{"row 17: loss is negative", "row 4: loss is negative"},
		{"cannot read in/elt-00017.csv", "cannot read in/other/elt.csv"},
		{`open "/data/a b.csv"`, `open "/tmp/c b.csv"`},
		{"output 66b52fde01aa has no file", "output a833ffeebb01 has no file"},
		{"took 1.5 s", "took 12,000 s"},
	} {
		if a, b := alike(same[0]), alike(same[1]); a != b {
			t.Errorf("%q and %q are %q and %q", same[0], same[1], a, b)
		}
	}
	for _, other := range [][2]string{{"loss is negative", "loss is missing"}, {"no curve GBP", "no curve EUR"}, {"deadbeef", "feed"}} {
		if alike(other[0]) == alike(other[1]) {
			t.Errorf("%q and %q are alike", other[0], other[1])
		}
	}
}
