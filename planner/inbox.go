package planner

import (
	"context"
	"errors"
)

// inbox is one reading of the requests; the loop says when it is through with them.
type inbox struct {
	requests []Request
	through  chan struct{}
}

// readInbox reads the requests once a second and hands them to the loop. A reading that fails is none: what is there
// waits.
func (l *loop) readInbox(ctx context.Context) error {
	for {
		if err := sleep(ctx, tick); err != nil {
			return err
		}
		requests, err := l.store.requests(ctx)
		if err != nil && ctx.Err() == nil {
			l.Log.Error().Err(err).Msg("cannot read requests")
		}
		if err != nil || len(requests) == 0 {
			continue
		}
		in := inbox{requests, make(chan struct{})}
		select {
		case l.inboxes <- in:
		case <-ctx.Done():
			return ctx.Err()
		}
		// A reading made before these are answered would find them again.
		select {
		case <-in.through:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errLater says that a request cannot be dealt with yet: it stays and comes again.
var errLater = errors.New("not yet")

// obey does what was asked for, each run's requests in order. It is level-triggered: a request that was dealt with and
// not answered, because this planner or its predecessor met with an accident, is dealt with again without harm.
func (l *loop) obey(ctx context.Context, in inbox) error {
	defer close(in.through)
	held := map[string]bool{} // runs whose next requests wait for an earlier one
	for _, r := range in.requests {
		if held[r.Run] {
			continue
		}
		err := l.obeyOne(ctx, r)
		switch {
		case err == nil:
			continue
		case errors.Is(err, errFenced):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errLater):
			l.Log.Error().Err(err).Str("run", r.Run).Str("request", string(r.Kind)).Msg("cannot do what was asked for; trying again")
		}
		held[r.Run] = true
	}
	return nil
}

func (l *loop) obeyOne(ctx context.Context, r Request) error {
	run, err := l.standing(ctx, r.Run)
	if err != nil {
		return err
	}
	what := refuse("there is no run %s", r.Run)
	if run != nil {
		if what, err = l.comply(ctx, r, run); err != nil {
			return err
		}
	}
	if err := l.store.answer(ctx, r, what, run != nil); err != nil {
		return err
	}
	l.Log.Info().Str("run", r.Run).Str("request", string(r.Kind)).Str("by", r.By).Str("reason", r.Reason).
		Bool("refused", what.refused).Str("answer", what.text).Msg("request answered")
	return nil
}

// standing is a run's record: the loop's own when it works on it. Nil: there is none.
func (l *loop) standing(ctx context.Context, id string) (*Run, error) {
	if a := l.active[id]; a != nil {
		return a.Run, nil
	}
	return ReadRun(ctx, l.Table, id)
}

// comply does what a request asks for. errLater: it has to wait for something that passes by itself.
func (l *loop) comply(ctx context.Context, r Request, run *Run) (reply, error) {
	switch r.Kind {
	case RequestCancel:
		return l.cancel(ctx, r, run)
	case RequestSubstitute:
		return l.substitute(ctx, r, run)
	case RequestRetry:
		return l.retry(ctx, r, run)
	}
	return refuse("this controller does not know how to %s a run: is it older than who asks?", r.Kind), nil
}
