package scaler

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

// tick is one round: observe, plan, write intents, call.
func (l *loop) tick(now time.Time) error {
	for _, p := range l.pools {
		p.demand = l.o.Demand(p.Name)
		l.lookAt(now, p)
		l.age(now, p)
	}
	if err := l.plan(now); err != nil {
		return err
	}
	return l.settle(now)
}

// settle writes what has changed and sends what may be sent.
func (l *loop) settle(now time.Time) error {
	if err := l.write(now); err != nil {
		return err
	}
	l.call(now)
	l.measure()
	return nil
}

// lookAt begins a look when one is due.
func (l *loop) lookAt(now time.Time, p *pool) {
	if p.looking || now.Before(p.nextLook) {
		return
	}
	p.looking = true
	p.nextLook = now.Add(lookEvery(len(p.fleet.members)))
	known := p.fleet.clone()
	l.beside(func(ctx context.Context) func(time.Time) error {
		seen, err := l.observer.look(ctx, p.Pool, known)
		return func(now time.Time) error { return l.looked(now, p, seen, err) }
	})
}

// looked takes over a look. The first one allows the first plan, which need not wait for a tick.
func (l *loop) looked(now time.Time, p *pool, seen look, err error) error {
	p.looking = false
	if err != nil {
		p.log.Warn().Err(err).Msg("cannot observe the workers; trying again")
		return nil
	}
	first := !p.fleet.known
	for _, d := range p.fleet.looked(now, seen) {
		p.depart(d)
	}
	for _, r := range p.intents {
		if r.State != IntentAnswered || slices.ContainsFunc(r.Tasks, p.fleet.unseen) {
			continue
		}
		if err := r.step(func(i Intent) (Intent, error) { return i.AllSeen(now) }); err != nil {
			return err
		}
	}
	if first {
		return l.tick(now)
	}
	return l.settle(now)
}

// depart counts a task that is gone.
func (p *pool) depart(d departure) {
	level := zerolog.WarnLevel
	switch d.fate {
	case fateExited:
		p.status.Exited++
		level = zerolog.DebugLevel
	case fateFailed:
		p.status.Failed++
	case fateVanished:
		p.status.Vanished++
	}
	p.log.WithLevel(level).Str("task", d.arn).Str("fate", string(d.fate)).Str("stop_code", d.code).Str("stopped_reason", d.reason).Msg("worker gone")
}

// step moves an intent on.
func (r *record) step(next func(Intent) (Intent, error)) error {
	i, err := next(r.Intent)
	if err != nil {
		return err
	}
	r.Intent, r.dirty = i, true
	return nil
}

// age gives up on intents that are too old to repeat, and asks ECS what they started.
func (l *loop) age(now time.Time, p *pool) {
	for _, r := range p.intents {
		if r.busy {
			continue
		}
		if r.State == IntentOpen && !r.Repeatable(now) {
			r.due = r.CreatedAt.Add(settleable)
			if err := r.step(func(i Intent) (Intent, error) { return i.Aged(now) }); err == nil {
				p.log.Warn().Str("intent", r.ID).Int("count", r.Count).Str("reason", r.Reason).Msg("no answer in time; asking ECS what was launched")
			}
		}
		if r.State != IntentUnsettled || now.Before(r.due) || now.Sub(r.CreatedAt) < settleable {
			continue
		}
		r.busy = true
		i := r.Intent
		l.beside(func(ctx context.Context) func(time.Time) error {
			tasks, err := l.observer.startedBy(ctx, i)
			return func(now time.Time) error { return l.askedFor(now, p, r, tasks, err) }
		})
	}
}

// askedFor takes over what ECS knows of an unsettled intent.
func (l *loop) askedFor(now time.Time, p *pool, r *record, tasks []string, err error) error {
	r.busy = false
	if err != nil {
		r.due = now.Add(capacityHold)
		p.log.Warn().Err(err).Str("intent", r.ID).Msg("cannot settle the intent; it counts as launched")
		return nil
	}
	if err := r.step(func(i Intent) (Intent, error) { return i.Settled(now, tasks) }); err != nil {
		return err
	}
	p.launched(now, r.Intent, l.metrics)
	return l.settle(now)
}

