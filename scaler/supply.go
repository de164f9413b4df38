package scaler

import (
	"math"

	"spate/internal/price"
)

// supply is what the pools share, less what they have taken of it. What is not bounded is infinite.
type supply struct {
	lanes      map[string]*lane // by provider
	interfaces int
	money      float64 // USD an hour
	unpriced   bool    // what some pool's workers cost is not known
	policy     Account
	words      prose // of the last sentence: the next one takes their room
}

// lane is what one provider has left.
type lane struct {
	tokens  int     // tasks that may be launched now
	rate    float64 // that come back a second; 0: not known
	busy    float64 // seconds for which the rate is used up by pools that were first
	vcpus   float64
	unsized bool // how many vCPUs some pool's workers take is not known
}

// newSupply takes out of the account what all pools have already.
func newSupply(o Observation, p Policy) *supply {
	s := &supply{lanes: make(map[string]*lane, 2), interfaces: math.MaxInt, money: math.Inf(1), policy: p.Account}
	if n := p.Account.NetworkInterfaces; n > 0 {
		s.interfaces = n
	}
	if usd := p.Account.PerHour; usd > 0 {
		s.money = float64(usd)
	}
	for _, pool := range p.Pools {
		for _, c := range pool.Capacity {
			s.lane(o, c.Provider)
		}
		s.count(o, pool)
	}
	return s
}

// lane makes the provider's lane when it is first asked for.
func (s *supply) lane(o Observation, provider string) *lane {
	l := s.lanes[provider]
	if l == nil {
		l = &lane{tokens: max(0, o.Tokens[provider]), rate: o.Rates[provider], vcpus: math.Inf(1)}
		if quota := s.policy.VCPUs[provider]; quota > 0 {
			l.vcpus = quota
		}
		s.lanes[provider] = l
	}
	return l
}

// count takes out what a pool has. A count that is old is at most too high, as what is launched is counted at once; while
// there is none at all, the pool may have as many as its maximum.
func (s *supply) count(o Observation, p PoolPolicy) {
	seen := o.Pools[p.Name]
	worker := seen.Demand.Worker
	all := seen.Workers.Running + seen.Workers.Pending + seen.Workers.Stopping + sum(seen.Unsettled)
	elsewhere := all // of no provider that is known; they count as On-Demand
	perHour, dearest := 0.0, 0.0
	for _, provider := range [...]string{providerSpot, providerOnDemand} {
		n := seen.used(provider) + seen.Workers.StoppingBy[provider]
		elsewhere -= n
		if provider == providerOnDemand {
			n += max(0, elsewhere)
		}
		for _, c := range p.Capacity {
			if c.Provider == provider && !seen.Workers.Known {
				n = max(n, min(c.Max, p.Max))
			}
		}
		if n == 0 {
			continue
		}
		l := s.lane(o, provider)
		l.vcpus -= float64(n) * worker.VCPU
		l.unsized = l.unsized || worker.VCPU <= 0
		perHour += float64(n) * worker.perHour(provider)
		dearest = max(dearest, worker.perHour(provider))
	}
	if !seen.Workers.Known {
		all = max(all, p.Max)
		perHour = float64(all) * dearest
	}
	s.unpriced = s.unpriced || all > 0 && !worker.isKnown()
	s.spend(all, perHour)
}

// room is how many more workers of a size a provider may have, whatever the launch rate, and what ends it there.
func (s *supply) room(x *share, worker WorkerSize) (int, held) {
	room, by := math.MaxInt, held{}
	bound := func(n int, limit Limit, unknown bool) {
		if unknown {
			n = 0
		}
		if n = max(0, n); n < room {
			room, by = n, held{limit: limit, provider: x.Provider, unknown: unknown}
		}
	}
	if !math.IsInf(x.vcpus, 1) {
		bound(fit(x.vcpus, worker.VCPU), LimitQuota, x.unsized || worker.VCPU <= 0)
	}
	if s.policy.NetworkInterfaces > 0 {
		bound(s.interfaces, LimitAddresses, false)
	}
	if !math.IsInf(s.money, 1) {
		bound(fit(s.money, worker.perHour(x.Provider)), LimitBudget, s.unpriced || !worker.isKnown())
	}
	return room, by
}

// owe takes out what requests that are not sent yet will use of the launch rates.
func (s *supply) owe(unsent map[string]int) {
	for provider, n := range unsent {
		l := s.lanes[provider]
		if l == nil {
			continue
		}
		if later := n - l.tokens; later > 0 && l.rate > 0 {
			l.busy += float64(later) / l.rate
		}
		l.tokens = max(0, l.tokens-n)
	}
}

// launch takes out n workers that are launched.
func (s *supply) launch(x *share, worker WorkerSize, n int) {
	x.tokens -= n
	s.reserve(x, worker, n)
}

// reserve takes out what n workers of a provider take, without the launching.
func (s *supply) reserve(x *share, worker WorkerSize, n int) {
	x.vcpus -= float64(n) * worker.VCPU
	s.spend(n, cost(n, worker.perHour(x.Provider)))
}

// spend takes out what n workers take of what all providers share.
func (s *supply) spend(n int, usdPerHour float64) {
	s.money -= usdPerHour
	if s.policy.NetworkInterfaces > 0 {
		s.interfaces -= n
	}
}

func cost(n int, perHour float64) float64 { return float64(n) * perHour }

// dust is what rounding may take from a whole worker.
const dust = 1e-9

// fit is how many whole workers fit into what is left.
func fit(left, each float64) int {
	switch {
	case left <= 0:
		return 0
	case each <= 0 || left/each > math.MaxInt32:
		return math.MaxInt
	}
	return int(left/each + dust)
}

// isKnown reports whether the size is known: ECS requires both of a Fargate task.
func (s WorkerSize) isKnown() bool { return s.VCPU > 0 && s.MemoryGB > 0 }

// perHour is the list price of a worker of one provider, in USD.
func (s WorkerSize) perHour(provider string) float64 {
	return float64(price.TaskPerHour(s.VCPU, s.MemoryGB, s.Arch, provider == providerSpot))
}

// The capacity providers of Fargate. AWS may interrupt tasks of Spot.
const (
	providerOnDemand = "FARGATE"
	providerSpot     = "FARGATE_SPOT"
)
