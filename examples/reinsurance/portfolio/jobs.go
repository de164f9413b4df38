package portfolio

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"spate/examples/reinsurance/model"
)

// Ids of the first and the last job.
const (
	OccurrencesJob = "occurrences"
	PortfolioJob   = "portfolio"
)

// A Job is one line of the run's job list.
type Job struct {
	ID     string            `json:"id"`
	Task   string            `json:"task"`
	Params any               `json:"params"`
	Needs  map[string]Need   `json:"needs,omitempty"` // by the name of the directory in which it is staged
	Labels map[string]string `json:"labels,omitempty"`
}

// A Need is a file of another job's output.
type Need struct {
	Job   string   `json:"job"`
	Files []string `json:"files"`
}

func need(job, file string) Need {
	return Need{Job: job, Files: []string{file}}
}

// Jobs returns all jobs, each after those it needs.
func (p Portfolio) Jobs() []Job {
	jobs := make([]Job, 0, len(p.Deals)+len(p.Deals)/8+8)
	jobs = append(jobs, Job{
		ID:     OccurrencesJob,
		Task:   model.TaskSimulate,
		Params: model.SimulateParams{Seed: p.Seed, Periods: p.Periods},
	})
	for _, d := range p.Deals {
		jobs = append(jobs, d.job())
	}
	combining := p.combineJobs()
	jobs = append(jobs, combining...)
	root := Job{
		ID:     PortfolioJob,
		Task:   model.TaskPortfolio,
		Params: model.PortfolioParams{Periods: p.Periods},
		Needs:  map[string]Need{model.OccurrencesDir: need(OccurrencesJob, model.OccurrencesFile)},
	}
	combined := map[string]bool{}
	for _, j := range combining {
		for _, n := range j.Needs {
			combined[n.Job] = true
		}
	}
	for _, j := range combining {
		if !combined[j.ID] {
			root.Needs[j.ID] = need(j.ID, model.LossesFile)
		}
	}
	return append(jobs, root)
}

func (d Deal) job() Job {
	needs := map[string]Need{model.OccurrencesDir: need(OccurrencesJob, model.OccurrencesFile)}
	for i, id := range d.Inuring {
		needs[model.InuringPrefix+strconv.Itoa(i+1)] = need(id, model.LossesFile)
	}
	return Job{
		ID:     d.ID,
		Task:   model.TaskPrice,
		Params: d.Terms,
		Needs:  needs,
		Labels: map[string]string{"cedant": d.Cedant, "layer": strconv.Itoa(d.Layer)},
	}
}

// WriteJSONL writes one job a line, each after those it needs.
func (p Portfolio) WriteJSONL(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for _, job := range p.Jobs() {
		if err := encoder.Encode(job); err != nil {
			return fmt.Errorf("write job %s: %w", job.ID, err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write jobs: %w", err)
	}
	return nil
}
