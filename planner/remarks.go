package planner

import "fmt"

// Remarks are what a person must know to read the run's figures and results: sentences, none for an ordinary run.
func (r *Run) Remarks() []string {
	var remarks []string
	if r.Partial() {
		remarks = append(remarks, fmt.Sprintf("partial: %d of %s", r.Progress.Jobs, jobs(r.Whole)))
	}
	if r.Force != "" && r.Progress.Jobs > 0 {
		remarks = append(remarks, fmt.Sprintf("forced: %s to be computed again, as %q", jobs(r.Forced), r.Force))
	}
	for _, s := range r.Substitutions {
		remarks = append(remarks, "substituted: "+s.String())
	}
	return remarks
}

// Partial reports whether the run has a part of its run file's jobs only.
func (r *Run) Partial() bool { return r.Progress.Jobs < r.Whole }
