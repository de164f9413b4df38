package planner

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/queue"
	"spate/job"
)

func TestAMessageCarriesAllThatAWorkerNeeds(t *testing.T) {
	parent := keyNamed("parent")
	planned := job.Planned{
		ID: "deal", Task: "price", Params: []byte(`{"n": 1.50}`),
		Inputs: map[string]job.PlannedInput{"melt.csv": {URL: "s3://elsewhere/melt.csv", InputIdentity: job.InputIdentity{ETag: "abc", Size: 7}}},
		Needs:  map[string]job.PlannedNeed{"inuring": {Job: "other", Key: parent, Files: []string{"splt.csv"}}},
	}
	r := &Run{ID: "run", Image: testImage, Platform: "linux/arm64", Namespace: "desk"}
	catalogue := job.Catalogue{
		"price": {Name: "price", Command: []string{"price"}, OutputDirs: []string{"out"}, Env: map[string]string{"THREADS": "1"}, Deterministic: true},
		"roll":  {Name: "roll"},
	}
	common := commonDocuments(r, catalogue)
	if common["price"].Run != "" || common["roll"].Run != "run" {
		t.Errorf("the run is %q in a deterministic document and %q in another", common["price"].Run, common["roll"].Run)
	}
	var err error
	if planned.Key, err = planned.Document(common["price"]).Key(); err != nil {
		t.Fatal(err)
	}
	body, err := message(r, planned, 2, common["price"], job.Duration(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	m, doc, err := job.ParseMessage(body) // which checks the key
	if err != nil {
		t.Fatal(err)
	}
	m.Document = nil
	if diff := cmp.Diff(job.Message{
		V: 1, Run: "run", Job: "deal", Key: planned.Key, Attempt: 2, Timeout: job.Duration(time.Hour),
		Inputs: map[string]string{"melt.csv": "s3://elsewhere/melt.csv"},
	}, m); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(job.Document{
		Spec: job.SpecDocument{
			V: 1, Namespace: "desk", Image: testImage, Platform: "linux/arm64", Task: catalogue["price"].Document(), Params: []byte(`{"n":1.5}`),
			Inputs: map[string]job.InputIdentity{"melt.csv": {ETag: "abc", Size: 7}}, Env: map[string]string{"THREADS": "1"},
		},
		Parents: map[string]job.ParentOutputs{"inuring": {Key: parent, Files: []string{"splt.csv"}}},
	}, doc); diff != "" {
		t.Error(diff)
	}
}

// flying makes a planner, without services, whose runs have one job each, of the same key.
func flying(t *testing.T, runs ...string) (*Planner, []*activeRun) {
	t.Helper()
	p := &Planner{
		Options: Options{Log: zerolog.Nop()}, metrics: newMetrics(nil), pools: map[string]*poolState{"pool": {}},
		active: map[string]*activeRun{}, shared: map[flight][]flight{}, durations: durations{},
	}
	var all []*activeRun
	for i, id := range runs {
		a := &activeRun{
			Run:   &Run{ID: id, Pool: "pool", State: job.RunActive, Image: "x", Received: time.Unix(int64(i), 0)},
			graph: NewGraph(0), attempts: map[int32]int{}, failures: map[int32][]Failure{},
		}
		if err := a.graph.Add(keyNamed("deal"), nil); err != nil {
			t.Fatal(err)
		}
		a.graph.Type(0, a.figures.taskNumber("price", map[string]uint16{}))
		a.graph.Start()
		p.active[id] = a
		all = append(all, a)
	}
	return p, all
}

// fly releases or shares what is ready.
func (p *Planner) fly(a *activeRun) {
	for _, n := range a.graph.TakeReady(1) {
		if !p.share(a, n) {
			a.graph.Release(n)
		}
	}
}

func TestFlights(t *testing.T) {
	p, runs := flying(t, "one", "two", "three")
	want := func(when string, states ...job.State) {
		t.Helper()
		for i, a := range runs {
			if got := a.graph.State(0); got != states[i] {
				t.Errorf("%s: run %s's job is %s, want %s", when, a.ID, got, states[i])
			}
		}
	}
	for _, a := range runs {
		p.fly(a)
	}
	want("released", job.Queued, job.Shared, job.Shared)

	p.fail(runs[0], 0, Failure{Attempt: 1, Retried: true})
	want("its owner will try again", job.Ready, job.Ready, job.Ready)
	p.fly(runs[1])
	p.fly(runs[0])
	p.fly(runs[2])
	want("another was quicker", job.Shared, job.Queued, job.Shared)

	p.fail(runs[1], 0, Failure{Attempt: 1})
	want("the owner has given up", job.Ready, job.Failed, job.Ready)
	p.fly(runs[0])
	p.fly(runs[2])
	want("the next one tries", job.Queued, job.Failed, job.Shared)

	p.succeeded(job.Event{Run: "one", Key: keyNamed("deal")})
	want("it succeeded", job.Done, job.Done, job.Done)
	if len(p.shared) != 0 {
		t.Errorf("%d flights are still shared", len(p.shared))
	}
	for _, a := range runs {
		if a.flying.get(0) {
			t.Errorf("run %s's job is still flying", a.ID)
		}
	}
	if runs[0].reused != 0 || runs[1].reused != 1 || runs[2].reused != 1 {
		t.Errorf("reused %d, %d and %d; the first computed it", runs[0].reused, runs[1].reused, runs[2].reused)
	}
}

func TestTheOldestRunOfAPoolChoosesTheImage(t *testing.T) {
	p, runs := flying(t, "one", "two", "three")
	runs[1].Image = "y"
	turns := func() (mine []bool) {
		for _, a := range runs {
			is, reason := p.turnsOf(p.runs()).of(a)
			if is != (reason == "") {
				t.Errorf("run %s: %t, %q", a.ID, is, reason)
			}
			mine = append(mine, is)
		}
		return mine
	}
	if got := turns(); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("turns %v, want those of the first one's image", got)
	}
	runs[0].graph.Done(0)
	if got := turns(); !slices.Equal(got[1:], []bool{true, false}) {
		t.Errorf("turns %v, want the second's", got)
	}
	runs[1].Pool = "elsewhere"
	if got := turns(); !slices.Equal(got[1:], []bool{true, true}) {
		t.Errorf("turns %v, want both: they do not meet", got)
	}
}

// fussyQueue takes some messages and not others.
type fussyQueue struct {
	JobQueue
	mu    sync.Mutex
	calls int
	fail  func(call int, bodies []string) error // nil: takes all
}

func (q *fussyQueue) Send(ctx context.Context, bodies ...string) error {
	q.mu.Lock()
	q.calls++
	call := q.calls
	q.mu.Unlock()
	err := q.fail(call, bodies)
	var partial *queue.SendError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	var taken []string
	for i, body := range bodies {
		if partial == nil || partial.Failed[i] == nil {
			taken = append(taken, body)
		}
	}
	return errors.Join(q.JobQueue.Send(ctx, taken...), err)
}

func TestMessagesThatAQueueDoesNotTakeAreSentAgain(t *testing.T) {
	manyJobs := strings.Builder{}
	for i := range 25 {
		manyJobs.WriteString("deal-" + strconv.Itoa(i) + "\n")
	}
	for name, tc := range map[string]struct {
		fail     func(call int, bodies []string) error
		messages int // received by the worker
	}{
		"two of each call at first": {func(call int, _ []string) error {
			if call > 3 {
				return nil
			}
			return &queue.SendError{Failed: map[int]error{0: errCut, 3: errCut}}
		}, 25},
		"a call fails, and with it its release": {func(call int, _ []string) error {
			if call == 2 {
				return errCut
			}
			return nil
		}, 25},
		"nothing for a while": {func(call int, _ []string) error {
			if call < 60 {
				return errCut
			}
			return nil
		}, 25},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := w.options(1, nil)
				o.Pools[0].Jobs = &fussyQueue{JobQueue: o.Pools[0].Jobs, fail: tc.fail}
				w.startPlanner(o)
				w.background(w.worker.run)
				r := w.await(w.submit("run", manyJobs.String()))

				if r.State != job.RunSucceeded || r.Reason != "" {
					t.Errorf("the run is %s: %s", r.State, r.Reason)
				}
				ids := w.worker.received()
				slices.Sort(ids)
				if distinct := len(slices.Compact(slices.Clone(ids))); distinct != 25 {
					t.Errorf("%d jobs were received", distinct)
				}
				if keys, doubled := w.worker.executed(); keys != 25 || doubled != 0 {
					t.Errorf("%d jobs were computed, %d of them twice", keys, doubled)
				}
			})
		})
	}
}

