package model

import (
	"math"
	"strings"
)

// Names of the tables that pass between tasks.
const (
	OccurrencesFile = "occurrences.csv" // output of simulate-events
	LossesFile      = "losses.csv"      // output of price-deal and combine
	SummaryFile     = "summary.json"    // output of price-deal
)

// Names of the input directories: each holds the file of one job that came before.
const (
	OccurrencesDir = "occurrences" // with OccurrencesFile
	InuringPrefix  = "inuring-"    // how price-deal's directories with inuring recoveries start; each holds LossesFile
)

const (
	occurrencesInput = OccurrencesDir + "/" + OccurrencesFile
	lossesSuffix     = "/" + LossesFile
)

// DealParams are the parameters of price-deal: an excess-of-loss deal with an unlimited number of losses.
type DealParams struct {
	Attachment  int64   `json:"attachment"`   // US dollars of one event's loss that the cedant bears first
	Limit       int64   `json:"limit"`        // US dollars above it, for the whole layer, each event anew
	Share       float64 `json:"share"`        // placed part of the layer, above 0, at most 1
	MarketShare float64 `json:"market_share"` // part of the industry's loss that the cedant bears, above 0, at most 1
	Periods     int     `json:"periods"`      // simulated years of the occurrence table
}

func (p DealParams) validate() error {
	switch {
	case p.Attachment < 0 || p.Attachment > MaxAmount:
		return badParam("attachment %d outside 0 to %d", p.Attachment, int64(MaxAmount))
	case p.Limit < 1 || p.Limit > MaxAmount:
		return badParam("limit %d outside 1 to %d", p.Limit, int64(MaxAmount))
	case !(p.Share > 0 && p.Share <= 1):
		return badParam("share %v outside 0 to 1", p.Share)
	case !(p.MarketShare > 0 && p.MarketShare <= 1):
		return badParam("market_share %v outside 0 to 1", p.MarketShare)
	case p.Periods < 1 || p.Periods > MaxPeriods:
		return badParam("periods %d outside 1 to %d", p.Periods, MaxPeriods)
	}
	return nil
}

// Recover returns what the deal pays for one event, in US dollars, given the industry's loss and what deals that inure
// to its benefit pay for the same event. Terms apply in this order: the cedant's share of the industry's loss, less
// inuring recoveries, above the attachment, up to the limit, times the placed share. Each product is rounded to whole
// dollars, halves away from zero.
func (p DealParams) Recover(industry, inuring int64) int64 {
	cedant := int64(math.Round(float64(industry) * p.MarketShare))
	layer := min(max(cedant-inuring-p.Attachment, 0), p.Limit)
	return int64(math.Round(float64(layer) * p.Share))
}

// Price returns the deal's losses for the events that it pays for, ascending by event.
func (p DealParams) Price(events []Event, inuring []EventLoss) []EventLoss {
	var losses []EventLoss
	next := 0
	for _, e := range events {
		recovered := int64(0)
		if next < len(inuring) && inuring[next].Event == e.ID {
			recovered = inuring[next].Loss
			next++
		}
		if loss := p.Recover(e.Loss, recovered); loss > 0 {
			losses = append(losses, EventLoss{Period: e.Period, Event: e.ID, Loss: loss})
		}
	}
	return losses
}

// A DealSummary is what a person asks about one deal. Amounts are US dollars.
type DealSummary struct {
	Currency       string  `json:"currency"`
	Periods        int     `json:"periods"`
	AAL            float64 `json:"aal"`             // average annual loss
	AALSE          float64 `json:"aal_se"`          // its standard error
	RateOnLine     float64 `json:"rate_on_line"`    // AAL ÷ (limit × share)
	HitProbability float64 `json:"hit_probability"` // part of the years with a loss
	Events         int     `json:"events"`          // events with a loss
	FullEvents     int     `json:"full_events"`     // events that use up the limit
	LargestLoss    int64   `json:"largest_loss"`    // by one event
}

func (p DealParams) summarise(losses []EventLoss) DealSummary {
	years := newYears(p.Periods, losses)
	summary := DealSummary{Currency: currency, Periods: p.Periods, Events: len(losses)}
	mean, se := meanOf(years.aggregate)
	full := int64(math.Round(float64(p.Limit) * p.Share))
	hit := 0
	for _, loss := range years.aggregate {
		if loss > 0 {
			hit++
		}
	}
	for _, l := range losses {
		summary.LargestLoss = max(summary.LargestLoss, l.Loss)
		if l.Loss == full {
			summary.FullEvents++
		}
	}
	summary.AAL, summary.AALSE = cents(mean), cents(se)
	if full > 0 {
		summary.RateOnLine = math.Round(mean/float64(full)*1e6) / 1e6
	}
	summary.HitProbability = float64(hit) / float64(p.Periods)
	return summary
}

// priceTask reads occurrences/occurrences.csv and any number of inuring-*/losses.csv, and writes losses.csv and summary.json.
func priceTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p DealParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	table, err := required(inputs, occurrencesInput)
	if err != nil {
		return nil, err
	}
	events, err := ReadEvents(occurrencesInput, table, p.Periods)
	if err != nil {
		return nil, err
	}
	var inuring [][]EventLoss
	for _, name := range sortedNames(inputs) {
		if name == occurrencesInput {
			continue
		}
		if !strings.HasPrefix(name, InuringPrefix) || !strings.HasSuffix(name, lossesSuffix) {
			return nil, &InputError{File: name, Reason: "is not an input of price-deal: " + occurrencesInput + " and " + InuringPrefix + "*" + lossesSuffix + " are"}
		}
		losses, err := ReadLosses(name, inputs[name], p.Periods)
		if err != nil {
			return nil, err
		}
		if err := checkKnown(name, losses, events); err != nil {
			return nil, err
		}
		inuring = append(inuring, losses)
	}
	recovered, err := Combine(inuring)
	if err != nil {
		return nil, err
	}
	losses := p.Price(events, recovered)
	summary, err := marshal(p.summarise(losses))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{LossesFile: WriteLosses(losses), SummaryFile: summary}, nil
}
