package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/internal/price"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/scaler"
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
	Expected  time.Duration // that jobs are believed to take before the first is done, from earlier runs; 0: that is not known
	VCPU      float64       // of a worker
	MemoryGB  float64
	Arch      price.Arch

	// Bounds are how many workers the pool takes of a provider, where that is not 0 to Workers. Limits bound what it takes of the
	// account, and Within is when its work should be done, as somebody configured; the zero values: not at all. All three bound Spate alone.
	Bounds map[string]scaler.Capacity
	Limits scaler.Account
	Within time.Duration

	IdleTimeout time.Duration // without a job, after which a worker leaves
	StopGrace   time.Duration // that the jobs of an interrupted worker have left
	Latency     time.Duration // of calls of ECS, in the mean
	Subnets     int
	Led         time.Duration // for which the controller has led when the jobs come, and looked around

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
		IdleTimeout: 15 * time.Minute, StopGrace: worker.DefaultStopGrace, Latency: 100 * time.Millisecond, Subnets: 3, Led: 30 * time.Second,
		Seed: 1, Most: 7 * 24 * time.Hour,
	}
}

// Bounds of what can be simulated within seconds and a few hundred megabytes.
const (
	maxWorkers = 100_000
	maxJobs    = 10_000_000
)

// Validate says all that is wrong with the scenario.
func (s Scenario) Validate() error {
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
	need(s.Account.NeverStart >= 0 && s.Account.NeverStart < 1, "%v of the tasks never start: want a share from 0 to less than 1", s.Account.NeverStart)
	need(s.Account.Interfaces >= 1, "%d network interfaces: want at least 1", s.Account.Interfaces)
	need(s.Account.SpotInterruptions >= 0, "%v interruptions an hour: want 0 or more", s.Account.SpotInterruptions)
	need(s.VCPU > 0 && s.MemoryGB > 0, "%v vCPU and %v GB: want more than 0", s.VCPU, s.MemoryGB)
	need(s.IdleTimeout > 0, "an idle timeout of %s: want more than 0", s.IdleTimeout)
	need(s.StopGrace >= 0 && s.Latency >= 0, "stop grace %s and latency %s: want 0 or more", s.StopGrace, s.Latency)
	need(s.Subnets >= 1, "%d subnets: want at least 1", s.Subnets)
	need(s.Limits.PerHour >= 0 && s.Within >= 0, "a budget of %s an hour, work done within %s: want 0 or more", s.Limits.PerHour, s.Within)
	need(s.Led >= 0, "a controller that has led for %s: want 0 or more", s.Led)
	need(s.Most > 0, "at most %s to simulate: want more than 0", s.Most)
	need(len(s.Providers) > 0, "no provider")
	for i, p := range s.Providers {
		need(p == OnDemand || p == Spot, "provider %q: want %s or %s", p, OnDemand, Spot)
		need(!slices.Contains(s.Providers[:i], p), "provider %s is there twice", p)
		need(s.Provider(p).Launches.Burst >= 10, "%v launches at once on %s: want at least 10, as a request is for ten", s.Provider(p).Launches.Burst, p)
	}
	return errors.Join(errs...)
}

// LatencyOf is how long one call takes: from half to one and a half times the mean, so that answers do not come in the order
// of calls.
func (s Scenario) LatencyOf(random *rand.Rand) time.Duration {
	return s.Latency/2 + time.Duration(random.Float64()*float64(s.Latency))
}

// Target is how many workers the jobs are worth.
func (s Scenario) Target() int { return min(s.Workers, (s.Jobs+s.Slots-1)/s.Slots) }

// StartUp is how long a task takes from its launch until it runs, on average.
func (s Scenario) StartUp() time.Duration {
	least, most := s.StartUpRange()
	return (least + most) / 2
}

// StartUpRange is how long that takes at least and at most.
func (s Scenario) StartUpRange() (least, most time.Duration) {
	f := s.Account
	return time.Duration(f.Provisioning.From + f.Pending.From), time.Duration(f.Provisioning.To + f.Pending.To)
}

// between is a spread from one duration to another.
func between(from, to time.Duration) ecs.Spread {
	return ecs.Spread{From: fault.Duration(from), To: fault.Duration(to)}
}

func (s Scenario) provider(name string) ecs.Provider { return *s.Provider(name) }

// capacity is what the pool may take of each provider.
func (s Scenario) capacity() []scaler.Capacity {
	var all []scaler.Capacity
	for _, name := range s.Providers {
		c := scaler.Capacity{Provider: name, Max: s.Workers}
		if b, ok := s.Bounds[name]; ok {
			c.Min, c.Max = min(b.Min, s.Workers), min(b.Max, s.Workers)
		}
		all = append(all, c)
	}
	return all
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
	for _, c := range s.capacity() {
		p := s.provider(c.Provider)
		room := min(float64(c.Max), math.Floor(p.VCPUs/s.VCPU+1e-9))
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

// EachProvider reads a number for all providers, "20", or for some, "FARGATE=20,FARGATE_SPOT=40". Negative ones are refused.
func EachProvider(text string) (map[string]float64, error) {
	numbers := map[string]float64{}
	for part := range strings.SplitSeq(text, ",") {
		names, number := []string{OnDemand, Spot}, part
		if name, value, named := strings.Cut(part, "="); named {
			if name != OnDemand && name != Spot {
				return nil, fmt.Errorf("%q is no provider: want %s or %s", name, OnDemand, Spot)
			}
			names, number = []string{name}, value
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) {
			return nil, fmt.Errorf("%q is no number of 0 or more", number)
		}
		for _, name := range names {
			if _, twice := numbers[name]; twice {
				return nil, fmt.Errorf("%q says twice what counts for %s", text, name)
			}
			numbers[name] = n
		}
	}
	return numbers, nil
}

// Provider is the account's figures of a provider, to be changed.
func (s *Scenario) Provider(name string) *ecs.Provider {
	if name == Spot {
		return &s.Account.Spot
	}
	return &s.Account.OnDemand
}

// SetStartUp says how long tasks take from their launch until they run, evenly from one duration to another: a third of it
// provisioning, which costs nothing, and the rest pulling the image.
func (s *Scenario) SetStartUp(from, to time.Duration) {
	s.Account.Provisioning, s.Account.Pending = between(from/3, to/3), between(from-from/3, to-to/3)
}
