package portfolio

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"spate/examples/reinsurance/model"
)

// Ids of the last job and of the exchange rates'.
const (
	PortfolioJob = "portfolio"
	RatesJob     = "rates"
)

// OccurrencesJob returns the id of the job that simulates a peril.
func OccurrencesJob(peril string) string {
	return model.OccurrencesPrefix + peril
}

// A Job is one line of the run's job list.
type Job struct {
	ID     string            `json:"id"`
	Task   string            `json:"task"`
	Params any               `json:"params"`
	Inputs map[string]string `json:"inputs,omitempty"` // addresses in S3, by the name of the file
	Needs  map[string]Need   `json:"needs,omitempty"`  // by the name of the directory in which it is staged
	Labels map[string]string `json:"labels,omitempty"`
}

// A Need is some files of another job's output.
type Need struct {
	Job   string   `json:"job"`
	Files []string `json:"files"`
}

func need(job string, files ...string) Need {
	return Need{Job: job, Files: files}
}

// Jobs returns all jobs, each after those it needs.
func (p Portfolio) Jobs() []Job {
	jobs := make([]Job, 0, len(p.Deals)+len(p.Deals)/8+8)
	all := map[string]Need{} // occurrence tables, by the name of their directory
	currencies := map[string]model.Currency{}
	for _, peril := range p.Perils {
		job := p.simulation(peril)
		id := job.ID
		jobs = append(jobs, job)
		all[id] = need(id, model.OccurrencesFile)
		currencies[peril.Name] = peril.Currency
	}
	jobs = append(jobs, Job{ID: RatesJob, Task: model.TaskExchange, Params: model.ExchangeParams{Rates: p.Rates}})
	earlier := map[string]model.DealParams{}
	for _, d := range p.Deals {
		earlier[d.ID] = d.Terms
		jobs = append(jobs, d.job(currencies, earlier))
	}
	combining := p.combineJobs()
	jobs = append(jobs, combining...)
	root := Job{
		ID:     PortfolioJob,
		Task:   model.TaskPortfolio,
		Params: model.PortfolioParams{Periods: p.Periods, Currency: p.Currency, Retrocession: p.Retrocession},
		Needs:  all,
	}
	root.Needs[model.RatesDir] = need(RatesJob, model.RatesFile)
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

// simulation returns the job that simulates a peril, from its own events or from a table in S3.
func (p Portfolio) simulation(peril model.Peril) Job {
	job := Job{
		ID:     OccurrencesJob(peril.Name),
		Task:   model.TaskSimulate,
		Labels: map[string]string{"peril": peril.Name, "territory": peril.Territory},
	}
	if address, given := p.Melts[peril.Name]; given {
		job.Inputs = map[string]string{model.MeltFile: address}
		peril.Events = nil
	}
	job.Params = model.SimulateParams{Seed: p.Seed, Periods: p.Periods, Peril: peril}
	return job
}

// job returns the deal's job, given the perils' currencies and the terms of the deals before it. It needs exchange rates
// only where currencies meet, and the perils' catalogues only to check its own event losses.
func (d Deal) job(currencies map[string]model.Currency, earlier map[string]model.DealParams) Job {
	needs := map[string]Need{}
	files := []string{model.OccurrencesFile}
	var inputs map[string]string
	if d.ELT != "" {
		files = append(files, model.EventsFile)
		inputs = map[string]string{model.ELTFile: d.ELT}
	}
	meet := false
	for _, peril := range d.Perils {
		id := OccurrencesJob(peril)
		needs[id] = need(id, files...)
		meet = meet || d.ELT == "" && currencies[peril] != d.Terms.Currency
	}
	for i, id := range d.Inuring {
		needs[model.InuringDir(earlier[id].InuringPriority, i+1)] = need(id, model.LossesFile)
		meet = meet || earlier[id].Currency != d.Terms.Currency
	}
	if meet {
		needs[model.RatesDir] = need(RatesJob, model.RatesFile)
	}
	return Job{
		ID:     d.ID,
		Task:   model.TaskPrice,
		Params: d.Terms,
		Inputs: inputs,
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
