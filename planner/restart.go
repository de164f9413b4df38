package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"spate/internal/objects"
	"spate/job"
)

// history is what a run's log says: what was released, and which attempts failed.
type history struct {
	releases []release // in order
	failures []Failure // by key, in order of attempts
}

// brokenError is why an active run can never be taken up again.
type brokenError struct{ err error }

func (b *brokenError) Error() string { return "the run cannot go on: " + b.err.Error() }
func (b *brokenError) Unwrap() error { return b.err }

// load reads an active run that another planner began: "what does the run need, minus what exists". The manifest says
// what it needs; the cache, and S3 for what was released, say what exists; replay adds what the log says.
func (p *Planner) load(ctx context.Context, r *Run) (*activeRun, *history, error) {
	body, _, err := p.Objects.Open(ctx, job.RunManifestPath(r.ID), objects.Condition{})
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil, &brokenError{fmt.Errorf("its manifest %s is gone", job.ObjectURL(p.Objects.Bucket(), job.RunManifestPath(r.ID)))}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("load run %s: %w", r.ID, err)
	}
	defer body.Close()
	s, err := spoolFrom(body)
	if err != nil {
		return nil, nil, fmt.Errorf("load run %s: %w", r.ID, err)
	}
	a, err := newActiveRun(r, s)
	if err != nil {
		s.close()
		return nil, nil, &brokenError{err}
	}
	h, err := p.loadHistory(ctx, a)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return a, h, nil
}

func (p *Planner) loadHistory(ctx context.Context, a *activeRun) (*history, error) {
	h := &history{}
	var err error
	if h.releases, err = p.store.releases(ctx, a.ID); err != nil {
		return nil, err
	}
	if h.failures, err = ReadFailures(ctx, p.Table, a.ID); err != nil {
		return nil, err
	}
	released := make([]bool, a.graph.Nodes())
	for _, batch := range h.releases {
		for _, number := range batch.Jobs {
			if int(number) >= a.graph.Jobs() {
				return nil, &brokenError{fmt.Errorf("a release names job %d of %d", number, a.graph.Jobs())}
			}
			if n := a.graph.NodeOf(int(number)); batch.Generation >= a.rekeyed[n] {
				released[n] = true
			}
		}
	}
	planned := a.Planned
	if err := p.resolve(ctx, a, released); err != nil {
		return nil, err
	}
	a.carryOn(a.Tasks)
	a.Planned, a.reused, a.releases = planned, a.Progress.Reused, len(h.releases)
	return h, nil
}

// replay applies a run's log to its graph, and registers what is in flight. It belongs to the loop.
func (p *Planner) replay(a *activeRun, h *history) {
	for _, f := range h.failures {
		key, err := job.ParseKey(f.JobKey)
		if err != nil {
			p.Log.Error().Err(err).Str("run", a.ID).Msg("a recorded failure names no key; leaving it out")
			continue
		}
		n, ok := a.graph.Find(key)
		if ok && !a.graph.State(n).HasOutput() {
			p.fail(a, n, f)
		}
	}
	a.retried = 0 // also of jobs that have an output by now, or other keys
	for _, f := range h.failures {
		if f.Retried || f.Forgiven {
			a.retried++
		}
	}
	// The releases after the failures: only the latest attempt's counts, and of a node's releases the last.
	for _, batch := range slices.Backward(h.releases) {
		current := false
		for i, number := range batch.Jobs {
			n := a.graph.NodeOf(int(number))
			if batch.Generation < a.rekeyed[n] {
				continue // it was released with another key
			}
			if int(batch.Attempts[i]) != a.attempt(n) || a.graph.State(n) != job.Ready || p.share(a, n) {
				continue
			}
			a.graph.Release(n)
			a.sent.set(n, uint32(batch.At.Unix()))
			current = true
		}
		if !batch.Sent && current {
			a.unsent = append(a.unsent, &outgoing{release: batch, taken: map[int32]bool{}})
		}
	}
}
