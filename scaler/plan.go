package scaler

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Plan says for every pool of the policy what to launch now, highest priority first (then by name): as many workers as
// the demand is worth, within the pool's bounds, less those that run, are about to, or may have been launched. Pools
// share the launch rate in that order. Within a pool providers are used in order, each up to its maximum; one whose
// launch rate is used up passes the rest on, so that a pool grows as fast as the account allows.
//
// Workers of another task definition than the demand's hand its jobs back and leave. They are none of the workers
// wanted, but until then they count against the maximum of the pool and of their provider.
func Plan(now time.Time, o Observation, p Policy) []Decision {
	pools := slices.SortedStableFunc(slices.Values(p.Pools), func(a, b PoolPolicy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Name, b.Name))
	})
	tokens := make(map[string]int, len(o.Tokens))
	for provider, n := range o.Tokens {
		tokens[provider] = max(0, n)
	}
	decisions := make([]Decision, 0, len(pools))
	for _, pool := range pools {
		d := decide(now, o.Pools[pool.Name], pool, tokens)
		for _, l := range d.Launch {
			tokens[l.Provider] -= l.Count
		}
		decisions = append(decisions, d)
	}
	return decisions
}

// decide plans one pool. It takes no tokens out of the map.
func decide(now time.Time, o PoolObservation, p PoolPolicy, tokens map[string]int) Decision {
	p, capped := o.Asked.bound(p)
	v := view{now: now, o: o, p: p}
	other := o.otherDefinition()
	d := Decision{Pool: p.Name, Have: o.Workers.Running + o.Workers.Pending + sum(o.Unsettled) - other, Other: other, Limit: LimitNone}
	if !o.Demand.Known || v.old(o.Demand.At) {
		d.Limit, d.Reason = LimitDemand, v.unknown("the amount of work", o.Demand.At, o.Demand.Known)
		return d
	}
	d.Wanted = wanted(o.Demand.Outstanding, p)
	if !o.Workers.Known || v.old(o.Workers.At) {
		d.Limit, d.Reason = LimitObservation, v.unknown("the number of workers", o.Workers.At, o.Workers.Known)
		return d
	}
	if d.Limit, d.Reason = v.control(d); d.Limit != LimitNone {
		return d
	}
	if d.Wanted == p.Max && jobWorkers(o.Demand.Outstanding, p.Slots) > p.Max {
		d.Limit = LimitMax
		if capped {
			d.Limit = LimitCap
		}
	}
	missing := d.Wanted - d.Have
	if missing <= 0 {
		d.Reason = v.sentence(d, "launch none")
		return d
	}
	if o.Demand.TaskDefinition == "" {
		d.Limit, d.Reason = LimitTaskDefinition, v.sentence(d, "hold: no task definition is known")
		return d
	}
	trial := v.hold("")
	if h := trial; h != nil && h.Trial == 0 {
		d.Limit, d.Reason = h.Limit, v.sentence(d, "hold for "+short(h.Until.Sub(now))+": "+h.Reason)
		return d
	}
	room := max(0, p.Max-d.Have-d.Other)
	if trial != nil {
		room = min(room, trial.Trial)
	}
	launches, rest := split(min(missing, room), v, tokens)
	switch {
	case trial != nil && missing > room:
		rest.note(shortfall{limit: trial.Limit, reason: "a trial: " + trial.Reason})
		rest.count += missing - room
	case missing > room:
		rest.note(shortfall{limit: LimitMax, reason: count(d.Other, "worker") + " of another revision to leave"})
		rest.count += missing - room
	}
	if rest.count > 0 {
		d.Limit = rest.limit
	}
	d.Launch, d.Reason = launches, v.sentence(d, launchWords(launches, rest))
	return d
}

// wanted is how many workers the demand is worth, within the pool's bounds.
func wanted(outstanding int, p PoolPolicy) int {
	return max(0, min(max(jobWorkers(outstanding, p.Slots), p.Min), p.Max))
}

// jobWorkers is how many workers take all jobs at once.
func jobWorkers(outstanding, slots int) int {
	slots = max(1, slots)
	return (max(0, outstanding) + slots - 1) / slots
}

// view is one pool at one time.
type view struct {
	now time.Time
	o   PoolObservation
	p   PoolPolicy
}

func (v view) old(at time.Time) bool { return v.now.Sub(at) > v.p.StaleAfter }

// hold is the active hold of a provider that allows least, of those the one that lasts longest; or nil.
func (v view) hold(provider string) *Hold {
	var worst *Hold
	for i, h := range v.o.Holds {
		if h.Provider != provider || !v.now.Before(h.Until) {
			continue
		}
		if worst == nil || h.Trial < worst.Trial || (h.Trial == worst.Trial && h.Until.After(worst.Until)) {
			worst = &v.o.Holds[i]
		}
	}
	return worst
}

// shortfall is what a split left unlaunched, and the first thing that it met.
type shortfall struct {
	count  int
	limit  Limit
	reason string
	held   bool // by ECS's own words
}

// split spreads missing tasks over the providers in order.
func split(missing int, v view, tokens map[string]int) ([]Launch, shortfall) {
	var launches []Launch
	var rest shortfall
	for _, c := range v.p.Capacity {
		if missing == 0 {
			return launches, shortfall{}
		}
		trial := math.MaxInt
		if h := v.hold(c.Provider); h != nil {
			rest.note(shortfall{limit: h.Limit, reason: c.Provider + ": " + h.Reason, held: true})
			trial = h.Trial
		}
		room := min(trial, max(0, c.Max-v.o.Workers.ByProvider[c.Provider]-v.o.Unsettled[c.Provider]))
		n := min(missing, room, tokens[c.Provider])
		if n > 0 {
			launches = append(launches, Launch{Provider: c.Provider, Count: n})
			missing -= n
		}
		if n == tokens[c.Provider] && n < room {
			rest.note(shortfall{limit: LimitPacing, reason: "the launch rate of " + c.Provider})
		}
	}
	if missing == 0 {
		return launches, shortfall{}
	}
	rest.note(shortfall{limit: LimitCapacity, reason: "room below the providers' maximum"})
	rest.count = missing
	return launches, rest
}

// note keeps pacing before everything else, as it passes by itself, and else what was met first.
func (s *shortfall) note(met shortfall) {
	if s.limit == "" || (met.limit == LimitPacing && s.limit != LimitPacing) {
		*s = met
	}
}

func sum(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
