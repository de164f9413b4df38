package report

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"spate/planner"
)

// Hits is for how many of some jobs the output existed when it was needed. Of jobs of equal key one counts.
type Hits struct {
	Jobs int `json:"jobs"` // that have an output
	Hits int `json:"hits"`
}

// Share is the hits as a part of the jobs; 0 where there are none.
func (h Hits) Share() float64 {
	if h.Jobs == 0 {
		return 0
	}
	return float64(h.Hits) / float64(h.Jobs)
}

func (h *Hits) add(f planner.TaskFigures) {
	h.Jobs += f.Cached + f.Executed
	h.Hits += f.Cached
}

// RunHits is a run's.
type RunHits struct {
	Run RunRef `json:"run"`
	Hits
}

// TaskHits is a task type's.
type TaskHits struct {
	Task string `json:"task"`
	Hits
}

// HitRatios is what the newest runs found in the cache.
type HitRatios struct {
	All   Hits       `json:"all"`
	Runs  []RunHits  `json:"runs"`  // the newest first
	Tasks []TaskHits `json:"tasks"` // those of most jobs first
}

// HitRatios counts the hits of the newest runs, at most so many. Runs that compute others' jobs again count for nothing:
// they do not ask the cache.
func (r *Reader) HitRatios(ctx context.Context, most int) (*HitRatios, error) {
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	return hitRatios(runs, most), nil
}

// hitRatios is HitRatios of a list of runs, the newest first.
func hitRatios(runs []*planner.Run, most int) *HitRatios {
	found := &HitRatios{Runs: []RunHits{}, Tasks: []TaskHits{}}
	tasks := map[string]Hits{}
	for _, run := range runs {
		if !isPlanned(run) || run.Reproduction != nil || len(found.Runs) == most {
			continue
		}
		of := RunHits{Run: refOf(run)}
		for task, figures := range run.Tasks {
			of.add(figures)
			t := tasks[task]
			t.add(figures)
			tasks[task] = t
		}
		found.All.Jobs += of.Jobs
		found.All.Hits += of.Hits.Hits
		found.Runs = append(found.Runs, of)
	}
	for _, task := range slices.Sorted(maps.Keys(tasks)) {
		found.Tasks = append(found.Tasks, TaskHits{task, tasks[task]})
	}
	slices.SortStableFunc(found.Tasks, func(a, b TaskHits) int { return cmp.Compare(b.Jobs, a.Jobs) })
	return found
}
