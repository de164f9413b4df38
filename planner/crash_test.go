package planner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

// stormy is a run with everything in it: a retry, a failure for good, and an output that proves lost.
const stormy = `
	table
	deal-1: table
	deal-2: table
	flaky: table
	bad: table
	north: deal-1 flaky
	south: deal-2 bad
	root: north
	report: root south
`

// crashWorld is a world in which the stormy run goes its way.
func crashWorld(t testing.TB) *world {
	w := newWorld(t)
	w.worker.on("flaky", func(m job.Message) *job.Event {
		if m.Attempt == 1 {
			return w.worker.failed(m, 1, "not yet")
		}
		return nil
	})
	w.worker.on("bad", func(m job.Message) *job.Event { return w.worker.failed(m, 65, "never") })
	w.background(w.worker.run)
	return w
}

// begin submits the stormy run. Two of its outputs were made before; one has gone since, unknown to the cache.
func (w *world) begin() {
	w.t.Helper()
	_, stop := w.startPlanner(w.options(1, nil))
	w.await(w.submit("earlier", "table\ndeal-1: table\n"))
	_ = stop()
	w.lose(w.keys("earlier")["table"])
	clear(w.worker.runs)
	w.submit("run", stormy)
	w.began = time.Now()
}

// wantStormy checks how the stormy run must end, whatever happened to its planners.
func (w *world) wantStormy() {
	w.t.Helper()
	r := w.await("run")
	if took := r.Ended.Sub(w.began); took >= emptiness {
		w.t.Errorf("the run took %s: it went on only when its queue had been found empty", took)
	}
	if p := r.Progress; r.State != job.RunFailed || p.Jobs != 9 || p.Done+p.Cached != 6 || p.Failed != 1 || p.Blocked != 2 {
		w.t.Errorf("the run is %s, %s: %+v", r.State, r.Reason, p)
	}
	if _, doubled := w.worker.executed(); w.manifests() != 6 || doubled != 0 {
		w.t.Errorf("%d outputs, want 6; %d were made twice", w.manifests(), doubled)
	}
	for id, result := range w.results("run") {
		want := "done"
		switch id {
		case "bad":
			want = "failed"
		case "south", "report":
			want = "blocked"
		}
		if result.State != want && (want != "done" || result.State != "cached") {
			w.t.Errorf("job %s is %s in the index, want %s", id, result.State, want)
		}
	}
	attempts := map[string]int{}
	for _, f := range w.failures("run") {
		attempts[f.Job]++
	}
	if attempts["flaky"] != 1 || attempts["bad"] != 1 || len(attempts) != 2 {
		w.t.Errorf("failures: %v, want one of flaky and one of bad", attempts)
	}
	time.Sleep(visibility + eventVisibility) // what was sent twice is answered, and nothing is sent any more
	for _, name := range []string{"submissions", "events", testPool} {
		w.wantDepth(name, 0)
	}
}

// stormyWrites are the writes of a planner that meets with no accident.
func stormyWrites(t *testing.T) (writes []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := crashWorld(t)
		w.begin()
		g := &gate{}
		w.startPlanner(w.options(2, g))
		w.wantStormy()
		w.stop()
		writes = g.writes
	})
	return writes
}

func TestARunSurvivesAnAccidentAtEveryWrite(t *testing.T) {
	writes := stormyWrites(t)
	if len(writes) < 30 {
		t.Fatalf("a run makes %d writes only: %v", len(writes), writes)
	}
	kinds := map[string]bool{}
	for i, name := range writes {
		kinds[strings.Fields(name)[0]] = true
		for _, kind := range []accident{diesBefore, diesAfter, losesReply, cutOff} {
			t.Run(fmt.Sprintf("%s write %d, %s", kind, i+1, strings.ReplaceAll(name, "/", " ")), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { survive(t, i+1, kind) })
			})
		}
	}
	for _, kind := range []string{"PutItem", "UpdateItem", "TransactWriteItems", "SendMessageBatch", "DeleteMessageBatch", "PUT"} {
		if !kinds[kind] {
			t.Errorf("no write is a %s: %v", kind, writes)
		}
	}
}

// survive has an accident happen to a planner. If it dies, another takes over some time later.
func survive(t *testing.T, at int, kind accident) {
	w := crashWorld(t)
	w.begin()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	first, err := New(w.options(2, &gate{at: at, kind: kind, kill: kill}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	if kind == losesReply || kind == cutOff {
		w.wantStormy()
		kill()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the planner ended: %v", err)
		}
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute): // this time it made fewer writes
		kill()
	}
	if err := <-ended; err == nil {
		t.Error("the planner ended without saying why")
	}
	time.Sleep(30 * time.Second) // events that it held come back meanwhile
	w.startPlanner(w.options(3, nil))
	w.wantStormy()
	w.stop()
}

