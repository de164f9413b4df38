package model

import (
	"fmt"
	"math"
	"strings"

	"spate/examples/reinsurance/draw"
)

// A Peril is a source of events in one territory, with one catalogue and one currency.
type Peril struct {
	Name      string   `json:"name"`             // such as us-hurricane
	Territory string   `json:"territory"`        // such as US
	Number    int      `json:"number"`           // 1 to 9, another one for each peril of a run
	Currency  Currency `json:"currency"`         // of the losses
	FirstDay  int      `json:"first_day"`        // of the season, 1 to 365
	LastDay   int      `json:"last_day"`         // of the season; before FirstDay where it spans the turn of the year
	Events    []Event  `json:"events,omitempty"` // ascending by ID; read from the input melt.csv if absent
}

// An Event is one row of a catalogue: how often it strikes and what it costs. Its loss is lognormal, given by the mean and
// the standard deviation of the loss itself.
type Event struct {
	ID   int64   `json:"event"`
	Rate float64 `json:"rate"`          // occurrences a year, above 0, at most 20
	Mean float64 `json:"mean"`          // mean loss of an occurrence, in whole units of the currency
	SD   float64 `json:"sd"`            // its standard deviation; 0 where the loss is known
	Max  float64 `json:"max,omitempty"` // largest loss of an occurrence, to which larger ones are cut; 0: none
}

const (
	lastDayOfYear = 365
	mostPerils    = 9
	mostEventRate = 20 // occurrences a year of one event
	mostRateOfAll = 1000
	mostVariation = 10
)

// USHurricane returns the losses of US hurricanes by Saffir–Simpson category, the event's number, as fitted by S. Jewson
// (2022) to the normalised damages of Weinkle et al. (2018): 1.665 events and USD 16.69 billion a year. The season is
// that of the National Hurricane Center, 1 June to 30 November.
func USHurricane() Peril {
	return Peril{
		Name: "us-hurricane", Territory: "US", Number: 1, Currency: "USD", FirstDay: 152, LastDay: 334,
		Events: []Event{
			{ID: 1, Rate: 0.71, Mean: 2.28e9, SD: 8.63e9},
			{ID: 2, Rate: 0.40, Mean: 4.46e9, SD: 6.17e9},
			{ID: 3, Rate: 0.36, Mean: 13.0e9, SD: 21.9e9},
			{ID: 4, Rate: 0.17, Mean: 43.8e9, SD: 50.9e9},
			{ID: 5, Rate: 0.025, Mean: 46.5e9, SD: 51.5e9},
		},
	}
}

// Perils returns the published hurricanes and three perils that are invented, so that a portfolio has territories and
// currencies. The names of the latter say so.
func Perils() []Peril {
	return []Peril{
		USHurricane(),
		{
			Name: "invented-us-earthquake", Territory: "US", Number: 2, Currency: "USD", FirstDay: 1, LastDay: lastDayOfYear,
			Events: []Event{
				{ID: 201, Rate: 0.08, Mean: 4e9, SD: 6e9},
				{ID: 202, Rate: 0.01, Mean: 60e9, SD: 60e9},
			},
		},
		{
			Name: "invented-eu-windstorm", Territory: "EU", Number: 3, Currency: "EUR", FirstDay: 274, LastDay: 90,
			Events: []Event{
				{ID: 301, Rate: 0.9, Mean: 0.6e9, SD: 0.7e9},
				{ID: 302, Rate: 0.25, Mean: 2.5e9, SD: 2e9},
				{ID: 303, Rate: 0.04, Mean: 9e9, SD: 6e9},
			},
		},
		{
			Name: "invented-jp-typhoon", Territory: "JP", Number: 4, Currency: "JPY", FirstDay: 152, LastDay: 304,
			Events: []Event{
				{ID: 401, Rate: 0.8, Mean: 60e9, SD: 100e9},
				{ID: 402, Rate: 0.25, Mean: 400e9, SD: 400e9},
				{ID: 403, Rate: 0.03, Mean: 1200e9, SD: 900e9},
			},
		},
	}
}

// PerilNamed returns the peril of this name, or an error that names those there are.
func PerilNamed(name string) (Peril, error) {
	all := Perils()
	names := make([]string, len(all))
	for i, peril := range all {
		if peril.Name == name {
			return peril, nil
		}
		names[i] = peril.Name
	}
	return Peril{}, fmt.Errorf("no peril is called %s: there are %s", name, strings.Join(names, ", "))
}

func (p Peril) validate() error {
	switch {
	case p.Name == "":
		return badParam("the peril has no name")
	case p.Number < 1 || p.Number > mostPerils:
		return badParam("peril number %d outside 1 to %d", p.Number, mostPerils)
	case p.FirstDay < 1 || p.FirstDay > lastDayOfYear:
		return badParam("first_day %d outside 1 to %d", p.FirstDay, lastDayOfYear)
	case p.LastDay < 1 || p.LastDay > lastDayOfYear:
		return badParam("last_day %d outside 1 to %d", p.LastDay, lastDayOfYear)
	}
	if err := p.Currency.validate("currency"); err != nil {
		return err
	}
	last, all := int64(0), 0.0
	for _, e := range p.Events {
		if e.ID <= last || e.ID > MaxAmount {
			return badParam("event %d does not come after event %d", e.ID, last)
		}
		if column, reason := e.problem(); reason != "" {
			return badParam("event %d: %s %s", e.ID, column, reason)
		}
		last = e.ID
		all += e.Rate
	}
	if all > mostRateOfAll {
		return badParam("%v occurrences a year of all events, want at most %d", all, mostRateOfAll)
	}
	return nil
}

// problem says what makes no sense about an event, and in which column of an event loss table, or nothing.
func (e Event) problem() (column, reason string) {
	switch {
	case !(e.Rate > 0 && e.Rate <= mostEventRate):
		return "EventRate", "is outside 0 to 20 occurrences a year"
	case !(e.Mean > 0 && e.Mean <= MaxAmount):
		return "MeanLoss", "is outside 0 to 100,000,000,000,000: leave out events without a loss"
	case !(e.SD >= 0 && e.SD <= mostVariation*e.Mean):
		return "SDLoss", "is outside 0 to ten times the mean, " + decimal(e.Mean)
	case !(e.Max == 0 || (e.Max >= e.Mean && e.Max <= MaxAmount)):
		return "MaxLoss", "is below the mean, " + decimal(e.Mean)
	}
	return "", ""
}

// season returns the number of days in which events happen.
func (p Peril) season() int {
	if days := p.LastDay - p.FirstDay + 1; days > 0 {
		return days
	}
	return p.LastDay - p.FirstDay + 1 + lastDayOfYear
}

// A lognormal is the distribution of an amount by its mean and its coefficient of variation.
type lognormal struct{ mu, sigma float64 }

// lognormalOf takes a mean above 0 and a coefficient of variation of at least 0.
func lognormalOf(mean, variation float64) lognormal {
	variance := draw.Log(1 + float64(variation*variation))
	return lognormal{mu: draw.Log(mean) - float64(variance/2), sigma: math.Sqrt(variance)}
}

// at returns the amount at so many standard deviations of its logarithm.
func (l lognormal) at(z float64) float64 {
	return draw.Exp(l.mu + float64(l.sigma*z))
}
