package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

const (
	// watchEvery is how often the tasks that are about to change are described, a call a pool.
	watchEvery = 2 * time.Second
	// lookAgain is when a listing that failed is begun again.
	lookAgain = 5 * time.Second
)

// lookEvery is how long after the beginning of a listing the next one begins: that of a large fleet costs dozens of calls. With
// events that tell of each change at once, listings are there for those that were lost.
func lookEvery(events bool) time.Duration {
	if events {
		return 30 * time.Second
	}
	return 15 * time.Second
}

// lookAt begins a listing of a pool's tasks when one is due.
func (e *Engine) lookAt(now time.Time, p *pool) {
	if p.looking || now.Before(p.nextLook) {
		return
	}
	p.looking = true
	p.nextLook = now.Add(lookEvery(e.hasEvents(now)))
	e.ask(now, &inquiry{
		list: &ecs.ListTasksInput{Cluster: &p.Cluster, Family: &p.Family, DesiredStatus: types.DesiredStatusRunning},
		listed: func(now, at time.Time, arns []string, err error) error {
			return e.looked(now, p, look{at: at, arns: arns, err: err})
		},
	})
}

// look is a listing of a pool's tasks.
type look struct {
	at   time.Time // when it began
	arns []string
	err  error
}

// looked takes over a listing, and has described what needs it. The first one allows the first plan, which need not wait
// for a tick.
func (e *Engine) looked(now time.Time, p *pool, seen look) error {
	p.looking = false
	if err := seen.err; err != nil {
		p.log.Warn().Err(err).Msg("cannot list the workers; trying again")
		p.nextLook = earlier(p.nextLook, now.Add(lookAgain))
		return nil
	}
	first := !p.fleet.known
	p.fleet.listing(now, seen.at, seen.arns)
	e.describe(now, p, &p.describing, p.fleet.wants())
	e.countIn(now, p.cluster)
	if err := e.confirm(now, p); err != nil {
		return err
	}
	if first {
		return e.Tick(now)
	}
	return e.settle(now)
}

// watch asks between the listings what has become of the tasks that tell most, so that starts, and workers that crash, are known
// within seconds. It takes only what listings leave: else pools that are watched would make others stale. Where that is too
// little for all of them the pools take turns. Where events tell of changes it is not needed.
func (e *Engine) watch(now time.Time) {
	if e.hasEvents(now) {
		return
	}
	for _, p := range slices.SortedStableFunc(slices.Values(e.pools), func(a, b *pool) int {
		return cmp.Or(a.nextWatch.Compare(b.nextWatch), cmp.Compare(b.Priority, a.Priority))
	}) {
		if now.Before(p.nextWatch) || e.looks.Available(now) < lookRate().Burst/2 {
			return
		}
		p.nextWatch = now.Add(watchEvery)
		e.describe(now, p, &p.watching, p.fleet.watched(now, p.breakers.isProven(now, p.fleet)))
	}
}

// describe asks what has become of tasks, unless such a question is under way.
func (e *Engine) describe(now time.Time, p *pool, asking *bool, tasks []string) {
	if *asking || len(tasks) == 0 {
		return
	}
	*asking = true
	e.ask(now, &inquiry{
		cluster: p.Cluster, describes: slices.Collect(slices.Chunk(tasks, maxDescribe)),
		described: func(now, at time.Time, tasks []types.Task, missing []string) {
			p.recognise(tasks)
			for _, d := range p.fleet.descriptions(now, at, tasks, missing) {
				p.depart(now, d)
			}
		},
		over: func(now time.Time, err error) error {
			*asking = false
			if err != nil {
				p.nextWatch = later(p.nextWatch, p.nextLook)
				p.log.Warn().Err(err).Msg("cannot describe workers; trying again after the next listing")
				return nil
			}
			if err := e.confirm(now, p); err != nil {
				return err
			}
			return e.settle(now)
		},
	})
}

// recognise keeps which tasks are of requests whose answer was lost.
func (p *pool) recognise(tasks []types.Task) {
	for _, task := range tasks {
		r, arn := p.intents[aws.ToString(task.StartedBy)], aws.ToString(task.TaskArn)
		if r != nil && r.Unconfirmed() > 0 && !slices.Contains(r.seen, arn) {
			r.seen = append(r.seen, arn)
		}
	}
}

// confirm closes intents all of whose tasks ECS has shown. One whose answer was lost needs none when as many have been seen as
// it asked for: it cannot have launched others.
func (e *Engine) confirm(now time.Time, p *pool) error {
	for _, r := range p.intents {
		if r.State == IntentOpen && !r.busy && len(r.seen) == r.Count {
			if err := e.takeOver(now, p, r, Outcome{Tasks: r.seen}); err != nil {
				return err
			}
		}
		if r.State != IntentAnswered || slices.ContainsFunc(r.Tasks, p.fleet.unseen) {
			continue
		}
		if err := r.step(func(i Intent) (Intent, error) { return i.AllSeen(now) }); err != nil {
			return err
		}
	}
	return nil
}

// depart counts a task that is gone.
func (p *pool) depart(now time.Time, d departure) {
	says := symptomNone
	if p.observed.Asked.mode() != ModeDrained {
		says = p.breakers.stopped(d)
	}
	if awsclient.Subnet(d.reason) != "" { // that it is full may be found out only when the task is set up
		p.rooms.answered(now, "", Outcome{Failures: []Failure{{Class: awsclient.ClassifyFailure(d.reason), Reason: d.reason}}})
	}
	if says == symptomCrash || d.fate != fateExited && d.fate != fateStopped {
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
	for _, r := range p.sorted(func(r *record) bool { return !r.busy && r.Unconfirmed() > 0 }) {
		if r.State == IntentOpen && !r.Repeatable(now) {
			r.due = r.CreatedAt.Add(settleable)
			e.forgo(now, r)
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
			list:   &ecs.ListTasksInput{Cluster: request.Cluster, StartedBy: request.StartedBy},
			listed: func(now, _ time.Time, arns []string, err error) error { return e.askedFor(now, p, r, arns, err) },
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
