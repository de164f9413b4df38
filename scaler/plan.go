package scaler

import (
	"cmp"
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

// Observation is everything a plan looks at.
type Observation struct {
	Pools map[string]PoolObservation // by name; a pool that is not in it is unknown
	// Tokens is how many tasks may be launched now without being throttled, by provider; none for one not in it.
	Tokens map[string]int
}

// PoolObservation is what is known of one pool.
type PoolObservation struct {
	Demand    Demand
	Workers   Workers
	Unsettled map[string]int // tasks asked for whose launch is neither confirmed nor denied, by provider
	// UnsettledByDefinition is the same by task definition, as in Workers.
	UnsettledByDefinition map[string]int
	Holds                 []Hold
}

// Demand is how much work a pool has.
type Demand struct {
	Outstanding    int    // jobs that are released and unfinished
	TaskDefinition string // family:revision or its ARN, to launch workers of; the pool's newest when there is no work
	Container      string // of the task definition; "" means "spate"
	At             time.Time
	Known          bool
}

// Workers is what the last listing and the launches since tell of a pool's tasks.
type Workers struct {
	Running    int
	Pending    int            // launched, not running yet; those that no listing shows yet included
	ByProvider map[string]int // running and pending
	// ByDefinition is the same by task definition (family:revision or its ARN). One that is not in it, or under "", is
	// taken for a worker of the demand's.
	ByDefinition map[string]int
	At           time.Time // of the listing
	Known        bool
}

// Hold keeps a provider (or with Provider "" the whole pool) from launching until a time.
type Hold struct {
	Provider string
	Until    time.Time
	Limit    Limit
	Reason   string // ECS's own words
}

// Policy is what somebody configured.
type Policy struct {
	Pools []PoolPolicy
}

// PoolPolicy bounds one pool.
type PoolPolicy struct {
	Name       string
	Min, Max   int // workers
	Slots      int // jobs that one worker runs at a time, at least 1
	Priority   int // the higher launches first
	Capacity   []Capacity
	StaleAfter time.Duration // an observation older than this holds the pool
}

// Capacity is one source of tasks: a Fargate capacity provider and how many workers the pool takes from it.
type Capacity struct {
	Provider string // FARGATE or FARGATE_SPOT
	Max      int
}

// Decision is what to do for one pool, and why.
type Decision struct {
	Pool   string
	Wanted int // 0 while the demand is unknown
	Have   int // running, pending and unsettled, of the demand's task definition
	Other  int // the same of other task definitions, in addition
	Launch []Launch
	Limit  Limit
	Reason string // a sentence for people
}

// Launch is a number of tasks from one provider.
type Launch struct {
	Provider string
	Count    int
}

// Launches is how many tasks the decision launches from all providers.
func (d Decision) Launches() int {
	n := 0
	for _, l := range d.Launch {
		n += l.Count
	}
	return n
}

// Limit names what kept a decision from launching more.
type Limit string

// The limits, in the order in which they are looked at.
const (
	LimitDemand         Limit = "demand"          // how much work there is is unknown or was learnt too long ago
	LimitObservation    Limit = "observation"     // the same of the workers
	LimitTaskDefinition Limit = "task_definition" // nothing to launch is known
	LimitConfiguration  Limit = "configuration"   // ECS refuses until somebody changes something
	LimitPacing         Limit = "pacing"          // the account's launch rate
	LimitQuota          Limit = "quota"           // the account's number of vCPUs
	LimitCapacity       Limit = "capacity"        // no room at a provider, or the maximum taken from the providers
	LimitMax            Limit = "max"             // the pool's
	LimitNone           Limit = "none"
)

// decide plans one pool. It takes no tokens out of the map.
func decide(now time.Time, o PoolObservation, p PoolPolicy, tokens map[string]int) Decision {
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
	if d.Wanted == p.Max && jobWorkers(o.Demand.Outstanding, p.Slots) > p.Max {
		d.Limit = LimitMax
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
	if h := v.hold(""); h != nil {
		d.Limit, d.Reason = h.Limit, v.sentence(d, "hold for "+short(h.Until.Sub(now))+": "+h.Reason)
		return d
	}
	room := max(0, p.Max-d.Have-d.Other)
	launches, rest := split(min(missing, room), v, tokens)
	if missing > room {
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

// hold is the active hold of a provider that lasts longest, or nil.
func (v view) hold(provider string) *Hold {
	var longest *Hold
	for i, h := range v.o.Holds {
		if h.Provider == provider && v.now.Before(h.Until) && (longest == nil || h.Until.After(longest.Until)) {
			longest = &v.o.Holds[i]
		}
	}
	return longest
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
		if h := v.hold(c.Provider); h != nil {
			rest.note(shortfall{limit: h.Limit, reason: c.Provider + ": " + h.Reason, held: true})
			continue
		}
		room := max(0, c.Max-v.o.Workers.ByProvider[c.Provider]-v.o.Unsettled[c.Provider])
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
