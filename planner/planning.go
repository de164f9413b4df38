package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"spate/job"
)

// planningMost is how many runs are planned at once: two, so that small runs need not wait for a large one, whose memory
// (BenchmarkPlan) bounds it. Which run's jobs go first does not depend on it.
const planningMost = 2

// plan is the planning of one run under way.
type plan struct {
	abort   func() // interrupts it, and frees what it holds
	aborted bool   // whether it was interrupted, for a request to be dealt with
}

// startPlanning plans the next runs that are due, beside the loop.
func (l *loop) startPlanning(ctx context.Context, now time.Time) {
	for len(l.planning) < planningMost {
		next := slices.IndexFunc(l.waiting, func(r *Run) bool { return !now.Before(l.retries[r.ID].at) })
		if next < 0 {
			return
		}
		r := l.waiting[next]
		l.waiting = slices.Delete(l.waiting, next, next+1)
		ctx, abort := context.WithCancel(ctx)
		l.planning[r.ID] = &plan{abort: abort}
		l.background.Go(func() error {
			l.intakes <- l.prepare(ctx, r)
			return nil
		})
	}
}

// prepare plans a run, or loads it when it turns out to be active.
func (l *loop) prepare(ctx context.Context, r *Run) intake {
	in := intake{run: r}
	claimed, err := l.store.claim(ctx, r.ID)
	if err != nil {
		in.err = err
		return in
	}
	in.run = claimed
	if claimed.State != job.RunCancelling {
		claimed.Reason = r.Reason
	}
	switch {
	case claimed.State.Ended():
	case claimed.isPlanned():
		in.active, in.history, in.err = l.load(ctx, claimed)
	default:
		in.active, in.err = l.planAndResolve(ctx, claimed)
	}
	return in
}

func (l *loop) planAndResolve(ctx context.Context, r *Run) (*activeRun, error) {
	r.State = job.RunPlanning
	if err := l.store.save(ctx, r); err != nil {
		return nil, err
	}
	a, err := l.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := l.resolve(ctx, a, nil); err != nil {
		a.spool.close()
		return nil, err
	}
	a.countCached()
	return a, nil
}

// taken takes what became of a run that was to be planned: it is active, ended, or tried again.
func (l *loop) taken(ctx context.Context, in intake) error {
	aborted := false
	if plan := l.planning[in.run.ID]; plan != nil {
		plan.abort()
		aborted = plan.aborted
		delete(l.planning, in.run.ID)
	}
	var rejected *rejection
	var broken *brokenError
	switch {
	case errors.As(in.err, &rejected):
		return l.reject(ctx, in.run, rejected)
	case errors.As(in.err, &broken):
		return l.giveUp(ctx, in.run, broken)
	case in.err != nil && ctx.Err() != nil:
		return ctx.Err()
	case aborted && errors.Is(in.err, context.Canceled):
		l.retries[in.run.ID] = retry{at: time.Now().Add(abortedFor)}
		l.waiting = append(l.waiting, in.run)
		return nil
	case in.err != nil:
		return l.replan(in.run, in.err)
	case in.active == nil: // it had ended before
		return nil
	case l.pools[in.run.Pool] == nil:
		in.active.spool.close()
		l.leaveAlone(in.run)
		return nil
	}
	if in.history == nil {
		in.run.State, in.run.Reason = job.RunActive, ""
		in.run.Progress = in.active.progress(0)
		if err := l.store.save(ctx, in.run); err != nil {
			in.active.spool.close()
			return l.replan(in.run, err)
		}
	}
	delete(l.retries, in.run.ID)
	l.activate(in.active, in.history)
	return nil
}

func (l *loop) reject(ctx context.Context, r *Run, why *rejection) error {
	r.State, r.Reason, r.Errors, r.Ended = job.RunRejected, why.reason, why.lines(), time.Now()
	r.ExpiresAt = r.Ended.Add(keepRuns).Unix()
	if err := l.store.save(ctx, r); err != nil {
		return l.replan(r, err)
	}
	delete(l.retries, r.ID)
	l.metrics.runs.WithLabelValues(string(job.RunRejected)).Inc()
	l.Log.Warn().Str("run", r.ID).Str("reason", why.reason).Msg("run rejected")
	return nil
}

// giveUp ends an active run that cannot be loaded again.
func (l *loop) giveUp(ctx context.Context, r *Run, why *brokenError) error {
	if r.State != job.RunCancelling {
		r.State, r.Reason = job.RunFailed, why.Error()
	} else {
		r.State = job.RunCancelled
	}
	r.Ended = time.Now()
	r.ExpiresAt = r.Ended.Add(keepRuns).Unix()
	if err := l.store.save(ctx, r); err != nil {
		return l.replan(r, err)
	}
	delete(l.retries, r.ID)
	l.metrics.runs.WithLabelValues(string(r.State)).Inc()
	l.Log.Error().Str("run", r.ID).Str("reason", why.Error()).Msg("run given up")
	return nil
}

func (l *loop) leaveAlone(r *Run) {
	l.Log.Error().Str("run", r.ID).Str("pool", r.Pool).Msg("the configuration has no pool of this name that takes runs; leaving the active run alone")
}

// replan puts a run back that could not be planned for reasons that may pass.
func (l *loop) replan(r *Run, err error) error {
	if errors.Is(err, errFenced) {
		return err
	}
	pause := min(max(2*l.retries[r.ID].pause, retryFirst), retryMost)
	l.retries[r.ID] = retry{time.Now().Add(pause), pause}
	r.Reason = "planning failed, trying again: " + err.Error()
	l.waiting = append(l.waiting, r)
	l.Log.Error().Err(err).Str("run", r.ID).Dur("pause", pause).Msg("cannot plan run; trying again")
	return nil
}

// lines are a rejection's errors as a run's record keeps them.
func (r *rejection) lines() []string {
	if r.errs == nil {
		return []string{r.reason}
	}
	var lines []string
	for _, e := range r.errs.List[:min(len(r.errs.List), maxErrors)] {
		lines = append(lines, e.Error())
	}
	if more := r.errs.Len() - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// encodeCatalogue pins task types in a run's record.
func encodeCatalogue(c job.Catalogue) (string, error) {
	data, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("pin catalogue: %w", err)
	}
	return string(data), nil
}
