package scaler

import (
	"maps"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"spate/internal/price"
)

var bothProviders = []string{providerOnDemand, providerSpot}

// drawPlan draws a policy of up to four pools and an observation of them.
func drawPlan(t *rapid.T) (Observation, Policy) {
	o := Observation{Pools: map[string]PoolObservation{}, Tokens: drawCounts(t, "tokens", 40), Rates: map[string]float64{}}
	for _, provider := range bothProviders {
		o.Rates[provider] = float64(rapid.IntRange(0, 30).Draw(t, "rate"))
	}
	p := Policy{Account: Account{VCPUs: map[string]float64{}}}
	for _, provider := range bothProviders {
		if seldom(t, "quota of "+provider, 3) {
			p.Account.VCPUs[provider] = rapid.SampledFrom([]float64{10, 30, 60, 120}).Draw(t, "vcpus")
		}
	}
	if seldom(t, "interfaces", 3) {
		p.Account.NetworkInterfaces = rapid.IntRange(10, 200).Draw(t, "interfaces")
	}
	if seldom(t, "budget", 3) {
		p.Account.PerHour = price.USD(rapid.IntRange(1, 8).Draw(t, "usd"))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "pools") {
		pool := drawPool(t, string(rune('a'+i)))
		p.Pools = append(p.Pools, pool)
		o.Pools[pool.Name] = drawObservation(t)
	}
	return o, p
}

// drawCounts draws a number up to most, mostly a small one, for each provider.
func drawCounts(t *rapid.T, name string, most int) map[string]int {
	m := map[string]int{}
	for _, provider := range bothProviders {
		m[provider] = rapid.OneOf(rapid.IntRange(0, most), rapid.IntRange(0, min(3, most)), rapid.Just(0)).Draw(t, name)
	}
	return m
}

// seldom is true once in so many times.
func seldom(t *rapid.T, name string, times int) bool {
	return rapid.IntRange(1, times).Draw(t, name) == times
}

func drawPool(t *rapid.T, name string) PoolPolicy {
	lowest := rapid.IntRange(0, 5).Draw(t, "min")
	pool := PoolPolicy{
		Name: name, Min: lowest, Max: lowest + rapid.IntRange(1, 60).Draw(t, "max"), Slots: rapid.IntRange(1, 4).Draw(t, "slots"),
		Priority: rapid.IntRange(0, 2).Draw(t, "priority"), StaleAfter: time.Minute,
		Within: rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(t, "within"),
	}
	for _, provider := range rapid.Permutation(bothProviders).Draw(t, "providers")[:rapid.IntRange(1, 2).Draw(t, "number of providers")] {
		c := Capacity{Provider: provider, Max: rapid.IntRange(1, 60).Draw(t, "capacity")}
		c.Min = rapid.IntRange(0, min(c.Max, 10)).Draw(t, "floor")
		pool.Capacity = append(pool.Capacity, c)
	}
	return pool
}

