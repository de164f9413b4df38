package planner

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/job"
)

// A book of which bad has an output by its old parameters, and fails by its new ones.
const (
	oldBook = `
	table
	bad old: table
	good: table
	south: bad
	north: good
	root: north south
`
	newBook = `
	table
	bad new: table
	good: table
	south: bad
	north: good
	extra: south
	root: north south
`
)

// failedBook runs the old book, and the new one until it has failed.
func (w *world) failedBook() {
	w.t.Helper()
	w.await(w.submit("old", oldBook))
	w.worker.on("bad", func(m job.Message) *job.Event {
		if m.Attempt == 1 {
			return w.worker.failed(m, 1, "once more")
		}
		return w.worker.failed(m, 65, "never")
	})
	if r := w.await(w.submit("new", newBook)); r.State != job.RunFailed || r.Progress.Failed != 1 || r.Progress.Blocked != 3 {
		w.t.Fatalf("the run is %s: %+v", r.State, r.Progress)
	}
}

func (w *world) substituteBad() Request {
	return Request{Run: "new", Kind: RequestSubstitute, Jobs: []string{"bad"}, From: w.keys("old")["bad"].String(), Reason: "yesterday's will do"}
}

// wantSubstituted checks how the new book must end once the old output of bad stands in.
func (w *world) wantSubstituted() {
	w.t.Helper()
	r := w.await("new")
	if want := "with 1 substituted job, 3 jobs depend on it"; r.State != job.RunSucceeded || r.Reason != want || r.Generation != 1 {
		w.t.Errorf("the run is %s, %s, of generation %d; want %s", r.State, r.Reason, r.Generation, want)
	}
	if r.Progress.Retried != 1 {
		w.t.Errorf("%d attempts were repeated, want 1", r.Progress.Retried)
	}
	if len(r.Substitutions) != 1 || r.Substitutions[0].Job != "bad" || r.Substitutions[0].Run != "old" || r.Substitutions[0].Dependents != 3 || r.Substitutions[0].By != "ops@desk" {
		w.t.Errorf("substitutions %+v", r.Substitutions)
	}
	was, is, results := w.keys("old"), w.keys("new"), w.results("new")
	for id, key := range was { // all but bad itself is the same
		if is[id] != key || results[id].Key != key {
			w.t.Errorf("job %s has key %s and result %s, want %s as in the old run", id, is[id].Short(), results[id].Key.Short(), key.Short())
		}
	}
	for id, result := range results {
		depends := id == "south" || id == "extra" || id == "root"
		if (result.Substituted != nil) != (id == "bad") || depends != (len(result.SubstitutedBy) == 1 && result.SubstitutedBy[0] == "bad") {
			w.t.Errorf("job %s: substituted %v, by %v", id, result.Substituted, result.SubstitutedBy)
		}
		if result.State != "cached" && result.State != "done" || result.Manifest == "" {
			w.t.Errorf("job %s is %s", id, result.State)
		}
	}
}

func TestAnotherOutputStandsInForAFailedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.failedBook()
		clear(w.worker.runs)
		asked := w.substituteBad()
		a := w.answered(asked)
		if want := "job bad: output " + asked.From[:12] + " of run old stands in, as \"yesterday's will do\"; 3 jobs depend on it"; a.Refused || a.Answer != want {
			t.Errorf("answered %t: %s, want %s", a.Refused, a.Answer, want)
		}
		w.awaitState("new", func(s job.RunState) bool { return s == job.RunSucceeded })
		w.wantSubstituted()
		// Of what depends on it only that is computed which the old run had not.
		if w.worker.runs[w.keys("new")["extra"]] != 1 || len(w.worker.runs) != 1 {
			t.Errorf("%d keys were computed, want one", len(w.worker.runs))
		}
		if r, err := ReadRun(t.Context(), w.runs, "new"); err != nil || len(r.Remarks()) != 1 || r.Remarks()[0] != "substituted: "+a.Answer {
			t.Errorf("remarks %v, %v", r.Remarks(), err)
		}
	})
}

func TestAnOutputStandsInWhileTheRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("old", oldBook))
		hold := make(chan struct{})
		w.worker.on("slow", func(m job.Message) *job.Event {
			<-hold
			if m.Attempt == 1 {
				return w.worker.failed(m, 1, "not yet")
			}
			return nil
		})
		w.worker.on("bad", func(m job.Message) *job.Event { return w.worker.failed(m, 65, "never") })
		// What is under way when the run is taken up again, also for another run, is not sent again.
		w.submit("new", newBook+"\tslow: good\n\tafter: slow\n")
		time.Sleep(5 * time.Second)
		w.submit("other", "table\ngood: table\nslow: good\n")
		time.Sleep(5 * time.Second)
		if a := w.answered(w.substituteBad()); a.Refused {
			t.Fatalf("refused: %s", a.Answer)
		}
		time.Sleep(10 * time.Second)
		close(hold)
		if r := w.await("new"); r.State != job.RunSucceeded {
			t.Errorf("the run is %s: %s", r.State, r.Reason)
		}
		if r := w.await("other"); r.State != job.RunSucceeded {
			t.Errorf("the other run is %s: %s", r.State, r.Reason)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			t.Errorf("%d jobs were computed twice", doubled)
		}
	})
}

func TestASubstitutionSurvivesAnAccidentAtEveryWrite(t *testing.T) {
	const writes = 16 // more than it takes
	for _, kind := range []accident{diesBefore, diesAfter, losesReply} {
		for at := 1; at <= writes; at++ {
			t.Run(fmt.Sprintf("%s write %d", kind, at), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.background(w.worker.run)
					_, stop := w.startPlanner(w.options(1, nil))
					w.failedBook()
					_ = stop()
					clear(w.worker.runs)
					w.ask(w.substituteBad())
					ctx, kill := context.WithCancel(t.Context())
					defer kill()
					p, err := New(w.options(2, &gate{at: at, kind: kind, kill: kill}))
					if err != nil {
						t.Fatal(err)
					}
					end := w.background(p.Run)
					select {
					case <-ctx.Done():
					case <-time.After(time.Minute):
					}
					_ = end()
					time.Sleep(30 * time.Second) // events that it held come back meanwhile
					w.startPlanner(w.options(3, nil))
					time.Sleep(10 * time.Second)
					w.wantSubstituted()
					if keys, doubled := w.worker.executed(); keys != 1 || doubled != 0 || w.inbox() != 0 {
						t.Errorf("%d jobs were computed, %d twice; %d requests are left", keys, doubled, w.inbox())
					}
					w.stop()
				})
			})
		}
	}
}

func TestWhatCannotStandInIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.failedBook()
		was, is := w.keys("old"), w.keys("new")
		unknown := strings.Repeat("0", 64)
		for want, change := range map[string]func(r *Request){
			"there is no output 000000000000":                          func(r *Request) { r.From = unknown },
			"want 64 hexadecimal digits":                               func(r *Request) { r.From = "last-good" },
			"the run has no job nobody":                                func(r *Request) { r.Jobs = []string{"nobody"} },
			"job good has an output":                                   func(r *Request) { r.Jobs = []string{"good"} },
			"is the job's own key":                                     func(r *Request) { r.From = is["bad"].String() },
			is["good"].Short() + " is the key of job good of this run": func(r *Request) { r.From = is["good"].String() },
			"reason is empty":                                          func(r *Request) { r.Reason = "" },
			"2 jobs named":                                             func(r *Request) { r.Jobs = []string{"bad", "south"} },
			"the run is succeeded":                                     func(r *Request) { r.Run = "old" },
		} {
			r := w.substituteBad()
			change(&r)
			if a := w.answered(r); !a.Refused || !strings.Contains(a.Answer, want) {
				t.Errorf("answered %t: %s, want %s", a.Refused, a.Answer, want)
			}
		}
		if diff := cmp.Diff(is, w.keys("new")); diff != "" {
			t.Errorf("the manifest was changed: %s", diff)
		}
		w.lose(was["bad"])
		if a := w.answered(w.substituteBad()); !a.Refused || !strings.HasPrefix(a.Answer, "there is no output") {
			t.Errorf("answered %t: %s", a.Refused, a.Answer)
		}
	})
}

func TestARunFailsWhenWhatStoodInIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.failedBook()
		hold := make(chan struct{})
		w.worker.on("extra", func(job.Message) *job.Event { <-hold; return nil })
		if a := w.answered(w.substituteBad()); a.Refused {
			t.Fatalf("refused: %s", a.Answer)
		}
		w.lose(w.keys("old")["bad"])
		close(hold)
		r := w.await("new")
		if want := "stood in for it, is gone"; r.State != job.RunFailed || !strings.Contains(r.Reason, want) || r.Progress.Failed != 1 {
			t.Errorf("the run is %s: %s; %+v", r.State, r.Reason, r.Progress)
		}
		if a := w.retry("new"); !a.Refused || a.Answer != "nothing to retry: what stood in is gone, and another must: bad" {
			t.Errorf("retried: %+v", a)
		}
	})
}

func TestKeysAfterASubstitutionAreThoseOfARunWithThatParent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Run{ID: "run", Image: testImage, Platform: "linux/amd64", Namespace: "default"}
		common := map[string]job.SpecDocument{"price": {V: job.DocumentVersion, Namespace: "default", Image: testImage, Platform: "linux/amd64"}}
		n := rapid.IntRange(1, 10).Draw(t, "jobs")
		target := rapid.IntRange(0, n-1).Draw(t, "target")
		to := keyNamed("another output")
		manifest, err := newSpool()
		if err != nil {
			t.Fatal(err)
		}
		defer manifest.close()
		out := manifest.writer()
		ids := make([]string, n)
		before, want := map[string]job.Key{}, map[string]job.Key{}
		depends := map[string]bool{}
		for i := range n {
			ids[i] = fmt.Sprintf("job-%d", i)
			p := job.Planned{ID: ids[i], Task: "price", Params: fmt.Appendf(nil, `{"i":%d}`, i), Needs: map[string]job.PlannedNeed{}}
			again := p
			again.Needs = map[string]job.PlannedNeed{}
			for parent := range i {
				if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
					id := ids[parent]
					p.Needs[id], again.Needs[id] = job.PlannedNeed{Job: id, Key: before[id]}, job.PlannedNeed{Job: id, Key: want[id]}
					depends[ids[i]] = depends[ids[i]] || depends[id] || parent == target
				}
			}
			if p.Key, err = p.Document(common["price"]).Key(); err != nil {
				t.Fatal(err)
			}
			before[ids[i]] = p.Key
			if want[ids[i]], err = again.Document(common["price"]).Key(); err != nil {
				t.Fatal(err)
			}
			if i == target {
				want[ids[i]] = to
			}
			line, err := p.AppendLine(nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := out.append(line); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.flush(); err != nil {
			t.Fatal(err)
		}
		w := rewriting{
			run: r, from: before[ids[target]], to: to, output: &job.Manifest{Key: to}, generation: 1, common: common,
			keys: map[string]job.Key{}, by: map[string][]string{},
		}
		after, err := w.rewrite(context.Background(), manifest)
		if err != nil {
			t.Fatal(err)
		}
		defer after.close()
		for i := range n {
			p, err := after.planned(i)
			if err != nil {
				t.Fatal(err)
			}
			isTarget := i == target
			if p.ID != ids[i] || p.Key != want[p.ID] || (p.Substituted != nil) != isTarget || (len(p.SubstitutedBy) > 0) != depends[p.ID] || (p.Rekeyed == 1) != (isTarget || depends[p.ID]) {
				t.Fatalf("job %d of target %d is %+v, want key %s", i, target, p, want[p.ID].Short())
			}
			for _, need := range p.Needs {
				if !isTarget && need.Key != want[need.Job] {
					t.Fatalf("job %d needs %s by key %s", i, need.Job, need.Key.Short())
				}
			}
		}
		if w.dependents != w.affected || w.dependents != len(w.keys)-1 {
			t.Fatalf("%d dependents, %d affected, %d new keys", w.dependents, w.affected, len(w.keys))
		}
	})
}