// launched counts what an intent has started.
func (p *pool) launched(now time.Time, i Intent, m *metrics) {
	p.fleet.launched(now, i.Provider, i.Tasks)
	p.status.Launched += len(i.Tasks)
	p.nextLook = earlier(p.nextLook, now.Add(lookEvery(len(p.fleet.members))))
	add := func(outcome string, n int) {
		if n > 0 {
			m.launches.WithLabelValues(p.Name, i.Provider, outcome).Add(float64(n))
		}
	}
	add("launched", len(i.Tasks))
	for _, f := range i.Failures {
		add(string(f.Class), 1)
	}
	if i.State == IntentRefused {
		add(cmp.Or(string(i.Class), "unanswered"), i.Count-len(i.Tasks))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// plan decides for all pools and records the intents of what is to be launched. A plan that launched something is not
// followed by another within a tick's time: with the rate used up, that would make a request of every single task.
func (l *loop) plan(now time.Time) error {
	if !l.o.Term.Valid(now) || now.Sub(l.planned) < busyTick {
		return nil
	}
	o := Observation{Pools: map[string]PoolObservation{}, Tokens: map[string]int{}}
	for provider, bucket := range l.launches {
		o.Tokens[provider] = bucket.Available(now)
	}
	var policy Policy
	byName := map[string]*pool{}
	for _, p := range l.pools {
		byName[p.Name] = p
		o.Pools[p.Name] = p.observation(now)
		policy.Pools = append(policy.Pools, p.policy(l.o.StaleAfter))
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
			l.planned = now
		}
	}
	return nil
}

// observation is what the pool's plan looks at.
func (p *pool) observation(now time.Time) PoolObservation {
	o := PoolObservation{Demand: p.demand, Workers: p.fleet.workers(), Unsettled: map[string]int{}}
	for _, r := range p.intents {
		if n := r.Unconfirmed(); n > 0 {
			o.Unsettled[r.Provider] += n
		}
	}
	p.holds = slices.DeleteFunc(p.holds, func(h Hold) bool { return !now.Before(h.Until) })
	o.Holds = p.holds
	return o
}

// decided takes a decision over: into the status, the log, and as intents of up to ten tasks.
func (p *pool) decided(now time.Time, d Decision) error {
	level := zerolog.DebugLevel
	if len(d.Launch) > 0 || d.Limit != p.last.Limit {
		level = zerolog.InfoLevel
	}
	p.log.WithLevel(level).Int("wanted", d.Wanted).Int("have", d.Have).Int("launch", d.Launches()).Str("limit", string(d.Limit)).Msg(d.Reason)
	p.last = d
	for _, launch := range d.Launch {
		for left := launch.Count; left > 0; left -= maxTasksPerCall {
			i, err := newIntent(now, p.Pool, p.demand, Launch{Provider: launch.Provider, Count: min(left, maxTasksPerCall)})
			if err != nil {
				return err
			}
			p.intents[i.ID] = &record{Intent: i, dirty: true}
		}
	}
	return nil
}

// write stores what has changed: intents together with the counts that follow from them. What could not be written is
// written again by the next tick; until then its requests are not sent.
func (l *loop) write(now time.Time) error {
	var intents []Intent
	var statuses []Status
	var changed []*record
	for _, p := range l.pools {
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
	if len(intents)+len(statuses) == 0 || !l.o.Term.Valid(now) {
		return nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, writeTimeout)
	defer cancel()
	if err := l.o.Journal.Write(ctx, intents, statuses); err != nil {
		if errors.Is(err, ErrTermOver) {
			return err
		}
		l.o.Log.Warn().Err(err).Int("intents", len(intents)).Msg("cannot write the journal; trying again")
		return nil
	}
	for _, r := range changed {
		r.stored, r.dirty = true, false
	}
	for _, p := range l.pools {
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
	statusAnyway = 15 * time.Second
)

// report brings the status up to date and reports whether to write it.
func (p *pool) report(now time.Time, withIntents bool) bool {
	workers := p.fleet.workers()
	p.status.Running, p.status.Pending = workers.Running, workers.Pending
	p.status.Peak = max(p.status.Peak, workers.Running+workers.Pending)
	if p.demand.Known {
		p.status.Outstanding, p.status.Wanted = p.demand.Outstanding, p.last.Wanted
	}
	p.status.Limit, p.status.Reason, p.status.At = p.last.Limit, p.last.Reason, now
	age := now.Sub(p.written.At)
	return withIntents || age >= statusAnyway || (age >= statusEvery && !p.status.sameAs(p.written))
}

// call sends the requests that may be sent, oldest first and those of higher priority before others, as far as the
// launch rates go.
func (l *loop) call(now time.Time) {
	if !l.o.Term.Valid(now) {
		return
	}
	dry := map[string]bool{} // providers whose next request must wait: later ones may not overtake it
	for _, p := range slices.SortedStableFunc(slices.Values(l.pools), func(a, b *pool) int { return cmp.Compare(b.Priority, a.Priority) }) {
		for _, r := range p.sorted() {
			if r.busy || !r.stored || r.dirty || !r.Repeatable(now) || now.Before(r.due) || dry[r.Provider] {
				continue
			}
			if l.calling >= maxCalls || l.calls.Available(now) == 0 {
				return
			}
			bucket := l.bucket(now, r.Provider)
			if bucket.Available(now) < min(r.Count, l.o.LaunchRate.Burst) {
				dry[r.Provider] = true
				continue
			}
			bucket.Take(now, r.Count)
			l.calls.Take(now, 1)
			l.send(p, r)
		}
	}
}

// bucket is a provider's; one that is not configured any more may still have intents.
func (l *loop) bucket(now time.Time, provider string) *Bucket {
	if l.launches[provider] == nil {
		l.launches[provider] = NewBucket(now, l.o.LaunchRate)
	}
	return l.launches[provider]
}

// send calls RunTask beside the loop.
func (l *loop) send(p *pool, r *record) {
	r.busy = true
	l.calling++
	i := r.Intent
	l.beside(func(ctx context.Context) func(time.Time) error {
		o, err := l.launch(ctx, i)
		return func(now time.Time) error { return l.answered(now, p, r, o, err) }
	})
}

// answered takes over what RunTask said.
func (l *loop) answered(now time.Time, p *pool, r *record, o Outcome, err error) error {
	r.busy = false
	l.calling--
	if errors.Is(err, errNotSent) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.step(func(i Intent) (Intent, error) { return i.Called(now, o) }); err != nil {
		return err
	}
	r.due = now.Add(repeatAfter(r.Calls, o.Class))
	bucket := l.bucket(now, r.Provider)
	if o.throttled() {
		bucket.Empty(now)
	} else if r.State == IntentRefused {
		bucket.Refund(now, r.Count-len(r.Tasks))
	}
	p.holds = append(p.holds, o.holds(now, r.Provider)...)
	l.metrics.calls.WithLabelValues(outcomeWord(o)).Inc()
	p.launched(now, r.Intent, l.metrics)
	p.logAnswer(r.Intent, o)
	return l.settle(now)
}

// outcomeWord is an outcome as a metric's label.
func outcomeWord(o Outcome) string {
	switch {
	case o.Class != awsclient.ClassNone:
		return string(o.Class)
	case len(o.Failures) > 0:
		return "partial"
	default:
		return "launched"
	}
}

// logAnswer says what went otherwise than hoped.
func (p *pool) logAnswer(i Intent, o Outcome) {
	level := zerolog.WarnLevel
	switch {
	case o.Class == awsclient.ClassConflict, o.Class == awsclient.ClassConfiguration:
		level = zerolog.ErrorLevel
	case o.Class == awsclient.ClassNone && len(o.Failures) == 0, o.Class == awsclient.ClassThrottled:
		level = zerolog.DebugLevel
	}
	p.log.WithLevel(level).Str("intent", i.ID).Str("provider", i.Provider).Int("count", i.Count).Int("launched", len(i.Tasks)).
		Str("outcome", outcomeWord(o)).Str("state", string(i.State)).Str("reason", o.Reason).Msg("RunTask answered")
}

// sorted are the pool's intents, oldest first.
func (p *pool) sorted() []*record {
	records := make([]*record, 0, len(p.intents))
	for _, r := range p.intents {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return records
}
