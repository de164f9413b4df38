package report

import (
	"context"
	"slices"

	"spate/internal/price"
	"spate/planner"
)

// spotProvider is the capacity provider whose tasks cost less and may be interrupted.
const spotProvider = "FARGATE_SPOT"

// Cost is an estimate of what computing costs: the seconds of jobs, shared by a worker's slots, at the price of a worker.
// Start-up, idle minutes, stopped workers' last seconds, requests and storage are not in it.
type Cost struct {
	USD    price.USD `json:"usd"`     // on the provider that the pool prefers
	LowUSD price.USD `json:"low_usd"` // on the cheapest of the pool's providers
	MaxUSD price.USD `json:"max_usd"` // on the dearest of them

	Provider          string    `json:"provider"` // the preferred one
	JobSeconds        float64   `json:"job_seconds"`
	WorkerUSDPerHour  price.USD `json:"worker_usd_per_hour"` // on the preferred provider
	DearestUSDPerHour price.USD `json:"max_worker_usd_per_hour"`
	Prices            string    `json:"prices"` // where they are from
}

// CostOf estimates what so many seconds of jobs cost on a run's workers. ok is false when it is not known what those are.
func CostOf(run *planner.Run, jobSeconds float64) (c Cost, ok bool) {
	w := run.Worker
	if w.VCPU <= 0 || w.MemoryGB <= 0 || w.Slots <= 0 || len(w.Providers) == 0 {
		return Cost{}, false
	}
	arch := price.ArchOf(run.Platform)
	hourly := make([]price.USD, len(w.Providers))
	for i, provider := range w.Providers {
		hourly[i] = price.TaskPerHour(w.VCPU, w.MemoryGB, arch, provider == spotProvider)
	}
	hours := price.USD(jobSeconds / float64(w.Slots) / 3600)
	return Cost{
		USD: hours * hourly[0], LowUSD: hours * slices.Min(hourly), MaxUSD: hours * slices.Max(hourly), Provider: w.Providers[0],
		JobSeconds: jobSeconds, WorkerUSDPerHour: hourly[0], DearestUSDPerHour: slices.Max(hourly), Prices: price.Source,
	}, true
}

// RunCost is what a run cost, and what the cache saved it.
type RunCost struct {
	Cost
	Saved Cost `json:"saved"` // of the cached jobs of which it is known, or can be estimated, how long they take
	// SavedEstimated is how many of these were not asked how long they took, but estimated from others of their task type.
	SavedEstimated int `json:"saved_estimated"`
	// SavedUnknown is how many outputs were cached of task types of which nobody knows how long they take.
	SavedUnknown int `json:"saved_unknown"`
}

// RunCost is CostOfRun by the paces of the runs that there are.
func (r *Reader) RunCost(ctx context.Context, run *planner.Run) (c RunCost, ok bool, err error) {
	if len(run.Tasks) == 0 {
		return RunCost{}, false, nil
	}
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return RunCost{}, false, err
	}
	c, ok = CostOfRun(run, Paces(runs, run.Name, run.Pool))
	return c, ok, nil
}

// CostOfRun estimates what a run has cost so far: what its jobs took, failed attempts included. What the cache saved is how
// long the cached outputs took when they were computed, as their manifests say once the run has ended; of those that were not
// read, how long such jobs took on average: the ones that were read, or else this run's own, or else, by paces, other runs'.
// ok is false when there is nothing to estimate it from.
func CostOfRun(run *planner.Run, paces map[string]Pace) (c RunCost, ok bool) {
	spent, saved := 0.0, 0.0
	for task, f := range run.Tasks {
		spent += f.Seconds + f.FailedSeconds
		saved += f.SavedSeconds
		unread := max(0, f.Cached-f.SavedKnown)
		pace, known := paces[task]
		switch {
		case f.SavedKnown > 0:
			pace, known = Pace{Seconds: f.SavedSeconds / float64(f.SavedKnown)}, true
		case f.Executed > 0:
			pace, known = Pace{Seconds: f.Seconds / float64(f.Executed)}, true
		}
		if known {
			saved += float64(unread) * pace.Seconds
			c.SavedEstimated += unread
		} else {
			c.SavedUnknown += unread
		}
	}
	if len(run.Tasks) == 0 {
		return RunCost{}, false
	}
	if c.Cost, ok = CostOf(run, spent); !ok {
		return RunCost{}, false
	}
	c.Saved, _ = CostOf(run, saved)
	return c, true
}