func drawObservation(t *rapid.T) PoolObservation {
	at := func(name string) time.Time {
		if seldom(t, name, 16) {
			return planNow.Add(-time.Minute - 1)
		}
		return planNow.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, name))
	}
	known := func(name string) bool { return !seldom(t, name, 16) }
	seen := PoolObservation{
		Demand: Demand{
			Outstanding: rapid.IntRange(0, 200).Draw(t, "jobs"), TaskDefinition: "f:1",
			JobDuration: rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second, time.Hour}).Draw(t, "takes"),
			Worker: rapid.SampledFrom([]WorkerSize{
				{VCPU: 1, MemoryGB: 2}, {VCPU: 1, MemoryGB: 2}, {VCPU: 0.25, MemoryGB: 0.5}, {VCPU: 4, MemoryGB: 8, Arch: price.ARM},
			}).Draw(t, "size"),
			At: at("demand at"), Known: known("demand known"),
		},
		Workers:   Workers{ByProvider: drawCounts(t, "have", 20), At: at("workers at"), Known: known("workers known")},
		Unsettled: drawCounts(t, "unsettled", 5),
		Asked:     Asked{At: at("asked at"), Known: known("asked known")},
	}
	if seldom(t, "no definition", 16) {
		seen.Demand.TaskDefinition = ""
	}
	if seldom(t, "no size", 16) {
		seen.Demand.Worker = WorkerSize{}
	}
	for range rapid.IntRange(0, 3).Draw(t, "runs") {
		seen.Demand.Runs = append(seen.Demand.Runs, RunWork{
			Submitted: planNow.Add(-rapid.SampledFrom([]time.Duration{0, 0, 30 * time.Minute, 50 * time.Minute, time.Hour}).Draw(t, "submitted")),
			Jobs:      rapid.IntRange(0, 400).Draw(t, "jobs of the run"),
			JobDuration: rapid.SampledFrom([]time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 0}).
				Draw(t, "a job of the run"),
		})
	}
	seen.Workers.Running = rapid.IntRange(0, sum(seen.Workers.ByProvider)).Draw(t, "running")
	seen.Workers.Pending = sum(seen.Workers.ByProvider) - seen.Workers.Running
	seen.Workers.PendingFor = time.Duration(seen.Workers.Pending*rapid.IntRange(0, 45).Draw(t, "pending for")) * time.Second
	seen.Workers.ByDefinition = drawDefinitions(t, sum(seen.Workers.ByProvider))
	seen.UnsettledByDefinition = drawDefinitions(t, sum(seen.Unsettled))
	for _, provider := range append(bothProviders, "") {
		if seldom(t, "hold", 10) {
			until := planNow.Add(rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "until"))
			seen.Holds = append(seen.Holds, Hold{
				Provider: provider, Until: until, Limit: LimitCapacity, Reason: "no room", Trial: rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "trial"),
			})
		}
	}
	seen.Asked.Mode = rapid.SampledFrom([]Mode{"", ModeRun}).Draw(t, "mode")
	seen.Asked.Set = Mark{By: "anna@host", At: planNow}
	if seldom(t, "paused", 16) {
		seen.Asked.Mode = ModePaused
	}
	if seldom(t, "capped", 6) {
		most := rapid.IntRange(0, 40).Draw(t, "cap")
		seen.Asked.Cap, seen.Asked.CapSet = &most, seen.Asked.Set
	}
	return seen
}

// drawDefinitions divides tasks between another task definition than the demand's ("f:1") and three names for that.
func drawDefinitions(t *rapid.T, tasks int) map[string]int {
	m := map[string]int{}
	for _, name := range []string{"arn:task-definition/f:2", "arn:task-definition/f:1", "f:1"} {
		m[name] = rapid.IntRange(0, tasks).Draw(t, name)
		tasks -= m[name]
	}
	m[""] = tasks
	return m
}

// slow is the slow way to plan: it gives every missing worker, one after the other, to the first provider that may have
// it, and adds everything up again each time.
type slow struct {
	o Observation
	p Policy
	// placed counts workers by pool and provider: launched now, and others that something is kept for.
	launched, kept map[string]map[string]int
	// spared is what is kept for workers of whom it is not known which provider they will come from.
	sparedVCPUs      map[string]float64
	sparedInterfaces int
	sparedUSD        float64
}

func planOneByOne(o Observation, p Policy) map[string]map[string]int {
	s := &slow{o: o, p: p, launched: map[string]map[string]int{}, kept: map[string]map[string]int{}, sparedVCPUs: map[string]float64{}}
	for _, pool := range p.Pools {
		s.launched[pool.Name], s.kept[pool.Name] = map[string]int{}, map[string]int{}
	}
	for priority := 2; priority >= 0; priority-- {
		for _, pool := range p.Pools {
			if pool.Priority == priority {
				s.pool(pool)
			}
		}
	}
	return s.launched
}

func (s *slow) pool(p PoolPolicy) {
	seen := s.o.Pools[p.Name]
	fresh := func(at time.Time) bool { return !at.Add(p.StaleAfter).Before(planNow) }
	if !seen.Demand.Known || !seen.Workers.Known || !seen.Asked.Known || !fresh(seen.Demand.At) || !fresh(seen.Workers.At) || !fresh(seen.Asked.At) ||
		seen.Demand.TaskDefinition == "" || seen.Asked.Mode == ModePaused {
		return
	}
	have := seen.Workers.Running + seen.Workers.Pending + seen.Unsettled["FARGATE"] + seen.Unsettled["FARGATE_SPOT"]
	other := seen.Workers.ByDefinition["arn:task-definition/f:2"] + seen.UnsettledByDefinition["arn:task-definition/f:2"]
	top := p.Max
	if seen.Asked.Cap != nil {
		top = min(top, *seen.Asked.Cap)
	}
	target, patient := s.target(p, have-other, top)
	trials, held := longestHold(seen.Holds, "")
	missing, staying := 0, 0
	for have+staying < top && have+staying-other < target {
		if held && trials == 0 {
			break
		}
		trials--
		switch where, now := s.place(p, patient); {
		case where == "":
			missing = min(top-have-staying, target+other-have-staying)
			if held {
				missing = min(missing, trials+1)
			}
		case now:
			s.launched[p.Name][where]++
			have++
			continue
		default:
			s.kept[p.Name][where]++
			staying++
			continue
		}
		break
	}
	if !patient {
		s.spare(p, missing)
	}
}

