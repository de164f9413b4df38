package model

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"spate/examples/reinsurance/draw"
)

// SimulateParams are the parameters of simulate-events.
type SimulateParams struct {
	Seed    uint64 `json:"seed"`
	Periods int    `json:"periods"` // simulated years, 1 to MaxPeriods
	Peril   Peril  `json:"peril"`
}

// mostTrials bounds events × periods, and with it the time that a simulation takes: about a minute.
const mostTrials = 2_000_000_000

func (p SimulateParams) validate() error {
	if p.Periods < 1 || p.Periods > MaxPeriods {
		return badParam("periods %d outside 1 to %d", p.Periods, MaxPeriods)
	}
	if err := p.Peril.validate(); err != nil {
		return err
	}
	if len(p.Peril.Events) == 0 {
		return badParam("the peril has no events")
	}
	if trials := len(p.Peril.Events) * p.Periods; trials > mostTrials {
		return badParam("%d events in %d periods: want at most %d of both multiplied", len(p.Peril.Events), p.Periods, mostTrials)
	}
	return nil
}

// What a draw is for; part of its name.
const (
	drawCount uint64 = iota + 1
	drawSeverity
	drawDay
	drawSecondary
)

// Simulate returns the occurrences of all periods, ascending by ID. Each draw is named by (seed, peril, period, event,
// purpose, count), so that more periods, or another event's rate, leave the other occurrences as they were.
func Simulate(p SimulateParams) ([]Occurrence, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	peril := uint64(p.Peril.Number)
	severities := make([]lognormal, len(p.Peril.Events))
	nothing := make([]float64, len(p.Peril.Events)) // probability of a period without the event
	yearly := 0.0
	for i, e := range p.Peril.Events {
		severities[i] = lognormalOf(e.Mean, e.SD/e.Mean)
		nothing[i] = draw.Exp(-e.Rate)
		yearly += e.Rate
	}
	season := p.Peril.season()
	occurrences := make([]Occurrence, 0, int(1.1*yearly*float64(p.Periods)))
	for period := uint64(1); period <= uint64(p.Periods); period++ {
		first := len(occurrences)
		for i, e := range p.Peril.Events {
			event := uint64(e.ID)
			u := draw.Uniform(p.Seed, peril, period, event, drawCount)
			if u < nothing[i] {
				continue
			}
			for n := range uint64(draw.Poisson(e.Rate, u, math.MaxInt16)) {
				loss := math.Round(severities[i].at(draw.Normal(p.Seed, peril, period, event, drawSeverity, n)))
				if e.Max > 0 {
					loss = min(loss, math.Round(e.Max))
				}
				if loss > MaxAmount {
					return nil, badParam("event %d: an occurrence of %.3g %s is beyond the largest amount", e.ID, loss, p.Peril.Currency)
				}
				day := (p.Peril.FirstDay-1+draw.Below(season, p.Seed, peril, period, event, drawDay, n))%lastDayOfYear + 1
				occurrences = append(occurrences, Occurrence{
					Period:   int64(period),
					ID:       int64(period)*perPeriod + int64(day)*perDay + int64(peril)*sameDay,
					Event:    e.ID,
					Currency: p.Peril.Currency,
					Loss:     int64(loss),
				})
			}
		}
		if err := number(occurrences[first:]); err != nil {
			return nil, err
		}
	}
	return slices.Clip(occurrences), nil
}

// number sorts the occurrences of one period and tells those of one day apart.
func number(year []Occurrence) error {
	slices.SortStableFunc(year, func(a, b Occurrence) int { return cmp.Compare(a.ID, b.ID) })
	same := int64(0)
	for i := 1; i < len(year); i++ {
		if year[i].ID != year[i-1].ID-same {
			same = 0
			continue
		}
		if same++; same == sameDay {
			return badParam("more than %d occurrences on day %d of period %d", sameDay, year[i].Day(), year[i].Period)
		}
		year[i].ID += same
	}
	return nil
}

// simulateTask writes occurrences.csv and events.csv. Its only input is melt.csv, the events of a peril whose parameters have none.
func simulateTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p SimulateParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	for _, name := range sortedNames(inputs) {
		if name != MeltFile {
			return nil, &InputError{File: name, Reason: "is not an input of simulate-events: only " + MeltFile + " is"}
		}
		if len(p.Peril.Events) > 0 {
			return nil, &InputError{File: name, Reason: "is one list of events, and the parameters hold another"}
		}
		var err error
		if p.Peril.Events, err = ReadMelt(name, inputs[name]); err != nil {
			return nil, err
		}
	}
	occurrences, err := Simulate(p)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{OccurrencesFile: WriteOccurrences(occurrences), EventsFile: WriteMelt(p.Peril.Events)}, nil
}

func noInputs(task string, inputs map[string][]byte) error {
	for _, name := range sortedNames(inputs) {
		return &InputError{File: name, Reason: fmt.Sprintf("is not an input of %s, which has none", task)}
	}
	return nil
}

func decimal(x float64) string {
	return strconv.FormatFloat(x, 'f', -1, 64)
}
