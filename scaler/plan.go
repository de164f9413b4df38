package scaler

import (
	"cmp"
	"slices"
	"time"
)

// Plan says for every pool of the policy what to launch now, highest priority first (then by name): as many workers as
// the demand is worth and will still be when they have started, within the pool's bounds, less those that run, are about
// to, or may have been launched.
//
// Pools share the account in that order: launch rates, vCPUs, network interfaces and budget. What a pool leaves for the
// only reason that the launch rate is used up stays reserved for it, so that no pool ever waits for one of lower
// priority; not even a minimum comes before a higher priority.
//
// Within a pool, providers first get what they have a minimum for, then all in order, each up to its maximum; one whose
// launch rate is used up passes the rest on, so that a pool grows as fast as the account allows. A pool that is in time
// for its deadline waits for the provider that it prefers instead.
//
// Workers of another task definition than the demand's hand its jobs back and leave. They are none of the workers
// wanted, but until then they count against the maximum of the pool and of their provider, and take what workers take.
func Plan(now time.Time, o Observation, p Policy) []Decision {
	pools := make([]*PoolPolicy, len(p.Pools))
	for i := range p.Pools {
		pools[i] = &p.Pools[i]
	}
	slices.SortStableFunc(pools, func(a, b *PoolPolicy) int {
		if a.Priority != b.Priority {
			return cmp.Compare(b.Priority, a.Priority)
		}
		return cmp.Compare(a.Name, b.Name)
	})
	left := newSupply(o, p)
	decisions := make([]Decision, 0, len(pools))
	for _, pool := range pools {
		v := view{now: now, o: o.Pools[pool.Name], p: *pool, supply: left}
		v.unsettled, v.other = sum(v.o.Unsettled), v.o.otherDefinition()
		left.owe(v.o.Unsent)
		decisions = append(decisions, v.decide())
	}
	return decisions
}

// view is one pool at one time, and what is left for it.
type view struct {
	now       time.Time
	o         PoolObservation
	p         PoolPolicy
	unsettled int   // of all providers
	other     int   // of another task definition than the demand's
	halt      Limit // what keeps the whole pool from launching; "" for nothing
	supply    *supply
}

// decide plans one pool and takes out of the account what it launches, and what it waits to launch.
func (v *view) decide() Decision {
	have := v.o.Workers.Running + v.o.Workers.Pending + v.unsettled - v.other
	d := Decision{Pool: v.p.Name, Have: have, Other: v.other, Limit: LimitNone, Target: have, Demanded: v.demanded(), Counted: v.o.Workers.Known}
	s := v.size(have)
	d.Wanted, d.Useful = s.wanted, s.useful
	if v.halt = v.stopped(); v.halt != "" {
		d.Limit = v.halt
		d.Reason = v.sentence(d, s, allotment{})
		return d
	}
	missing := s.useful - have
	room := max(0, s.top-have-v.other)
	var t allotment
	if missing > 0 {
		t = v.allot(min(missing, room), s)
		if missing > room {
			t.by.note(held{limit: s.topLimit, others: v.other})
			t.rest += missing - room
		}
	}
	switch {
	case t.rest > 0:
		d.Limit = t.by.limit
	case s.wanted > max(s.useful, have) && v.isHollow():
		d.Limit = LimitDemand
	case s.wanted > max(s.useful, have):
		d.Limit = LimitUseful
	case s.need > s.top:
		d.Limit = s.topLimit
	}
	d.Launch = t.launches()
	d.Target = have + d.Launches() + t.paced
	d.ETA = t.eta
	d.Reason = v.sentence(d, s, t)
	return d
}

// stopped is what keeps the whole pool from launching, whatever is missing; "" for nothing.
func (v *view) stopped() Limit {
	o := v.o
	if o.Asked.Known {
		switch o.Asked.Mode {
		case ModePaused:
			return LimitPaused
		case ModeDrained:
			return LimitDrained
		case ModeKilled:
			return LimitKilled
		case ModeRun, "":
		}
	}
	switch {
	case !o.Asked.Known || v.old(o.Asked.At):
		return LimitControl
	case !v.demanded():
		return LimitDemand
	case !o.Workers.Known || v.old(o.Workers.At):
		return LimitObservation
	}
	return ""
}

func (v *view) old(at time.Time) bool { return v.now.Sub(at) > v.p.StaleAfter }

// demanded reports whether it is known how much work there is.
func (v *view) demanded() bool { return v.o.Demand.Known && !v.old(v.o.Demand.At) }

// hold is the active hold of a provider that allows least, of those the one that lasts longest; or nil.
func (v *view) hold(provider string) *Hold {
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

// used is how many workers of the pool a provider has, or may have.
func (o *PoolObservation) used(provider string) int {
	return o.Workers.ByProvider[provider] + o.Unsettled[provider]
}

func sum(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}
