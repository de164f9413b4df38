package scaler

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

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
	p.launched(now, r, l.metrics)
	return l.settle(now)
}
