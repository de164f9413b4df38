package report

import (
	"cmp"
	"context"
	"errors"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Reproduced is what came of a run that computed jobs of another run again.
type Reproduced struct {
	Different   []ReproducedJob `json:"different"`    // jobs that gave other bytes, in the order of the run's manifest
	NotCompared []ReproducedJob `json:"not_compared"` // jobs that failed, or whose original's output is gone
}

// ReproducedJob is a job that was computed again.
type ReproducedJob struct {
	Job      string           `json:"job"`
	Task     string           `json:"task"`
	Original job.Key          `json:"original"` // the key of the job in the other run
	Key      job.Key          `json:"key"`      // of the job that computed it again
	Cause    string           `json:"cause,omitzero"`
	Files    []ReproducedFile `json:"files,omitempty"` // that differ
}

// ReproducedFile is a file that differs. Place is nil where only one output has the file, beyond the files that were
// looked at, and when one of the outputs is gone.
type ReproducedFile struct {
	job.FileDifference

	Place *Place `json:"place,omitempty"`
}

// Reproduced reads what came of a reproduction that has ended. Of the first files that differ, as many as most, it says
// where they begin to.
func (r *Reader) Reproduced(ctx context.Context, run *planner.Run, most int) (*Reproduced, error) {
	found := &Reproduced{Different: []ReproducedJob{}, NotCompared: []ReproducedJob{}}
	for result, err := range planner.ReadResults(ctx, r.Objects, run.ID) {
		if err != nil {
			return nil, err
		}
		x := ReproducedJob{Job: result.ID, Task: result.Task, Original: result.Original, Key: result.Key, Cause: result.Cause}
		switch {
		case !result.Compared:
			if result.Manifest != "" {
				x.Cause = "the original's output is gone"
			}
			x.Cause = cmp.Or(x.Cause, "it is "+result.State)
			found.NotCompared = append(found.NotCompared, x)
		case len(result.Differences) > 0:
			looked, err := r.places(ctx, &x, result.Differences, most)
			if err != nil {
				return nil, err
			}
			most -= looked
			found.Different = append(found.Different, x)
		}
	}
	return found, nil
}

// places fills in the files of a job, and where as many of them as most begin to differ. It returns how many were looked at.
func (r *Reader) places(ctx context.Context, x *ReproducedJob, differences []job.FileDifference, most int) (looked int, err error) {
	var before, after *job.Manifest
	if most > 0 {
		if before, err = r.manifest(ctx, x.Original); err == nil {
			after, err = r.manifest(ctx, x.Key)
		}
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return 0, err
		}
	}
	for _, d := range differences {
		file := ReproducedFile{FileDifference: d}
		if looked < most && before != nil && after != nil && d.Before != nil && d.After != nil {
			looked++
			place, err := FirstDifference(ctx, r.Objects, d.Path, before, after)
			switch {
			case err == nil:
				file.Place = &place
			case !errors.Is(err, objects.ErrNotFound):
				return looked, err
			}
		}
		x.Files = append(x.Files, file)
	}
	return looked, nil
}
