package model

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Names of the tables that pass between tasks.
const (
	OccurrencesFile = "occurrences.csv" // output of simulate-events
	RatesFile       = "rates.csv"       // output of exchange-rates
	LossesFile      = "losses.csv"      // output of price-deal and combine
	SummaryFile     = "summary.json"    // output of price-deal
	MeltFile        = "melt.csv"        // input of simulate-events
	EventsFile      = "events.csv"      // output of simulate-events: the peril's catalogue
	ELTFile         = "elt.csv"         // input of price-deal: the cedant's own losses by event
)

// Names of the input directories: each holds the file of one job that came before.
const (
	OccurrencesPrefix = "occurrences-" // followed by the peril's name; each holds OccurrencesFile
	InuringPrefix     = "inuring-"     // followed by the inuring priority, "-" and a number; each holds LossesFile
	RatesDir          = "rates"        // with RatesFile
)

const (
	ratesInput        = RatesDir + "/" + RatesFile
	lossesSuffix      = "/" + LossesFile
	occurrencesSuffix = "/" + OccurrencesFile
)

// InuringDir returns the name of the directory with the losses of a contract that inures to a deal's benefit, where it
// is the n-th of its priority.
func InuringDir(priority, n int) string {
	return fmt.Sprintf("%s%d-%d", InuringPrefix, priority, n)
}

// DealParams are the parameters of price-deal: an excess-of-loss contract and what it covers. The perils covered are
// those whose occurrence tables are staged.
type DealParams struct {
	Terms
	Currency        Currency     `json:"currency"`               // of the terms, and of what the deal pays
	InuringPriority int          `json:"inuring_priority"`       // from 1: the deal applies after the recoveries of contracts with a lower one
	MarketShare     float64      `json:"market_share,omitempty"` // part of the industry's loss that the cedant bears, above 0, at most 1; absent where it has an event loss table
	Uncertainty     *Uncertainty `json:"uncertainty,omitempty"`  // of that part; none if absent
	Periods         int          `json:"periods"`                // simulated years of the occurrence tables
}

const mostPriority = 99

// validate takes whether the cedant has an event loss table of its own.
func (p DealParams) validate(own bool) error {
	if err := p.Terms.validate(); err != nil {
		return err
	}
	if err := p.validateSource(own); err != nil {
		return err
	}
	switch {
	case p.InuringPriority < 1 || p.InuringPriority > mostPriority:
		return badParam("inuring_priority %d outside 1 to %d", p.InuringPriority, mostPriority)
	case p.Periods < 1 || p.Periods > MaxPeriods:
		return badParam("periods %d outside 1 to %d", p.Periods, MaxPeriods)
	}
	return p.Currency.validate("currency")
}

// Cover is what a deal is applied to.
type Cover struct {
	Occurrences []Occurrence // of all perils covered, ascending by ID
	ELT         []Event      // the cedant's own losses by event, in the deal's currency; nil: a part of the industry's
	Inuring     []PeriodLoss // recoveries of contracts with a lower priority, added by occurrence and currency
	Rates       Rates        // needed where currencies other than the deal's occur
}

// Price returns the deal's losses and reinstatement premiums, ascending by occurrence, without the occurrences that cost
// nothing. For each, in the order in which they happen: the industry's loss in the deal's currency, times the cedant's
// market share, times the factor of secondary uncertainty (or a loss drawn from the cedant's own event loss table), less
// the inuring recoveries for the same occurrence; to that, the terms apply. Amounts are rounded to whole units of money after each of these steps. Errors are *InputError.
func (p DealParams) Price(c Cover) ([]PeriodLoss, error) {
	losses, _, err := p.price(c)
	return losses, err
}

// price is Price, and says in how many years the aggregate limit is used up. The losses do not tell that, as each is
// rounded.
func (p DealParams) price(c Cover) (losses []PeriodLoss, exhausts int, err error) {
	var year Year
	period := int64(0)
	subject := p.subject(c)
	inuring := c.Inuring
	for _, o := range c.Occurrences {
		if o.Period != period {
			period, year = o.Period, p.Year()
		}
		loss, err := subject(o)
		if err != nil {
			return nil, 0, err
		}
		for len(inuring) > 0 && inuring[0].Occurrence <= o.ID {
			if inuring[0].Occurrence == o.ID {
				recovered, err := c.Rates.Convert(inuring[0].Loss, inuring[0].Currency, p.Currency)
				if err != nil {
					return nil, 0, err
				}
				loss -= recovered
			}
			inuring = inuring[1:]
		}
		before := year.paid()
		paid, premium := year.Recover(max(loss, 0))
		if before < year.most && year.paid() == year.most {
			exhausts++
		}
		if paid > 0 || premium > 0 {
			losses = append(losses, PeriodLoss{Period: o.Period, Occurrence: o.ID, Currency: p.Currency, Loss: paid, Premium: premium})
		}
	}
	return losses, exhausts, nil
}

