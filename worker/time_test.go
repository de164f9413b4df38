package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// newSlowBench is a bench for virtual time: polls take as long as they ask for.
func newSlowBench(t *testing.T) *bench {
	b := newBench(t)
	b.queue.patience = 0
	b.timeout = 24 * time.Hour
	return b
}

// takes is a process that runs for d and writes one file.
func takes(d time.Duration) func(context.Context, command) ending {
	return func(ctx context.Context, c command) ending {
		if err := sleep(ctx, d); err != nil {
			return ending{cut: err}
		}
		if err := os.WriteFile(filepath.Join(c.dir, "out", "x"), []byte("X"), 0o600); err != nil {
			return ending{start: err}
		}
		return ending{}
	}
}

func TestAWorkerLeavesWhenIdleForItsTimeoutAfterItsLastJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = 15 * time.Minute })
		w.run = takes(2 * time.Hour) // far longer than the timeout
		b.enqueue(orderOf("j", "x"))
		start := time.Now()
		if reason := b.work(w); reason != ReasonIdle {
			t.Errorf("left because %s", reason)
		}
		want := 2*time.Hour + IdleTimeout(15*time.Minute, taskARN)
		if took := time.Since(start); took < want || took > want+time.Second {
			t.Errorf("left after %s, want %s", took, want)
		}
		b.checkEmpty()
	})
}

func TestAWorkerWithARunningSlotIsNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout, o.Slots = time.Minute, 2 })
		w.run = takes(time.Hour)
		b.enqueue(orderOf("first", "x"))
		go func() { // a second job that the first one's hour leaves a slot for
			time.Sleep(50 * time.Minute)
			b.enqueue(orderOf("second", "x"))
		}()
		start := time.Now()
		b.work(w)
		want := 110*time.Minute + IdleTimeout(time.Minute, taskARN)
		if took := time.Since(start); took < want || took > want+time.Second {
			t.Errorf("left after %s, want %s", took, want)
		}
		b.checkEmpty()
	})
}

func TestSlotsRunAtOnceAndNoMoreThanTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout, o.Slots = time.Minute, 3 })
		w.run = takes(10 * time.Minute)
		for i := range 7 {
			b.enqueue(orderOf(fmt.Sprintf("j%d", i), "x"))
		}
		start := time.Now()
		b.work(w)
		want := 30*time.Minute + IdleTimeout(time.Minute, taskARN) // 3 + 3 + 1
		if took := time.Since(start); took < want || took > want+time.Second {
			t.Errorf("left after %s, want %s", took, want)
		}
		b.checkEmpty()
	})
}

func TestTheHeartbeatKeepsAMessageFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(nil) // 30 s of visibility
		w.run = takes(time.Hour)
		b.enqueue(orderOf("j", "x"))
		other, stop := context.WithTimeout(t.Context(), 59*time.Minute)
		defer stop()
		stolen := make(chan int)
		go func() {
			_ = sleep(other, time.Second) // the worker comes first
			n := 0
			for other.Err() == nil {
				got, _ := b.queue.Receive(other, 1, 20*time.Second, 30*time.Second)
				n += len(got)
			}
			stolen <- n
		}()
		// One heartbeat in four is lost.
		beat := 0
		b.queue.set(func(op, _ string) error {
			if op != "extend" {
				return nil
			}
			if beat++; beat%4 == 0 {
				return errors.New("connection reset")
			}
			return nil
		}, nil)
		b.work(w)
		if n := <-stolen; n != 0 {
			t.Errorf("another worker received the message %d times", n)
		}
		b.checkEmpty()
	})
}

func TestAnOutageOfS3IsNoFailureOfTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = time.Minute })
		w.run = takes(time.Minute)
		key := b.enqueue(orderOf("j", "x"))
		start := time.Now()
		b.store.set(func(string, string) error {
			if since := time.Since(start); since > 30*time.Second && since < 6*time.Minute {
				return errors.New("service unavailable")
			}
			return nil
		}, nil)
		b.work(w)
		if e := b.onlyEvent(); e.Type != job.EventSucceeded || e.Key != key {
			t.Errorf("event %+v", e)
		}
		b.checkEmpty()
	})
}

