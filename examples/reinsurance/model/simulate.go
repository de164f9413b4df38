package model

import (
	"math"
	"slices"

	"spate/examples/reinsurance/draw"
)

// SimulateParams are the parameters of simulate-events.
type SimulateParams struct {
	Seed       uint64     `json:"seed"`
	Periods    int        `json:"periods"`              // simulated years, 1 to MaxPeriods
	Categories []Category `json:"categories,omitempty"` // USHurricanes if absent
}

func (p SimulateParams) validate() error {
	if p.Periods < 1 || p.Periods > MaxPeriods {
		return badParam("periods %d outside 1 to %d", p.Periods, MaxPeriods)
	}
	last := 0
	for _, c := range p.Categories {
		if err := c.validate(); err != nil {
			return err
		}
		if c.Category <= last {
			return badParam("category %d does not come after category %d", c.Category, last)
		}
		last = c.Category
	}
	return nil
}

// What a draw is for; part of its name.
const (
	drawCount uint64 = iota + 1
	drawSeverity
)

// Simulate returns the events of all periods, ascending by id. Each draw is named by (seed, period, category, event), so
// that more periods, or another category's rate, leave the other events as they were.
func Simulate(p SimulateParams) ([]Event, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	categories := p.Categories
	if len(categories) == 0 {
		categories = USHurricanes()
	}
	yearly := 0.0
	type severity struct{ mu, sigma float64 }
	severities := make([]severity, len(categories))
	for i, c := range categories {
		severities[i].mu, severities[i].sigma = c.lognormal()
		yearly += c.Rate
	}
	const dollars = 1e9 // in a billion
	events := make([]Event, 0, int(1.1*yearly*float64(p.Periods)))
	for period := range p.Periods {
		period := uint64(period + 1)
		for i, c := range categories {
			category := uint64(c.Category)
			u := draw.Uniform(p.Seed, period, category, drawCount)
			count := draw.Poisson(c.Rate, u, maxEventsPerCategory)
			for n := range uint64(count) {
				z := draw.Normal(p.Seed, period, category, drawSeverity, n)
				loss := math.Round(draw.Exp(severities[i].mu+float64(severities[i].sigma*z)) * dollars)
				if loss > MaxAmount {
					return nil, badParam("category %d: an event of %.3g US dollars is beyond the largest amount", c.Category, loss)
				}
				events = append(events, Event{
					Period:   int64(period),
					ID:       int64(period*1000 + category*maxEventsPerCategory + n),
					Category: int64(c.Category),
					Loss:     int64(loss),
				})
			}
		}
	}
	return slices.Clip(events), nil
}

// simulateTask has no inputs and writes occurrences.csv.
func simulateTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p SimulateParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	for _, name := range sortedNames(inputs) {
		return nil, &InputError{File: name, Reason: "is not an input of simulate-events, which has none"}
	}
	events, err := Simulate(p)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{OccurrencesFile: WriteEvents(events)}, nil
}
