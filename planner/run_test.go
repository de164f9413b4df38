package planner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

func TestAnUnchangedRunSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", portfolio))
		before := len(w.worker.received())
		r := w.await(w.submit("unchanged", portfolio))

		if diff := cmp.Diff(Progress{Jobs: 6, Cached: 6}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if after := len(w.worker.received()); after != before {
			t.Errorf("%d messages were sent", after-before)
		}
		if diff := cmp.Diff(w.keys("first"), w.keys("unchanged")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAChangedDealRunsWithWhatDependsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", portfolio))
		before := len(w.worker.received())
		r := w.await(w.submit("changed", strings.Replace(portfolio, "deal-2\n", "deal-2 dearer\n", 1)))

		if diff := cmp.Diff(Progress{Jobs: 6, Cached: 3, Done: 3, Executed: 3}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if diff := cmp.Diff([]string{"deal-2", "south", "root"}, w.worker.received()[before:]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestACacheThatKnowsNothingCostsMessagesNotComputations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", portfolio))
		w.outputs.setBlind(true)
		time.Sleep(2 * recentFor) // so that the planner itself does not remember them
		r := w.await(w.submit("blind", portfolio))

		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Reused: 6}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if keys, doubled := w.worker.executed(); keys != 6 || doubled != 0 {
			t.Errorf("%d jobs were computed, %d of them twice", keys, doubled)
		}
	})
}

func TestTheIndexLeadsFromJobsToOutputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", "deal\nroot: deal\n"))

		keys := w.keys("first")
		want := map[string]Result{}
		for id, key := range keys {
			want[id] = Result{
				ID: id, Task: "price", Key: key, State: "done", Labels: map[string]string{"desk": "property", "job": id},
				Manifest: "s3://data/" + job.ManifestPath(key),
			}
		}
		if diff := cmp.Diff(want, w.results("first")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTwoRunsAtOnceShareWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.submit("one", portfolio)
		w.submit("two", portfolio+"\nextra: root\n")
		one, two := w.await("one"), w.await("two")

		if one.State != job.RunSucceeded || two.State != job.RunSucceeded {
			t.Errorf("the runs are %s and %s", one.State, two.State)
		}
		if keys, doubled := w.worker.executed(); keys != 7 || doubled != 0 || len(w.worker.received()) != 7 {
			t.Errorf("%d jobs were computed, %d of them twice, by %d messages", keys, doubled, len(w.worker.received()))
		}
		if got := one.Progress.Executed + two.Progress.Executed; got != 7 {
			t.Errorf("the runs executed %d and %d jobs, want 7 together", one.Progress.Executed, two.Progress.Executed)
		}
	})
}

func TestASharedJobIsTriedByTheOtherRunWhenItsOwnerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal", func(m job.Message) *job.Event {
			time.Sleep(10 * time.Second)
			if m.Run == "one" {
				return w.worker.failed(m, 65, "bad weather")
			}
			return nil
		})
		w.start()
		w.submit("one", "deal\nroot: deal\n")
		w.awaitState("one", func(s job.RunState) bool { return s == job.RunActive }) // it owns the deal
		w.submit("two", "deal\nroot: deal\n")
		one, two := w.await("one"), w.await("two")

		if one.State != job.RunFailed || two.State != job.RunSucceeded {
			t.Errorf("the runs are %s and %s", one.State, two.State)
		}
		if diff := cmp.Diff([]string{"deal", "deal", "root"}, w.worker.received()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPoolsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal", func(job.Message) *job.Event { return &job.Event{} }) // its worker dies, again and again
		w.start()
		w.submit("stuck", "deal")
		w.awaitState("stuck", func(s job.RunState) bool { return s == job.RunActive })
		w.submitTo("deals", "quick", "deal")
		w.awaitState("quick", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(time.Second)

		w.wantDepth("deals", 1)
		w.worker.on("deal", nil)
		if r := w.await("stuck"); r.State != job.RunSucceeded {
			t.Errorf("the run is %s", r.State)
		}
		if r := w.await("quick"); r.State != job.RunSucceeded { // by the other pool's event
			t.Errorf("the run is %s", r.State)
		}
	})
}

func TestAPoolWorksOnOneImageAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.worker.on("deal", func(job.Message) *job.Event { <-release; return nil })
		p := w.start()
		w.submit("older", "deal\nroot: deal\n")
		active := func(s job.RunState) bool { return s == job.RunActive }
		w.awaitState("older", active)
		w.images.set(Image{TaskDefinition: "arn:family:2", Container: "spate", Digest: "sha256:22bb", Platform: "linux/amd64"}, nil)
		time.Sleep(time.Second) // the older run is the one that was received first
		w.submit("newer", "deal\nother\n")
		w.awaitState("newer", active)
		time.Sleep(2 * time.Second)

		r, err := ReadRun(t.Context(), w.runs, "newer")
		if err != nil || r.Reason != "waits for run older of pool rollup, which works with another image" || r.Progress.Ready != 2 {
			t.Errorf("the newer run: %+v, %v", r, err)
		}
		if d, ok := p.Demand(testPool); !ok || d.Outstanding != 1 || d.TaskDefinition != "arn:family:1" {
			t.Errorf("demand is %+v, %t", d, ok)
		}
		close(release)
		if r := w.await("older"); r.State != job.RunSucceeded {
			t.Errorf("the older run is %s", r.State)
		}
		if r := w.await("newer"); r.State != job.RunSucceeded || r.Progress.Executed != 2 || r.TaskDefinition != "arn:family:2" {
			t.Errorf("the newer run: %+v", r)
		}
	})
}

func TestDemandIsUnknownUntilTheRunsAreReadAndThenCountsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		woken := 0
		o := w.options(1, nil)
		o.Wake = func() { woken++ }
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := p.Demand(testPool); ok {
			t.Error("demand is known before anybody looked")
		}
		stop := w.background(p.Run)
		synctest.Wait()
		if d, ok := p.Demand(testPool); !ok || d.Outstanding != 0 {
			t.Errorf("demand without runs is %+v, %t", d, ok)
		}
		w.submit("run", "deal-1\ndeal-2\ntwin-of-1 deal-1\nroot: deal-1 deal-2 twin-of-1\n")
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		synctest.Wait()
		d, ok := p.Demand(testPool)
		d.At = time.Time{}
		want := Demand{
			Outstanding: 2, TaskDefinition: "arn:family:1", Container: "spate", Platform: "linux/amd64",
			Runs: []RunWork{{Submitted: d.Runs[0].Submitted, Jobs: 3}},
		}
		if diff := cmp.Diff(want, d); diff != "" || !ok {
			t.Error(diff)
		}
		w.wantDepth(testPool, 2)
		w.wantDepth("submissions", 0)
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("the planner ended: %v", err)
		}
		if woken != 1 {
			t.Errorf("woken %d times, want once", woken)
		}
	})
}

func TestTwinsAreOneMessageAndTwoJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		r := w.await(w.submit("run", "deal\ntwin deal\nroot: deal twin\n"))

		if diff := cmp.Diff(Progress{Jobs: 3, Done: 3, Executed: 3}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if diff := cmp.Diff([]string{"deal", "root"}, w.worker.received()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheSameSubmissionTwiceIsOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.submit("run", portfolio)
		w.submit("run", portfolio)
		first := w.await("run")
		w.submit("run", portfolio) // and once more when it has ended
		time.Sleep(time.Minute)
		again := w.await("run")

		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the ended run changed: %s", diff)
		}
		runs, err := ReadRuns(t.Context(), w.runs)
		if err != nil || len(runs) != 1 || len(w.worker.received()) != 6 {
			t.Errorf("%d runs and %d messages, %v", len(runs), len(w.worker.received()), err)
		}
		w.wantDepth("submissions", 0)
	})
}

func TestAnOutageWhilePlanningKeepsTheRunWaitingWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.images.set(Image{}, errors.New("the image is not pinned"))
		w.start()
		w.submit("run", portfolio)
		time.Sleep(time.Minute)

		r, err := ReadRun(t.Context(), w.runs, "run")
		if err != nil || r.State != job.RunPlanning || !strings.Contains(r.Reason, "the image is not pinned") {
			t.Errorf("the run: %+v, %v", r, err)
		}
		w.images.set(Image{TaskDefinition: "arn:family:1", Container: "spate", Digest: testImage, Platform: "linux/amd64"}, nil)
		if r := w.await("run"); r.State != job.RunSucceeded || r.Reason != "" {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
	})
}
