package report

import (
	"context"
	"errors"
	"fmt"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Good is an output that an earlier run has for a job.
type Good struct {
	Run string // the earlier run
	Key job.Key
}

// LastGood finds the newest output of a job of the same id and task type in the results of runs that were received before
// run: first of the RunsSearched newest runs of its name, then of other names. Runs that compute another's jobs again or
// with changed parameters do not count, nor do outputs that others stood in for, or that were made from such. That its
// manifest is in S3 is asked. *NotFoundError: none of them has one.
func (r *Reader) LastGood(ctx context.Context, run *planner.Run, planned *job.Planned) (*Good, error) {
	all, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	for _, sameName := range []bool{true, false} {
		looked := 0
		for _, earlier := range all {
			if (earlier.Name == run.Name) != sameName || !isPast(earlier, run) {
				continue
			}
			if looked++; looked > RunsSearched {
				break
			}
			good, err := r.goodOf(ctx, earlier, planned)
			if err != nil || good != nil {
				return good, err
			}
		}
	}
	return nil, &NotFoundError{Kind: "output", Ref: "of job " + planned.ID, Where: "the results of earlier runs"}
}

// isPast reports whether a run's results are of what was really so, before another run.
func isPast(earlier, run *planner.Run) bool {
	return earlier.State.Ended() && earlier.Received.Before(run.Received) && earlier.Reproduction == nil && isRegular(earlier)
}

// goodOf is the output that one run has for a job; nil when there is none.
func (r *Reader) goodOf(ctx context.Context, run *planner.Run, planned *job.Planned) (*Good, error) {
	for result, err := range planner.ReadResults(ctx, r.Objects, run.ID) {
		switch {
		case errors.Is(err, objects.ErrNotFound):
			return nil, nil //nolint:nilnil // no output is an answer
		case err != nil:
			return nil, err
		case result.ID != planned.ID:
			continue
		case result.Manifest == "" || result.Task != planned.Task || result.Key == planned.Key && planned.Substituted == nil,
			result.Substituted != nil, len(result.SubstitutedBy) > 0:
			return nil, nil //nolint:nilnil // no output is an answer
		}
		_, err = r.Objects.Head(ctx, job.ManifestPath(result.Key))
		if errors.Is(err, objects.ErrNotFound) {
			return nil, nil //nolint:nilnil // no output is an answer
		}
		if err != nil {
			return nil, fmt.Errorf("look for output %s: %w", result.Key.Short(), err)
		}
		return &Good{run.ID, result.Key}, nil
	}
	return nil, nil //nolint:nilnil // no output is an answer
}

// DiffOutput lists the fields in which what an output was made from differs from what a job of a run would be made from.
// objects.ErrNotFound: there is no such output.
func (r *Reader) DiffOutput(ctx context.Context, run *planner.Run, planned *job.Planned, output job.Key) ([]Difference, error) {
	common, err := run.Documents()
	if err != nil {
		return nil, err
	}
	data, _, err := r.Objects.Get(ctx, job.ManifestPath(output))
	if err != nil {
		return nil, fmt.Errorf("read output %s: %w", output.Short(), err)
	}
	manifest, err := job.ParseManifest(data, output)
	if err != nil {
		return nil, err
	}
	doc, err := job.ParseDocument(manifest.Document)
	if err != nil {
		return nil, fmt.Errorf("read output %s: %w", output.Short(), err)
	}
	return DiffDocuments(planned.Document(common[planned.Task]), doc)
}
