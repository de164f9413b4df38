package report

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/job"
	"spate/planner"
)

func TestHitsAreCountedByRunAndTaskTypeOverTheNewestRunsThatAskTheCache(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	run := func(id string, tasks map[string]planner.TaskFigures) *planner.Run {
		return &planner.Run{ID: id, Name: id, Image: "sha256:1", State: job.RunSucceeded, Received: at, Planned: at, Tasks: tasks}
	}
	rejected := run("rejected", nil)
	rejected.Planned = time.Time{}
	again := run("again", map[string]planner.TaskFigures{"price": {Executed: 50}})
	again.Reproduction = &planner.Reproduction{}
	got := hitRatios([]*planner.Run{
		again, rejected,
		run("tuesday", map[string]planner.TaskFigures{"price": {Cached: 90, Executed: 10}, "sum": {Executed: 1}}),
		run("monday", map[string]planner.TaskFigures{"price": {Executed: 100}, "audit": {Executed: 1, Cached: 1}}),
		run("sunday", map[string]planner.TaskFigures{"price": {Executed: 1000}}),
	}, 2)
	ref := func(id string) RunRef { return refOf(run(id, nil)) }
	want := &HitRatios{
		All:   Hits{203, 91},
		Runs:  []RunHits{{ref("tuesday"), Hits{101, 90}}, {ref("monday"), Hits{102, 1}}},
		Tasks: []TaskHits{{"price", Hits{200, 90}}, {"audit", Hits{2, 1}}, {"sum", Hits{1, 0}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if share := (Hits{}).Share(); share != 0 {
		t.Errorf("the share of nothing is %v", share)
	}
}
