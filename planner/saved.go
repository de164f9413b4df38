package planner

import (
	"context"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// savedMost is how many manifests of outputs that a run found are read before it ends, for how long they took to compute. Of
// more, as many are read, evenly over the run's jobs.
const savedMost = 5000

// saved reads from manifests how long those outputs took to compute that the run had not to compute. Done again it begins
// anew. What cannot be read is not counted. An output that stands in for another job's saved nothing: somebody asked for it.
func (p *Planner) saved(ctx context.Context, a *activeRun) error {
	var spared []int32
	for n := range int32(a.graph.Nodes()) {
		if a.graph.State(n).HasOutput() && a.figures.seconds.get(n) == secondsOfAnother {
			spared = append(spared, n)
		}
	}
	nodes := spared
	if len(spared) > savedMost {
		nodes = make([]int32, savedMost)
		for i := range nodes {
			nodes[i] = spared[i*len(spared)/savedMost]
		}
	}
	seconds := make([]float64, len(nodes))
	var group errgroup.Group
	group.SetLimit(headLookups)
	for i, n := range nodes {
		group.Go(func() error {
			if a.standsIn[n] {
				return nil
			}
			seconds[i] = -1
			data, _, err := p.Objects.Get(ctx, job.ManifestPath(a.graph.Key(n)))
			if err != nil {
				return err
			}
			manifest, err := job.ParseManifest(data, a.graph.Key(n))
			if err != nil {
				return err
			}
			seconds[i] = manifest.Seconds
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.Log.Warn().Err(err).Str("run", a.ID).Msg("cannot read how long some cached outputs took; what the cache saved is estimated for them")
	}
	for task, f := range a.Tasks {
		f.SavedKnown, f.SavedSeconds = 0, 0
		a.Tasks[task] = f
	}
	for i, n := range nodes {
		if seconds[i] >= 0 {
			a.count(n, func(f *TaskFigures) {
				f.SavedKnown++
				f.SavedSeconds += seconds[i]
			})
		}
	}
	return nil
}
