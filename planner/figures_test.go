package planner

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

func TestARunKnowsWhatItsJobsTookByTaskType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.seconds = 2.5
		w.worker.on("deal-2", func(m job.Message) *job.Event {
			if m.Attempt > 1 {
				return nil
			}
			e := w.worker.failed(m, 1, "no luck")
			e.Seconds = 0.75
			return e
		})
		w.start()
		first := w.await(w.submit("first", "deal-1\ndeal-2\nroot: deal-1 deal-2\n"))
		want := map[string]TaskFigures{"price": {Executed: 3, Seconds: 7.5, MaxSeconds: 2.5, Bytes: 3 * outputBytes, FailedSeconds: 0.75}}
		if diff := cmp.Diff(want, first.Tasks); diff != "" {
			t.Error(diff)
		}
		w.worker.seconds = 4
		second := w.await(w.submit("second", "deal-1\ndeal-2\ndeal-3\nroot: deal-1 deal-2 deal-3\n"))
		want = map[string]TaskFigures{"price": {
			Cached: 2, Executed: 2, Seconds: 8, MaxSeconds: 4, Bytes: 2 * outputBytes, SavedKnown: 2, SavedSeconds: 5, // as they took then
		}}
		if diff := cmp.Diff(want, second.Tasks); diff != "" {
			t.Error(diff)
		}
		results := w.results("second")
		if r := results["root"]; r.Seconds != 4 || r.Bytes != outputBytes {
			t.Errorf("the index says %v s and %d bytes of a job that was computed", r.Seconds, r.Bytes)
		}
		if r := results["deal-1"]; r.Seconds != 0 || r.Bytes != 0 {
			t.Errorf("the index says %v s and %d bytes of a job that this run did not compute", r.Seconds, r.Bytes)
		}
	})
}

func TestAJobComputedForAnotherRunCountsAsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.seconds = 2.5
		w.worker.on("deal", func(job.Message) *job.Event { time.Sleep(10 * time.Second); return nil })
		w.start()
		w.submit("one", "deal\n")
		time.Sleep(3 * time.Second) // until its job runs: of two runs that are planned at once either may own it
		w.submit("two", "deal\n")
		w.await("one")
		if diff := cmp.Diff(map[string]TaskFigures{"price": {Cached: 1, SavedKnown: 1, SavedSeconds: 2.5}}, w.await("two").Tasks); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatJobsTookSurvivesThePlanner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.seconds = 2.5
		w.start()
		w.await(w.submit("before", "deal-0\n"))
		w.stop()
		w.worker.seconds = 3
		hold := make(chan struct{})
		w.worker.on("slow", func(job.Message) *job.Event { <-hold; return nil })
		w.background(w.worker.run)
		_, stop := w.startPlanner(w.options(2, nil))
		w.submit("run", "deal-0\ndeal-1\ndeal-2\nslow: deal-1 deal-2\nroot: slow\n")
		time.Sleep(5 * time.Second)
		_ = stop()
		w.startPlanner(w.options(3, nil))
		time.Sleep(5 * time.Second)
		close(hold)
		r := w.await("run")
		want := map[string]TaskFigures{"price": {Cached: 1, Executed: 4, Seconds: 12, MaxSeconds: 3, Bytes: 4 * outputBytes, SavedKnown: 1, SavedSeconds: 2.5}}
		if diff := cmp.Diff(want, r.Tasks); diff != "" {
			t.Error(diff)
		}
		for id, result := range w.results("run") {
			if want := 3.0; id != "deal-0" && result.Seconds != want || id == "deal-0" && result.Seconds != 0 {
				t.Errorf("the index says %v s of %s", result.Seconds, id)
			}
		}
	})
}

func TestAnOutputThatIsMadeAgainIsCountedForWhatItCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.seconds = 2
		w.start()
		w.await(w.submit("first", "deal\n"))
		key := w.keys("first")["deal"]
		if err := w.bucket.Delete(t.Context(), job.ManifestPath(key), objects.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.outputs.claim(key)
		r := w.await(w.submit("second", "deal\n"))
		if diff := cmp.Diff(map[string]TaskFigures{"price": {Executed: 1, Seconds: 2, MaxSeconds: 2, Bytes: outputBytes}}, r.Tasks); diff != "" {
			t.Error(diff)
		}
	})
}
