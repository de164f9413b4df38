package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spate/job"
	"spate/planner"
)

const retention = 30 * 24 * time.Hour

func (p *past) why(ref string, o WhyOptions) string {
	p.t.Helper()
	o.Retention = retention
	e, err := p.Why(p.t.Context(), noon, ref, o)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", e.Job, e.State, e.Because())
	for _, a := range e.Ancestors {
		fmt.Fprintf(&b, "\n  %s %v through %v", a.ID, a.Differences, a.Through)
	}
	return b.String()
}

func TestWhyAJobRanIsFollowedToWhatChangedItself(t *testing.T) {
	p, _, _ := twoNights(t)
	for _, test := range []struct {
		ref  string
		o    WhyOptions
		want string
	}{
		{"events", WhyOptions{}, "events done: it was changed: params.seed 1 → 2"},
		{"deal-1", WhyOptions{}, "deal-1 done: it was changed: params.limit 5 → 6\n  events [params.seed 1 → 2] through []"},
		{"book-4", WhyOptions{}, "book-4 failed: jobs on which it depends changed, 2 in all: deal-1: params.limit 5 → 6\n" +
			"  deal-1 [params.limit 5 → 6] through []\n  events [params.seed 1 → 2] through [deal-1]"},
		{"deal-3", WhyOptions{}, "deal-3 done: its key is that of nightly-1, but the output was not there any more"},
		{"deal-6", WhyOptions{}, "deal-6 done: it is new: nightly-1 has no such job"},
		{"book-2", WhyOptions{}, "book-2 done: it was changed: needs.b.job deal-4 → deal-6\n  deal-6 [] through []"},
		{"deal-4", WhyOptions{}, "deal-4 done: there is no earlier run of this name to compare with"},
		{"deal-1", WhyOptions{Run: "nightly-1", Against: "nightly-2"}, "deal-1 done: it was changed: params.limit 6 → 5\n  events [params.seed 2 → 1] through []"},
		{"deal-9", WhyOptions{}, "error: there is no job deal-9 in the 2 newest runs"},
	} {
		if got := p.why(test.ref, test.o); got != test.want {
			t.Errorf("%s %+v:\n%s\nwant\n%s", test.ref, test.o, got, test.want)
		}
	}
}

func TestAnUnchangedJobOfWhichTheEarlierRunHadNoOutputRunsForThat(t *testing.T) {
	p := newPast(t)
	first := p.run("nightly-1", "nightly", job.RunFailed, noon.Add(-3*time.Hour))
	jobs := p.manifest(first, deal("deal-1", `{}`), deal("deal-2", `{"n":2}`))
	p.index(first.ID, jobs, "failed", "done")
	partial := p.run("nightly-2", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour)) // of the other job only
	p.index(partial.ID, p.manifest(partial, deal("deal-2", `{"n":2}`)), "cached")
	second := p.run("nightly-3", "nightly", job.RunActive, noon.Add(-time.Hour))
	jobs = p.manifest(second, deal("deal-1", `{}`), deal("deal-2", `{"n":2}`), sum("all", "deal-1"))
	if got, want := p.why("deal-1", WhyOptions{}), "deal-1 queued: its key is that of nightly-1, where it had no output: it was failed"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := p.why("all", WhyOptions{}), "all waiting: it is new: nightly-2 has no such job"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	second.Force = "the disk was full"
	p.item(second)
	jobs[0].Forced = true
	p.manifest(second, jobs...)
	if got, want := p.why("deal-1", WhyOptions{}), `deal-1 queued: the run was told to compute it again: "the disk was full"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAKeyIsExplainedByItsOutputAndTheRunsThatUseIt(t *testing.T) {
	p, first, second := twoNights(t)
	found, err := p.FindJob(t.Context(), "deal-3", "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.Why(t.Context(), noon, found.Job.Key.String(), WhyOptions{Retention: retention})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.UsedBy) != 2 || e.UsedBy[0].Run.ID != second.ID || e.UsedBy[1].Run.ID != first.ID || e.UsedBy[0].Jobs[0] != "deal-3" {
		t.Errorf("used by %+v", e.UsedBy)
	}
	if e.Output == nil || e.Output.Run != second.ID && e.Output.Run != first.ID || e.Output.Expires.Sub(e.Output.Made) != retention {
		t.Errorf("output %+v", e.Output)
	}
	// Runs are forgotten before outputs are.
	alone := deal("nobody's", `{"n":1}`)
	common, err := first.Documents()
	if err != nil {
		t.Fatal(err)
	}
	if alone.Key, err = alone.Document(common["price"]).Key(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Why(t.Context(), noon, alone.Key.String(), WhyOptions{}); err == nil {
		t.Error("a key without output and run was explained")
	} else if _, ok := errors.AsType[*NotFoundError](err); !ok {
		t.Error(err)
	}
	p.made(alone, first, 1, "a=1")
	e, err = p.Why(t.Context(), noon, alone.Key.String(), WhyOptions{Against: found.Job.Key.String()})
	if err != nil {
		t.Fatal(err)
	}
	if e.Run != nil || e.Task != "price" || e.Verdict != VerdictChanged || len(e.Differences) != 2 {
		t.Errorf("got %+v", e)
	}
	got := p.why("deal-1", WhyOptions{Against: found.Job.Key.String()})
	if want := "deal-1 done: it was changed: params.layers is new"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheWayFromAnAncestorIsShortHoweverLongTheChain(t *testing.T) {
	p := newPast(t)
	chain := func(run *planner.Run, param string) {
		jobs := []job.Planned{deal("job-0", param)}
		for i := range 99 {
			next := sum(fmt.Sprintf("job-%d", i+1), fmt.Sprintf("job-%d", i))
			next.Params = []byte(param)
			jobs = append(jobs, next)
		}
		p.index(run.ID, p.manifest(run, jobs...), slices.Repeat([]string{"done"}, len(jobs))...)
	}
	chain(p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-time.Hour)), `{"n":1}`)
	chain(p.run("nightly-2", "nightly", job.RunSucceeded, noon), `{"n":2}`)
	e, err := p.Why(t.Context(), noon, "job-99", WhyOptions{Retention: retention})
	if err != nil || len(e.Ancestors) != 99 {
		t.Fatalf("%d ancestors, %v", len(e.Ancestors), err)
	}
	first, last := e.Ancestors[0], e.Ancestors[98]
	if first.ID != "job-98" || first.Between != 0 || len(first.Through) != 0 {
		t.Errorf("the nearest: %+v", first)
	}
	if last.ID != "job-0" || last.Between != 98 || len(last.Through) != 20 || last.Through[0] != "job-1" || last.Through[19] != "job-20" {
		t.Errorf("the farthest: %+v", last)
	}
}
