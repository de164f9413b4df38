package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// manifestReads is how many output manifests are read at once.
const manifestReads = 32

// Manifest reads an output's manifest, and what S3 knows of it. objects.ErrNotFound: there is no such output.
func (r *Reader) Manifest(ctx context.Context, key job.Key) (*job.Manifest, objects.Info, error) {
	data, info, err := r.Objects.Get(ctx, job.ManifestPath(key))
	if err != nil {
		return nil, objects.Info{}, fmt.Errorf("read manifest of output %s: %w", key.Short(), err)
	}
	manifest, err := job.ParseManifest(data, key)
	return manifest, info, err
}

// OutputDiff is how the outputs of a changed job compare.
type OutputDiff struct {
	Same    bool                 `json:"same"`              // byte for byte
	Missing string               `json:"missing,omitzero"`  // why there was nothing to compare
	Files   []job.FileDifference `json:"files,omitempty"`   // that differ
	Seconds float64              `json:"seconds,omitempty"` // that the later one took
	Made    string               `json:"made_by,omitzero"`  // the run that made the later one
}

// OutputsTally sums up how the outputs of changed jobs compare.
type OutputsTally struct {
	Compared int `json:"compared"`
	Same     int `json:"same"` // although the keys differ
	Differ   int `json:"differ"`
	Missing  int `json:"missing"` // of one of the keys there is no output
	// Savable is how many of the jobs ran only because of parents whose bytes did not change: what stopping there would
	// have saved. SavableSeconds is how long they took.
	Savable        int     `json:"savable"`
	SavableSeconds float64 `json:"savable_seconds"`
}

// compareOutputs reads the manifests of changed jobs and compares their files.
func (r *Reader) compareOutputs(ctx context.Context, c *Comparison, progress func(done, of int)) error {
	c.Outputs = &OutputsTally{}
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestReads)
	for i := range c.Changes {
		group.Go(func() error {
			change := &c.Changes[i]
			diff, err := r.compareOutput(ctx, change.Before, change.After)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			change.Output = diff
			done++
			progress(done, len(c.Changes))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.tallyOutputs()
	return nil
}

func (r *Reader) compareOutput(ctx context.Context, before, after job.Key) (*OutputDiff, error) {
	a, _, err := r.Manifest(ctx, before)
	if errors.Is(err, objects.ErrNotFound) {
		return &OutputDiff{Missing: "there is no output of before"}, nil
	}
	if err != nil {
		return nil, err
	}
	b, _, err := r.Manifest(ctx, after)
	if errors.Is(err, objects.ErrNotFound) {
		return &OutputDiff{Missing: "there is no output of now"}, nil
	}
	if err != nil {
		return nil, err
	}
	files := job.DiffFiles(a.Files, b.Files)
	return &OutputDiff{Same: len(files) == 0, Files: files, Seconds: b.Seconds, Made: b.Run}, nil
}

// tallyOutputs sums up. Changes stand parents first, so that what stopping would have saved is known of parents before
// it is asked for their children.
func (c *Comparison) tallyOutputs() {
	outputs := make(map[string]*OutputDiff, len(c.Changes))
	for i := range c.Changes {
		change := &c.Changes[i]
		out := change.Output
		outputs[change.ID] = out
		switch {
		case out.Missing != "":
			c.Outputs.Missing++
			continue
		case out.Same:
			c.Outputs.Same++
		default:
			c.Outputs.Differ++
		}
		c.Outputs.Compared++
		savable := len(change.Differences) == 0 && out.Made == c.After.ID
		for _, need := range change.needs {
			savable = savable && outputs[need.job].keeps(need.files)
		}
		if savable {
			c.Outputs.Savable++
			c.Outputs.SavableSeconds += out.Seconds
		}
	}
}

// keeps reports whether an output has the same bytes as before in all files that a child asks for.
func (d *OutputDiff) keeps(files []string) bool {
	if d == nil || d.Missing != "" {
		return false
	}
	return !slices.ContainsFunc(d.Files, func(f job.FileDifference) bool { return len(files) == 0 || slices.Contains(files, f.Path) })
}