func TestARunSurvivesPlannersOfWhichEachLivesALittleLonger(t *testing.T) {
	for _, kind := range []accident{diesBefore, diesAfter} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := crashWorld(t)
				w.begin()
				planners := 0
				for ended := false; !ended && planners < 40; planners++ {
					ctx, kill := context.WithCancel(t.Context())
					p, err := New(w.options(int64(planners+2), &gate{at: planners + 1, kind: kind, kill: kill}))
					if err != nil {
						t.Fatal(err)
					}
					stop := w.background(p.Run)
					select {
					case <-ctx.Done():
					case <-time.After(time.Minute):
						kill()
					}
					_ = stop()
					r, err := ReadRun(t.Context(), w.runs, "run")
					ended = err == nil && r != nil && r.State.Ended()
				}
				if planners < 5 {
					t.Errorf("%d planners sufficed", planners)
				}
				w.began = time.Now() // it may take as long as it takes
				w.startPlanner(w.options(int64(planners+2), nil))
				w.wantStormy()
				w.stop()
			})
		})
	}
}

func TestAPlannerThatWasReplacedCanWriteNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	older, newer := store{w.runs, 1, nil}, store{w.runs, 2, nil}
	if created, err := older.create(ctx, &Run{ID: "run", State: job.RunActive, Received: time.Now()}); err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	if created, err := newer.create(ctx, &Run{ID: "run"}); err != nil || created {
		t.Errorf("created again %t, %v", created, err)
	}
	r, err := newer.claim(ctx, "run")
	if err != nil || r.Fence != 2 || r.State != job.RunActive {
		t.Fatalf("claimed %+v, %v", r, err)
	}
	_, claim := older.claim(ctx, "run")
	for what, err := range map[string]error{
		"claim": claim, "save": older.save(ctx, &Run{Key: r.Key, ID: "run", State: job.RunFailed}),
		"release": older.saveRelease(ctx, "run", release{Key: releaseKey("run", 0), Jobs: []int32{0}, Attempts: []int32{1}}),
		"failure": older.saveFailure(ctx, "run", Failure{JobKey: keyNamed("x").String(), Attempt: 1}),
	} {
		if !errors.Is(err, errFenced) {
			t.Errorf("%s: %v", what, err)
		}
	}
	releases, err := newer.releases(ctx, "run")
	if got, e := ReadRun(ctx, w.runs, "run"); errors.Join(err, e) != nil || got.State != job.RunActive || len(releases) != 0 || len(w.failures("run")) != 0 {
		t.Errorf("the older one has left something: %+v, %d releases, %d failures, %v, %v", got, len(releases), len(w.failures("run")), err, e)
	}
	for what, err := range map[string]error{
		"save": newer.save(ctx, r), "release": newer.saveRelease(ctx, "run", release{Key: releaseKey("run", 0)}),
		"failure": newer.saveFailure(ctx, "run", Failure{JobKey: keyNamed("x").String(), Attempt: 1}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAPlannerThatWasReplacedFindsOutAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.worker.on("deal", func(job.Message) *job.Event { <-hold; return nil })
		w.background(w.worker.run)
		_, stopOlder := w.startPlanner(w.options(1, nil))
		w.submit("run", "deal\nroot: deal\n")
		w.awaitState("run", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(5 * time.Second)
		w.startPlanner(w.options(2, nil))
		time.Sleep(5 * time.Second)
		close(hold)
		if r := w.await("run"); r.State != job.RunSucceeded || r.Fence != 2 {
			t.Errorf("the run is %s, written by %d", r.State, r.Fence)
		}
		time.Sleep(5 * time.Minute)
		if err := stopOlder(); !errors.Is(err, errFenced) {
			t.Errorf("the older planner ended: %v", err)
		}
	})
}

func TestAPlannerThatStartsAsksS3ForWhatTheCacheDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.worker.on("slow", func(job.Message) *job.Event { <-hold; return nil })
		w.background(w.worker.run)
		_, stop := w.startPlanner(w.options(1, nil))
		w.submit("run", "deal-1\ndeal-2\nslow: deal-1 deal-2\nroot: slow\n")
		time.Sleep(5 * time.Second)
		_ = stop()
		w.outputs.setBlind(true)
		w.startPlanner(w.options(2, nil))
		time.Sleep(5 * time.Second)
		r, err := ReadRun(t.Context(), w.runs, "run")
		if err != nil {
			t.Fatal(err)
		}
		r.Progress.Running = 0
		if diff := cmp.Diff(Progress{Jobs: 4, Done: 2, Executed: 2, Queued: 1, Waiting: 1}, r.Progress); diff != "" {
			t.Error(diff)
		}
		close(hold)
		if r := w.await("run"); r.State != job.RunSucceeded || len(w.worker.received()) != 4 {
			t.Errorf("the run is %s after %d messages", r.State, len(w.worker.received()))
		}
	})
}
