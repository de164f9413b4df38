package scaler

import (
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// tick is one round: observe, plan, write intents, call.
func (e *Engine) tick(now time.Time) error {
	e.readControls(now)
	for _, p := range e.pools {
		p.demand = e.o.Demand(p.Name)
		e.markDrain(now, p)
		e.lookAt(now, p)
		e.age(now, p)
	}
	e.watch(now)
	if err := e.plan(now); err != nil {
		return err
	}
	return e.settle(now)
}

// settle writes what has changed and sends what may be sent.
func (e *Engine) settle(now time.Time) error {
	if err := e.write(now); err != nil {
		return err
	}
	e.call(now)
	e.stop(now)
	e.measure(now)
	return nil
}

// between does what is due between two ticks: a plan when there is room again, and requests whose time has come.
func (e *Engine) between(now time.Time) error {
	if !e.planNext.IsZero() && !now.Before(e.planNext) {
		if err := e.plan(now); err != nil {
			return err
		}
		return e.settle(now)
	}
	if due := e.callDue(now); !due.IsZero() && !now.Before(due) {
		return e.settle(now)
	}
	return nil
}

// planSoon is the least time between plans that are made because there is room again.
const planSoon = 100 * time.Millisecond

// plan decides for all pools and records the intents of what is to be launched. As long as the launch rate is what limits
// them, the next plan follows as soon as there is room for a whole call.
func (e *Engine) plan(now time.Time) error {
	e.planNext = time.Time{}
	if !e.o.Term.Valid(now) {
		return nil
	}
	wanted := 0
	for _, p := range e.pools {
		wanted += max(0, p.last.Wanted-p.last.Have-p.last.Launches())
	}
	o := Observation{Pools: map[string]PoolObservation{}, Tokens: map[string]int{}, Rates: map[string]float64{}}
	unanswered, rates := e.unanswered(now), 0.0
	for provider, pace := range e.paces {
		o.Rates[provider] = pace.Rate().PerSecond
		rates += o.Rates[provider]
	}
	call := callSize(rates)
	for provider, pace := range e.paces {
		share := int(float64(wanted) * o.Rates[provider] / rates)
		o.Tokens[provider] = pace.Room(now, share, unanswered[provider], call)
	}
	policy := Policy{Account: e.o.Account}
	byName := map[string]*pool{}
	for _, p := range e.pools {
		byName[p.Name] = p
		p.observed = p.observation(now)
		p.observed.Asked, p.observed.Unsent = e.asked(now, p), e.unsent(p)
		o.Pools[p.Name] = p.observed
		policy.Pools = append(policy.Pools, p.policy(e.o.StaleAfter))
	}
	if wanted >= call {
		for provider, n := range o.Tokens {
			o.Tokens[provider] = n - n%call // no calls for fewer, but at the end
		}
	}
	for _, d := range Plan(now, o, policy) {
		if err := byName[d.Pool].decided(now, d, call); err != nil {
			return err
		}
		if d.Limit == LimitPacing {
			e.planNext = now.Add(e.roomIn(now, min(call, max(1, wanted))))
		}
	}
	for _, p := range e.pools {
		if err := e.withdraw(now, p); err != nil {
			return err
		}
	}
	return nil
}

// unsent is how many tasks of requests that are not sent yet wait for the launch rate, by provider.
func (e *Engine) unsent(p *pool) map[string]int {
	unsent := map[string]int{}
	for _, r := range p.intents {
		if r.State == IntentOpen && !r.busy && !r.surplus && !r.paid && e.mayLaunch(p) {
			unsent[r.Provider] += r.Count
		}
	}
	return unsent
}

// roomIn is how long it takes until some provider has room for a call of n tasks.
func (e *Engine) roomIn(now time.Time, n int) time.Duration {
	soonest := busyTick
	for _, pace := range e.paces {
		soonest = min(soonest, pace.Until(now, n))
	}
	return max(planSoon, soonest)
}

// observation is what the pool's plan looks at.
func (p *pool) observation(now time.Time) PoolObservation {
	o := PoolObservation{Demand: p.demand, Workers: p.fleet.workers(), Unsettled: map[string]int{}, UnsettledByDefinition: map[string]int{}}
	p.fleet.starting(now, &o.Workers)
	if n := o.Workers.ByProvider[""]; n > 0 { // each of them may be any provider's
		for _, c := range p.Capacity {
			o.Workers.ByProvider[c.Provider] += n
		}
	}
	for _, r := range p.intents {
		if n := r.Unconfirmed(); n > 0 {
			o.Unsettled[r.Provider] += n
			o.UnsettledByDefinition[r.definition] += n
		}
	}
	p.holds = slices.DeleteFunc(p.holds, func(h Hold) bool { return !now.Before(h.Until) })
	p.breakers.judge(now, p.demand.TaskDefinition, p.fleet)
	p.rooms.forget(now)
	o.Holds = slices.Concat(p.holds, p.rooms.holds(now, p.Subnets), p.breakers.holds(now))
	o.StopError = p.stopError
	if o.Workers.Running == o.Workers.Listed || p.demand.Outstanding < p.observed.Demand.Outstanding {
		p.fell = now
	}
	o.Still = now.Sub(p.fell)
	return o
}

// decided takes a decision over: into the status, the log, and as intents, of as many tasks as a call has while the launch rate
// is waited for, and else of up to ten.
func (p *pool) decided(now time.Time, d Decision, call int) error {
	level := zerolog.DebugLevel
	if len(d.Launch) > 0 || d.Limit != p.last.Limit {
		level = zerolog.InfoLevel
	}
	p.log.WithLevel(level).Int("wanted", d.Wanted).Int("have", d.Have).Int("other", d.Other).Int("launch", d.Launches()).Str("limit", string(d.Limit)).Msg(d.Reason)
	p.last = d
	p.breakers.tried(now, d.Launch)
	if d.Have >= d.Wanted {
		p.breakers.unwanted(now)
	}
	if record, ok := p.decisions.add(now, p.demand.Outstanding, p.status.Launched, d); ok {
		p.unwritten = append(p.unwritten, record)
	}
	p.rooms.launching(now, d.Launch)
	pool := p.Pool
	pool.Subnets = p.rooms.open(now, p.Subnets)
	for _, launch := range d.Launch {
		size := maxTasksPerCall
		if d.Limit == LimitPacing {
			size = inCalls(launch.Count, call)
		}
		for left := launch.Count; left > 0; left -= size {
			i, err := newIntent(now, pool, p.demand, Launch{Provider: launch.Provider, Count: min(left, size)})
			if err != nil {
				return err
			}
			p.made++
			p.intents[i.ID] = &record{Intent: i, number: p.made, definition: p.demand.TaskDefinition, dirty: true}
		}
	}
	return nil
}

// write stores what has changed: intents together with the counts that follow from them. What could not be written is
// written again by the next tick; until then its requests are not sent.
func (e *Engine) write(now time.Time) error {
	var r Records
	var changed []*record
	for _, p := range e.pools {
		before := len(changed)
		for _, i := range p.sorted(func(r *record) bool { return r.dirty }) {
			r.Intents = append(r.Intents, i.Intent)
			changed = append(changed, i)
		}
		if e.report(p, now, len(changed) > before || len(p.unwritten) > 0) {
			r.Statuses = append(r.Statuses, p.status)
		}
		r.Decisions = append(r.Decisions, p.unwritten...)
	}
	if len(r.Intents)+len(r.Statuses) == 0 || !e.o.Term.Valid(now) {
		return nil
	}
	r.Rates = e.learnt(now)
	if err := e.hands.Write(r); err != nil {
		if errors.Is(err, ErrTermOver) {
			return err
		}
		e.o.Log.Warn().Err(err).Int("intents", len(r.Intents)).Msg("cannot write the journal; trying again")
		return nil
	}
	for _, l := range r.Rates {
		e.remembered[l.Provider] = l
	}
	for _, i := range changed {
		i.stored, i.dirty = true, false
	}
	for _, p := range e.pools {
		p.unwritten = nil
		for id, r := range p.intents {
			if r.State.Ended() && !r.dirty {
				delete(p.intents, id)
			}
		}
		for _, s := range r.Statuses {
			if s.Pool == p.Name {
				p.written = s
			}
		}
	}
	return nil
}

// How often a status is written: when it has changed, and now and then to show that somebody is there.
const (
	statusEvery  = time.Second
	statusAnyway = idleTick
)

// report brings the status up to date and reports whether to write it. It shows the workers and jobs that the last
// decision was made for: what has come since may contradict the decision's reason.
func (e *Engine) report(p *pool, now time.Time, withIntents bool) bool {
	workers := p.fleet.workers()
	p.status.Peak = max(p.status.Peak, workers.Running+workers.Pending)
	p.status.Running, p.status.Listed, p.status.Pending = p.observed.Workers.Running, p.observed.Workers.Listed, p.observed.Workers.Pending
	if p.observed.Demand.Known {
		p.status.Outstanding, p.status.Wanted = p.observed.Demand.Outstanding, p.last.Wanted
	}
	p.logBreakers(p.status.Breakers)
	p.status.Breakers = slices.Clone(p.breakers.open)
	if size := p.observed.Demand.Worker; size.isKnown() { // else there is no work, and workers are as they were
		p.size = size
	}
	p.status.PerHour = perHour(p.size, p.observed.Workers.ByProvider)
	p.status.Stopping, p.status.ControlVersion = p.observed.Workers.Stopping, p.observed.Asked.Version
	p.status.Limit, p.status.Reason, p.status.At = p.last.Limit, p.last.Reason, now
	p.status.Parts, p.status.Drift = e.parts(now, p), p.cluster.drift.sentence(p.Cluster)
	age := now.Sub(p.written.At)
	return withIntents || age >= statusAnyway || (age >= statusEvery && !p.status.sameAs(p.written))
}