// target is how many workers the pool should have, counted up one by one, and whether it has the time to wait for the
// provider that it prefers.
func (s *slow) target(p PoolPolicy, have, top int) (target int, patient bool) {
	seen := s.o.Pools[p.Name]
	lowest, jobs := min(p.Min, top), seen.Demand.Outstanding
	enough := func(n int) bool { return n*p.Slots >= jobs }
	inTime := true
	if p.Within > 0 {
		late, known := 0, len(seen.Demand.Runs) > 0
		var due []RunWork
		for _, r := range seen.Demand.Runs {
			known = known && (r.JobDuration > 0 || r.Jobs == 0)
			if timeFor(p, r) <= 0 {
				for n := 0; n < r.Jobs; n += p.Slots {
					late++
				}
				inTime = inTime && r.Jobs == 0
			} else {
				due = append(due, r)
			}
		}
		slices.SortFunc(due, func(a, b RunWork) int { return a.Submitted.Compare(b.Submitted) })
		meets := func(n int) bool {
			work := 0.0
			for _, r := range due {
				work += float64(r.Jobs) * r.JobDuration.Seconds()
				if r.Jobs > 0 && work > float64(n*p.Slots)*timeFor(p, r)+1e-6 {
					return false
				}
			}
			return true
		}
		patient = known && inTime
		if known {
			need := 0
			for !meets(need) {
				need++
			}
			if inTime && have < need && float64(need-have) <= 0.05*float64(need) {
				need = have
			}
			all := enough
			enough = func(n int) bool { return n >= need+late || all(n) }
		}
	}
	for target < top && (target < lowest || !enough(target)) {
		target++
	}
	if d := seen.Demand.JobDuration.Seconds(); d > 0 {
		old := min(seen.Workers.ByDefinition["arn:task-definition/f:2"]+seen.UnsettledByDefinition["arn:task-definition/f:2"], seen.Workers.Running)
		done := (float64(seen.Workers.Running-old)*45 + seen.Workers.PendingFor.Seconds()) / d * float64(p.Slots)
		for target > lowest && float64((target-1)*p.Slots) >= float64(jobs)-done { // the last one finds nothing
			target--
		}
	}
	return target, patient
}

// timeFor is how many seconds the workers may take for a run.
func timeFor(p PoolPolicy, r RunWork) float64 {
	left := r.Submitted.Add(p.Within).Sub(planNow)
	return 0.9*left.Seconds() - 45 - r.JobDuration.Seconds()
}

// place finds the provider of the next worker, and says whether it may be launched now or stays with that provider.
func (s *slow) place(p PoolPolicy, patient bool) (provider string, now bool) {
	for _, c := range p.Capacity {
		if s.count(p.Name, c.Provider) < c.Min && s.fits(p, c) {
			return c.Provider, s.tokens(c.Provider) > 0
		}
	}
	for _, c := range p.Capacity {
		if s.fits(p, c) && (patient || s.tokens(c.Provider) > 0) {
			return c.Provider, s.tokens(c.Provider) > 0
		}
	}
	return "", false
}

func (s *slow) count(pool, provider string) int {
	seen := s.o.Pools[pool]
	return seen.Workers.ByProvider[provider] + seen.Unsettled[provider] + s.launched[pool][provider] + s.kept[pool][provider]
}

func (s *slow) tokens(provider string) int {
	n := s.o.Tokens[provider]
	for _, launched := range s.launched {
		n -= launched[provider]
	}
	return n
}