func TestWhenS3StaysAwayTheMessageGoesBackAndTheWorkerGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = 5 * time.Minute })
		w.run = takes(time.Minute)
		key := b.enqueue(orderOf("j", "x"))
		start := time.Now()
		b.store.set(func(op, _ string) error {
			if op == "put" && time.Since(start) < 20*time.Minute {
				return errors.New("service unavailable")
			}
			return nil
		}, nil)
		b.work(w)
		if e := b.onlyEvent(); e.Type != job.EventSucceeded {
			t.Errorf("event %+v", e)
		}
		if m, _ := b.output(key); m == nil {
			t.Error("there is no output")
		}
		if n := b.queue.messages[0].receives; n != 2 {
			t.Errorf("received %d times, want 2: given back once, then done", n)
		}
	})
}

func TestAMessageWhoseEventIsRefusedIsNotDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = time.Second })
		w.run = takes(time.Minute)
		key := b.enqueue(orderOf("j", "x"))
		b.events.set(always("send", ""), nil)
		b.work(w)
		left := b.queue.left()
		if len(left) != 1 || time.Until(left[0].visibleAt) > postponedFor {
			t.Fatalf("messages %+v, want the one, soon visible", left)
		}
		if m, _ := b.output(key); m == nil {
			t.Error("there is no output")
		}

		b.events.set(nil, nil)
		time.Sleep(postponedFor)
		again := b.worker(func(o *Options) { o.IdleTimeout = time.Second })
		again.run = func(context.Context, command) ending {
			t.Error("the job ran again although its output exists")
			return ending{}
		}
		b.work(again)
		if e := b.onlyEvent(); e.Type != job.EventSucceeded || !e.Reused {
			t.Errorf("event %+v", e)
		}
		b.checkEmpty()
	})
}

func TestAStoppingWorkerDoesNotWaitForWhatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.StopGrace = 20 * time.Second })
		w.run = takes(time.Second)
		b.enqueue(orderOf("j", "x"))
		b.store.set(always("put", ""), nil)
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		start := time.Now()
		reason, err := w.Run(ctx)
		if reason != ReasonStopped || err != nil {
			t.Errorf("left because %s, %v", reason, err)
		}
		if took := time.Since(start); took > 31*time.Second {
			t.Errorf("left after %s", took)
		}
		if left := b.queue.left(); len(left) != 1 || left[0].visibleAt.After(time.Now()) {
			t.Errorf("messages %+v, want the one, visible", left)
		}
		b.checkClean()
	})
}

func TestALateHeartbeatDoesNotHideAMessageThatWasGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.StopGrace = 10 * time.Second })
		w.run = takes(time.Hour)
		b.enqueue(orderOf("j", "x"))
		b.queue.set(func(op, what string) error {
			if op == "extend" && what == "30s" {
				time.Sleep(2 * time.Second) // the heartbeat of second 10 has its effect at 12, the job ends at 11
			}
			return nil
		}, nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if reason, err := w.Run(ctx); reason != ReasonStopped || err != nil {
			t.Errorf("left because %s, %v", reason, err)
		}
		if left := b.queue.left(); len(left) != 1 || left[0].visibleAt.After(time.Now()) {
			t.Errorf("messages %+v, want the one, visible", left)
		}
	})
}

func TestAQueueThatDoesNotAnswerIsNotAnEmptyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = 15 * time.Minute })
		b.queue.set(afterTheFirst("receive", 1<<20), nil)
		start := time.Now()
		reason, err := w.Run(t.Context())
		if reason != ReasonUnreachable || err == nil || !strings.Contains(err.Error(), "connection reset") || errors.Is(err, ErrNothingReceived) {
			t.Errorf("left because %s, %v", reason, err)
		}
		if took := time.Since(start); took < 13*time.Minute {
			t.Errorf("left after %s", took)
		}
		b.checkClean()
	})
}

