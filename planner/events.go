package planner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"spate/job"
)

// apply changes the runs by one event. It is level-triggered: applied twice, or late, it changes nothing more. An
// error means that the event must come again.
func (p *Planner) apply(ctx context.Context, e job.Event) error {
	p.metrics.events.WithLabelValues(string(e.Type)).Inc()
	if a := p.active[e.Run]; a != nil {
		a.heard = time.Now()
	}
	switch e.Type {
	case job.EventSucceeded:
		p.succeeded(e)
		return nil
	case job.EventFailed:
		return p.failed(ctx, e, Failure{})
	case job.EventInputChanged:
		return p.failed(ctx, e, Failure{Final: true})
	case job.EventParentLost:
		return p.parentLost(ctx, e)
	case job.EventCancelled:
		p.dropped(e)
		return nil
	}
	return nil
}

// succeeded frees the dependents in every run that has the key.
func (p *Planner) succeeded(e job.Event) {
	for _, a := range p.active {
		if a.closing {
			continue
		}
		n, ok := a.graph.Find(e.Key)
		if !ok || a.graph.State(n).HasOutput() {
			continue
		}
		if a.isReplacing(n) && e.Run != a.ID {
			continue // it may be about the output that this run replaces
		}
		// A job that another run computed, before or beside this one, is not this run's work.
		if e.Reused || e.Run != a.ID {
			a.reused += a.graph.Weight(n)
			a.spared(n)
		} else {
			a.executed(n, e.Seconds, e.Bytes)
			p.durations.saw(a.Pool, a.taskOf(n), e.Seconds)
		}
		p.done(a, n)
		a.confirmed.set(n, true)
	}
}

func (p *Planner) done(a *activeRun, n int32) {
	p.recent.add(a.graph.Key(n), time.Now())
	a.graph.Done(n)
	a.sent.set(n, 0)
	delete(a.failures, n)
	p.land(a, n)
}

// failed records a failed attempt and decides whether there is another.
func (p *Planner) failed(ctx context.Context, e job.Event, f Failure) error {
	a := p.active[e.Run]
	if a == nil || a.closing {
		return nil
	}
	n, ok := a.graph.Find(e.Key)
	if !ok || a.graph.State(n) != job.Queued || e.Attempt != a.attempt(n) {
		return nil
	}
	planned, err := a.planned(n)
	if err != nil {
		return err
	}
	f.JobKey, f.Job, f.Attempt = e.Key.String(), planned.ID, e.Attempt
	f.ExitCode, f.Cause, f.LastLines, f.Log, f.Worker, f.At = e.ExitCode, e.Cause, e.LastLines, e.Log, e.Worker, e.At
	verdict := Judge(a.catalogue[planned.Task], append(slices.Clone(a.failures[n]), f))
	if a.State == job.RunCancelling {
		verdict = Verdict{Reason: "the run is being cancelled"}
	}
	f.Retried, f.Verdict = verdict.Retry, verdict.Reason
	if f.Final && a.Reproduction != nil {
		f.Verdict = "what the original was computed from is gone"
	}
	if err := p.store.saveFailure(ctx, a.ID, f); err != nil {
		return err
	}
	a.count(n, func(t *TaskFigures) { t.FailedSeconds += e.Seconds })
	p.fail(a, n, f)
	p.Log.Info().Str("run", a.ID).Str("job", planned.ID).Int("attempt", f.Attempt).Str("cause", f.Cause).
		Bool("retried", f.Retried).Str("verdict", f.Verdict).Msg("attempt failed")
	return nil
}

// fail applies a recorded failure to the graph.
func (p *Planner) fail(a *activeRun, n int32, f Failure) {
	a.failures[n] = append(a.failures[n], f)
	if f.Retried || f.Forgiven {
		a.attempts[n] = f.Attempt + 1
		a.retried++
		p.back(a, n)
		return
	}
	a.sent.set(n, 0)
	a.graph.Fail(n)
	p.land(a, n)
}

