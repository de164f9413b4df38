package scaler

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a scaler on a fake account with one pool, in a synctest bubble.
type stage struct {
	t       *testing.T
	ecs     *fakeECS
	journal *fakeJournal
	levers  *fakeLevers // nil: there are none
	pool    Pool
	account Account
	jobs    atomic.Int64
	// jobsOf is the demand; nil: jobs of every pool.
	jobsOf func(pool string) Demand
	// definition is what to launch; "" is the pool's seventh revision.
	definition string
	wake       chan struct{}
	log        zerolog.Logger
	metrics    *metrics // of the scaler that was started last
	stop       func() error
}

func newStage(t *testing.T, outstanding int) *stage {
	s := &stage{
		t: t, ecs: newFakeECS(t), journal: newFakeJournal(t), wake: make(chan struct{}, 1), log: zerolog.Nop(),
		pool: Pool{
			Name: "rollup", Cluster: "hpc", Family: "spate-rollup", Subnets: []string{"subnet-a"}, Slots: 1, Max: 3000,
			Capacity: []Capacity{{Provider: "FARGATE", Max: 3000}}, Environment: map[string]string{"SPATE_POOL": "rollup"},
		},
	}
	s.want(outstanding)
	return s
}

func (s *stage) want(outstanding int) { s.jobs.Store(int64(outstanding)) }

func (s *stage) demand(pool string) Demand {
	if s.jobsOf != nil {
		return s.jobsOf(pool)
	}
	return Demand{Outstanding: int(s.jobs.Load()), TaskDefinition: cmp.Or(s.definition, "spate-"+pool+":7"), At: time.Now(), Known: true}
}

// start runs a scaler; stop ends it and returns what it returned.
func (s *stage) start(more ...Pool) {
	s.t.Helper()
	term := s.journal.lead()
	s.run(s.ecs, term, term, more...)
}

func (s *stage) run(api ECS, journal Journal, term Term, more ...Pool) {
	s.t.Helper()
	o := Options{
		ECS: api, Journal: journal, Term: term, Pools: append([]Pool{s.pool}, more...), Account: s.account, Wake: s.wake, Log: s.log, Demand: s.demand,
	}
	if s.levers != nil {
		o.Levers = s.levers
	}
	scaler, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.metrics = scaler.metrics
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- scaler.Run(ctx) }()
	s.stop = func() error {
		cancel()
		return <-ended
	}
}

// gauge is what a metric shows.
func (s *stage) gauge(of *prometheus.GaugeVec, labels ...string) float64 {
	s.t.Helper()
	var m dto.Metric
	if err := of.WithLabelValues(labels...).Write(&m); err != nil {
		s.t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// until waits in virtual time and returns how long it took.
func (s *stage) until(what string, most time.Duration, holds func() bool) time.Duration {
	s.t.Helper()
	from := time.Now()
	for {
		synctest.Wait()
		took := time.Since(from)
		switch {
		case holds():
			return took
		case took >= most:
			s.t.Fatalf("not within %s: %s; %d launched, status %+v", most, what, s.ecs.launched(), s.journal.status("rollup"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *stage) launchedIs(n int) func() bool {
	return func() bool { return s.ecs.launched() == n }
}

func (s *stage) settled() bool { return s.journal.open() == 0 }

func TestWorkersAreLaunchedForTheJobsAndLeaveByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 25)
		s.ecs.life = 5 * time.Minute
		s.start()
		if took := s.until("25 workers", time.Minute, s.launchedIs(25)); took > time.Second {
			t.Errorf("25 workers of an idle account took %s", took)
		}
		s.until("all seen to run", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 25 && s.settled() })

		s.want(0)
		s.until("all seen to leave", 10*time.Minute, func() bool {
			got := s.journal.status("rollup")
			return got.Exited == 25 && got.Running == 0
		})
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		got := s.journal.status("rollup")
		if got.Launched != 25 || got.Peak != 25 || got.Running != 0 || got.Failed != 0 || s.ecs.launched() != 25 {
			t.Errorf("status %+v, %d launched", got, s.ecs.launched())
		}
	})
}

func TestAnIdlePoolIsReportedAtLeastEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		s.start()
		for range 600 {
			time.Sleep(time.Second)
			synctest.Wait()
			if age := time.Since(s.journal.status("rollup").At); age > 10*time.Second {
				t.Fatalf("the status is %s old", age)
			}
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestThreeThousandWorkersAreAcceptedAsFastAsTheAccountAllows(t *testing.T) {
	workers := 3000
	if raceEnabled {
		workers = 200
	}
	for _, c := range []struct {
		name     string
		capacity []Capacity
		earliest time.Duration
	}{
		{"on demand", []Capacity{{Provider: "FARGATE", Max: 3000}}, time.Duration((workers-100)/20) * time.Second},
		{"spot and on demand", []Capacity{{Provider: "FARGATE_SPOT", Max: 3000}, {Provider: "FARGATE", Max: 3000}}, time.Duration(max(0, workers-200)/40) * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, workers)
				s.pool.Capacity = c.capacity
				s.start()
				took := s.until("all accepted", 10*time.Minute, s.launchedIs(workers))
				if most := c.earliest + c.earliest/50 + 2*time.Second; took > most {
					t.Errorf("%d workers took %s, more than %s", workers, took, most)
				}
				s.until("all settled", 2*time.Minute, s.settled)
				s.until("all running", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == workers })
				if calls := s.ecs.called("RunTask"); calls > 20+int(callsPerSecond*1.1*took.Seconds()) {
					t.Errorf("%d calls for %d workers in %s", calls, workers, took)
				}
				looks := s.ecs.called("ListTasks") + s.ecs.called("DescribeTasks")
				if perSecond := float64(looks) / (took + time.Minute).Seconds(); perSecond > 10 {
					t.Errorf("%.1f calls a second to look", perSecond)
				}
				_ = s.stop()
			})
		})
	}
}

func TestThrottlingDelaysAndNeverDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 500)
		dice := rand.New(rand.NewPCG(1, 2))
		throttled := 0
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			if dice.Float64() < 0.3 {
				throttled++
				return errThrottled, nil
			}
			return nil, nil
		}
		s.start()
		took := s.until("500 accepted", 5*time.Minute, s.launchedIs(500))
		if throttled == 0 || took > 60*time.Second { // 20 s without throttling, and a bucket emptied now and then
			t.Errorf("took %s with %d calls throttled", took, throttled)
		}
		s.until("all settled", 2*time.Minute, s.settled)
		time.Sleep(5 * time.Minute)
		_ = s.stop()
		if n := s.ecs.launched(); n != 500 {
			t.Errorf("%d launched", n)
		}
	})
}

func TestAnAmbiguousAnswerIsRepeatedAndNeverDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 200)
		dice := rand.New(rand.NewPCG(3, 4))
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			switch {
			case dice.Float64() < 0.2:
				return errReset, nil
			case dice.Float64() < 0.4:
				return nil, errReset
			}
			return nil, nil
		}
		s.start()
		s.until("200 accepted and settled", 5*time.Minute, func() bool { return s.ecs.launched() == 200 && s.settled() })
		time.Sleep(5 * time.Minute)
		_ = s.stop()
		if n := s.ecs.launched(); n != 200 {
			t.Errorf("%d launched", n)
		}
	})
}

func TestAnIntentTooOldToRepeatIsSettledByAskingECS(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after error
	}{{"it had launched", nil, errReset}, {"it had not", errReset, nil}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 10)
				broken := true
				s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
					if broken {
						return c.before, c.after
					}
					return nil, nil
				}
				s.start()
				time.Sleep(repeatable + time.Minute)
				calls := s.ecs.called("RunTask")
				s.ecs.set(func() { broken = false })
				time.Sleep(50 * time.Second)
				if s.ecs.called("RunTask") != calls {
					t.Error("called although the only intent is too old to repeat and unsettled")
				}
				s.until("settled with ten workers", 3*time.Minute, func() bool { return s.settled() && s.ecs.launched() == 10 })
				time.Sleep(time.Minute)
				_ = s.stop()
				if n := s.ecs.launched(); n != 10 {
					t.Errorf("%d launched", n)
				}
			})
		})
	}
}

func TestAProviderWithoutRoomPassesTheRestOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 40)
		s.pool.Capacity = []Capacity{{Provider: "FARGATE_SPOT", Max: 3000}, {Provider: "FARGATE", Max: 3000}}
		s.ecs.partial = func(in *ecs.RunTaskInput) (int, string) {
			if aws.ToString(in.CapacityProviderStrategy[0].CapacityProvider) == "FARGATE_SPOT" {
				return 3, "Capacity is unavailable at this time. Please try again later or in a different availability zone"
			}
			return 10, ""
		}
		s.start()
		s.until("40 workers", time.Minute, s.launchedIs(40))
		time.Sleep(time.Minute)
		_ = s.stop()
		byProvider := map[string]int{}
		for _, task := range s.ecs.tasks {
			byProvider[task.provider]++
		}
		if byProvider["FARGATE_SPOT"] != 12 || byProvider["FARGATE"] != 28 {
			t.Errorf("launched %v", byProvider)
		}
	})
}

func TestAWrongConfigurationHoldsThePoolAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 5)
		wrong := &smithy.GenericAPIError{Code: "InvalidParameterException", Message: "The subnet ID 'subnet-a' does not exist"}
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) { return wrong, nil }
		s.start()
		time.Sleep(25 * time.Second)
		if n := s.ecs.called("RunTask"); n != 1 {
			t.Errorf("%d calls in the first 25 seconds", n)
		}
		status := s.journal.status("rollup")
		if status.Limit != LimitConfiguration || !strings.Contains(status.Reason, "subnet-a") {
			t.Errorf("status %+v", status)
		}
		s.ecs.set(func() { s.ecs.refuse = nil })
		s.until("five workers", 20*time.Second, s.launchedIs(5))
		_ = s.stop()
	})
}

func TestBlindnessHoldsAndNeverLaunches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 5)
		s.start()
		s.until("five running", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 5 })
		s.ecs.set(func() { s.ecs.down = true })
		time.Sleep(2 * time.Minute)
		s.want(50)
		time.Sleep(2 * time.Minute)
		if n := s.ecs.launched(); n != 5 {
			t.Errorf("%d launched without seeing anything", n)
		}
		if status := s.journal.status("rollup"); status.Limit != LimitObservation {
			t.Errorf("status %+v", status)
		}
		s.ecs.set(func() { s.ecs.down = false })
		s.until("50 workers", 30*time.Second, s.launchedIs(50))
		_ = s.stop()
	})
}

func TestAWakeLaunchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		s.start()
		time.Sleep(10*time.Minute + 100*time.Millisecond)
		s.want(8)
		s.wake <- struct{}{}
		if took := s.until("eight workers", time.Second, s.launchedIs(8)); took != 0 {
			t.Errorf("took %s", took)
		}
		_ = s.stop()
	})
}

func TestASuccessorsTermEndsTheRunWithoutACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		s.start()
		time.Sleep(time.Minute)
		s.journal.lead()
		s.want(10)
		time.Sleep(10 * time.Second)
		if err := s.stop(); !errors.Is(err, ErrTermOver) {
			t.Errorf("ended with %v", err)
		}
		if n := s.ecs.called("RunTask"); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAnExpiredTermCallsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		term := s.journal.lead()
		expiry := time.Now().Add(time.Minute)
		term.over = func(now time.Time) bool { return !now.Before(expiry) }
		s.run(s.ecs, term, term)
		time.Sleep(2 * time.Minute)
		s.want(10)
		time.Sleep(time.Minute)
		if n := s.ecs.called("RunTask"); n != 0 {
			t.Errorf("%d calls", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAJournalThatCannotBeWrittenLaunchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10)
		broken := true
		wrote := false
		s.journal.fail = func() (before, after error) {
			if !broken {
				return nil, nil
			}
			wrote = !wrote
			if wrote {
				return errReset, nil
			}
			return nil, errReset
		}
		s.start()
		time.Sleep(time.Minute)
		if n := s.ecs.called("RunTask"); n != 0 {
			t.Errorf("%d calls without a journal", n)
		}
		s.journal.mu.Lock()
		broken = false
		s.journal.mu.Unlock()
		s.until("ten workers", 10*time.Second, s.launchedIs(10))
		s.until("settled", time.Minute, s.settled)
		time.Sleep(time.Minute)
		_ = s.stop()
		if n := s.ecs.launched(); n != 10 {
			t.Errorf("%d launched", n)
		}
	})
}

func TestFailedAndVanishedWorkersAreCountedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3)
		s.start()
		s.until("three running", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 3 })
		s.ecs.set(func() {
			s.ecs.tasks[0].stopped, s.ecs.tasks[0].exit = time.Now(), 137
			s.ecs.tasks[1].arn = "arn:task/renamed-by-nobody" // the old name is unknown from now on
			s.ecs.tasks[1].stopped = time.Now()
		})
		s.until("both replaced", 5*time.Minute, s.launchedIs(5))
		s.until("three running", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 3 })
		_ = s.stop()
		if got := s.journal.status("rollup"); got.Failed != 1 || got.Vanished != 1 || got.Launched != 5 || got.Exited != 0 {
			t.Errorf("status %+v", got)
		}
	})
}

func TestAnAccountThatGrantsLessThanDocumentedIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 200)
		s.ecs.rate = Rate{Burst: 20, PerSecond: 5}
		s.start()
		took := s.until("200 accepted", 3*time.Minute, s.launchedIs(200))
		if took > 50*time.Second { // 36 s at the very best
			t.Errorf("took %s", took)
		}
		if calls := s.ecs.called("RunTask"); calls > 150 { // some of two tasks, then of one
			t.Errorf("%d calls for 200 workers", calls)
		}
		_ = s.stop()
	})
}

