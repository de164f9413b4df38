package planner

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spate/internal/objects"
	"spate/job"
)

// failures reads a run's failures without what tests do not look at.
func (w *world) failures(id string) []Failure {
	w.t.Helper()
	failures, err := ReadFailures(w.t.Context(), w.runs, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return failures
}

func TestAJobThatFailsTwiceIsTriedAThirdTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal-1", func(m job.Message) *job.Event {
			if m.Attempt < 3 {
				return w.worker.failed(m, 1, strings.Repeat("no luck ", m.Attempt))
			}
			return nil
		})
		w.start()
		r := w.await(w.submit("run", portfolio))

		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Executed: 6, Retried: 2}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		one := 1
		want := []Failure{
			{Job: "deal-1", Attempt: 1, ExitCode: &one, Cause: "exit code", LastLines: []string{"no luck "}, Worker: "arn:task", Retried: true, Verdict: "attempt 1 of 3 failed"},
			{Job: "deal-1", Attempt: 2, ExitCode: &one, Cause: "exit code", LastLines: []string{"no luck no luck "}, Worker: "arn:task", Retried: true, Verdict: "attempt 2 of 3 failed"},
		}
		if diff := cmp.Diff(want, w.failures("run"), cmpopts.IgnoreFields(Failure{}, "Key", "JobKey", "At", "ExpiresAt")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAJobThatFailsForGoodBlocksWhatNeedsItAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal-2", func(m job.Message) *job.Event { return w.worker.failed(m, 1, "division by zero") })
		w.start()
		r := w.await(w.submit("run", portfolio))

		if diff := cmp.Diff(Progress{Jobs: 6, Done: 3, Executed: 3, Failed: 1, Blocked: 2, Retried: 1}, r.Progress); diff != "" || r.State != job.RunFailed {
			t.Errorf("%s: %s", r.State, diff)
		}
		if want := "1 job failed: deal-2 (exit code; attempts 1 and 2 ended alike); 2 jobs blocked by that"; r.Reason != want {
			t.Errorf("the reason is %q", r.Reason)
		}
		results := w.results("run")
		for id, state := range map[string]string{"deal-1": "done", "layer": "done", "north": "done", "deal-2": "failed", "south": "blocked", "root": "blocked"} {
			if results[id].State != state || (results[id].Manifest != "") != (state == "done") {
				t.Errorf("job %s: %+v, want it %s", id, results[id], state)
			}
		}
		if got := results["root"].Cause; got != "job deal-2 failed: exit code; attempts 1 and 2 ended alike" {
			t.Errorf("the root's cause is %q", got)
		}
		if got := results["deal-2"].Cause; got != "exit code; attempts 1 and 2 ended alike" {
			t.Errorf("the job's cause is %q", got)
		}
	})
}

func TestAChangedInputEndsTheJobAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal", func(m job.Message) *job.Event {
			e := w.worker.event(m, job.EventInputChanged)
			e.Cause = "input melt.csv is not what was planned"
			return &e
		})
		w.start()
		r := w.await(w.submit("run", "deal\nroot: deal\n"))

		want := "1 job failed: deal (input melt.csv is not what was planned; it would read the same again: submit the run anew); 1 job blocked by that"
		if r.State != job.RunFailed || r.Reason != want || len(w.worker.received()) != 1 {
			t.Errorf("the run is %s after %d messages: %s", r.State, len(w.worker.received()), r.Reason)
		}
	})
}

func TestALostParentIsMadeAgainAndTheJobWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", portfolio))
		lost := w.keys("first")["deal-1"]
		w.lose(lost)
		// The layer's parameters are new, so that it runs; it reads deal-1, of which the cache says that it is there.
		r := w.await(w.submit("second", strings.Replace(portfolio, "layer:", "layer higher:", 1)))

		if diff := cmp.Diff(Progress{Jobs: 6, Cached: 2, Done: 4, Executed: 4}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if got, want := w.worker.received()[6:], []string{"deal-1", "layer", "north", "root"}; !slices.Equal(got, want) {
			t.Errorf("computed %v, want %v", got, want)
		}
		if !slices.Contains(w.outputs.forgot, lost) {
			t.Error("the cache was not told")
		}
	})
}

