package planner

import (
	"context"
	"errors"
	"time"

	"spate/job"
)

// startClosing ends a settled run beside the loop, which leaves the run alone meanwhile.
func (l *loop) startClosing(ctx context.Context, a *activeRun) {
	a.closing = true
	l.background.Go(func() error {
		e := l.finish(ctx, a)
		select {
		case l.endeds <- e:
		case <-ctx.Done():
		}
		return nil
	})
}

// close writes a run's end, or goes on with it.
func (l *loop) close(ctx context.Context, e ended) error {
	a := e.run
	a.closing = false
	if e.err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.Log.Error().Err(e.err).Str("run", a.ID).Msg("cannot close run; trying again")
		a.closeAt = time.Now().Add(retryFirst)
		return nil
	}
	if len(e.lost)+len(e.found) > 0 {
		for _, n := range e.lost {
			l.lose(a, n)
		}
		for _, n := range e.found {
			l.done(a, n)
			a.confirmed.set(n, true)
		}
		return nil
	}
	a.Progress = a.progress(0)
	before := a.State
	a.Ended = time.Now()
	a.ExpiresAt = a.Ended.Add(keepRuns).Unix()
	compared := ""
	if e.compared != nil {
		a.Reproduction.Tasks = e.compared.tasks
		compared = a.Reproduction.reproduced()
	}
	switch {
	case before == job.RunCancelling: // the reason says who wanted it
		a.State = job.RunCancelled
	case a.Progress.Failed > 0:
		a.State, a.Reason = job.RunFailed, join(a.summary(), compared, a.substituted())
	default:
		a.State, a.Reason = job.RunSucceeded, join(compared, a.substituted())
	}
	if err := l.store.save(ctx, a.Run); err != nil {
		a.State, a.Ended, a.ExpiresAt = before, time.Time{}, 0
		if errors.Is(err, errFenced) {
			return err
		}
		l.Log.Error().Err(err).Str("run", a.ID).Msg("cannot close run; trying again")
		a.closeAt = time.Now().Add(retryFirst)
		return nil
	}
	a.spool.close()
	delete(l.active, a.ID)
	l.metrics.runs.WithLabelValues(string(a.State)).Inc()
	l.Log.Info().Str("run", a.ID).Str("state", string(a.State)).Interface("progress", a.Progress).
		Float64("seconds", a.Ended.Sub(a.Received).Seconds()).Msg("run ended")
	return nil
}
