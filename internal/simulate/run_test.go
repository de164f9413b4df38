package simulate

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/price"
	"spate/sandbox/ecs"
	"spate/scaler"
)

// exact is a scenario on an account whose tasks take a known time to start, and all do.
func exact(workers, jobs int, jobTime time.Duration) Scenario {
	s := NewScenario(workers)
	s.Account.Provisioning, s.Account.Pending = ecs.Spread{}, between(40*time.Second, 40*time.Second)
	s.Account.NeverStart, s.Account.Lag = 0, ecs.Spread{}
	s.Jobs, s.JobTime, s.Latency = jobs, Constant(jobTime), 0
	return s
}

func simulated(t *testing.T, s Scenario) Outcome {
	t.Helper()
	o, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// seconds is what a figure says; a missing one fails the test.
func seconds(t *testing.T, f *float64) float64 {
	t.Helper()
	if f == nil {
		t.Fatal("a figure is missing")
	}
	return *f
}

func TestAFewWorkersAreSimulatedAsOneWouldReckon(t *testing.T) {
	s := exact(10, 30, time.Minute)
	s.Providers, s.IdleTimeout = []string{OnDemand}, 5*time.Minute
	o := simulated(t, s)
	if at := seconds(t, o.SecondsToAccepted); at != 0 {
		t.Errorf("accepted after %v s, want at once", at)
	}
	if at := seconds(t, o.SecondsToRunning); at != 40 {
		t.Errorf("running after %v s, want 40", at)
	}
	if at := seconds(t, o.SecondsToFinished); at != 40+3*60 {
		t.Errorf("finished after %v s, want 220", at)
	}
	// Each is idle for five minutes, give or take a tenth.
	if at := seconds(t, o.SecondsToZero); at < 220+270 || at > 220+331 {
		t.Errorf("the last one left after %v s", at)
	}
	if idle := o.IdleShare * o.BilledSeconds; idle < 10*270 || idle > 10*331 {
		t.Errorf("idle for %v s in all", idle)
	}
	if o.Launched != 10 || o.Overshoot != 0 || o.Useless != 0 || o.ThrottledShare != 0 {
		t.Errorf("%+v", o.Figures)
	}
	perSecond := price.TaskPerHour(1, 2, price.X86, false) / 3600
	if want := perSecond * 10 * 220; math.Abs(float64(o.USDToFinished-want)) > 1e-9 {
		t.Errorf("%v to the end of the work, want %v", o.USDToFinished, want)
	}
	if want := perSecond * price.USD(o.BilledSeconds); math.Abs(float64(o.USD-want)) > 1e-9 {
		t.Errorf("%v in all, want %v", o.USD, want)
	}
}

func TestASimulationRepeatsItself(t *testing.T) {
	s := NewScenario(200)
	s.Account.SpotInterruptions, s.Seed = 2, 7
	s.JobTime, _ = ParseJobTime("lognormal:1m,1")
	first, second := simulated(t, s), simulated(t, s)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	s.Seed = 8
	if other := simulated(t, s); cmp.Equal(first.Figures, other.Figures) {
		t.Error("another seed changed nothing")
	}
}

func TestThreeThousandWorkersAreAcceptedAtTheFloor(t *testing.T) {
	for name, tc := range map[string]struct {
		providers []string
		floor     float64
	}{
		"both":      {[]string{Spot, OnDemand}, 70},
		"On-Demand": {[]string{OnDemand}, 145},
	} {
		s := NewScenario(3000)
		s.Providers, s.Jobs, s.IdleTimeout = tc.providers, 9000, time.Minute
		o := simulated(t, s)
		if floor := seconds(t, o.FloorSeconds); floor != tc.floor {
			t.Errorf("%s: floor %v s, want %v", name, floor, tc.floor)
		}
		if at := seconds(t, o.SecondsToAccepted); at < tc.floor || at > 1.02*tc.floor {
			t.Errorf("%s: accepted after %v s, want %v and at most 2 %% more", name, at, tc.floor)
		}
	}
}

func TestJobsOfInterruptedWorkersAreDoneByOthers(t *testing.T) {
	s := exact(50, 2000, time.Minute)
	s.Providers, s.Account.SpotInterruptions = []string{Spot}, 6
	o := simulated(t, s)
	if o.Interrupted == 0 || o.Launched <= 50 {
		t.Errorf("%d interrupted, %d launched: want some, and others in their place", o.Interrupted, o.Launched)
	}
	if seconds(t, o.SecondsToFinished) < 40+40*60 {
		t.Errorf("finished after %v s, which is less than the work takes", *o.SecondsToFinished)
	}
}

func TestSlotsShareAWorker(t *testing.T) {
	s := exact(10, 80, time.Minute)
	s.Slots = 4
	o := simulated(t, s)
	if o.Launched != 10 || seconds(t, o.SecondsToFinished) != 40+120 {
		t.Errorf("%d launched, finished after %v s: want 10, and 160 s", o.Launched, *o.SecondsToFinished)
	}
}

func TestAQuotaHoldsAndIsNoFloor(t *testing.T) {
	s := exact(100, 400, time.Minute)
	s.Providers, s.Account.OnDemand.VCPUs = []string{OnDemand}, 40
	o := simulated(t, s)
	if o.FloorSeconds != nil || o.SecondsToAccepted != nil {
		t.Errorf("floor %v, accepted %v: want neither, as the quota has room for 40", o.FloorSeconds, o.SecondsToAccepted)
	}
	if o.Launched != 40 || o.SecondsToFinished == nil {
		t.Errorf("%d launched, finished %v", o.Launched, o.SecondsToFinished)
	}
}

func TestABudgetHoldsAndSaysSo(t *testing.T) {
	s := exact(100, 2000, time.Minute)
	s.Providers, s.Limits.PerHour = []string{OnDemand}, 20*price.TaskPerHour(1, 2, price.X86, false)+0.001
	o := simulated(t, s)
	if o.Launched != 20 || o.Held[scaler.LimitBudget] < 90*time.Minute {
		t.Errorf("%d launched, held back %v: want 20 workers' worth for the 100 minutes that the work takes them", o.Launched, o.Held)
	}
}

func TestWorkIsDoneWithinItsTimeByFewerWorkers(t *testing.T) {
	s := exact(1000, 6000, time.Minute)
	s.Within, s.Expected = time.Hour, time.Minute
	o := simulated(t, s)
	if at := seconds(t, o.SecondsToFinished); at > 3600 || o.Launched > 200 {
		t.Errorf("done after %v s by %d workers: want within an hour, and few", at, o.Launched)
	}
}

func TestAPoolTakesOfAProviderWhatItIsBoundTo(t *testing.T) {
	s := exact(100, 300, time.Minute)
	s.Bounds = map[string]scaler.Capacity{Spot: {Max: 30}}
	o := simulated(t, s)
	if o.Launched != 100 || seconds(t, o.FloorSeconds) != 0 {
		t.Errorf("%d launched, floor %v", o.Launched, *o.FloorSeconds)
	}
	s.Providers = []string{Spot}
	if o := simulated(t, s); o.Launched != 30 || o.FloorSeconds != nil {
		t.Errorf("%d launched on Spot alone, floor %v: want 30, and none", o.Launched, o.FloorSeconds)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Scenario){
		"no worker":         func(s *Scenario) { s.Workers = 0 },
		"no job":            func(s *Scenario) { s.Jobs = 0 },
		"an unknown source": func(s *Scenario) { s.Providers = []string{"EC2"} },
		"one source twice":  func(s *Scenario) { s.Providers = []string{Spot, Spot} },
		"no job time":       func(s *Scenario) { s.JobTime = JobTime{} },
		"negative figures":  func(s *Scenario) { s.Account.NeverStart = -1 },
	} {
		s := NewScenario(10)
		spoil(&s)
		if _, err := Run(s); err == nil {
			t.Errorf("%s was simulated", name)
		}
	}
}
