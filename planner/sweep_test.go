package planner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/queue"
	"spate/job"
)

func TestAJobWhoseEventIsLostIsFoundInS3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.startPlanner(w.options(1, nil))
		begin := time.Now()
		w.submit("run", "deal\nroot: deal\n")
		w.background(func(ctx context.Context) error {
			for { // a worker that makes outputs and says nothing
				messages, err := w.worker.jobs.Receive(ctx, 1, queue.MaxWait, visibility)
				if err != nil {
					return err
				}
				for _, received := range messages {
					m, _, err := job.ParseMessage([]byte(received.Body))
					if err = errors.Join(err, w.worker.publish(ctx, m), w.worker.jobs.Delete(ctx, received.Receipt)); err != nil {
						return err
					}
				}
			}
		})
		r := w.await("run")

		if diff := cmp.Diff(Progress{Jobs: 2, Done: 2, Executed: 2}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if took := r.Ended.Sub(begin); took < 2*silence || took > 2*(silence+2*sweepEvery) {
			t.Errorf("it took %s; two jobs were silent for %s each", took, silence)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			t.Errorf("%d jobs were computed twice", doubled)
		}
	})
}

func TestASweepComesToTheLastOfManySilentJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.startPlanner(w.options(1, nil))
		var jobs strings.Builder
		for i := range 3 * sweepMost {
			fmt.Fprintf(&jobs, "deal-%d\n", i)
		}
		last := fmt.Sprintf("deal-%d", 3*sweepMost-1)
		w.submit("run", jobs.String())
		w.background(func(ctx context.Context) error {
			for { // a worker that makes one output and says nothing
				messages, err := w.worker.jobs.Receive(ctx, queue.MaxBatch, queue.MaxWait, visibility)
				if err != nil {
					return err
				}
				for _, received := range messages {
					m, _, err := job.ParseMessage([]byte(received.Body))
					if err == nil && m.Job == last {
						err = w.worker.publish(ctx, m)
					}
					if err != nil {
						return err
					}
				}
			}
		})
		time.Sleep(2*silence + 10*sweepEvery)
		r := w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		if r.Progress.Done != 1 {
			t.Errorf("%+v: the output of %s was not found", r.Progress, last)
		}
	})
}

// depthQueue says of its depth what it is told.
type depthQueue struct {
	JobQueue
	mu   sync.Mutex
	says func() (queue.Depth, error)
}

func (q *depthQueue) Depth(context.Context) (queue.Depth, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.says()
}

func (q *depthQueue) say(d queue.Depth, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.says = func() (queue.Depth, error) { return d, err }
}

// takeAway receives whatever is on a queue and deletes it, and returns how much it was.
func (w *world) takeAway(name string) int {
	w.t.Helper()
	q, n := w.queue(name), 0
	for {
		messages, err := q.Receive(w.t.Context(), queue.MaxBatch, 0, visibility)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range messages {
			if err := q.Delete(w.t.Context(), m.Receipt); err != nil {
				w.t.Fatal(err)
			}
			n++
		}
		if len(messages) == 0 {
			return n
		}
	}
}

// Who launches workers must know: there is nothing for them to receive.
func TestTheDemandTellsSinceWhenItsQueueHasShownNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, _ := w.startPlanner(w.options(1, nil))
		w.submit("run", portfolio)
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if d, _ := p.Demand(testPool); d.Outstanding == 0 || !d.QueueEmptySince.IsZero() {
			t.Errorf("with messages on the queue: %+v", d)
		}
		lost := time.Now()
		w.takeAway(testPool)
		time.Sleep(emptiness - 10*time.Second)
		synctest.Wait()
		if d, _ := p.Demand(testPool); d.Outstanding == 0 || d.QueueEmptySince.Sub(lost).Abs() > 3*time.Second {
			t.Errorf("messages were lost at %s: %+v", lost, d)
		}
		time.Sleep(10*time.Second + silence + 2*sweepEvery)
		synctest.Wait()
		if d, _ := p.Demand(testPool); d.Outstanding == 0 || !d.QueueEmptySince.IsZero() {
			t.Errorf("after they were sent again: %+v", d)
		}
	})
}

func TestALostMessageIsSentAgainWhenTheQueueHasLongShownNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.startPlanner(w.options(1, nil))
		w.submit("run", portfolio)
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		synctest.Wait()
		if n := w.takeAway(testPool); n != 2 {
			t.Fatalf("%d messages were lost, want those of both deals", n)
		}
		time.Sleep(emptiness - 10*time.Second)
		w.wantDepth(testPool, 0)
		time.Sleep(10*time.Second + silence + 2*sweepEvery)
		w.wantDepth(testPool, 2)

		w.background(w.worker.run)
		r := w.await("run")
		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Executed: 6}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		for _, m := range w.worker.messages {
			if m.Attempt != 1 {
				t.Errorf("job %s was sent as attempt %d: nothing has failed", m.Job, m.Attempt)
			}
		}
	})
}

func TestAQueueIsNotEmptyUnlessItSaysSoForLong(t *testing.T) {
	for name, says := range map[string]struct {
		depth queue.Depth
		err   error
	}{
		"a message is with a worker":    {depth: queue.Depth{InFlight: 1}},
		"a message waits":               {depth: queue.Depth{Visible: 1}},
		"nobody knows: it is not asked": {err: errCut},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := w.options(1, nil)
				q := &depthQueue{JobQueue: o.Pools[0].Jobs}
				q.say(says.depth, says.err)
				o.Pools[0].Jobs = q
				w.startPlanner(o)
				w.submit("run", "deal\n")
				w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
				synctest.Wait()
				w.takeAway(testPool)
				time.Sleep(time.Hour)
				w.wantDepth(testPool, 0)

				q.say(queue.Depth{}, nil) // and from now on it is
				time.Sleep(emptiness - 10*time.Second)
				q.say(says.depth, says.err) // but for a moment
				time.Sleep(2 * time.Second)
				q.say(queue.Depth{}, nil)
				time.Sleep(emptiness - 10*time.Second)
				w.wantDepth(testPool, 0)
				time.Sleep(10*time.Second + silence + 2*sweepEvery)
				w.wantDepth(testPool, 1)
			})
		})
	}
}

func TestAJobThatTakesHoursIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal", func(job.Message) *job.Event { time.Sleep(3 * time.Hour); return nil })
		o := w.options(1, nil)
		q := &depthQueue{JobQueue: o.Pools[0].Jobs} // a real worker's heartbeat hides the message all the time
		q.say(queue.Depth{InFlight: 1}, nil)
		o.Pools[0].Jobs = q
		w.startPlanner(o)
		w.background(w.worker.run)
		w.submit("run", "deal\n")
		time.Sleep(3*time.Hour + time.Minute)

		if r := w.await("run"); r.State != job.RunSucceeded {
			t.Errorf("the run is %s", r.State)
		}
		if n := len(w.worker.received()); n > 2 { // once more, since this worker has no heartbeat
			t.Errorf("%d messages", n)
		}
	})
}
