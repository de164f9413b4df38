package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spate/internal/table"
	"spate/job"
)

func (w *world) retry(id string, jobs ...string) *Audit {
	w.t.Helper()
	return w.answered(Request{Run: id, Kind: RequestRetry, Jobs: jobs})
}

// breakable makes jobs fail until they are mended.
func (w *world) breakable(ids ...string) (mend func()) {
	var mended atomic.Bool
	for _, id := range ids {
		w.worker.on(id, func(m job.Message) *job.Event {
			if mended.Load() {
				return nil
			}
			return w.worker.failed(m, 65, "never")
		})
	}
	return func() { mended.Store(true) }
}

const brokenDeal = "left\nright\nnorth: left\nsouth: right\nroot: north south\n"

func TestAFailedRunIsActiveAgainWhenItsFailedJobsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mend := w.breakable("left")
		w.start()
		if r := w.await(w.submit("run", brokenDeal)); r.State != job.RunFailed || r.ExpiresAt == 0 {
			t.Fatalf("the run is %s", r.State)
		}
		w.wantActive()
		mend()
		hold := make(chan struct{})
		w.worker.on("root", func(job.Message) *job.Event { <-hold; return nil })
		if a := w.retry("run"); a.Refused || a.Answer != "1 job is tried again; 2 blocked jobs go on" {
			t.Errorf("answered %+v", a)
		}
		r, err := ReadRun(t.Context(), w.runs, "run")
		w.wantActive("run")
		close(hold)
		if err != nil || r.State.Ended() || r.ExpiresAt != 0 || !r.Ended.IsZero() || r.Reason != "" {
			t.Errorf("the run is %+v, %v", r, err)
		}
		r = w.await("run")
		if diff := cmp.Diff(Progress{Jobs: 5, Done: 5, Executed: 5, Retried: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded || r.ExpiresAt == 0 {
			t.Errorf("%s: %s", r.State, diff)
		}
		w.wantActive()
		for id, result := range w.results("run") {
			if result.State != "done" && result.State != "cached" {
				t.Errorf("job %s is %s", id, result.State)
			}
		}
		if f := w.failures("run"); len(f) != 1 || !f[0].Forgiven {
			t.Errorf("failures %+v", f)
		}
		if a := w.retry("run"); !a.Refused || a.Answer != "nothing has failed: the run has succeeded" {
			t.Errorf("once more: %+v", a)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			t.Errorf("%d jobs were computed twice", doubled)
		}
	})
}

// wantActive checks which runs are listed as not ended.
func (w *world) wantActive(ids ...string) {
	w.t.Helper()
	runs, err := ReadActive(w.t.Context(), w.runs)
	if err != nil {
		w.t.Error(err)
	}
	var got []string
	for _, r := range runs {
		got = append(got, r.ID)
	}
	listed := 0
	for _, err := range table.Query[table.Key](w.t.Context(), w.runs, table.ActiveRuns, "") {
		if err != nil {
			w.t.Error(err)
		}
		listed++
	}
	if diff := cmp.Diff(ids, got, cmpopts.EquateEmpty()); diff != "" || listed != len(ids) {
		w.t.Errorf("%d active runs are listed: %s", listed, diff)
	}
}

func TestAFailedJobOfAnActiveRunIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mend := w.breakable("left")
		hold := make(chan struct{})
		w.worker.on("south", func(job.Message) *job.Event { <-hold; return nil })
		w.start()
		w.submit("run", brokenDeal)
		time.Sleep(5 * time.Second)
		mend()
		if a := w.retry("run", "left", "right", "root", "left", "nobody"); a.Refused ||
			a.Answer != "1 job is tried again; 2 blocked jobs go on; not failed: right (done), root (blocked); not in the run: nobody" {
			t.Errorf("answered %+v", a)
		}
		if a := w.retry("run"); !a.Refused || a.Answer != "nothing to retry: no job of the run has failed" {
			t.Errorf("once more: %+v", a)
		}
		close(hold)
		r := w.await("run")
		if diff := cmp.Diff(Progress{Jobs: 5, Done: 5, Executed: 5, Retried: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
	})
}