func TestASuccessorWaitsBeforeItSettlesWhatItFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10)
		broken := true
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			if broken {
				return errReset, nil
			}
			return nil, nil
		}
		s.start()
		time.Sleep(repeatable + 30*time.Second)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.ecs.set(func() { broken = false })
		s.start()
		time.Sleep(time.Minute)
		if s.settled() {
			t.Error("settled while a listing may still miss tasks")
		}
		s.until("settled and launched", time.Minute, func() bool { return s.ecs.launched() == 10 && s.settled() })
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if n := s.ecs.launched(); n != 10 {
			t.Errorf("%d launched", n)
		}
	})
}

func TestARequestWithoutAnswerIsSettledWhenAllItsTasksAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10)
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) { return nil, errReset }
		s.start()
		s.until("settled", time.Minute, func() bool { return s.ecs.launched() == 10 && s.settled() })
		time.Sleep(settleable)
		_ = s.stop()
		if n := s.ecs.launched(); n != 10 {
			t.Errorf("%d launched", n)
		}
	})
}

func TestPoolsOfHigherPriorityLaunchFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		deals := s.pool
		deals.Name, deals.Family, deals.Priority = "deals", "spate-deals", 100
		s.start(deals)
		time.Sleep(time.Minute) // both pools are observed
		s.want(150)
		s.until("both have theirs", time.Minute, s.launchedIs(300))
		_ = s.stop()
		last := 0
		for n, task := range s.ecs.tasks {
			if task.family == "spate-deals" {
				last = n
			}
		}
		if last >= 160 {
			t.Errorf("the last deal worker was launched after %d others", last)
		}
	})
}

func TestAnOutageIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3)
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) { return errReset, nil }
		s.start()
		time.Sleep(time.Minute)
		if calls := s.ecs.called("RunTask"); calls < 5 || calls > 10 {
			t.Errorf("%d calls in the first minute", calls)
		}
		_ = s.stop()
	})
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Pool){
		"no family":            func(p *Pool) { p.Family = "" },
		"no slots":             func(p *Pool) { p.Slots = 0 },
		"min above max":        func(p *Pool) { p.Min = p.Max + 1 },
		"a provider twice":     func(p *Pool) { p.Capacity = append(p.Capacity, p.Capacity[0]) },
		"too much environment": func(p *Pool) { p.Environment = map[string]string{"X": strings.Repeat("x", maxOverrides)} },
	} {
		s := newStage(t, 0)
		pool := s.pool
		pool.Capacity = append([]Capacity(nil), pool.Capacity...)
		change(&pool)
		term := s.journal.lead()
		if _, err := New(Options{ECS: s.ecs, Journal: term, Term: term, Pools: []Pool{pool}, Demand: func(string) Demand { return Demand{} }}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestTheNextLeaderKnowsTheRateThatWasLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 400)
		s.ecs.rate = Rate{Burst: 100, PerSecond: 5}
		s.start()
		s.until("200 workers", 5*time.Minute, func() bool { return s.ecs.launched() >= 200 })
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		before := s.ecs.called("RunTask")
		s.start()
		s.until("300 workers", 5*time.Minute, func() bool { return s.ecs.launched() >= 300 })
		if calls := s.ecs.called("RunTask") - before; calls > 100+5 { // of one task each at this rate
			t.Errorf("%d calls launched 100 tasks", calls)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPoolOfHigherPriorityDoesNotWaitForRequestsOfALowerOneThatAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 300)
		s.ecs.rate = Rate{Burst: 10, PerSecond: 5} // less than is believed: requests for a hundred wait
		urgent := s.pool
		urgent.Name, urgent.Family, urgent.Priority = "urgent", "spate-urgent", 1
		began := time.Now()
		s.jobsOf = func(pool string) Demand {
			d := Demand{Outstanding: 300, TaskDefinition: "spate-" + pool + ":7", At: time.Now(), Known: true}
			if pool == "urgent" {
				d.Outstanding = 0
				if time.Since(began) >= 10*time.Second {
					d.Outstanding = 40
				}
			}
			return d
		}
		of := func(family string) (n int) {
			s.ecs.set(func() {
				for _, task := range s.ecs.tasks {
					if task.family == family {
						n++
					}
				}
			})
			return n
		}
		s.start(urgent)
		time.Sleep(10 * time.Second)
		before := of("spate-rollup")
		s.until("the urgent workers", time.Minute, func() bool { return of("spate-urgent") == 40 })
		if n := of("spate-rollup") - before; n > 2*maxTasksPerCall { // a call under way, and a tick
			t.Errorf("%d others were launched first", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}
