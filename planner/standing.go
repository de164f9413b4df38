package planner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// standing is the output that stands at a key in S3, as a job that is to replace it names it; the zero value if there is none.
func standing(ctx context.Context, store *objects.Store, key job.Key) (job.Replaced, error) {
	data, info, err := store.Get(ctx, job.ManifestPath(key))
	if errors.Is(err, objects.ErrNotFound) {
		return job.Replaced{}, nil
	}
	if err != nil {
		return job.Replaced{}, fmt.Errorf("look for output %s: %w", key.Short(), err)
	}
	return job.Standing(key, info.ETag, data), nil
}

// exists asks S3 whether a live output exists: the truth. The one that is replaced counts as absent.
func (p *Planner) exists(ctx context.Context, key job.Key, replaced job.Replaced) (bool, error) {
	var data []byte
	var info objects.Info
	var err error
	if replaced == (job.Replaced{}) {
		info, err = p.Objects.Head(ctx, job.ManifestPath(key))
	} else {
		data, info, err = p.Objects.Get(ctx, job.ManifestPath(key))
	}
	if errors.Is(err, objects.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for output %s: %w", key.Short(), err)
	}
	if replaced.Is(job.Standing(key, info.ETag, data)) {
		return false, nil
	}
	return time.Since(info.LastModified) < p.Retention, nil
}
