package scaler

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rs/zerolog"
)

// lookEvery is how long after the beginning of a look the next one begins: a full listing of a large fleet costs up to
// 60 calls, so it comes every 15 seconds, while a small or new fleet is watched closely.
func lookEvery(members int) time.Duration {
	if members > 0 && members < 100 {
		return 2 * time.Second
	}
	return 15 * time.Second
}

// lookAt begins a look at a pool's tasks when one is due.
func (e *Engine) lookAt(now time.Time, p *pool) {
	if p.looking || now.Before(p.nextLook) {
		return
	}
	p.looking = true
	p.nextLook = now.Add(lookEvery(len(p.fleet.members)))
	e.ask(now, &inquiry{
		list:  ecs.ListTasksInput{Cluster: &p.Cluster, Family: &p.Family, DesiredStatus: types.DesiredStatusRunning},
		wants: func(listed []string) []string { return p.fleet.wants(listed) },
		finished: func(now time.Time, seen look, err error) error {
			return e.looked(now, p, seen, err)
		},
	})
}

// looked takes over a look. The first one allows the first plan, which need not wait for a tick.
func (e *Engine) looked(now time.Time, p *pool, seen look, err error) error {
	p.looking = false
	if err != nil {
		p.log.Warn().Err(err).Msg("cannot observe the workers; trying again")
		return nil
	}
	first := !p.fleet.known
	for _, d := range p.fleet.looked(now, seen) {
		p.depart(now, d)
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
		return e.Tick(now)
	}
	return e.settle(now)
}

// depart counts a task that is gone.
func (p *pool) depart(now time.Time, d departure) {
	p.breakers.stopped(d)
	if d.fate != fateExited {
		p.status.Stops = countStop(p.status.Stops, now, d.words())
	}
	level := zerolog.WarnLevel
	switch d.fate {
	case fateExited:
		p.status.Exited++
		level = zerolog.DebugLevel
	case fateFailed:
		p.status.Failed++
	case fateVanished:
		p.status.Vanished++
	case fateStopped:
		p.status.Stopped++
		level = zerolog.DebugLevel
	}
	p.log.WithLevel(level).Str("task", d.arn).Str("fate", string(d.fate)).Str("stop_code", d.code).Str("stopped_reason", d.reason).Msg("worker gone")
}

// age gives up on intents that are too old to repeat, and asks ECS what they started.
func (e *Engine) age(now time.Time, p *pool) {
	for _, r := range p.sorted() {
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
		request, err := r.decodeRequest()
		if err != nil {
			p.unreadable(now, r, err)
			continue
		}
		r.busy = true
		e.ask(now, &inquiry{
			list:     ecs.ListTasksInput{Cluster: request.Cluster, StartedBy: request.StartedBy},
			finished: func(now time.Time, seen look, err error) error { return e.askedFor(now, p, r, seen.listed, err) },
		})
	}
}

// askedFor takes over what ECS knows of an unsettled intent.
func (e *Engine) askedFor(now time.Time, p *pool, r *record, tasks []string, err error) error {
	r.busy = false
	if err != nil {
		r.due = now.Add(capacityHold)
		p.log.Warn().Err(fmt.Errorf("list tasks of intent %s: %w", r.ID, err)).Msg("cannot settle the intent; it counts as launched")
		return nil
	}
	if err := r.step(func(i Intent) (Intent, error) { return i.Settled(now, tasks) }); err != nil {
		return err
	}
	p.launched(now, r, e.metrics)
	return e.settle(now)
}
