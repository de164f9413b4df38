package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"spate/internal/price"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/worker"
)

// The capacity providers of Fargate.
const (
	OnDemand = "FARGATE"
	Spot     = "FARGATE_SPOT"
)

// Scenario is what is to be simulated: so many jobs that are all there at once, for one pool that may have so many workers,
// on one account.
type Scenario struct {
	Account   ecs.Figures
	Providers []string // of the pool, in order of preference
	Workers   int      // the pool's maximum
	Slots     int      // jobs at a time in one worker
	Jobs      int
	JobTime   JobTime
	VCPU      float64 // of a worker
	MemoryGB  float64
	Arch      price.Arch

	IdleTimeout time.Duration // without a job, after which a worker leaves
	StopGrace   time.Duration // that the jobs of an interrupted worker have left
	Latency     time.Duration // of each call of ECS
	Subnets     int

	Seed uint64
	Most time.Duration // to simulate; what takes longer is an error
}

// jobsPerSlot is how many jobs each slot is given where nobody says how many there are.
const jobsPerSlot = 20

// NewScenario is a night's rollup at so many workers: twenty jobs of a minute for each, on Spot first and On-Demand beside it,
// with tasks of 1 vCPU and 2 GB, in an account with the documented limits whose vCPU quota does not bind.
func NewScenario(workers int) Scenario {
	return Scenario{
		Account: ecs.Fargate(), Providers: []string{Spot, OnDemand}, Workers: workers, Slots: 1, Jobs: workers * jobsPerSlot,
		JobTime: Constant(time.Minute), VCPU: 1, MemoryGB: 2, Arch: price.X86,
		IdleTimeout: 15 * time.Minute, StopGrace: worker.DefaultStopGrace, Latency: 100 * time.Millisecond, Subnets: 3,
		Seed: 1, Most: 7 * 24 * time.Hour,
	}
}

// Bounds of what can be simulated within seconds and a few hundred megabytes.
const (
	maxWorkers = 100_000
	maxJobs    = 10_000_000
)

func (s Scenario) validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(s.Workers >= 1 && s.Workers <= maxWorkers, "%d workers: want 1 to %d", s.Workers, maxWorkers)
	need(s.Jobs >= 1 && s.Jobs <= maxJobs, "%d jobs: want 1 to %d", s.Jobs, maxJobs)
	need(s.Slots >= 1, "%d slots: want at least 1", s.Slots)
	need(s.JobTime.Mean() > 0, "a job time of %s: want more than 0", s.JobTime.Mean())
	need(s.VCPU > 0 && s.MemoryGB > 0, "%v vCPU and %v GB: want more than 0", s.VCPU, s.MemoryGB)
	need(s.IdleTimeout > 0, "an idle timeout of %s: want more than 0", s.IdleTimeout)
	need(s.StopGrace >= 0 && s.Latency >= 0, "stop grace %s and latency %s: want 0 or more", s.StopGrace, s.Latency)
	need(s.Subnets >= 1, "%d subnets: want at least 1", s.Subnets)
	need(s.Most > 0, "at most %s to simulate: want more than 0", s.Most)
	need(len(s.Providers) > 0, "no provider")
	for i, p := range s.Providers {
		need(p == OnDemand || p == Spot, "provider %q: want %s or %s", p, OnDemand, Spot)
		need(!slices.Contains(s.Providers[:i], p), "provider %s is there twice", p)
	}
	return errors.Join(errs...)
}

// Target is how many workers the jobs are worth.
func (s Scenario) Target() int { return min(s.Workers, (s.Jobs+s.Slots-1)/s.Slots) }

// StartUp is how long a task takes from its launch until it runs, on average.
func (s Scenario) StartUp() time.Duration {
	f := s.Account
	return time.Duration(f.Provisioning.From+f.Provisioning.To+f.Pending.From+f.Pending.To) / 2
}

// between is a spread from one duration to another.
func between(from, to time.Duration) ecs.Spread {
	return ecs.Spread{From: fault.Duration(from), To: fault.Duration(to)}
}

func (s Scenario) provider(name string) ecs.Provider {
	if name == Spot {
		return s.Account.Spot
	}
	return s.Account.OnDemand
}

// taskPerHour is the list price of one worker.
func (s Scenario) taskPerHour(provider string) price.USD {
	return price.TaskPerHour(s.VCPU, s.MemoryGB, s.Arch, provider == Spot)
}

func (s Scenario) subnets() []string {
	names := make([]string, s.Subnets)
	for i := range names {
		names[i] = fmt.Sprintf("subnet-%c", 'a'+i%26)
	}
	return names
}

// tasksPerCall is RunTask's limit (Amazon ECS service quotas).
const tasksPerCall = 10

// Floor is the earliest at which the target can have been accepted, by the account's figures alone: the launch buckets of
// the providers, each up to its vCPU quota, and the rate of RunTask calls of ten tasks. False: it never can.
func (s Scenario) Floor() (time.Duration, bool) {
	target := float64(s.Target())
	type source struct{ burst, rate, most float64 }
	var sources []source
	most := 0.0
	for _, name := range s.Providers {
		p := s.provider(name)
		room := math.Floor(p.VCPUs/s.VCPU + 1e-9)
		sources = append(sources, source{p.Launches.Burst, p.Launches.PerSecond, room})
		most += room
	}
	if addresses := s.addresses(); min(most, float64(s.Account.Interfaces), addresses) < target {
		return 0, false
	}
	acceptedBy := func(t float64) float64 {
		sum := 0.0
		for _, x := range sources {
			sum += min(x.most, x.burst+x.rate*t)
		}
		calls := min(s.Account.RunTaskCalls.Burst+s.Account.RunTaskCalls.PerSecond*t, s.Account.ChangeCalls.Burst+s.Account.ChangeCalls.PerSecond*t)
		return min(sum, calls*tasksPerCall)
	}
	low, high := 0.0, s.Most.Seconds()
	if acceptedBy(high) < target {
		return 0, false
	}
	for range 60 { // halves a week to less than a nanosecond
		if middle := (low + high) / 2; acceptedBy(middle) >= target {
			high = middle
		} else {
			low = middle
		}
	}
	return time.Duration(high * float64(time.Second)).Round(time.Millisecond), true
}

// addresses is how many tasks the subnets have room for.
func (s Scenario) addresses() float64 {
	sum := 0
	for _, name := range s.subnets() {
		own, named := s.Account.SubnetAddresses[name]
		if !named {
			own = s.Account.Addresses
		}
		sum += own
	}
	return float64(sum)
}

// vcpus is what the workers take at most, all on one provider.
func (s Scenario) vcpus() float64 { return float64(s.Workers) * s.VCPU }

// Unbound raises the quotas of vCPUs to what the workers could take, where they are lower.
func (s *Scenario) Unbound() {
	for _, p := range []*ecs.Provider{&s.Account.OnDemand, &s.Account.Spot} {
		p.VCPUs = cmp.Or(max(p.VCPUs, s.vcpus()), 1)
	}
}
