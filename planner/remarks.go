package planner

import (
	"fmt"

	"spate/job"
)

// Remarks are what a person must know to read the run's figures and results: sentences, none for an ordinary run.
func (r *Run) Remarks() []string {
	var remarks []string
	if r.Partial() {
		remarks = append(remarks, fmt.Sprintf("partial: %d of %s", r.Progress.Jobs, jobs(r.Whole)))
	}
	if r.Force != "" && r.Progress.Jobs > 0 {
		text := fmt.Sprintf("forced: %s to be computed again, as %q", jobs(r.Forced), r.Force)
		if r.By != "" {
			text += ", by " + r.By
		}
		remarks = append(remarks, text)
	}
	for _, s := range r.Substitutions {
		remarks = append(remarks, "substituted: "+s.String())
	}
	if n := r.Progress.Left(); n > 0 && r.State == job.RunCancelling {
		remarks = append(remarks, fmt.Sprintf("waits for %s: workers finish what they run, and drop the rest when they come to it on the queue, "+
			"behind other runs' jobs; it ends at the latest when the pool has had nothing in flight for a minute", jobs(n)))
	}
	return remarks
}

// Partial reports whether the run has a part of its run file's jobs only.
func (r *Run) Partial() bool { return 0 < r.Progress.Jobs && r.Progress.Jobs < r.Whole }
