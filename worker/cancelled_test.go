package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/job"
)

func TestAJobOfACancelledRunIsDroppedWhateverItsImage(t *testing.T) {
	for _, image := range []string{thisImage, "sha256:2222"} {
		t.Run(image, func(t *testing.T) {
			b := newBench(t)
			b.store.put(job.CancelledPath("run-1"), nil, time.Now())
			o := orderOf("j", prog("write", "out/x", "X")...)
			o.doc.Spec.Image = image
			b.queue.onDelete = nil // which wants an output
			key := b.enqueue(o)
			if reason := b.work(b.worker(nil)); reason != ReasonIdle {
				t.Errorf("left because %s", reason)
			}
			if e := b.onlyEvent(); e.Type != job.EventCancelled || e.Run != "run-1" || e.Key != key || e.Attempt != 1 || e.Worker != taskARN {
				t.Errorf("event %+v", e)
			}
			if m, _ := b.output(key); m != nil {
				t.Error("there is an output")
			}
			if left := b.queue.left(); len(left) != 0 {
				t.Errorf("messages %+v", left)
			}
		})
	}
}

func TestAJobWhoseRunIsCancelledWhileItsInputsAreFetchedIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		b.queue.onDelete = nil // which wants an output
		melt := b.store.put("elt.csv", []byte("MELT"), time.Now())
		o := orderOf("j", "x")
		o.inputs = map[string]string{"melt.csv": "s3://other/elt.csv"}
		o.doc.Spec.Inputs["melt.csv"] = job.InputIdentity{ETag: melt.etag, Size: 4}
		b.enqueue(o)
		b.store.set(func(op, what string) error {
			if op == "get" && what == "elt.csv" {
				time.Sleep(2 * time.Second)
				b.store.put(job.CancelledPath("run-1"), nil, time.Now())
			}
			return nil
		}, nil)
		w := b.worker(nil)
		w.run = func(context.Context, command) ending {
			t.Error("the job is started")
			return ending{}
		}
		b.work(w)
		if e := b.onlyEvent(); e.Type != job.EventCancelled {
			t.Errorf("event %+v", e)
		}
		b.checkEmpty()
	})
}

func TestNotToKnowWhetherARunIsCancelledIsNo(t *testing.T) {
	for name, err := range map[string]error{"denied": objects.ErrDenied, "no answer": errors.New("connection reset")} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			key := b.enqueue(orderOf("j", prog("write", "out/x", "X")...))
			b.store.set(func(op, what string) error {
				if op == "get" && what == job.CancelledPath("run-1") {
					return fmt.Errorf("look: %w", err)
				}
				return nil
			}, nil)
			b.work(b.worker(nil))
			if m, _ := b.output(key); m == nil {
				t.Error("there is no output")
			}
			b.checkEmpty()
		})
	}
}

func TestAMarkIsLookedForOnceASecondAndBelievedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		w := b.worker(nil)
		mark := job.CancelledPath("run-1")
		looks := func(seconds int, want bool) {
			t.Helper()
			for range 10 * seconds {
				if got := w.isCancelled(t.Context(), "run-1"); got != want {
					t.Errorf("cancelled is %t, want %t", got, want)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		looks(30, false)
		if n := b.store.opened(mark); n != 30 {
			t.Errorf("looked %d times in 30 seconds, want 30", n)
		}
		b.store.put(mark, nil, time.Now())
		time.Sleep(markFresh)
		looks(30, true)
		b.store.remove(mark)
		looks(30, true)
		if n := b.store.opened(mark); n != 31 {
			t.Errorf("looked %d times, want 31", n)
		}
		if w.isCancelled(t.Context(), "another") {
			t.Error("another run is cancelled as well")
		}
	})
}