// fits reports whether the provider may have one more worker of the pool, were it not for the launch rate.
func (s *slow) fits(p PoolPolicy, c Capacity) bool {
	seen := s.o.Pools[p.Name]
	if trials, held := longestHold(seen.Holds, c.Provider); held && s.launched[p.Name][c.Provider]+s.kept[p.Name][c.Provider] >= trials {
		return false
	}
	if s.count(p.Name, c.Provider) >= c.Max {
		return false
	}
	worker := seen.Demand.Worker
	if quota, bounded := s.p.Account.VCPUs[c.Provider]; bounded {
		used, known := s.vcpus(c.Provider)
		if !known || worker.VCPU == 0 || used+worker.VCPU > quota+1e-6 {
			return false
		}
	}
	if most := s.p.Account.NetworkInterfaces; most > 0 && s.interfaces() >= most {
		return false
	}
	if most := float64(s.p.Account.PerHour); most > 0 {
		spent, known := s.usd()
		if !known || worker.VCPU == 0 || spent+usdOf(worker, c.Provider) > most+1e-6 {
			return false
		}
	}
	return true
}

// most is how many workers of a provider a pool may have: as many as are counted, or while none are, its bounds.
func (s *slow) most(p PoolPolicy, provider string) int {
	n := s.count(p.Name, provider)
	for _, c := range p.Capacity {
		if c.Provider == provider && !s.o.Pools[p.Name].Workers.Known {
			n = max(n, min(c.Max, p.Max))
		}
	}
	return n
}

func (s *slow) vcpus(provider string) (used float64, known bool) {
	used, known = s.sparedVCPUs[provider], true
	for _, p := range s.p.Pools {
		n, each := s.most(p, provider), s.o.Pools[p.Name].Demand.Worker.VCPU
		used += float64(n) * each
		known = known && (n == 0 || each > 0)
	}
	return used, known
}

func (s *slow) interfaces() int {
	used := s.sparedInterfaces
	for _, p := range s.p.Pools {
		n := s.count(p.Name, "FARGATE") + s.count(p.Name, "FARGATE_SPOT")
		if !s.o.Pools[p.Name].Workers.Known {
			n = max(n, p.Max)
		}
		used += n
	}
	return used
}

func (s *slow) usd() (spent float64, known bool) {
	spent, known = s.sparedUSD, true
	for _, p := range s.p.Pools {
		worker := s.o.Pools[p.Name].Demand.Worker
		n, dearest := 0, 0.0
		for _, provider := range bothProviders {
			of := s.most(p, provider)
			n += of
			if s.o.Pools[p.Name].Workers.Known {
				spent += float64(of) * usdOf(worker, provider)
			} else if of > 0 {
				dearest = max(dearest, usdOf(worker, provider))
			}
		}
		if !s.o.Pools[p.Name].Workers.Known {
			n = max(p.Max, s.count(p.Name, "FARGATE")+s.count(p.Name, "FARGATE_SPOT"))
			spent += float64(n) * dearest
		}
		known = known && (n == 0 || worker.VCPU > 0)
	}
	return spent, known
}

func usdOf(worker WorkerSize, provider string) float64 {
	return float64(price.TaskPerHour(worker.VCPU, worker.MemoryGB, worker.Arch, provider == "FARGATE_SPOT"))
}

// spare keeps what so many workers of the pool could take that the launch rates of all providers hold back.
func (s *slow) spare(p PoolPolicy, missing int) {
	worker := s.o.Pools[p.Name].Demand.Worker
	before := maps.Clone(s.kept[p.Name])
	vcpus, dearest := map[string]float64{}, 0.0
	for _, c := range p.Capacity { // as if all came from one provider
		for n := 0; n < missing && s.fits(p, c); n++ {
			s.kept[p.Name][c.Provider]++
			vcpus[c.Provider] += worker.VCPU
			dearest = max(dearest, usdOf(worker, c.Provider))
		}
		s.kept[p.Name] = maps.Clone(before)
	}
	together := 0
	for _, provider := range []string{"FARGATE_SPOT", "FARGATE"} { // the cheapest first
		for _, c := range p.Capacity {
			for c.Provider == provider && together < missing && s.fits(p, c) {
				s.kept[p.Name][provider]++
				together++
			}
		}
	}
	s.kept[p.Name] = before
	left := math.Inf(1)
	if s.p.Account.PerHour > 0 {
		spent, _ := s.usd()
		left = max(0, float64(s.p.Account.PerHour)-spent)
	}
	for provider, n := range vcpus {
		s.sparedVCPUs[provider] += n
	}
	s.sparedInterfaces += together
	s.sparedUSD += min(left, float64(together)*dearest)
}

func longestHold(holds []Hold, provider string) (trials int, held bool) {
	var until time.Time
	for _, h := range holds {
		if h.Provider == provider && h.Until.After(planNow) && h.Until.After(until) {
			until, trials, held = h.Until, h.Trial, true
		}
	}
	return trials, held
}