func TestAWorkerThatNeverReachesItsQueueLeavesSoonAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = 15 * time.Minute })
		b.queue.set(always("receive", ""), nil)
		start := time.Now()
		reason, err := w.Run(t.Context())
		if reason != ReasonUnreachable || !errors.Is(err, ErrNothingReceived) || !strings.Contains(err.Error(), "connection reset") {
			t.Errorf("left because %s, %v", reason, err)
		}
		if took := time.Since(start); took < 30*time.Second || took > 50*time.Second {
			t.Errorf("left after %s", took)
		}
		b.checkClean()
	})
}

func TestAnOutageOfTheQueuePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(func(o *Options) { o.IdleTimeout = 15 * time.Minute })
		w.run = takes(time.Second)
		b.queue.set(afterTheFirst("receive", 20), nil)
		b.enqueue(orderOf("j", "x"))
		b.enqueue(orderOf("k", "x"))
		if reason := b.work(w); reason != ReasonIdle {
			t.Errorf("left because %s", reason)
		}
		b.checkEmpty()
	})
}

func TestAManifestThatExpiresWhileWeRunIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSlowBench(t)
		w := b.worker(nil)
		o := orderOf("j", "x")
		key := b.message(o).Key
		w.run = func(ctx context.Context, c command) ending {
			// Somebody else's, old by the time we publish.
			b.publishParent(key, retention, map[string]string{"x": "old"})
			return takes(time.Second)(ctx, c)
		}
		b.enqueue(o)
		b.work(w)
		if _, files := b.output(key); files["x"] != "X" {
			t.Errorf("output %v, want ours", files)
		}
	})
}

func TestDecideByWhatStands(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	m := &job.Manifest{Attempt: "a1-x"}
	tests := map[string]struct {
		found    standing
		replaces job.Replaced
		want     claim
	}{
		"nothing":                 {standing{}, job.Replaced{}, claim{condition: objects.Condition{IfAbsent: true}, reason: "there is no output"}},
		"gone":                    {standing{}, job.Replaced{ETag: "e"}, claim{condition: objects.Condition{IfAbsent: true}, reason: "there is no output"}},
		"replaced, written again": {standing{m, "e", now}, job.Replaced{ETag: "d", Attempt: "a1-x"}, claim{condition: objects.Condition{IfMatch: "e"}, reason: "the output is to be made again"}},
		"replaced":                {standing{m, "e", now}, job.Replaced{ETag: "e"}, claim{condition: objects.Condition{IfMatch: "e"}, reason: "the output is to be made again"}},
		"newer":                   {standing{m, "e", now}, job.Replaced{ETag: "d", Attempt: "a1-y"}, claim{done: true, reason: "a live output exists"}},
		"live":                    {standing{m, "e", now.Add(-retention + time.Second)}, job.Replaced{}, claim{done: true, reason: "a live output exists"}},
		"expired":                 {standing{m, "e", now.Add(-retention)}, job.Replaced{}, claim{condition: objects.Condition{IfMatch: "e"}, reason: "the output is older than the retention"}},
		"unreadable":              {standing{nil, "e", now}, job.Replaced{}, claim{condition: objects.Condition{IfMatch: "e"}, reason: "the manifest cannot be read"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := decide(tt.found, tt.replaces, retention, now); got != tt.want {
				t.Errorf("have %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestIdleTimeoutsDifferByUpToATenthAndStayTheSame(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		arn := fmt.Sprintf("%s-%d", taskARN, i)
		d := IdleTimeout(15*time.Minute, arn)
		if d < 13*time.Minute+30*time.Second || d > 16*time.Minute+30*time.Second {
			t.Errorf("timeout %s is more than a tenth off", d)
		}
		if d != IdleTimeout(15*time.Minute, arn) {
			t.Error("the same task has two timeouts")
		}
		seen[d.Round(time.Second)] = true
	}
	if len(seen) < 100 {
		t.Errorf("only %d different timeouts among 1,000 workers", len(seen))
	}
}
