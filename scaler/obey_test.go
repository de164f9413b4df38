package scaler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
)

// fakeLevers keeps what people want, and the marks that workers see.
type fakeLevers struct {
	mu       sync.Mutex
	controls map[string]Control
	marks    map[string]time.Time
	down     bool // cannot be read
	markDown bool // marks cannot be changed
}

func newFakeLevers() *fakeLevers {
	return &fakeLevers{controls: map[string]Control{}, marks: map[string]time.Time{}}
}

func (l *fakeLevers) ReadControls(context.Context) (map[string]Control, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errors.New("no answer")
	}
	return maps.Clone(l.controls), nil
}

func (l *fakeLevers) MarkDrained(_ context.Context, pool string, at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.markDown {
		return errors.New("no answer")
	}
	delete(l.marks, pool)
	if !at.IsZero() {
		l.marks[pool] = at
	}
	return nil
}

// pull uses a lever of the pool rollup.
func (l *fakeLevers) pull(p Pull) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.Pool, p.By = "rollup", "anna@host"
	l.controls["rollup"], _ = l.controls["rollup"].Pulled(time.Now().UTC(), p)
}

func (l *fakeLevers) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// mark is the time in the pool's mark; zero: there is none.
func (l *fakeLevers) mark() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marks["rollup"]
}

func newLeverStage(t *testing.T, outstanding int) *stage {
	s := newStage(t, outstanding)
	s.levers = newFakeLevers()
	return s
}

// limited waits until the pool's status names a limit, with some words.
func (s *stage) limited(limit Limit, words string) {
	s.t.Helper()
	s.until(fmt.Sprintf("limit %s, %q", limit, words), 2*time.Minute, func() bool {
		got := s.journal.status("rollup")
		return got.Limit == limit && strings.Contains(got.Reason, words)
	})
}

func (s *stage) end() {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Error(err)
	}
}

func TestAPausedPoolLaunchesNothingAndGoesOnWhenResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 400)
		s.start()
		s.until("some workers", time.Minute, func() bool { return s.ecs.launched() >= 150 })
		s.levers.pull(Pull{Lever: LeverPause, Reason: "waiting for the new image"})
		s.limited(LimitPaused, "launching none: paused by anna@host at 00:00 UTC: waiting for the new image")
		n := s.ecs.launched()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := s.ecs.launched(); got != n || n >= 400 {
			t.Errorf("%d launched before the pause, %d after it, of 400", n, got)
		}
		if calls := s.ecs.called("StopTask"); calls != 0 {
			t.Errorf("%d tasks of a paused pool were stopped", calls)
		}
		if paused, runs := s.gauge(s.metrics.modes, "rollup", "paused"), s.gauge(s.metrics.modes, "rollup", "run"); paused != 1 || runs != 0 {
			t.Errorf("metrics say paused %v and run %v of a paused pool", paused, runs)
		}
		if rate := s.gauge(s.metrics.rates, "FARGATE"); rate < 19 || rate > 21 {
			t.Errorf("metrics say that %v tasks a second are accepted; 20 are", rate)
		}
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("400 workers", time.Minute, s.launchedIs(400))
		s.end()
	})
}

// A request that was throttled when the pool was paused is not sent again, nor does it keep another pool from launching.
func TestAPausedPoolsRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 100)
		var others atomic.Int64
		s.jobsOf = func(pool string) Demand {
			d := Demand{Outstanding: 100, TaskDefinition: "spate-" + pool + ":7", At: time.Now(), Known: true}
			if pool != "rollup" {
				d.Outstanding = int(others.Load())
			}
			return d
		}
		throttled := true
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			if throttled {
				return errThrottled, nil
			}
			return nil, nil
		}
		other := s.pool
		other.Name, other.Family = "deals", "spate-deals"
		s.start(other)
		s.until("requests", time.Minute, func() bool { return s.journal.open() > 0 && s.ecs.called("RunTask") > 0 })
		s.levers.pull(Pull{Lever: LeverPause})
		s.limited(LimitPaused, "paused")
		time.Sleep(15 * time.Second) // for calls under way
		s.ecs.set(func() { throttled = false })
		others.Store(10)
		s.until("workers of the other pool", 30*time.Second, s.launchedIs(10))
		calls := s.ecs.called("RunTask")
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := s.ecs.called("RunTask"); got != calls || s.ecs.launched() != 10 {
			t.Errorf("%d calls of a paused pool, %d launched", got-calls, s.ecs.launched()-10)
		}
		if n := s.journal.open(); n != 0 {
			t.Errorf("%d requests are not settled after 20 minutes", n)
		}
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("110 workers", time.Minute, s.launchedIs(110))
		time.Sleep(time.Hour)
		if got := s.ecs.launched(); got != 110 {
			t.Errorf("%d launched, want 110", got)
		}
		s.end()
	})
}

func TestACapBoundsAPoolBelowItsMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 500)
		s.pool.Min = 60
		fifty := 50
		s.levers.pull(Pull{Lever: LeverCap, Cap: &fifty, Reason: "licences"})
		s.start()
		s.until("50 workers", time.Minute, s.launchedIs(50))
		s.limited(LimitCap, "50 workers wanted for 500 jobs (capped at 50 by anna@host at 00:00 UTC: licences)")
		time.Sleep(10 * time.Minute)
		if got := s.ecs.launched(); got != 50 {
			t.Errorf("%d launched below a cap of 50", got)
		}
		s.levers.pull(Pull{Lever: LeverCap})
		s.until("500 workers", time.Minute, s.launchedIs(500))
		s.end()
	})
}

func TestTheMarkOfADrainedPoolIsPutAndTakenAwayWhateverBecomesOfTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 5)
		s.levers.set(func() { s.levers.marks["rollup"] = time.Now() }) // of a leader before, who died while it was resumed
		s.start()
		s.until("no mark", time.Minute, func() bool { return s.levers.mark().IsZero() })
		s.until("5 workers", time.Minute, s.launchedIs(5))

		s.levers.set(func() { s.levers.markDown = true })
		time.Sleep(time.Minute)
		s.levers.pull(Pull{Lever: LeverDrain})
		s.limited(LimitDrained, "workers finish their jobs and leave: drained by anna@host")
		s.end()
		s.levers.set(func() { s.levers.markDown = false })
		s.start()
		s.until("a mark", time.Minute, func() bool { return !s.levers.mark().IsZero() })
		if age := time.Since(s.levers.mark()); age > time.Second {
			t.Errorf("the mark is %s old: workers launched since would stay", age)
		}
		time.Sleep(30 * time.Minute)
		if n := s.ecs.launched(); n != 5 || s.ecs.called("StopTask") != 0 {
			t.Errorf("%d launched, %d StopTask calls of a drained pool", n, s.ecs.called("StopTask"))
		}
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("no mark", 10*time.Second, func() bool { return s.levers.mark().IsZero() })
		s.end()
	})
}

func TestAKilledPoolsTasksAreAllStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 400)
		late := false // the last requests have their effect, but get no answer
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			if late {
				return nil, errReset
			}
			return nil, nil
		}
		s.start()
		s.until("most workers", time.Minute, func() bool { return s.ecs.launched() >= 300 })
		s.ecs.set(func() { late = true })
		s.until("some that are not known of", time.Minute, func() bool { return s.ecs.launched() >= 330 })
		s.levers.pull(Pull{Lever: LeverKill, Reason: "bad release"})
		s.limited(LimitKilled, "launching none; all are being stopped: killed by anna@host at 00:00 UTC: bad release")
		n := s.ecs.launched()
		time.Sleep(2 * time.Second)
		s.end() // the controller dies while it stops them
		alive := s.ecs.alive()
		if alive == 0 || alive > 300 {
			t.Fatalf("%d tasks are left when the controller dies: the test proves nothing", alive)
		}
		s.start()
		s.until("all stopped", 2*time.Minute, func() bool { return s.ecs.alive() == 0 })
		// What the controller that died had stopped, and not seen stopped, the next one stops again.
		if calls, again := s.ecs.called("StopTask"), n-alive; calls > n+again {
			t.Errorf("%d calls stopped %d tasks", calls, n)
		}
		time.Sleep(30 * time.Minute)
		if got := s.ecs.launched(); got != n {
			t.Errorf("%d launched after the kill", got-n)
		}
		got := s.journal.status("rollup")
		if got.Failed != 0 || got.Running+got.Pending+got.Stopping != 0 || got.Stopped == 0 {
			t.Errorf("status %+v", got)
		}
		s.ecs.set(func() { late = false })
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("400 new workers", time.Minute, s.launchedIs(n+400))
		s.end()
	})
}

func TestAnAccountThatRefusesToStopTasksIsQuoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 3)
		s.start()
		s.until("3 workers", time.Minute, s.launchedIs(3))
		s.ecs.set(func() {
			s.ecs.stopError = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform: ecs:StopTask"}
		})
		s.levers.pull(Pull{Lever: LeverKill})
		s.limited(LimitKilled, "ECS refuses to stop tasks: not authorized to perform: ecs:StopTask")
		calls := s.ecs.called("StopTask")
		time.Sleep(time.Minute)
		if more := s.ecs.called("StopTask") - calls; more == 0 || more > 15 {
			t.Errorf("%d more calls in a minute for 3 tasks", more)
		}
		s.ecs.set(func() { s.ecs.stopError = nil })
		s.until("all stopped", time.Minute, func() bool { return s.ecs.alive() == 0 })
		s.end()
	})
}