// lose deletes an output of which the cache goes on to say that it is there.
func (w *world) lose(key job.Key) {
	w.t.Helper()
	time.Sleep(2 * recentFor) // until the planner itself does not remember it
	w.outputs.claim(key)
	if err := w.bucket.Delete(w.t.Context(), job.ManifestPath(key), objects.Condition{}); err != nil {
		w.t.Fatal(err)
	}
}

func TestAHitThatIsGoneIsFoundBeforeTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", portfolio))
		w.lose(w.keys("first")["north"])
		r := w.await(w.submit("second", portfolio))

		if diff := cmp.Diff(Progress{Jobs: 6, Cached: 5, Done: 1, Executed: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if w.manifests() != 6 {
			t.Errorf("%d outputs, want 6", w.manifests())
		}
	})
}

func TestAHitOlderThanTheRetentionIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.background(w.worker.run)
		o := w.options(1, nil)
		o.Retention = time.Hour
		w.startPlanner(o)
		w.await(w.submit("first", "deal"))
		key := w.keys("first")["deal"]
		time.Sleep(o.Retention)
		w.outputs.claim(key)
		w.submit("second", "deal")
		r := w.await("second")

		// The worker of these tests goes by existence and reuses it; a real one replaces it.
		if diff := cmp.Diff(Progress{Jobs: 1, Done: 1, Reused: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if !slices.Contains(w.outputs.forgot, key) {
			t.Error("the cache was not told")
		}
	})
}

func TestEventsThatComeAgainOrLateChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var first *job.Event
		w.worker.on("deal-1", func(m job.Message) *job.Event {
			switch m.Attempt {
			case 1:
				first = w.worker.failed(m, 1, "once")
				w.send("events", encode(t, *first), encode(t, *first))
				return first
			case 2: // the first attempt's event once more, while the second is under way
				w.send("events", encode(t, *first))
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		w.start()
		r := w.await(w.submit("run", portfolio))
		for _, m := range w.worker.messages { // everything succeeds again, an hour later
			e := w.worker.event(m, job.EventSucceeded)
			w.send("events", encode(t, e))
		}
		time.Sleep(time.Hour)

		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Executed: 6, Retried: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if n := len(w.worker.received()); n != 7 || len(w.failures("run")) != 1 {
			t.Errorf("%d messages and %d failures, want 7 and 1", n, len(w.failures("run")))
		}
		w.wantDepth("events", 0)
	})
}

func encode(t *testing.T, e job.Event) string {
	t.Helper()
	body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// send puts messages on a queue.
func (w *world) send(name string, bodies ...string) {
	if err := w.queue(name).Send(w.t.Context(), bodies...); err != nil {
		w.t.Error(err)
	}
}

func TestWhatIsNoEventStaysOnItsQueueAndHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.send("events", "{", `{"v":99}`, `{"v":1,"type":"exploded","key":"`+keyNamed("x").String()+`"}`)
		w.send("submissions", "please")
		w.start()
		r := w.await(w.submit("run", portfolio))

		if r.State != job.RunSucceeded {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
		time.Sleep(time.Minute)
		w.wantDepth("events", 3)
		w.wantDepth("submissions", 1)
	})
}

func TestALateSuccessFreesWhatTheFailureBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.worker.on("slow", func(job.Message) *job.Event { <-hold; return nil })
		tried := make(chan job.Message, 1)
		w.worker.on("deal", func(m job.Message) *job.Event {
			tried <- m
			return w.worker.failed(m, 65, "lost patience")
		})
		w.start()
		w.background(w.worker.run) // a second one
		w.submit("run", "deal\nslow\nroot: deal\n")
		failed := <-tried
		time.Sleep(5 * time.Second)
		if err := w.worker.publish(t.Context(), failed); err != nil { // a worker that was thought dead
			t.Fatal(err)
		}
		w.send("events", encode(t, w.worker.event(failed, job.EventSucceeded)))
		time.Sleep(5 * time.Second)
		close(hold)
		r := w.await("run")

		if diff := cmp.Diff(Progress{Jobs: 3, Done: 3, Executed: 3}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
	})
}