// subject returns what tells the cedant's loss from an occurrence, before what inures to the deal's benefit. Losses that
// do not exceed the attachment may be told as 0.
func (p DealParams) subject(c Cover) func(Occurrence) (int64, error) {
	if c.ELT != nil {
		own := newDrawer(c.ELT, p.Uncertainty)
		return func(o Occurrence) (int64, error) { return own.loss(o), nil }
	}
	spread := newSpread(p.Uncertainty)
	return func(o Occurrence) (int64, error) {
		industry, err := c.Rates.Convert(o.Loss, o.Currency, p.Currency)
		if err != nil {
			return 0, err
		}
		return spread.loss(o, float64(industry)*p.MarketShare, float64(p.Attachment)), nil
	}
}

// A DealSummary is what a person asks about one deal. Amounts are in its currency.
type DealSummary struct {
	Currency             Currency `json:"currency"`
	Periods              int      `json:"periods"`
	AAL                  float64  `json:"aal"`                   // average annual loss
	AALSE                float64  `json:"aal_se"`                // its standard error
	RateOnLine           float64  `json:"rate_on_line"`          // AAL ÷ (limit × share)
	ReinstatementPremium float64  `json:"reinstatement_premium"` // average a year
	HitProbability       float64  `json:"hit_probability"`       // part of the years with a loss
	ExhaustProbability   float64  `json:"exhaust_probability"`   // part of the years that use up the aggregate limit
	Occurrences          int      `json:"occurrences"`           // with a loss
	LargestLoss          int64    `json:"largest_loss"`          // by one occurrence
}

func (p DealParams) summarise(losses []PeriodLoss, exhausts int) DealSummary {
	years := newYears(p.Periods, losses)
	mean, se := meanOf(years.aggregate)
	full := part(p.Limit, p.Share)
	summary := DealSummary{Currency: p.Currency, Periods: p.Periods, AAL: cents(mean), AALSE: cents(se)}
	hit := 0
	for _, loss := range years.aggregate {
		if loss > 0 {
			hit++
		}
	}
	for _, l := range losses {
		summary.LargestLoss = max(summary.LargestLoss, l.Loss)
		if l.Loss > 0 {
			summary.Occurrences++
		}
	}
	if full > 0 {
		summary.RateOnLine = math.Round(mean/float64(full)*1e6) / 1e6
	}
	summary.ReinstatementPremium = cents(premiumOf(losses) / float64(p.Periods))
	summary.HitProbability = float64(hit) / float64(p.Periods)
	summary.ExhaustProbability = float64(exhausts) / float64(p.Periods)
	return summary
}

// premiumOf returns the sum of all reinstatement premiums.
func premiumOf(losses []PeriodLoss) float64 {
	sum := int64(0)
	for _, l := range losses {
		sum += l.Premium
	}
	return float64(sum)
}

// priceTask reads occurrences-*/occurrences.csv, inuring-*/losses.csv, rates/rates.csv and, with occurrences-*/events.csv,
// elt.csv. It writes losses.csv and summary.json.
func priceTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p DealParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	_, own := inputs[ELTFile]
	if err := p.validate(own); err != nil {
		return nil, err
	}
	cover, err := p.readCover(inputs)
	if err != nil {
		return nil, err
	}
	losses, exhausts, err := p.price(cover)
	if err != nil {
		return nil, err
	}
	summary, err := marshal(p.summarise(losses, exhausts))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{LossesFile: WriteLosses(losses), SummaryFile: summary}, nil
}

func (p DealParams) readCover(inputs map[string][]byte) (Cover, error) {
	rates, err := readRates(inputs)
	if err != nil {
		return Cover{}, err
	}
	perils, err := readPerils(inputs, p.Periods)
	if err != nil {
		return Cover{}, err
	}
	elt, err := p.readELT(inputs)
	if err != nil {
		return Cover{}, err
	}
	occurrences := mergePerils(perils)
	var inuring [][]PeriodLoss
	for _, name := range sortedNames(inputs) {
		switch {
		case name == ratesInput || name == ELTFile || isOccurrences(name) || isEvents(name):
			continue
		case !strings.HasPrefix(name, InuringPrefix) || !strings.HasSuffix(name, lossesSuffix):
			return Cover{}, &InputError{File: name, Reason: "is not an input of price-deal: occurrences-*/occurrences.csv and events.csv, elt.csv, inuring-*/losses.csv and rates/rates.csv are"}
		}
		if err := p.checkPriority(name); err != nil {
			return Cover{}, err
		}
		losses, err := readKnownLosses(name, inputs[name], occurrences)
		if err != nil {
			return Cover{}, err
		}
		inuring = append(inuring, losses)
	}
	recovered, err := Combine(inuring)
	return Cover{Occurrences: occurrences, ELT: elt, Inuring: recovered, Rates: rates}, err
}

// checkPriority reports recoveries that do not come before the deal.
func (p DealParams) checkPriority(name string) error {
	text, _, _ := strings.Cut(strings.TrimPrefix(name, InuringPrefix), "-")
	priority, err := strconv.Atoi(text)
	if err != nil || priority < 1 {
		return &InputError{File: name, Reason: "does not name the inuring priority, as in " + InuringDir(1, 1) + lossesSuffix}
	}
	if priority >= p.InuringPriority {
		return &InputError{File: name, Reason: fmt.Sprintf("priority %d does not come before this deal's, %d", priority, p.InuringPriority)}
	}
	return nil
}
