package planner

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"spate/job"
)

// Documents is, by task type, what the key documents of all the run's jobs share. With [job.Planned.Document] it tells
// what a job's key was derived from, whether or not the job has an output.
func (r *Run) Documents() (map[string]job.SpecDocument, error) {
	var catalogue job.Catalogue
	if err := json.Unmarshal([]byte(r.Catalogue), &catalogue); err != nil {
		return nil, fmt.Errorf("read pinned catalogue of run %s: %w", r.ID, err)
	}
	return commonDocuments(r, catalogue), nil
}
