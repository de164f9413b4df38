package planner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// comparison is how a run's jobs compare with those that they compute again, by node.
type comparison struct {
	differences map[int32][]job.FileDifference // none: identical; jobs without an entry could not be compared
	tasks       []ReproducedTask
}

// compare compares the outputs of a reproduction that has settled with the originals', and remembers which task types
// proved not deterministic. A nil comparison: the run is no reproduction.
func (p *Planner) compare(ctx context.Context, a *activeRun) (*comparison, error) {
	if a.Reproduction == nil {
		return nil, nil //nolint:nilnil // the comment promises it
	}
	type pair struct {
		planned     job.Planned
		differences []job.FileDifference
		compared    bool
	}
	pairs := make([]pair, a.graph.Nodes())
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(headLookups)
	for n := range pairs {
		var err error
		if pairs[n].planned, err = a.planned(int32(n)); err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		if !a.graph.State(int32(n)).HasOutput() {
			continue
		}
		group.Go(func() error {
			original, err := p.readManifest(inGroup, pairs[n].planned.Original)
			if err != nil {
				return err
			}
			again, err := p.readManifest(inGroup, pairs[n].planned.Key)
			if err != nil || original == nil || again == nil {
				return err
			}
			pairs[n].differences, pairs[n].compared = job.DiffFiles(original.Files, again.Files), true
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	c := &comparison{differences: map[int32][]job.FileDifference{}}
	tasks, doubts := map[string]*ReproducedTask{}, map[string]*Doubt{}
	for n, x := range pairs {
		if !x.compared {
			continue
		}
		c.differences[int32(n)] = x.differences
		task := x.planned.Task
		if tasks[task] == nil {
			tasks[task] = &ReproducedTask{Task: task}
		}
		tasks[task].Compared++
		if len(x.differences) == 0 {
			tasks[task].Identical++
			continue
		}
		if doubts[task] == nil {
			doubts[task] = &Doubt{Job: x.planned.ID, JobKey: x.planned.Original.String(), Files: paths(x.differences)}
		}
		doubts[task].Different++
	}
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		if doubts[name] != nil {
			doubts[name].Compared = tasks[name].Compared
		}
		c.tasks = append(c.tasks, *tasks[name])
	}
	return c, p.saveDoubts(ctx, a, doubts)
}

func paths(differences []job.FileDifference) []string {
	var paths []string
	for _, d := range differences[:min(len(differences), doubtFiles)] {
		paths = append(paths, d.Path)
	}
	return paths
}

// readManifest reads a live output's manifest; nil when there is none.
func (p *Planner) readManifest(ctx context.Context, key job.Key) (*job.Manifest, error) {
	data, info, err := p.Objects.Get(ctx, job.ManifestPath(key))
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil //nolint:nilnil // the comment promises it
	}
	if err != nil {
		return nil, fmt.Errorf("compare outputs: %w", err)
	}
	if time.Since(info.LastModified) >= p.Retention {
		return nil, nil //nolint:nilnil // the comment promises it
	}
	manifest, err := job.ParseManifest(data, key)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // what cannot be read is no output to compare with
	}
	return manifest, nil
}
