package main

import (
	"context"
	"fmt"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// changeFlags change parameters of a run's jobs.
type changeFlags struct {
	Change   []string `help:"Set a parameter of a job, as in deal-00017.limit=5e6; repeat it for more. A path leads further down, and counts in lists from 0: a.layers.0.limit. What is no JSON is text." placeholder:"JOB.PARAM=VALUE" sep:"none"`
	AllowNew bool     `help:"Let --change add parameters, and turn a number into text and the like."`
}

// changes are the changes of the flags.
func (f changeFlags) changes() ([]job.Change, error) {
	changes := make([]job.Change, 0, len(f.Change))
	for _, text := range f.Change {
		c, err := job.ParseChange(text)
		if err != nil {
			return nil, fmt.Errorf("--change: %w", err)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// apply makes the changes and returns the ids of the jobs that changed.
func (f changeFlags) apply(ctx context.Context, p *planner.Prepared, store *objects.Store, catalogue job.Catalogue) ([]string, error) {
	if len(f.Change) == 0 {
		return nil, nil
	}
	changes, err := f.changes()
	if err != nil {
		return nil, err
	}
	return p.Change(ctx, store, planner.ChangeOptions{Changes: changes, AllowNew: f.AllowNew, Catalogue: catalogue})
}