// back takes a job back that had been sent. Its flight ends even when it will be sent again: it may have to wait for a
// parent, or never fly again, and other runs must not wait with it.
func (p *Planner) back(a *activeRun, n int32) {
	a.sent.set(n, 0)
	a.graph.Requeue(n)
	p.land(a, n)
}

// parentLost makes a parent's output again when S3 denies it, and lets the job wait for it.
func (p *Planner) parentLost(ctx context.Context, e job.Event) error {
	exists, err := p.exists(ctx, *e.Lost, job.Replaced{})
	if err != nil {
		return err
	}
	if !exists {
		p.recent.remove(*e.Lost)
		if err := p.Outputs.Forget(ctx, *e.Lost); err != nil {
			return fmt.Errorf("forget output %s: %w", e.Lost.Short(), err)
		}
	}
	for _, a := range p.active {
		if parent, ok := a.graph.Find(*e.Lost); ok && !exists && !a.closing { // one that closes looks at its outputs itself
			p.lose(a, parent)
		}
	}
	a := p.active[e.Run]
	if a == nil || a.closing {
		return nil
	}
	n, ok := a.graph.Find(e.Key)
	if !ok || a.graph.State(n) != job.Queued || e.Attempt != a.attempt(n) {
		return nil
	}
	if _, ours := a.graph.Find(*e.Lost); !ours && !exists {
		// A parent that is no job of this run: nobody would make its output again, and the job would wait for ever.
		return p.failed(ctx, e, Failure{Final: true})
	}
	// The worker has deleted the message. Were this planner to die now, the release log would say that it is out there: a
	// release that was not sent says that it is not.
	recall := release{Key: releaseKey(a.ID, a.releases), Jobs: []int32{a.graph.FirstJob(n)}, Attempts: []int32{int32(e.Attempt)}, Generation: a.generation, At: time.Now()}
	if err := p.store.saveRelease(ctx, a.ID, recall); err != nil {
		return err
	}
	a.releases++
	p.back(a, n)
	return nil
}

func (p *Planner) lose(a *activeRun, n int32) {
	if !a.graph.State(n).HasOutput() {
		return
	}
	p.recent.remove(a.graph.Key(n))
	a.graph.Lose(n)
	if a.standsIn[n] {
		a.bereave(n)
	}
	a.lost++
	a.forgetFigures(n)
	a.confirmed.set(n, false)
	p.Log.Warn().Str("run", a.ID).Stringer("key", a.graph.Key(n)).Msg("an output proved gone; making it again")
}

// Silence and emptiness after which a job that was sent is looked for.
const (
	silence   = time.Minute     // without an event: ask S3
	emptiness = 3 * time.Minute // of a queue that shows nothing at all, while jobs are out: send them again
	sweepMost = 500             // lookups of one sweep
)

// sweep looks in S3 for jobs that have been silent for long, and sends those again that S3 denies and no queue holds.
func (p *Planner) sweep(ctx context.Context, a *activeRun, now time.Time) error {
	var nodes []int32
	all := a.graph.Nodes()
	for range all {
		if len(nodes) == sweepMost {
			break
		}
		n := int32(a.swept)
		a.swept = (a.swept + 1) % all
		if at := a.sent.get(n); at != 0 && now.Sub(time.Unix(int64(at), 0)) >= silence {
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	exist, err := p.exist(ctx, a, nodes)
	if err != nil {
		return err
	}
	empty := p.pools[a.Pool].emptySince
	again := 0
	for i, n := range nodes {
		switch {
		case exist[i]:
			p.done(a, n)
			a.confirmed.set(n, true)
		case !empty.IsZero() && now.Sub(empty) >= emptiness:
			p.back(a, n)
			again++
		default:
			a.sent.set(n, uint32(now.Unix()))
		}
	}
	if again > 0 {
		p.Log.Warn().Str("run", a.ID).Int("jobs", again).Msg("the queue is empty and S3 has no output: sending jobs again")
	}
	return nil
}