func TestWithoutKnowingWhatPeopleWantNothingIsLaunched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 10)
		s.levers.down = true
		s.start()
		s.limited(LimitControl, "launching none: whether people want the pool to run is not known")
		time.Sleep(time.Minute)
		if n := s.ecs.launched(); n != 0 {
			t.Errorf("%d launched", n)
		}
		s.levers.set(func() { s.levers.down = false })
		s.until("10 workers", 10*time.Second, s.launchedIs(10))

		s.levers.set(func() { s.levers.down = true })
		time.Sleep(30 * time.Second)
		s.want(20) // what was known a moment ago will do
		s.until("20 workers", 10*time.Second, s.launchedIs(20))
		time.Sleep(31 * time.Second)
		s.want(30)
		s.limited(LimitControl, "whether people want the pool to run was last known")
		if n := s.ecs.launched(); n != 20 {
			t.Errorf("%d launched, want 20", n)
		}
		s.end()
	})
}

func TestDecisionsAreWrittenWithTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 300)
		s.start()
		s.until("300 workers", time.Minute, s.launchedIs(300))
		time.Sleep(10 * time.Minute)
		s.levers.pull(Pull{Lever: LeverPause})
		s.limited(LimitPaused, "")
		s.end()
		launched, minutes, last := 0, 0, time.Time{}
		for _, d := range s.journal.decisions {
			launched += d.Launched
			if d.At.Sub(last) < time.Second {
				t.Errorf("two decisions within a second, at %s", d.At)
			}
			if last = d.At; d.Launched == 0 && d.Limit == LimitNone {
				minutes++
			}
		}
		if n := len(s.journal.decisions); launched != 300 || minutes < 10 || n > 40 || s.journal.decisions[n-1].Limit != LimitPaused {
			t.Errorf("%d decisions launched %d, %d of them while nothing changed; the last is %+v", n, launched, minutes, s.journal.decisions[n-1])
		}
	})
}

func TestAThousandTasksAreStoppedAtTheRateOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks = 1000
		s := newLeverStage(t, tasks)
		s.start()
		s.until("all workers", 2*time.Minute, s.launchedIs(tasks))
		time.Sleep(time.Minute) // until calls are saved up again
		s.levers.pull(Pull{Lever: LeverKill})
		r := callRate()
		want := time.Duration(float64(tasks-r.Burst) / r.PerSecond * float64(time.Second))
		if took := s.until("all stopped", 2*want, func() bool { return s.ecs.alive() == 0 }); took < want-time.Second || took > want+5*time.Second {
			t.Errorf("it took %s, want about %s", took, want)
		}
		if calls := s.ecs.called("StopTask"); calls != tasks {
			t.Errorf("%d calls for %d tasks", calls, tasks)
		}
		s.end()
	})
}

func TestAPoolOfWhichSomethingUnknownIsWantedHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 10)
		s.levers.controls["rollup"] = Control{Pool: "rollup", Mode: "hibernated", Version: 1}
		s.start()
		s.limited(LimitControl, "whether people want the pool to run is not known")
		time.Sleep(time.Minute)
		if n := s.ecs.launched(); n != 0 {
			t.Errorf("%d launched", n)
		}
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("10 workers", time.Minute, s.launchedIs(10))
		s.end()
	})
}

func TestResumeLetsAStoppedPoolTryAtOnceAndACapDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 10)
		wrong := true
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			if wrong {
				return &smithy.GenericAPIError{Code: "InvalidParameterException", Message: "the subnet is wrong"}, nil
			}
			return nil, nil
		}
		s.start()
		s.limited(LimitConfiguration, "the subnet is wrong")
		time.Sleep(20 * time.Minute) // until it rarely tries
		s.ecs.set(func() { wrong = false })
		calls := s.ecs.called("RunTask")
		fifty := 50
		s.levers.pull(Pull{Lever: LeverCap, Cap: &fifty})
		time.Sleep(10 * time.Second)
		if n := s.ecs.called("RunTask") - calls; n != 0 {
			t.Fatalf("%d calls after a cap", n)
		}
		s.levers.pull(Pull{Lever: LeverResume})
		s.until("10 workers", 2*time.Minute, s.launchedIs(10))
		s.end()
	})
}
