package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/job"
	"spate/planner"
)

// made stores a job's output, made by a run; files are "path=content".
func (p *past) made(planned job.Planned, run *planner.Run, seconds float64, files ...string) {
	p.t.Helper()
	common, err := run.Documents()
	if err != nil {
		p.t.Fatal(err)
	}
	doc, err := planned.Document(common[planned.Task]).Canonical()
	if err != nil {
		p.t.Fatal(err)
	}
	p.sealed++
	m := job.Manifest{
		V: job.MessageVersion, Key: planned.Key, Attempt: fmt.Sprintf("a1-%d", p.sealed), Image: run.Image, Seconds: seconds, Run: run.ID, Worker: "arn:task/1", Document: doc,
		At: run.Planned,
	}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		m.Files = append(m.Files, job.File{Path: path, Size: int64(len(content)), SHA256: fmt.Sprintf("%064x", content)[:64]})
	}
	data, err := m.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(job.ManifestPath(planned.Key), string(data))
}

// twoNights are two runs of a portfolio. In the second the seed of the events and the limit of two deals are others, a
// deal is gone, one is new, one is in the place of another, and of what was computed again some bytes are the same.
func twoNights(t *testing.T) (p *past, first, second *planner.Run) {
	p = newPast(t)
	withEvents := func(j job.Planned) job.Planned {
		j.Needs = map[string]job.PlannedNeed{"events": {Job: "events", Files: []string{"e.csv"}}}
		return j
	}
	portfolio := func(id string, needs map[string]string) job.Planned {
		j := job.Planned{ID: id, Task: "sum", Needs: map[string]job.PlannedNeed{}}
		for name, parent := range needs {
			j.Needs[name] = job.PlannedNeed{Job: parent}
		}
		return j
	}
	first = p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-26*time.Hour))
	second = p.run("nightly-2", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour))
	before := p.manifest(first,
		deal("events", `{"seed":1}`),
		withEvents(deal("deal-1", `{"limit":5,"layers":[{"rate":1}]}`)), withEvents(deal("deal-2", `{"limit":7,"layers":[{"rate":1}]}`)),
		deal("deal-3", `{"limit":9}`), deal("deal-4", `{"limit":4}`), deal("deal-5", `{"limit":2}`),
		sum("book-1", "deal-1", "deal-2"), portfolio("book-2", map[string]string{"a": "deal-3", "b": "deal-4"}), sum("book-3", "deal-5"), sum("book-4", "deal-1"),
		sum("all", "book-1", "book-2"),
	)
	after := p.manifest(second,
		deal("events", `{"seed":2}`),
		withEvents(deal("deal-1", `{"limit":6,"layers":[{"rate":1}]}`)), withEvents(deal("deal-2", `{"limit":8,"layers":[{"rate":1}]}`)),
		deal("deal-3", `{"limit":9}`), deal("deal-5", `{"limit":2}`), deal("deal-6", `{"limit":1}`),
		sum("book-1", "deal-1", "deal-2"), portfolio("book-2", map[string]string{"a": "deal-3", "b": "deal-6"}), sum("book-3", "deal-5"), sum("book-4", "deal-1"),
		sum("all", "book-1", "book-2"),
	)
	for _, j := range before {
		p.made(j, first, 1, "e.csv="+j.ID, "log="+j.ID)
	}
	for _, j := range after {
		switch j.ID {
		case "events": // the file that deals ask for is the same
			p.made(j, second, 2, "e.csv="+j.ID, "log=other")
		case "deal-1":
			p.made(j, second, 2, "e.csv=other", "log="+j.ID)
		case "deal-2", "book-2", "all":
			p.made(j, second, 2, "e.csv="+j.ID, "log="+j.ID)
		case "book-4": // has not been made
		case "book-1":
			p.made(j, second, 2, "e.csv=other", "more=1")
		case "deal-6":
			p.made(j, second, 2, "e.csv=1")
		}
	}
	states := strings.Fields(strings.Repeat("done ", len(after)))
	p.index(first.ID, before, states...)
	states[9] = "failed"
	p.index(second.ID, after, states...)
	return p, first, second
}

