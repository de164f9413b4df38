package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/queue"
	"spate/job"
)

// cancel asks for a run to be cancelled and waits for the answer.
func (w *world) cancel(id string) *Audit {
	w.t.Helper()
	return w.answered(Request{Run: id, Kind: RequestCancel, Reason: "wrong terms"})
}

// wantCancelled waits for a run's end and checks that somebody cancelled it and why.
func (w *world) wantCancelled(id string, want Progress) *Run {
	w.t.Helper()
	r := w.await(id)
	if r.State != job.RunCancelled || r.Reason != "cancelled by ops@desk: wrong terms" || r.ExpiresAt == 0 {
		w.t.Errorf("the run is %s, %q, expires at %d", r.State, r.Reason, r.ExpiresAt)
	}
	if diff := cmp.Diff(want, r.Progress); diff != "" {
		w.t.Error(diff)
	}
	return r
}

func TestARunThatCannotBePlannedIsCancelledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.images.set(Image{}, errors.New("no answer"))
		w.start()
		w.submit("run", "deal\n")
		time.Sleep(20 * time.Second)
		if a := w.cancel("run"); a.Refused || a.Answer != "cancelled before any of its jobs was released" {
			t.Errorf("answered %+v", a)
		}
		w.wantCancelled("run", Progress{})
		w.images.set(Image{Digest: testImage}, nil)
		time.Sleep(10 * time.Minute)
		w.wantCancelled("run", Progress{})
		w.wantDepth(testPool, 0)
	})
}

// silentImages never answer.
type silentImages struct{ asked chan struct{} }

func (s silentImages) Resolve(ctx context.Context, _ string) (Image, error) {
	s.asked <- struct{}{}
	<-ctx.Done()
	return Image{}, ctx.Err()
}

func TestPlanningIsInterruptedToCancelARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options(1, nil)
		silent := silentImages{make(chan struct{}, 100)}
		o.Images = silent
		w.startPlanner(o)
		w.submit("run", "deal\n")
		<-silent.asked
		asked := time.Now()
		if a := w.cancel("run"); a.Refused {
			t.Errorf("answered %+v", a)
		}
		if took := time.Since(asked); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		w.wantCancelled("run", Progress{})
		w.submit("other", "deal\n")
		<-silent.asked // others are planned as before
	})
}

func TestWhatHasNotStartedIsDroppedAndWhatRunsFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.worker.on("slow", func(job.Message) *job.Event { <-hold; return nil })
		w.worker.on("bad", func(m job.Message) *job.Event { return w.worker.failed(m, 1, "no") })
		p := w.start()
		w.submit("run", "quick\nslow: quick\nbad: quick\nafter: slow\n")
		time.Sleep(10 * time.Second) // slow and bad were received together; slow runs, bad and its further attempts come behind it
		for i := range 5 {
			w.submit(fmt.Sprintf("other-%d", i), fmt.Sprintf("deal-%d\n", i))
		}
		a := w.cancel("run")
		if want := "the run is being cancelled: 1 job will not run; of 2 on the queue or running, workers drop what has not started within about a second"; a.Refused || a.Answer != want {
			t.Errorf("answered %+v, want %s", a, want)
		}
		r, err := ReadRun(t.Context(), w.runs, "run")
		if err != nil || r.State != job.RunCancelling || r.Progress.Cancelled != 1 || r.Progress.Left() != 2 {
			t.Fatalf("the run is %+v, %v", r, err)
		}
		time.Sleep(time.Second) // demand follows what was answered
		if remarks := strings.Join(r.Remarks(), "; "); !strings.HasPrefix(remarks, "waits for 2 jobs: ") {
			t.Errorf("the remarks are %s", remarks)
		}
		if d, ok := p.Demand(testPool); !ok || d.Outstanding != 5 {
			t.Errorf("demand is %+v, want that of the other runs", d)
		}
		if a := w.cancel("run"); a.Refused || !strings.HasPrefix(a.Answer, "the run was being cancelled already") {
			t.Errorf("the second time: %+v", a)
		}
		close(hold)
		w.wantCancelled("run", Progress{Jobs: 4, Done: 2, Executed: 2, Cancelled: 2})
		states := map[string]string{}
		for id, r := range w.results("run") {
			states[id] = r.State + " " + r.Cause
		}
		if diff := cmp.Diff(map[string]string{"quick": "done ", "slow": "done ", "bad": "cancelled the run was cancelled", "after": "cancelled the run was cancelled"}, states); diff != "" {
			t.Error(diff)
		}
		for i := range 5 {
			if r := w.await(fmt.Sprintf("other-%d", i)); r.State != job.RunSucceeded {
				t.Errorf("%s is %s", r.ID, r.State)
			}
		}
		if a := w.cancel("run"); !a.Refused || a.Answer != "the run was cancelled before" {
			t.Errorf("after its end: %+v", a)
		}
		if a := w.cancel("other-1"); !a.Refused || a.Answer != "there is nothing to cancel: the run has succeeded" {
			t.Errorf("of one that succeeded: %+v", a)
		}
		w.wantDepth(testPool, 0)
	})
}

func TestAFailedAttemptOfACancelledRunIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.worker.on("deal", func(m job.Message) *job.Event { <-hold; return w.worker.failed(m, 1, "no") })
		w.start()
		w.submit("run", "deal\n")
		time.Sleep(5 * time.Second)
		w.cancel("run")
		close(hold)
		w.wantCancelled("run", Progress{Jobs: 1, Failed: 1})
		if f := w.failures("run"); len(f) != 1 || f[0].Retried || f[0].Verdict != "the run is being cancelled" {
			t.Errorf("failures %+v", f)
		}
	})
}

func TestARunWithoutWorkersEndsWhenItsQueueHasBeenQuietAndItsMessagesAreDroppedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, _ := w.startPlanner(w.options(1, nil))
		w.submit("run", "deal-1\ndeal-2\nroot: deal-1 deal-2\n")
		time.Sleep(5 * time.Second)
		w.cancel("run")
		asked := time.Now()
		if d, ok := p.Demand(testPool); !ok || d.Outstanding != 0 {
			t.Errorf("demand is %+v: nobody must be launched to drop messages", d)
		}
		r := w.wantCancelled("run", Progress{Jobs: 3, Cancelled: 3})
		if took := r.Ended.Sub(asked); took < quiet-5*time.Second || took > quiet+10*time.Second {
			t.Errorf("it took %s", took)
		}
		w.wantDepth(testPool, 2)
		w.background(w.worker.run)
		if r := w.await(w.submit("other", "deal-1\n")); r.State != job.RunSucceeded {
			t.Errorf("the other run is %s", r.State)
		}
		time.Sleep(time.Minute)
		w.wantDepth(testPool, 0)
		if keys, _ := w.worker.executed(); keys != 1 {
			t.Errorf("%d jobs were computed, want the other run's", keys)
		}
	})
}

func TestACancelledRunWaitsWhileItsQueueIsBusyOrCannotBeAsked(t *testing.T) {
	for name, say := range map[string]func(q *depthQueue){
		"in flight": func(q *depthQueue) { q.say(queue.Depth{InFlight: 1}, nil) },
		"no answer": func(q *depthQueue) { q.say(queue.Depth{}, errors.New("no answer")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := w.options(1, nil)
				q := &depthQueue{JobQueue: o.Pools[0].Jobs}
				say(q)
				o.Pools[0].Jobs = q
				w.startPlanner(o)
				w.submit("run", "deal\n")
				time.Sleep(5 * time.Second)
				w.cancel("run")
				time.Sleep(30 * time.Minute)
				if r, err := ReadRun(t.Context(), w.runs, "run"); err != nil || r.State != job.RunCancelling {
					t.Errorf("the run is %+v, %v", r, err)
				}
				q.say(queue.Depth{Visible: 1}, nil)
				begin := time.Now()
				if r := w.wantCancelled("run", Progress{Jobs: 1, Cancelled: 1}); r.Ended.Sub(begin) < quiet-2*tick {
					t.Errorf("it took %s only", r.Ended.Sub(begin))
				}
			})
		})
	}
}

func TestARunThatSharedAJobWithACancelledOneGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, _ := w.startPlanner(w.options(1, nil))
		w.submit("owner", "deal\nmine: deal\n")
		time.Sleep(2 * time.Second)
		w.submit("guest", "deal\nyours: deal\n")
		time.Sleep(2 * time.Second)
		if r, err := ReadRun(t.Context(), w.runs, "guest"); err != nil || r.Progress.Shared != 1 {
			t.Fatalf("the guest shares nothing: %+v, %v", r, err)
		}
		w.cancel("owner")
		time.Sleep(2 * time.Second)
		if d, _ := p.Demand(testPool); d.Outstanding != 1 {
			t.Errorf("demand is %+v, want the guest's job", d)
		}
		w.background(w.worker.run)
		// The guest's output is the owner's too when it is told of before the owner's message is dropped.
		if r := w.await("owner"); r.State != job.RunCancelled || r.Progress.Executed != 0 || r.Progress.Done+r.Progress.Cancelled != 2 {
			t.Errorf("the owner is %s: %+v", r.State, r.Progress)
		}
		if r := w.await("guest"); r.State != job.RunSucceeded || r.Progress.Executed != 2 {
			t.Errorf("the guest is %s: %+v", r.State, r.Progress)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			t.Error("the shared job was computed twice")
		}
		w.wantDepth(testPool, 0)
	})
}

// cancelStory begins a run, of which one job is done and two are on the queue, and cancels it.
func cancelStory(w *world, o Options) {
	w.t.Helper()
	_, stop := w.startPlanner(w.options(1, nil))
	w.submit("run", "quick\nleft: quick\nright: quick\nroot: left right\n")
	w.background(func(ctx context.Context) error { // a worker that does one job
		messages, err := w.worker.jobs.Receive(ctx, 1, queue.MaxWait, visibility)
		if err != nil {
			return err
		}
		return w.worker.handle(ctx, messages[0])
	})
	time.Sleep(10 * time.Second)
	_ = stop()
	w.ask(Request{Run: "run", Kind: RequestCancel, Reason: "wrong terms"})
	p, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.background(p.Run)
}

// wantStory checks how the story must end, whatever happened to its planners.
func wantStory(w *world) {
	w.t.Helper()
	r := w.await("run")
	if p := r.Progress; r.State != job.RunCancelled || p.Done != 1 || p.Cancelled != 3 {
		w.t.Errorf("the run is %s: %+v", r.State, p)
	}
	audits, err := ReadAudits(w.t.Context(), w.runs, "run")
	if err != nil || len(audits) != 1 || audits[0].Refused || w.inbox() != 0 {
		w.t.Errorf("audit records %+v, %d requests left, %v", audits, w.inbox(), err)
	}
	w.background(w.worker.run)
	time.Sleep(3 * time.Minute)
	if keys, _ := w.worker.executed(); keys != 1 {
		w.t.Errorf("%d jobs were computed, want 1", keys)
	}
	w.wantDepth(testPool, 0)
	w.stop()
}

func TestCancellingSurvivesAnAccidentAtEveryWrite(t *testing.T) {
	var writes []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := &gate{}
		cancelStory(w, w.options(2, g))
		wantStory(w)
		writes = g.writes
	})
	if !slices.ContainsFunc(writes, func(s string) bool { return strings.HasSuffix(s, "/cancelled") }) || len(writes) < 6 {
		t.Fatalf("the writes are %v", writes)
	}
	for i, name := range writes {
		for _, kind := range []accident{diesBefore, diesAfter, losesReply, cutOff} {
			t.Run(fmt.Sprintf("%s write %d, %s", kind, i+1, strings.ReplaceAll(name, "/", " ")), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					ctx, kill := context.WithCancel(t.Context())
					defer kill()
					g := &gate{at: i + 1, kind: kind, kill: kill}
					cancelStory(w, w.options(2, g))
					if kind == diesBefore || kind == diesAfter {
						select {
						case <-ctx.Done():
						case <-time.After(5 * time.Minute): // this time it made fewer writes
						}
						time.Sleep(10 * time.Second)
						w.startPlanner(w.options(3, nil))
					}
					wantStory(w)
				})
			})
		}
	}
}
