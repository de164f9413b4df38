package report

import "spate/planner"

// Pace is how long jobs of one task type took.
type Pace struct {
	Seconds  float64 `json:"seconds"` // of one, on average
	Executed int     `json:"executed"`
	From     string  `json:"from"` // the newest run that it comes from
}

// pacedRuns is of how many runs of a name, the newest that computed jobs of a task type, its pace is taken: enough to even
// out a bad day, few enough to follow a change.
const pacedRuns = 5

// Paces is how long jobs took, by task type, in the newest runs of a name, what-if runs left out; for task types that none of them computed, in
// those of the pool. runs are the newest first. What nobody computed is not in the result.
func Paces(runs []*planner.Run, name, pool string) map[string]Pace {
	paces := map[string]Pace{}
	collect := func(belongs func(*planner.Run) bool) {
		found, taken := map[string]Pace{}, map[string]int{}
		for _, run := range runs {
			if !belongs(run) {
				continue
			}
			for task, figures := range run.Tasks {
				if figures.Executed == 0 || taken[task] == pacedRuns {
					continue
				}
				p := found[task]
				if taken[task]++; p.From == "" {
					p.From = run.ID
				}
				p.Seconds += figures.Seconds
				p.Executed += figures.Executed
				found[task] = p
			}
		}
		for task, p := range found {
			if _, known := paces[task]; !known {
				p.Seconds /= float64(p.Executed)
				paces[task] = p
			}
		}
	}
	collect(func(r *planner.Run) bool { return r.Name == name && r.Pool == pool && isRegular(r) })
	collect(func(r *planner.Run) bool { return r.Pool == pool })
	return paces
}
