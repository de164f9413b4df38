package scaler

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
)

// How what people want is looked for, and done.
const (
	controlsEvery = time.Second
	// markAgain is how long after it failed the drain mark is put or taken away again.
	markAgain = 5 * time.Second
	// stopAgain is how long a task that was told to stop has to be on its way out before it is told again.
	stopAgain = time.Minute
	// stopReason is what a stopped task's record says; ECS shows it as the stopped reason.
	stopReason = "The pool was killed: spate kill"
)

// controls is what is known of what people want.
type controls struct {
	byPool  map[string]Control
	at      time.Time // when the last reading began; zero: there was none yet
	reading bool
	next    time.Time
}

// due is when to read next, at the latest at another time.
func (c *controls) due(o Options, latest time.Time) time.Time {
	if o.Levers == nil || c.reading {
		return latest
	}
	return earlier(c.next, latest)
}

// readControls begins a reading when one is due. A reading that fails is none: what is known ages.
func (e *Engine) readControls(now time.Time) {
	c := &e.controls
	if e.o.Levers == nil || c.reading || now.Before(c.next) {
		return
	}
	c.reading = true
	begun := now
	e.hands.ReadControls(func(now time.Time, read map[string]Control, err error) error {
		c.reading, c.next = false, now.Add(controlsEvery)
		if err != nil {
			e.o.Log.Warn().Err(err).Msg("cannot read what people want of the pools; trying again")
			return nil
		}
		news := c.at.IsZero()
		for _, p := range e.pools {
			was, is := c.byPool[p.Name], read[p.Name]
			if is.Version == was.Version {
				continue
			}
			news = true
			p.stopError = ""
			p.log.Info().Str("mode", string(is.mode())).Interface("cap", is.Cap).Str("by", is.Set.By).Str("reason", is.Set.Reason).Msg("people want something of the pool")
			if is.mode() == ModeRun && is.SetVersion > p.status.ControlVersion { // obeyed by nobody yet
				e.ResetBreakers(now, p.Name)
			}
		}
		c.byPool, c.at = read, begun
		if news {
			return e.Tick(now)
		}
		return nil
	})
}

// asked is what people want of a pool.
func (e *Engine) asked(now time.Time, p *pool) Asked {
	if e.o.Levers == nil {
		return Asked{At: now, Known: true}
	}
	c := e.controls.byPool[p.Name]
	return Asked{Control: c, At: e.controls.at, Known: !e.controls.at.IsZero() && c.isReadable()}
}

// mayLaunch reports whether requests of a pool may be sent, those among them that were decided before people wanted
// something else. An intent that waits too long for it is settled by asking ECS, as any other.
func (e *Engine) mayLaunch(p *pool) bool {
	return e.o.Levers == nil || !e.controls.at.IsZero() && e.controls.byPool[p.Name].mode() == ModeRun
}

// drainMark is how a pool's mark for its workers stands, as far as is known.
type drainMark struct {
	known bool // else a leader before may have left one
	there bool
	busy  bool
	due   time.Time
}

// markDrain puts the mark of a drained pool, and takes that of another away.
func (e *Engine) markDrain(now time.Time, p *pool) {
	if e.o.Levers == nil || e.controls.at.IsZero() || p.drain.busy || now.Before(p.drain.due) || !e.o.Term.Valid(now) {
		return
	}
	drained := e.controls.byPool[p.Name].mode() == ModeDrained
	if p.drain.known && p.drain.there == drained {
		return
	}
	var at time.Time
	if drained {
		at = now
	}
	p.drain.busy = true
	e.hands.MarkDrained(p.Name, at, func(now time.Time, _ struct{}, err error) error {
		p.drain.busy, p.drain.known = false, err == nil
		if err != nil {
			p.drain.due = now.Add(markAgain)
			p.log.Warn().Err(err).Msg("cannot tell the workers whether their pool is drained; trying again")
			return nil
		}
		p.drain.there = drained
		return nil
	})
}

// stopping is how far a task is on its way out because its pool was killed.
type stopping struct {
	busy bool
	at   time.Time // when ECS last said that it will stop
	due  time.Time
}

// asked reports whether ECS was told to stop the task.
func (s stopping) asked() bool { return s.busy || !s.at.IsZero() }

// stop has the tasks of killed pools stopped, as fast as the rate of such calls allows. It is level-triggered: a task
// that is still there, or that appears late, is told as long as its pool is killed.
func (e *Engine) stop(now time.Time) {
	if e.o.Levers == nil || !e.o.Term.Valid(now) {
		return
	}
	for _, p := range e.pools {
		if e.controls.byPool[p.Name].mode() != ModeKilled {
			continue
		}
		if e.calling >= maxCalls || e.calls.Available(now) == 0 {
			return
		}
		for _, arn := range slices.SortedFunc(maps.Keys(p.fleet.members), strings.Compare) {
			m := p.fleet.members[arn]
			if m.stop.busy || now.Before(m.stop.due) {
				continue
			}
			if e.calling >= maxCalls || e.calls.Available(now) == 0 {
				return
			}
			e.calls.Take(now, 1)
			e.stopTask(p, arn, m)
		}
	}
}

func (e *Engine) stopTask(p *pool, arn string, m *member) {
	m.stop.busy = true
	e.calling++
	in := &ecs.StopTaskInput{Cluster: &p.Cluster, Task: &arn, Reason: aws.String(stopReason)}
	e.hands.StopTask(in, func(now time.Time, _ *ecs.StopTaskOutput, err error) error {
		m.stop.busy = false
		e.calling--
		class := awsclient.Classify(err)
		e.metrics.countError(class, awsclient.Code(err))
		switch {
		case err == nil:
			m.status, m.stop.at, m.stop.due = memberStopping, now, now.Add(stopAgain)
			p.stopError = ""
		case class == awsclient.ClassThrottled:
			e.calls.Empty(now)
		default:
			m.stop.due = now.Add(capacityHold)
			// One that ECS does not know is gone, or is not known yet: the next look finds that out.
			if _, unknown := errors.AsType[*types.InvalidParameterException](err); !unknown && !class.Ambiguous() {
				p.stopError = cmp.Or(sentenceOf(err), string(class))
			}
			p.log.Warn().Err(err).Str("task", arn).Msg("cannot stop the task; trying again")
		}
		if e.calling > maxCalls/2 {
			return nil // several next ones at once, as each time all tasks are gone through
		}
		return e.settle(now)
	})
}
