package planner

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

// portfolio is two deals, a layer on one of them, and what they add up to.
const portfolio = `
	deal-1
	deal-2
	layer: deal-1
	north: deal-1 layer
	south: deal-2
	root: north south
`

func TestAFirstRunComputesEveryJobAfterItsParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		r := w.await(w.submit("first", portfolio))

		if r.State != job.RunSucceeded || r.Reason != "" {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Executed: 6}, r.Progress); diff != "" {
			t.Error(diff)
		}
		if keys, doubled := w.worker.executed(); keys != 6 || doubled != 0 || w.manifests() != 6 {
			t.Errorf("%d jobs were computed, %d of them twice; %d outputs", keys, doubled, w.manifests())
		}
		for _, m := range w.worker.messages { // the worker reports a missing parent, and would have been answered
			if m.Attempt != 1 {
				t.Errorf("job %s was sent as attempt %d", m.Job, m.Attempt)
			}
		}
	})
}
