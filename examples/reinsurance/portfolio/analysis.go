package portfolio

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"spate/examples/reinsurance/draw"
)

// AnalysisPool is the pool of analyses, which must not wait behind a rollup.
const AnalysisPool = "deals"

// An Analysis asks what one deal would be on other terms, on the same simulated years: a run of its own, whose jobs are the
// portfolio's but for that deal.
type Analysis struct {
	Number int    // from 1
	Deal   string // id of the deal
	Jobs   []Job  // the deal's, after all that it needs
}

// Analyses invents that many analyses. The seed chooses deals and terms, of which no two are the same.
func (p Portfolio) Analyses(count int, seed uint64) []Analysis {
	jobs := p.Jobs()
	index := make(map[string]int, len(jobs))
	for i, job := range jobs {
		index[job.ID] = i
	}
	analyses := make([]Analysis, count)
	for i := range analyses {
		uniform := func(purpose uint64) float64 { return draw.Uniform(seed, purpose, uint64(i)) }
		deal := p.Deals[int(uniform(drawAnalysed)*float64(len(p.Deals)))]
		terms := deal.Terms
		terms.Limit = max(round2(float64(terms.Limit)*(0.5+uniform(drawAnalysedLimit))), 1)
		terms.Premium += int64(i + 1) // so that no two ask the same
		a := Analysis{Number: i + 1, Deal: deal.ID}
		for _, at := range ancestors(jobs, index, deal.ID) {
			job := jobs[at]
			if job.ID == deal.ID {
				job.Params = terms
			}
			a.Jobs = append(a.Jobs, job)
		}
		analyses[i] = a
	}
	return analyses
}

// ancestors returns the places of a job and of all that it needs, in the order of the list.
func ancestors(jobs []Job, index map[string]int, id string) []int {
	wanted := map[int]bool{index[id]: true}
	// Jobs come after those they need, so that one pass from the end is enough.
	var places []int
	for at := index[id]; at >= 0; at-- {
		if !wanted[at] {
			continue
		}
		places = append(places, at)
		for _, need := range jobs[at].Needs {
			wanted[index[need.Job]] = true
		}
	}
	slices.Reverse(places)
	return places
}

// Write writes the analysis as a run file, in JSON.
func (a Analysis) Write(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Name   string            `json:"name"`
		Pool   string            `json:"pool"`
		Owner  string            `json:"owner"`
		Labels map[string]string `json:"labels"`
		Jobs   []Job             `json:"jobs"`
	}{"deal-analysis", AnalysisPool, "pricing", map[string]string{"deal": a.Deal}, a.Jobs})
	if err != nil {
		return fmt.Errorf("write analysis %d: %w", a.Number, err)
	}
	return nil
}
