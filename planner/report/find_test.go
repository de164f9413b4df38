package report

import (
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"spate/job"
	"spate/planner"
)

func TestARunIsFoundByIDNameOrTheBeginningOfItsID(t *testing.T) {
	runs := []*planner.Run{
		{ID: "nightly-3", Name: "nightly"}, {ID: "deals-7", Name: "deals"}, {ID: "nightly-2", Name: "nightly"}, {ID: "fix-1", Name: "nightly-2"},
	}
	for ref, want := range map[string]string{
		"nightly": "nightly-3", "nightly-2": "nightly-2", "deals": "deals-7", "dea": "deals-7", "fix-1": "fix-1", "f": "fix-1",
	} {
		run, err := chooseRun(runs, ref)
		if err != nil || run.ID != want {
			t.Errorf("%s: %v, %v, want %s", ref, run, err, want)
		}
	}
	for ref, want := range map[string]string{
		"nightly-": "run nightly- may be any of nightly-3, nightly-2",
		"nightlx":  "there is no run nightlx; similar are nightly-3, nightly-2, fix-1",
		"als-7":    "there is no run als-7; similar are deals-7",
		"other":    "there is no run other",
		"":         "run  may be any of nightly-3, deals-7, nightly-2, fix-1",
	} {
		_, err := chooseRun(runs, ref)
		if notFound, ok := errors.AsType[*NotFoundError](err); !ok || notFound.Error() != want {
			t.Errorf("%q: %v, want %s", ref, err, want)
		}
	}
}

func TestAJobIsFoundInTheNewestRunThatHasIt(t *testing.T) {
	p := newPast(t)
	older := p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour))
	before := p.manifest(older, deal("deal-1", `{"limit":5}`), deal("deal-2", `{}`), sum("all", "deal-1", "deal-2"))
	newer := p.run("nightly-2", "nightly", job.RunActive, noon.Add(-time.Hour))
	after := p.manifest(newer, deal("deal-1", `{"limit":6}`), sum("all", "deal-1"))
	rejected := p.run("typo", "nightly", job.RunRejected, noon)
	rejected.Planned = time.Time{}
	p.item(rejected)
	gone := p.run("gone", "nightly", job.RunSucceeded, noon.Add(-time.Minute)) // whose manifest is no more
	for _, test := range []struct {
		ref, run string
		wantRun  string
		want     job.Planned
	}{
		{"deal-1", "", "nightly-2", after[0]},
		{"deal-1", "nightly-1", "nightly-1", before[0]},
		{"deal-2", "", "nightly-1", before[1]},
		{before[0].Key.String(), "", "nightly-1", before[0]},
		{after[1].Key.String()[:8], "nightly-2", "nightly-2", after[1]},
	} {
		found, err := p.FindJob(t.Context(), test.ref, test.run)
		if err != nil || found.Run.ID != test.wantRun || found.Job.Key != test.want.Key || found.Job.ID != test.want.ID {
			t.Errorf("%s in %q: %+v, %v", test.ref, test.run, found, err)
		}
	}
	for _, test := range []struct{ ref, run, want string }{
		{"deal-9", "nightly-1", "there is no job deal-9 in run nightly-1; similar are deal-1, deal-2"},
		{"deal-9", "", "there is no job deal-9 in the 3 newest runs"},
		{before[0].Key.String()[:7], "", "there is no job " + before[0].Key.String()[:7] + " in the 3 newest runs"}, // too few digits
		{"deal-1", "nobody", "there is no run nobody"},
	} {
		if _, err := p.FindJob(t.Context(), test.ref, test.run); err == nil || err.Error() != test.want {
			t.Errorf("%s in %q: %v, want %s", test.ref, test.run, err, test.want)
		}
	}
	if _, err := p.FindJob(t.Context(), "deal-1", gone.ID); err == nil {
		t.Error("a job was found in a run without manifest")
	}
}

func TestThePreviousRunIsTheNewestOfThatNameBefore(t *testing.T) {
	p := newPast(t)
	p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-3*time.Hour))
	second := p.run("nightly-2", "nightly", job.RunFailed, noon.Add(-2*time.Hour))
	p.run("deals-1", "deals", job.RunSucceeded, noon.Add(-90*time.Minute))
	third := p.run("nightly-3", "nightly", job.RunActive, noon.Add(-time.Hour))
	if got, err := p.Previous(t.Context(), third); err != nil || got == nil || got.ID != second.ID {
		t.Errorf("before the third: %v, %v", got, err)
	}
	if got, err := p.Previous(t.Context(), second); err != nil || got == nil || got.ID != "nightly-1" {
		t.Errorf("before the second: %v, %v", got, err)
	}
	deals, err := p.FindRun(t.Context(), "deals")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Previous(t.Context(), deals); err != nil || got != nil {
		t.Errorf("before the first: %v, %v", got, err)
	}
}

func TestWhatIfRunsAreNotTakenForRunsOfTheirName(t *testing.T) {
	p := newPast(t)
	first := p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-3*time.Hour))
	whatIf := p.run("what-if", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour))
	whatIf.Labels = map[string]string{"what_if_of": "nightly-1"}
	p.item(whatIf)
	again := p.run("what-if-2", "nightly", job.RunSucceeded, noon.Add(-time.Hour))
	again.Labels = map[string]string{"what_if_of": "what-if"}
	p.item(again)
	last := p.run("nightly-2", "nightly", job.RunFailed, noon)
	for run, want := range map[*planner.Run]string{last: first.ID, whatIf: first.ID, again: whatIf.ID} {
		if got, err := p.Previous(t.Context(), run); err != nil || got == nil || got.ID != want {
			t.Errorf("before %s: %v, %v, want %s", run.ID, got, err, want)
		}
	}
	if run, err := chooseRun([]*planner.Run{again, whatIf, first}, "nightly"); err != nil || run.ID != first.ID {
		t.Errorf("by name: %v, %v", run, err)
	}
	if run, err := chooseRun([]*planner.Run{again, whatIf}, "nightly"); err != nil || run.ID != again.ID {
		t.Errorf("by name, when the run itself is forgotten: %v, %v", run, err)
	}

	good := p.manifest(first, deal("deal-1", `{"limit":5}`))
	p.outcome(first.ID, good[0])
	p.outcome(whatIf.ID, p.manifest(whatIf, deal("deal-1", `{"limit":7}`))[0])
	failed := p.manifest(last, deal("deal-1", `{"limit":6}`))
	got, err := p.LastGood(t.Context(), last, &failed[0])
	if err != nil || got.Run != first.ID || got.Key != good[0].Key {
		t.Errorf("the last good output: %+v, %v, want that of %s", got, err, first.ID)
	}
}

// outcome stores an index with one job that is done, and its output.
func (p *past) outcome(run string, planned job.Planned) {
	p.t.Helper()
	p.put(job.ManifestPath(planned.Key), "{}")
	line, err := json.Marshal(planner.Result{
		ID: planned.ID, Task: planned.Task, Key: planned.Key, State: "done", Manifest: job.ObjectURL("data", job.ManifestPath(planned.Key)),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(job.ResultsIndexPath(run), string(line)+"\n")
}
