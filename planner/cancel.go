package planner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// RequestCancel stops a run: what was not released is not, workers drop what they have not started, and what they have
// started ends as it ends.
const RequestCancel RequestKind = "cancel"

// quiet is how long neither a word of a cancelled run's jobs may come nor its queue show anything in flight, until the
// messages that are left count as cancelled. Whoever receives one later drops it.
const quiet = time.Minute

// abortedFor is how long a run whose planning was interrupted is left alone, so that the request that wanted it comes
// first.
const abortedFor = 5 * time.Second

func (l *loop) cancel(ctx context.Context, r Request, run *Run) (reply, error) {
	switch run.State {
	case job.RunReceived, job.RunPlanning:
		return l.cancelUnplanned(ctx, r, run.ID)
	case job.RunActive, job.RunCancelling:
		if a := l.active[run.ID]; a != nil {
			return l.cancelActive(ctx, r, a)
		}
		return l.cancelUnloaded(ctx, r, run)
	case job.RunCancelled:
		return refuse("the run was cancelled before"), nil
	case job.RunSucceeded, job.RunFailed:
		return refuse("there is nothing to cancel: the run has %s", run.State), nil
	case job.RunRejected:
		return refuse("there is nothing to cancel: the run was rejected"), nil
	}
	return refuse("the run is in a state that this controller does not know: %s", run.State), nil
}

// cancelUnplanned cancels a run of which nothing can have been released.
func (l *loop) cancelUnplanned(ctx context.Context, r Request, id string) (reply, error) {
	at := slices.IndexFunc(l.waiting, func(w *Run) bool { return w.ID == id })
	if at < 0 {
		if plan := l.planning[id]; plan != nil {
			plan.abort()
			plan.aborted = true
		}
		return reply{}, errLater // it is being interrupted, or on its way from the submissions queue
	}
	run, err := l.store.claim(ctx, id)
	if err != nil {
		return reply{}, err
	}
	run.State, run.Reason, run.Ended = job.RunCancelled, cancelledBy(r), time.Now()
	run.ExpiresAt = run.Ended.Add(keepRuns).Unix()
	if err := l.store.save(ctx, run); err != nil {
		return reply{}, err
	}
	l.waiting = slices.Delete(l.waiting, at, at+1)
	delete(l.retries, id)
	l.metrics.runs.WithLabelValues(string(job.RunCancelled)).Inc()
	return done("cancelled before any of its jobs was released"), nil
}

// cancelActive cancels a run that is being worked on: durably first, then for workers to see, then it is answered.
func (l *loop) cancelActive(ctx context.Context, r Request, a *activeRun) (reply, error) {
	if a.closing {
		return reply{}, errLater // it may have ended
	}
	word := "is being cancelled"
	if a.State == job.RunActive {
		before, reason := a.State, a.Reason
		a.State, a.Reason = job.RunCancelling, cancelledBy(r)
		if err := l.store.save(ctx, a.Run); err != nil {
			a.State, a.Reason = before, reason
			return reply{}, err
		}
		l.drop(a, time.Now())
		a.cancelled = r.ID()
	} else if a.cancelled != r.ID() {
		word = "was being cancelled already"
	}
	if err := l.mark(ctx, a.ID); err != nil {
		return reply{}, err
	}
	a.savedAt = time.Time{} // who reads the answer sees what it says
	if err := l.saveProgress(ctx, a, time.Now()); err != nil {
		return reply{}, err
	}
	p := progress(a.graph)
	text := fmt.Sprintf("the run %s: ", word)
	switch {
	case p.Queued == 0:
		text += jobs(p.Cancelled) + " will not run"
	case p.Cancelled == 0:
		text += fmt.Sprintf("%s on the queue or running, of which workers drop what has not started within about a second", jobs(p.Queued))
	default:
		text += fmt.Sprintf("%s will not run; of %d on the queue or running, workers drop what has not started within about a second", jobs(p.Cancelled), p.Queued)
	}
	return done("%s", text), nil
}

// cancelUnloaded cancels an active run that could not be loaded yet. It goes on from there once it can.
func (l *loop) cancelUnloaded(ctx context.Context, r Request, run *Run) (reply, error) {
	switch {
	case l.planning[run.ID] != nil:
		return reply{}, errLater
	case !l.known(run.ID):
		return refuse("the run's pool %s is not in this controller's configuration", run.Pool), nil
	}
	claimed, err := l.store.claim(ctx, run.ID)
	if err != nil {
		return reply{}, err
	}
	if claimed.State == job.RunActive {
		claimed.State, claimed.Reason = job.RunCancelling, cancelledBy(r)
		if err := l.store.save(ctx, claimed); err != nil {
			return reply{}, err
		}
	}
	if err := l.mark(ctx, run.ID); err != nil {
		return reply{}, err
	}
	return done("the run is being cancelled; the controller could not load it so far"), nil
}

// mark tells workers that a run is cancelled.
func (l *loop) mark(ctx context.Context, run string) error {
	if _, err := l.Objects.Put(ctx, job.CancelledPath(run), nil, objects.Condition{}); err != nil {
		return fmt.Errorf("mark run %s as cancelled: %w", run, err)
	}
	return nil
}

func cancelledBy(r Request) string {
	text := "cancelled by " + r.By
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// drop takes back whatever is not known to be on the queue. Runs that shared what this one had in flight go on by
// themselves.
func (p *Planner) drop(a *activeRun, now time.Time) {
	a.heard = now
	a.graph.Cancel()
	for _, out := range a.unsent {
		for i, number := range out.Jobs {
			n := a.graph.NodeOf(int(number))
			if !out.taken[n] && a.current(n, out.Attempts[i]) {
				p.back(a, n)
			}
		}
	}
	a.unsent = nil
	for n := range int32(a.graph.Nodes()) {
		if a.graph.State(n) == job.Queued {
			p.land(a, n)
		}
	}
}

// dropped applies that a worker dropped a job. Only of a run that is being cancelled: what else somebody's mark made
// workers drop is found missing like a message that was lost.
func (p *Planner) dropped(e job.Event) {
	a := p.active[e.Run]
	if a == nil || a.closing || a.State != job.RunCancelling {
		return
	}
	if n, ok := a.graph.Find(e.Key); ok && a.graph.State(n) == job.Queued && e.Attempt == a.attempt(n) {
		p.back(a, n)
	}
}

// abandon gives the messages of a cancelled run up that nobody takes from the queue: no worker is launched to drop them.
func (p *Planner) abandon(a *activeRun, now time.Time) {
	resting := p.pools[a.Pool].restingSince
	if resting.IsZero() || now.Sub(resting) < quiet || now.Sub(a.heard) < quiet || a.graph.Count(job.Queued) == 0 {
		return
	}
	for n := range int32(a.graph.Nodes()) {
		if a.graph.State(n) == job.Queued {
			p.back(a, n)
		}
	}
}