func TestAJobThatFailsAgainHasAllItsAttemptsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("deal", func(m job.Message) *job.Event { return w.worker.failed(m, 1, fmt.Sprint("try ", m.Attempt)) })
		w.start()
		w.await(w.submit("run", "deal\ntwin deal\n"))
		if a := w.retry("run", "twin"); a.Refused || a.Answer != "2 jobs are tried again" {
			t.Errorf("answered %+v", a)
		}
		r := w.await("run")
		var attempts []int
		failures := w.failures("run")
		for _, f := range failures {
			attempts = append(attempts, f.Attempt)
			if f.Forgiven != (f.Attempt <= 3) {
				t.Errorf("attempt %d: forgiven is %t", f.Attempt, f.Forgiven)
			}
		}
		if !slices.Equal(attempts, []int{1, 2, 3, 4, 5, 6}) || r.State != job.RunFailed || failures[5].Verdict != "attempt 3 was the last of 3 since the retry" {
			t.Errorf("the run is %s after attempts %v, %s", r.State, attempts, failures[len(failures)-1].Verdict)
		}
	})
}

func TestWhatCannotBeRetriedIsRefusedWithWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.breakable("bad")
		w.start()
		w.await(w.submit("failed", "bad\nfine\n"))
		w.submitRaw("rejected", "nonsense: true")
		w.await("rejected")
		for _, test := range []struct {
			run, want string
			jobs      []string
		}{
			{"failed", "nothing to retry: not failed: fine (done); not in the run: bed", []string{"bed", "fine"}},
			{"rejected", "the run was rejected: correct it and submit it again", nil},
		} {
			if a := w.retry(test.run, test.jobs...); !a.Refused || a.Answer != test.want {
				t.Errorf("%s: %+v", test.run, a)
			}
		}
		if r := w.await("failed"); r.State != job.RunFailed || r.ExpiresAt == 0 {
			t.Errorf("the run is %+v", r)
		}
		w.images.set(Image{}, fmt.Errorf("no answer"))
		w.submit("cancelled", "deal\n")
		time.Sleep(5 * time.Second)
		if a := w.retry("cancelled"); !a.Refused || !strings.HasPrefix(a.Answer, "nothing has failed yet") {
			t.Errorf("before: %+v", a)
		}
		w.cancel("cancelled")
		if a := w.retry("cancelled"); !a.Refused || a.Answer != "the run was cancelled: submit it again; what has an output will not run again" {
			t.Errorf("after: %+v", a)
		}
	})
}

func TestThousandsOfFailedJobsAreRetriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ids []string
		for i := range 2300 {
			ids = append(ids, fmt.Sprint("deal-", i))
		}
		mend := w.breakable(ids...)
		w.start()
		if r := w.await(w.submit("run", strings.Join(ids, "\n"))); r.Progress.Failed != 2300 {
			t.Fatalf("%+v", r.Progress)
		}
		mend()
		w.answered(Request{Run: "run", Kind: RequestRetry, Jobs: ids[:MaxRequestJobs]})
		if a := w.retry("run"); a.Refused || a.Answer != "1300 jobs are tried again" {
			t.Errorf("answered %+v", a)
		}
		if r := w.await("run"); r.State != job.RunSucceeded || r.Progress.Done != 2300 {
			t.Errorf("the run is %s: %+v", r.State, r.Progress)
		}
	})
}

func TestRetryingSurvivesAnAccidentAtEveryWrite(t *testing.T) {
	play := func(w *world, g *gate) {
		mend := w.breakable("left")
		w.background(w.worker.run)
		_, stop := w.startPlanner(w.options(1, nil))
		w.await(w.submit("run", brokenDeal))
		_ = stop()
		mend()
		w.ask(Request{Run: "run", Kind: RequestRetry})
		p, err := New(w.options(2, g))
		if err != nil {
			w.t.Fatal(err)
		}
		w.background(p.Run)
	}
	check := func(w *world) {
		r := w.awaitState("run", func(s job.RunState) bool { return s == job.RunSucceeded })
		if r.Progress.Done+r.Progress.Cached != 5 {
			w.t.Errorf("the run is %s: %+v", r.State, r.Progress)
		}
		time.Sleep(5 * time.Second)
		audits, err := ReadAudits(w.t.Context(), w.runs, "run")
		if err != nil || len(audits) != 1 || audits[0].Refused || w.inbox() != 0 {
			w.t.Errorf("audit records %+v, %d requests left, %v", audits, w.inbox(), err)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			w.t.Errorf("%d jobs were computed twice", doubled)
		}
		w.stop()
	}
	var writes []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		g := &gate{}
		play(w, g)
		check(w)
		writes = g.writes
	})
	if len(writes) < 8 {
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
					play(w, &gate{at: i + 1, kind: kind, kill: kill})
					if kind == diesBefore || kind == diesAfter {
						select {
						case <-ctx.Done():
						case <-time.After(time.Minute): // this time it made fewer writes
						}
						time.Sleep(30 * time.Second)
						w.startPlanner(w.options(3, nil))
					}
					check(w)
				})
			})
		}
	}
}
