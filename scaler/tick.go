package scaler

import (
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// tick is one round: observe, plan, write intents, call.
func (e *Engine) tick(now time.Time) error {
	for _, p := range e.pools {
		p.demand = e.o.Demand(p.Name)
		e.lookAt(now, p)
		e.age(now, p)
	}
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
	e.measure()
	return nil
}

// plan decides for all pools and records the intents of what is to be launched. A plan that launched something is not
// followed by another within a tick's time: with the rate used up, that would make a request of every single task.
func (e *Engine) plan(now time.Time) error {
	if !e.o.Term.Valid(now) || now.Sub(e.planned) < busyTick {
		return nil
	}
	o := Observation{Pools: map[string]PoolObservation{}, Tokens: map[string]int{}, Rates: map[string]float64{}}
	for provider, bucket := range e.launches {
		o.Tokens[provider], o.Rates[provider] = bucket.Available(now), bucket.rate.PerSecond
	}
	policy := Policy{Account: e.o.Account}
	byName := map[string]*pool{}
	for _, p := range e.pools {
		byName[p.Name] = p
		p.observed = p.observation(now)
		o.Pools[p.Name] = p.observed
		policy.Pools = append(policy.Pools, p.policy(e.o.StaleAfter))
		for _, r := range p.intents {
			if r.State == IntentOpen && !r.busy {
				o.Tokens[r.Provider] -= r.Count // to be sent before anything new
			}
		}
	}
	for _, d := range Plan(now, o, policy) {
		if err := byName[d.Pool].decided(now, d); err != nil {
			return err
		}
		if len(d.Launch) > 0 {
			e.planned = now
		}
	}
	return nil
}

// observation is what the pool's plan looks at.
func (p *pool) observation(now time.Time) PoolObservation {
	o := PoolObservation{Demand: p.demand, Workers: p.fleet.workers(), Unsettled: map[string]int{}, UnsettledByDefinition: map[string]int{}}
	for _, r := range p.intents {
		if n := r.Unconfirmed(); n > 0 {
			o.Unsettled[r.Provider] += n
			o.UnsettledByDefinition[r.definition] += n
		}
	}
	o.Asked = Asked{At: now, Known: true}
	p.holds = slices.DeleteFunc(p.holds, func(h Hold) bool { return !now.Before(h.Until) })
	p.breakers.judge(now, p.demand.TaskDefinition, p.fleet)
	o.Holds = slices.Concat(p.holds, p.breakers.holds(now))
	return o
}

// decided takes a decision over: into the status, the log, and as intents of up to ten tasks.
func (p *pool) decided(now time.Time, d Decision) error {
	level := zerolog.DebugLevel
	if len(d.Launch) > 0 || d.Limit != p.last.Limit {
		level = zerolog.InfoLevel
	}
	p.log.WithLevel(level).Int("wanted", d.Wanted).Int("have", d.Have).Int("other", d.Other).Int("launch", d.Launches()).Str("limit", string(d.Limit)).Msg(d.Reason)
	p.last = d
	p.breakers.tried(now, d.Launch)
	for _, launch := range d.Launch {
		for left := launch.Count; left > 0; left -= maxTasksPerCall {
			i, err := newIntent(now, p.Pool, p.demand, Launch{Provider: launch.Provider, Count: min(left, maxTasksPerCall)})
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
	var intents []Intent
	var statuses []Status
	var changed []*record
	for _, p := range e.pools {
		before := len(changed)
		for _, r := range p.sorted() {
			if r.dirty {
				intents = append(intents, r.Intent)
				changed = append(changed, r)
			}
		}
		if p.report(now, len(changed) > before) {
			statuses = append(statuses, p.status)
		}
	}
	if len(intents)+len(statuses) == 0 || !e.o.Term.Valid(now) {
		return nil
	}
	if err := e.hands.Write(intents, statuses); err != nil {
		if errors.Is(err, ErrTermOver) {
			return err
		}
		e.o.Log.Warn().Err(err).Int("intents", len(intents)).Msg("cannot write the journal; trying again")
		return nil
	}
	for _, r := range changed {
		r.stored, r.dirty = true, false
	}
	for _, p := range e.pools {
		for id, r := range p.intents {
			if r.State.Ended() && !r.dirty {
				delete(p.intents, id)
			}
		}
		for _, s := range statuses {
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
func (p *pool) report(now time.Time, withIntents bool) bool {
	workers := p.fleet.workers()
	p.status.Peak = max(p.status.Peak, workers.Running+workers.Pending)
	p.status.Running, p.status.Pending = p.observed.Workers.Running, p.observed.Workers.Pending
	if p.observed.Demand.Known {
		p.status.Outstanding, p.status.Wanted = p.observed.Demand.Outstanding, p.last.Wanted
	}
	p.status.Breakers = slices.Clone(p.breakers.open)
	p.status.Limit, p.status.Reason, p.status.At = p.last.Limit, p.last.Reason, now
	age := now.Sub(p.written.At)
	return withIntents || age >= statusAnyway || (age >= statusEvery && !p.status.sameAs(p.written))
}
