package planner

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"spate/job"
)

// heldImages do not answer the first question until they are let go.
type heldImages struct {
	Images
	calls atomic.Int32
	asked chan struct{}
	held  chan struct{}
}

func (h *heldImages) Resolve(ctx context.Context, family string) (Image, error) {
	if h.calls.Add(1) == 1 {
		close(h.asked)
		select {
		case <-h.held:
		case <-ctx.Done():
			return Image{}, ctx.Err()
		}
	}
	return h.Images.Resolve(ctx, family)
}

func TestARunIsPlannedWhileALargeOneStillIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options(1, nil)
		held := &heldImages{Images: o.Images, asked: make(chan struct{}), held: make(chan struct{})}
		o.Images = held
		w.startPlanner(o)
		w.background(w.worker.run)
		w.submit("large", "deal\n")
		<-held.asked
		w.submit("small", "other\n")
		if r := w.await("small"); r.State != job.RunSucceeded {
			t.Errorf("the small run is %s: %s", r.State, r.Reason)
		}
		if r, err := ReadRun(t.Context(), w.runs, "large"); err != nil || r.State != job.RunPlanning {
			t.Errorf("the large run is %+v, %v; want it planning", r, err)
		}
		close(held.held)
		if r := w.await("large"); r.State != job.RunSucceeded {
			t.Errorf("the large run is %s: %s", r.State, r.Reason)
		}
	})
}
