package report

import (
	"errors"
	"maps"
	"testing"
	"time"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

func (p *past) states(run *planner.Run) (map[string]string, error) {
	states := map[string]string{}
	for s, err := range p.States(p.t.Context(), noon, run) {
		if err != nil {
			return states, err
		}
		if states[s.ID] = s.State.String(); s.Cause != "" {
			states[s.ID] += ": " + s.Cause
		}
	}
	return states, nil
}

func TestStatesOfAnEndedRunAreThoseOfItsIndex(t *testing.T) {
	p := newPast(t)
	run := p.run("nightly-1", "nightly", job.RunFailed, noon.Add(-time.Hour))
	jobs := p.manifest(run, deal("deal-1", `{}`), deal("deal-2", `{"limit":5}`), sum("all", "deal-1", "deal-2"))
	p.index(run.ID, jobs, "cached", "failed", "blocked")
	got, err := p.states(run)
	if want := map[string]string{"deal-1": "cached", "deal-2": "failed", "all": "blocked"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	p.index(run.ID, jobs[:2], "cached", "failed")
	if _, err := p.states(run); err == nil {
		t.Error("an index that ends early was taken for whole")
	}
	p.index(run.ID, jobs, "cached", "asleep", "blocked")
	if _, err := p.states(run); err == nil {
		t.Error("a state that nobody knows was taken for one")
	}
}

func TestStatesOfARunUnderWayFollowFromWhatExists(t *testing.T) {
	p := newPast(t)
	run := p.run("nightly-1", "nightly", job.RunActive, noon.Add(-time.Hour))
	jobs := p.manifest(run,
		deal("done", `{"n":1}`), deal("failed", `{"n":2}`), deal("tried-again", `{"n":3}`), deal("done-after-all", `{"n":4}`),
		sum("ready", "done"), sum("waiting", "tried-again", "done"), sum("blocked", "tried-again", "failed"), sum("blocked-too", "blocked"),
		sum("free", "done-after-all"),
	)
	p.outputs.presence[jobs[0].Key], p.outputs.presence[jobs[3].Key] = job.Hit, job.Hit
	for i, retried := range map[int]bool{1: false, 2: true, 3: false} {
		p.item(planner.Failure{
			Key: table.Key{PK: table.RunPrefix + run.ID, SK: "FAILURE#" + jobs[i].Key.String() + "#000001"}, JobKey: jobs[i].Key.String(), Job: jobs[i].ID,
			Attempt: 1, Cause: "exit code 65", Verdict: "permanent", Retried: retried,
		})
	}
	want := map[string]string{
		"done": "done", "failed": "failed: exit code 65; permanent", "tried-again": "queued", "done-after-all": "done", "ready": "queued",
		"waiting": "waiting", "blocked": "blocked: job failed failed: exit code 65; permanent",
		"blocked-too": "blocked: job failed failed: exit code 65; permanent", "free": "queued",
	}
	if got, err := p.states(run); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	p.outputs.err = errors.New("the ledger is away")
	if _, err := p.states(run); !errors.Is(err, p.outputs.err) {
		t.Errorf("an unknown output gave %v", err)
	}
}