func TestALargeRunIsReleasedInBatchesOfAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = releaseBatch*flushMost + 1
		w := newWorld(t)
		p, _ := w.startPlanner(w.options(1, nil))
		var jobs strings.Builder
		for i := range n {
			jobs.WriteString("deal-" + strconv.Itoa(i) + "\n")
		}
		w.submit("run", jobs.String())
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		synctest.Wait()

		w.wantDepth(testPool, n)
		releases, err := p.store.releases(t.Context(), "run")
		if err != nil || len(releases) != flushMost+1 {
			t.Fatalf("%d releases, %v", len(releases), err)
		}
		for i, r := range releases {
			if want := min(releaseBatch, n-i*releaseBatch); len(r.Jobs) != want || !r.Sent {
				t.Errorf("release %d has %d jobs, sent %t; want %d", i, len(r.Jobs), r.Sent, want)
			}
		}
	})
}

// With a thousand runs under way, what is done for each run must not be done for each pair of them. Allocations tell,
// however slow the machine is.
func TestARoundOfManyRunsLooksAtEachOnce(t *testing.T) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = "run-" + strconv.Itoa(i)
	}
	p, runs := flying(t, ids...)
	p.Wake = func() {}
	p.publishDemand(time.Time{})
	if d, ok := p.Demand(runs[0].Pool); !ok || d.Outstanding != len(ids) {
		t.Fatalf("demand %+v, want %d jobs", d, len(ids))
	}
	if n := testing.AllocsPerRun(3, func() { p.publishDemand(time.Time{}) }); n > float64(len(ids)) {
		t.Errorf("%.0f allocations for %d runs", n, len(ids))
	}
}
