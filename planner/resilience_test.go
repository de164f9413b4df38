package planner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

func TestARunThatCannotBeTakenUpAgainEndsAndKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.startPlanner(w.options(1, nil))
		w.submit("broken", "a:\nb: a")
		w.awaitState("broken", func(s job.RunState) bool { return s == job.RunActive })
		_ = stop()
		if err := w.bucket.Delete(t.Context(), job.RunManifestPath("broken"), objects.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.background(w.worker.run)
		w.startPlanner(w.options(2, nil))
		began := time.Now()
		w.submit("sound", "x:")
		if r := w.await("sound"); r.State != job.RunSucceeded || time.Since(began) > 5*time.Second {
			t.Errorf("the sound run has %s after %s", r.State, time.Since(began))
		}
		if r := w.await("broken"); r.State != job.RunFailed || !strings.Contains(r.Reason, "runs/broken/jobs.jsonl is gone") || r.ExpiresAt == 0 {
			t.Errorf("the broken run has %s: %s", r.State, r.Reason)
		}
	})
}

func TestARunThatCannotBePlannedDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options(1, nil)
		o.Pools[1].TaskDefinition = "missing"
		w.background(w.worker.run)
		w.startPlanner(o)
		w.submitTo("deals", "stuck", "a:")
		time.Sleep(5 * time.Minute)
		began := time.Now()
		w.submit("sound", "b:")
		if w.await("sound"); time.Since(began) > 5*time.Second {
			t.Errorf("the sound run took %s beside one that cannot be planned", time.Since(began))
		}
	})
}

func TestAHitOfAReleasedJobIsLookedForInS3AfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.startPlanner(w.options(1, nil))
		w.submit("run", "a:")
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(2 * time.Second)
		_ = stop()
		w.outputs.claim(w.keys("run")["a"]) // the cache is wrong
		w.background(w.worker.run)
		w.startPlanner(w.options(2, nil))
		if r := w.await("run"); r.State != job.RunSucceeded || w.manifests() != 1 {
			t.Errorf("the run has %s with %d outputs in S3", r.State, w.manifests())
		}
	})
}

func TestAFailedJobWhoseOutputIsThereAfterAllHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("twin", func(m job.Message) *job.Event {
			// Another worker, with a copy of the message, succeeds, and its event never arrives.
			if err := w.worker.publish(t.Context(), m); err != nil {
				t.Error(err)
			}
			return w.worker.failed(m, 65, "no")
		})
		w.start()
		w.submit("run", "twin:\nafter: twin")
		if r := w.await("run"); r.State != job.RunSucceeded || r.Progress.Done != 2 {
			t.Errorf("the run has %s: %s", r.State, r.Reason)
		}
	})
}

// refusing is a queue that never takes messages that hold a word. It notes how often it took each of the others.
type refusing struct {
	JobQueue
	word string

	mu    sync.Mutex
	taken map[string]int
}

func (r *refusing) Send(_ context.Context, bodies ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := map[int]error{}
	for i, body := range bodies {
		if strings.Contains(body, r.word) {
			failed[i] = errors.New("InvalidMessageContents")
			continue
		}
		r.taken[body]++
	}
	if len(failed) > 0 {
		return &queue.SendError{Failed: failed}
	}
	return nil
}

func TestWhatAQueueTookIsNotSentAgainWithWhatItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := w.options(1, nil)
		q := &refusing{JobQueue: o.Pools[0].Jobs, word: "poison", taken: map[string]int{}}
		o.Pools[0].Jobs = q
		w.startPlanner(o)
		w.submit("run", "deal:\npoison:\nother:")
		time.Sleep(2 * time.Minute)
		q.mu.Lock()
		defer q.mu.Unlock()
		for body, n := range q.taken {
			if n != 1 {
				t.Errorf("sent %d times: %s", n, body)
			}
		}
		if len(q.taken) != 2 {
			t.Errorf("the queue took %d messages, want the 2 that it does not refuse", len(q.taken))
		}
	})
}

func TestTheImageWhoseJobsAreOutKeepsThePool(t *testing.T) {
	p, runs := flying(t, "older", "newer")
	older, newer := runs[0], runs[1]
	newer.Image = "y"
	if mine, _ := p.turnsOf(p.runs()).of(older); !mine {
		t.Error("the older run does not go first")
	}
	p.fly(newer)
	if mine, reason := p.turnsOf(p.runs()).of(older); mine || reason == "" {
		t.Error("the older run may release its jobs among those of another image")
	}
	if mine, _ := p.turnsOf(p.runs()).of(newer); !mine {
		t.Error("the newer run may not go on")
	}
}
