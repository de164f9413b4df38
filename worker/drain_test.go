package worker

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/job"
)

const drainedPool = "rollup"

// drain marks the pool as drained now.
func (b *bench) drain() {
	b.store.put(job.DrainPath(drainedPool), []byte(time.Now().UTC().Format(time.RFC3339Nano)), time.Now())
}

func TestAWorkerOfADrainedPoolFinishesItsJobAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.Pool, o.IdleTimeout = drainedPool, 15*time.Minute })
		w.run = takes(time.Hour)
		first, second := b.enqueue(orderOf("first", "x")), b.enqueue(orderOf("second", "x"))
		go func() {
			time.Sleep(10 * time.Minute)
			b.drain()
		}()
		start := time.Now()
		if reason := b.work(w); reason != ReasonDrained {
			t.Errorf("left because %s", reason)
		}
		if took := time.Since(start); took != time.Hour {
			t.Errorf("left after %s, want 1h0m0s: when its job was done", took)
		}
		if m, _ := b.output(first); m == nil {
			t.Error("the job under way has no output")
		}
		if m, _ := b.output(second); m != nil {
			t.Error("another job was begun")
		}
		if left := b.queue.left(); len(left) != 1 || left[0].receives != 0 {
			t.Errorf("messages %+v, want the second one untouched", left)
		}
	})
}

func TestAnIdleWorkerLeavesSoonAfterItsPoolIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.Pool, o.IdleTimeout = drainedPool, 15*time.Minute })
		start := time.Now()
		go func() {
			time.Sleep(61 * time.Second) // in the middle of a long poll
			b.drain()
		}()
		if reason := b.work(w); reason != ReasonDrained {
			t.Errorf("left because %s", reason)
		}
		if took := time.Since(start) - 61*time.Second; took <= 0 || took > 20*time.Second {
			t.Errorf("left %s after the mark was put, want at most a long poll's 20s", took)
		}
	})
}

func TestAMarkOlderThanTheWorkersLaunchIsNotAboutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		launched := time.Now()
		time.Sleep(30 * time.Second) // until the task runs
		for _, test := range []struct {
			name string
			mark time.Time
			want Reason
		}{
			{"drained before", launched.Add(-time.Minute), ReasonIdle},
			{"drained while it started", launched.Add(10 * time.Second), ReasonDrained},
		} {
			b.store.put(job.DrainPath(drainedPool), []byte(test.mark.UTC().Format(time.RFC3339Nano)), time.Now())
			w := b.worker(func(o *Options) { o.Pool, o.Launched, o.IdleTimeout = drainedPool, launched, time.Minute })
			if reason := b.work(w); reason != test.want {
				t.Errorf("%s: left because %s, want %s", test.name, reason, test.want)
			}
		}
	})
}

func TestNotToKnowWhetherAPoolIsDrainedIsNo(t *testing.T) {
	for name, err := range map[string]error{"denied": objects.ErrDenied, "no answer": errors.New("connection reset"), "no time": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			key := b.enqueue(orderOf("j", prog("write", "out/x", "X")...))
			b.store.put(job.DrainPath(drainedPool), []byte("soon"), time.Now())
			b.store.set(func(op, what string) error {
				if op == "get" && what == job.DrainPath(drainedPool) && err != nil {
					return fmt.Errorf("look: %w", err)
				}
				return nil
			}, nil)
			if reason := b.work(b.worker(func(o *Options) { o.Pool = drainedPool })); reason != ReasonIdle {
				t.Errorf("left because %s", reason)
			}
			if m, _ := b.output(key); m == nil {
				t.Error("there is no output")
			}
			b.checkEmpty()
		})
	}
}

func TestABusyWorkerLooksForItsPoolsMarkAtMostEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.Pool, o.IdleTimeout = drainedPool, time.Second })
		w.run = takes(time.Second)
		for n := range 300 {
			b.enqueue(orderOf(fmt.Sprintf("j-%d", n), "x"))
		}
		b.work(w)
		if n := b.store.opened(job.DrainPath(drainedPool)); n < 20 || n > 31 {
			t.Errorf("looked %d times in 300 seconds, want 20 to 31", n)
		}
	})
}