func TestComparingRunsTellsCausesFirst(t *testing.T) {
	p, first, second := twoNights(t)
	c, err := p.Compare(t.Context(), first, second, CompareOptions{Outputs: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tally{Before: 11, After: 11, Same: 3, Own: 4, ByParents: 3, New: 1, Gone: 1}); c.Jobs != want {
		t.Errorf("jobs %+v, want %+v", c.Jobs, want)
	}
	var b strings.Builder
	for _, cause := range c.Causes {
		fmt.Fprintln(&b, cause.Jobs, cause.Fields, cause.Tasks, cause.Uniform, cause.Example.ID, cause.Example.Differences)
	}
	for _, change := range c.Changes {
		fmt.Fprintln(&b, change.ID, change.Differences, change.Parents, change.Output.Same, change.Output.Missing, len(change.Output.Files))
	}
	want := `2 [params.limit] map[price:2] false deal-1 [params.limit 5 → 6]
1 [needs.b.job] map[sum:1] true book-2 [needs.b.job deal-4 → deal-6]
1 [params.seed] map[price:1] true events [params.seed 1 → 2]
events [params.seed 1 → 2] [] false  1
deal-1 [params.limit 5 → 6] [events] false  1
deal-2 [params.limit 7 → 8] [events] true  0
book-1 [] [deal-1 deal-2] false  3
book-2 [needs.b.job deal-4 → deal-6] [] true  0
book-4 [] [deal-1] false there is no output of now 0
all [] [book-1 book-2] true  0
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := (OutputsTally{Compared: 6, Same: 3, Differ: 3, Missing: 1}); *c.Outputs != want {
		t.Errorf("outputs %+v, want %+v", *c.Outputs, want)
	}
}

func TestWhatRanOnlyForParentsWithTheSameBytesCouldHaveBeenSaved(t *testing.T) {
	p := newPast(t)
	first := p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-26*time.Hour))
	second := p.run("nightly-2", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour))
	before := p.manifest(first, deal("deal-1", `{"threads":1}`), deal("deal-2", `{"limit":1}`), sum("book-1", "deal-1"), sum("book-2", "deal-2"), sum("all", "book-1"))
	after := p.manifest(second, deal("deal-1", `{"threads":2}`), deal("deal-2", `{"limit":2}`), sum("book-1", "deal-1"), sum("book-2", "deal-2"), sum("all", "book-1"))
	for i := range before {
		p.made(before[i], first, 1, "a="+before[i].ID)
		now := "a=" + after[i].ID
		if after[i].ID == "deal-2" {
			now = "a=other"
		}
		p.made(after[i], second, 4, now)
	}
	c, err := p.Compare(t.Context(), first, second, CompareOptions{Outputs: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := (OutputsTally{Compared: 5, Same: 4, Differ: 1, Savable: 2, SavableSeconds: 8}); *c.Outputs != want {
		t.Errorf("outputs %+v, want %+v", *c.Outputs, want)
	}
}

func TestOneJobOfTwoRunsIsCompared(t *testing.T) {
	p, first, second := twoNights(t)
	c, err := p.Compare(t.Context(), first, second, CompareOptions{Jobs: []string{"deal-2", "deal-3", "deal-4"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tally{Before: 3, After: 2, Same: 1, Own: 1, Gone: 1}); c.Jobs != want || len(c.Changes) != 1 || c.Outputs != nil {
		t.Errorf("jobs %+v, want %+v; %v, %v", c.Jobs, want, c.Changes, c.Outputs)
	}
	_, err = p.Compare(t.Context(), first, second, CompareOptions{Jobs: []string{"deal-9"}})
	if _, ok := errors.AsType[*NotFoundError](err); !ok {
		t.Errorf("a job of neither: %v", err)
	}
	rejected := p.run("typo", "nightly", job.RunRejected, noon)
	rejected.Planned = time.Time{}
	if _, err := p.Compare(t.Context(), first, rejected, CompareOptions{}); err == nil || !strings.Contains(err.Error(), "it is rejected") {
		t.Errorf("a run without jobs: %v", err)
	}
}
