package planner

import (
	"context"
	"fmt"

	"spate/internal/objects"
	"spate/job"
)

// reload takes up an active run that another planner began: "what does the run need, minus what exists". The manifest
// says what it needs; the cache, and S3 for what was released, say what exists; failures and releases are replayed.
func (p *Planner) reload(ctx context.Context, r *Run) (*activeRun, error) {
	body, _, err := p.Objects.Open(ctx, job.RunManifestPath(r.ID), objects.Condition{})
	if err != nil {
		return nil, fmt.Errorf("reload run %s: %w", r.ID, err)
	}
	defer body.Close()
	s, err := spoolFrom(body)
	if err != nil {
		return nil, fmt.Errorf("reload run %s: %w", r.ID, err)
	}
	a, err := newActiveRun(r, s)
	if err != nil {
		s.close()
		return nil, err
	}
	if err := p.replay(ctx, a); err != nil {
		s.close()
		return nil, err
	}
	return a, nil
}

func (p *Planner) replay(ctx context.Context, a *activeRun) error {
	releases, err := p.store.releases(ctx, a.ID)
	if err != nil {
		return err
	}
	failures, err := ReadFailures(ctx, p.Table, a.ID)
	if err != nil {
		return err
	}
	released := map[int32]bool{}
	for _, batch := range releases {
		for _, n := range batch.Nodes {
			if int(n) >= a.graph.Nodes() {
				return fmt.Errorf("replay run %s: a release names job %d of %d", a.ID, n, a.graph.Nodes())
			}
			released[n] = true
		}
	}
	planned := a.Planned
	if err := p.resolve(ctx, a, released); err != nil {
		return err
	}
	a.Planned, a.reused, a.releases = planned, a.Progress.Reused, len(releases)
	for _, f := range failures {
		key, err := job.ParseKey(f.JobKey)
		if err != nil {
			return fmt.Errorf("replay run %s: %w", a.ID, err)
		}
		n, ok := a.graph.Find(key)
		if ok && !a.graph.State(n).HasOutput() {
			p.fail(a, n, f)
		}
	}
	// The releases after the failures: only the latest attempt's counts.
	for _, batch := range releases {
		current := release{Key: batch.Key, At: batch.At}
		for i, n := range batch.Nodes {
			if int(batch.Attempts[i]) != a.attempt(n) || a.graph.State(n) != job.Ready {
				continue
			}
			if p.share(a, n) {
				continue
			}
			a.graph.Release(n)
			a.sent[n] = batch.At
			current.Nodes, current.Attempts = append(current.Nodes, n), append(current.Attempts, batch.Attempts[i])
		}
		if !batch.Sent && len(current.Nodes) > 0 {
			a.unsent = append(a.unsent, current)
		}
	}
	return nil
}
