package scaler

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// run has tasks run that nobody here has launched.
func (f *fakeECS) preload(pool Pool, n int) {
	for range n {
		f.tasks = append(f.tasks, &fakeTask{
			arn: fmt.Sprintf("arn:task/%05d", len(f.tasks)), provider: "FARGATE", cluster: pool.Cluster, family: pool.Family, revision: "7",
			created: time.Now().Add(-time.Hour),
		})
	}
}

func TestWhatCannotBeObservedHoldsThePoolUntilItCanBe(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(f *fakeECS, fails bool)
	}{
		"listings":     {func(f *fakeECS, fails bool) { f.down = fails }},
		"descriptions": {func(f *fakeECS, fails bool) { f.dumb = fails }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 10)
				s.ecs.start = time.Hour // so that descriptions are always wanted
				s.start()
				s.until("10 workers", time.Minute, s.launchedIs(10))
				s.until("all settled", 2*time.Minute, s.settled)

				s.ecs.set(func() { c.fail(s.ecs, true) })
				time.Sleep(30 * time.Second)
				s.want(20)
				s.until("10 more, as what is known is young enough", 10*time.Second, s.launchedIs(20))
				s.until("a hold", 2*time.Minute, func() bool { return s.journal.status("rollup").Limit == LimitObservation })
				s.want(500)
				time.Sleep(30 * time.Minute)
				if n := s.ecs.launched(); n != 20 {
					t.Errorf("%d workers launched blindly", n-20)
				}
				if reason := s.journal.status("rollup").Reason; !strings.Contains(reason, "more than 1m") {
					t.Errorf("the decision says %q", reason)
				}

				s.ecs.set(func() { c.fail(s.ecs, false) })
				s.until("the rest", 2*time.Minute, s.launchedIs(500))
				if err := s.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Everything is known of ten thousand workers when they are listed. What each is doing comes later.
func TestANewControllerKnowsTenThousandWorkersAsSoonAsTheyAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10_050)
		s.pool.Max, s.pool.Capacity = 20_000, []Capacity{{Provider: "FARGATE", Max: 20_000}}
		s.ecs.preload(s.pool, 10_000)
		began := time.Now()
		s.start()
		// 100 pages of 100 tasks, of which the first 50 come at once and then 10 a second.
		known := s.until("the workers known", time.Minute, func() bool { return s.journal.status("rollup").Running == 10_000 })
		if s.ecs.called("DescribeTasks") > 10 || s.ecs.launched() > 10_050 {
			t.Errorf("%d descriptions before, %d tasks", s.ecs.called("DescribeTasks"), s.ecs.launched())
		}
		launched := s.until("50 more", time.Minute, s.launchedIs(10_050))
		s.until("all described", time.Minute, func() bool {
			parts := s.journal.status("rollup").Parts
			return parts.Tasks.After(parts.Listing) && s.ecs.called("DescribeTasks") >= 100
		})
		t.Logf("known after %s, 50 more launched %s later, all described after %s", known, launched, time.Since(began))
		if known > 10*time.Second || launched > 3*time.Second || time.Since(began) > 30*time.Second {
			t.Errorf("known after %s, launched %s later, described after %s", known, launched, time.Since(began))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.ecs.launched(); n != 10_050 {
			t.Errorf("%d tasks", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// The worst for looking: thousands of tasks that do not run yet, all of which are described again and again. 180 calls for each
// round of three pools, at 10 a second.
func TestPoolsOfThousandsDoNotMakeOneAnotherStale(t *testing.T) {
	workers, minutes := 3000, 5
	if raceEnabled || testing.Short() {
		workers, minutes = 1000, 2
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, workers)
		s.ecs.start = time.Hour
		pools := []Pool{s.pool}
		for _, name := range []string{"deals", "whatif"} {
			p := s.pool
			p.Name, p.Family = name, "spate-"+name
			pools = append(pools, p)
		}
		for _, p := range pools {
			s.ecs.preload(p, workers)
		}
		s.start(pools[1:]...)
		var oldest time.Duration
		held := 0
		for i := range minutes * 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			for _, p := range pools {
				status := s.journal.status(p.Name)
				if i < 60 {
					continue // until everything was described once
				}
				oldest = max(oldest, status.At.Sub(status.Parts.Listing), status.At.Sub(status.Parts.Tasks))
				if status.Limit == LimitObservation {
					held++
				}
			}
		}
		calls := float64(s.ecs.called("ListTasks")+s.ecs.called("DescribeTasks")) / float64(minutes*60)
		t.Logf("the oldest part was %s old; %.1f calls a second", oldest, calls)
		if held > 0 || oldest > 45*time.Second || calls > 10.5 {
			t.Errorf("held %d times; the oldest part was %s old; %.1f calls a second", held, oldest, calls)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestADriftFromTheClustersCountIsToldAfterThreeLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 20)
		s.start()
		s.until("20 workers", time.Minute, s.launchedIs(20))
		s.until("all running", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 20 })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if says := s.journal.status("rollup").Drift; says != "" {
			t.Errorf("nothing is wrong, and it says %q", says)
		}
		s.ecs.set(func() { s.ecs.preload(Pool{Cluster: "hpc", Family: "billing"}, 7) })
		took := s.until("other people's tasks told of", 10*time.Minute, func() bool {
			return strings.Contains(s.journal.status("rollup").Drift, "ECS counts 27 Fargate tasks in cluster hpc, 7 more than Spate's pools have: they are other people's")
		})
		if took < 2*time.Minute {
			t.Errorf("told after %s: one count proves nothing", took)
		}
		if n := s.ecs.called("DescribeClusters"); n > 20 {
			t.Errorf("%d counts in %d minutes", n, 15)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A fleet of any size is listed every 15 seconds. What a small one's tasks do is known as soon as if it were listed each time.
func TestStartsOfASmallFleetAreKnownWithinSecondsThoughItIsListedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 40)
		s.start()
		began := time.Now()
		s.until("40 workers", time.Minute, s.launchedIs(40))
		took := s.until("all running", time.Minute, func() bool { return s.journal.status("rollup").Running == 40 })
		if took > s.ecs.start+4*time.Second {
			t.Errorf("known after %s, started after %s", took, s.ecs.start)
		}
		time.Sleep(10*time.Minute - time.Since(began))
		synctest.Wait()
		if n := s.ecs.called("ListTasks"); n < 38 || n > 41 {
			t.Errorf("%d listings in ten minutes", n)
		}
		// While none is proven they are described every 2 s: for a minute and a half. Then all is known.
		if n := s.ecs.called("DescribeTasks"); n > 60 {
			t.Errorf("%d descriptions in ten minutes", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoppedTasksOfASmallFleetAreKnownToBeGoneWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLeverStage(t, 30)
		s.start()
		s.until("all proven", 5*time.Minute, func() bool { return s.journal.status("rollup").Running == 30 && s.settled() })
		time.Sleep(2 * time.Minute)
		s.levers.pull(Pull{Lever: LeverKill})
		s.until("all stopped", time.Minute, func() bool { return s.ecs.alive() == 0 })
		if took := s.until("known", time.Minute, func() bool { return s.journal.status("rollup").Stopped == 30 }); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		s.end()
	})
}

// Pools that are watched take half of what looking may cost, so that listings of others are not late.
func TestWatchingManyPoolsLeavesTheirListingsOnTime(t *testing.T) {
	const pools, minutes = 60, 5
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2)
		s.ecs.start = time.Hour
		var more []Pool
		for n := range pools - 1 {
			p := s.pool
			p.Name, p.Family = fmt.Sprintf("pool-%d", n), fmt.Sprintf("spate-pool-%d", n)
			more = append(more, p)
		}
		s.start(more...)
		s.until("all launched", time.Minute, s.launchedIs(2*pools))
		lists := s.ecs.called("ListTasks")
		var oldest time.Duration
		for range minutes * 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			for _, p := range more {
				status := s.journal.status(p.Name)
				oldest = max(oldest, status.At.Sub(status.Parts.Listing))
			}
		}
		calls := float64(s.ecs.called("ListTasks")+s.ecs.called("DescribeTasks")) / (minutes * 60)
		t.Logf("the oldest listing was %s old; %.1f calls a second", oldest, calls)
		if lists = s.ecs.called("ListTasks") - lists; lists < pools*4*minutes*9/10 {
			t.Errorf("%d listings of %d pools in %d minutes", lists, pools, minutes)
		}
		if oldest > 20*time.Second || calls > 10.5 {
			t.Errorf("the oldest listing was %s old; %.1f calls a second", oldest, calls)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}
