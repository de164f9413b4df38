package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Names of the files that the portfolio task writes.
const (
	PortfolioJSON = "portfolio.json"
	PortfolioCSV  = "portfolio.csv"
	PortfolioSVG  = "portfolio.svg"
)

const currency = "USD"

// Return periods, in years, that the headline figures use.
const (
	headline       = 250
	tailOneIn      = 100 // 99 % TVaR
	minimumPeriods = headline
)

// PortfolioParams are the parameters of portfolio.
type PortfolioParams struct {
	Periods       int   `json:"periods"`                  // simulated years, 250 to MaxPeriods
	ReturnPeriods []int `json:"return_periods,omitempty"` // years, ascending; DefaultReturnPeriods if absent
}

// DefaultReturnPeriods returns the return periods of the tables, in years.
func DefaultReturnPeriods() []int {
	return []int{2, 5, 10, 25, 50, 100, 200, 250, 500, 1000}
}

func (p PortfolioParams) validate() error {
	if p.Periods < minimumPeriods || p.Periods > MaxPeriods {
		return badParam("periods %d outside %d to %d", p.Periods, minimumPeriods, MaxPeriods)
	}
	if !slices.IsSorted(p.ReturnPeriods) {
		return badParam("return_periods must ascend")
	}
	for _, years := range p.ReturnPeriods {
		if years < 2 || years > p.Periods {
			return badParam("return period %d outside 2 to %d, the number of simulated years", years, p.Periods)
		}
	}
	return nil
}

// A Perspective is one view of the losses: whose they are, after what. Amounts are US dollars.
type Perspective struct {
	AAL       float64 `json:"aal"`            // average annual loss
	AALSE     float64 `json:"aal_se"`         // its standard error
	AEPTVaR   float64 `json:"aep_tvar_99"`    // mean of the worst 1 % of years
	AEPTVaRSE float64 `json:"aep_tvar_99_se"` // its standard error
	OEP       []Point `json:"oep"`            // the year's largest event
	AEP       []Point `json:"aep"`            // the whole year
}

// A Portfolio is the content of portfolio.json. The figures at the top are those of Net at 250 years and 99 %.
type Portfolio struct {
	AAL         float64     `json:"aal"`
	AALSE       float64     `json:"aal_se"`
	OEP250      int64       `json:"oep_250"`
	AEP250      int64       `json:"aep_250"`
	AEPTVaR     float64     `json:"aep_tvar_99"`
	Perspective string      `json:"perspective"` // "net"
	Currency    string      `json:"currency"`    // "USD", plain dollars
	Periods     int         `json:"periods"`
	Net         Perspective `json:"net"`   // the reinsurer's losses from all deals, after what inures to their benefit
	Gross       Perspective `json:"gross"` // the whole industry's losses, before any reinsurance
}

// Evaluate computes the portfolio's figures from the losses of all deals, added by event, and the occurrence table.
func Evaluate(p PortfolioParams, net []EventLoss, events []Event) (Portfolio, error) {
	if err := p.validate(); err != nil {
		return Portfolio{}, err
	}
	netYears, grossYears := p.years(net, events)
	result := Portfolio{
		Perspective: "net",
		Currency:    currency,
		Periods:     p.Periods,
		Net:         p.perspective(netYears),
		Gross:       p.perspective(grossYears),
	}
	result.AAL, result.AALSE, result.AEPTVaR = result.Net.AAL, result.Net.AALSE, result.Net.AEPTVaR
	result.OEP250 = pointAt(descending(netYears.occurrence), headline).Loss
	result.AEP250 = pointAt(descending(netYears.aggregate), headline).Loss
	return result, nil
}

func (p PortfolioParams) years(net []EventLoss, events []Event) (netYears, grossYears years) {
	gross := make([]EventLoss, len(events))
	for i, e := range events {
		gross[i] = EventLoss{Period: e.Period, Event: e.ID, Loss: e.Loss}
	}
	return newYears(p.Periods, net), newYears(p.Periods, gross)
}

func (p PortfolioParams) perspective(y years) Perspective {
	occurrence, aggregate := descending(y.occurrence), descending(y.aggregate)
	var result Perspective
	mean, se := meanOf(y.aggregate)
	tail, tailSE := tailValueAtRisk(aggregate, tailOneIn)
	result.AAL, result.AALSE = cents(mean), cents(se)
	result.AEPTVaR, result.AEPTVaRSE = cents(tail), cents(tailSE)
	returnPeriods := p.ReturnPeriods
	if len(returnPeriods) == 0 {
		returnPeriods = DefaultReturnPeriods()
	}
	for _, years := range returnPeriods {
		if years > p.Periods {
			break
		}
		result.OEP = append(result.OEP, pointAt(occurrence, years))
		result.AEP = append(result.AEP, pointAt(aggregate, years))
	}
	return result
}

// portfolioTask reads occurrences/occurrences.csv and the losses of any number of other directories, and writes portfolio.json,
// portfolio.csv and portfolio.svg.
func portfolioTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p PortfolioParams
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
	tables, err := readAllLosses(inputs, p.Periods, events)
	if err != nil {
		return nil, err
	}
	net, err := Combine(tables)
	if err != nil {
		return nil, err
	}
	result, err := Evaluate(p, net, events)
	if err != nil {
		return nil, err
	}
	document, err := marshal(result)
	if err != nil {
		return nil, err
	}
	netYears, grossYears := p.years(net, events)
	return map[string][]byte{
		PortfolioJSON: document,
		PortfolioCSV:  result.csv(),
		PortfolioSVG:  picture(result, netYears, grossYears),
	}, nil
}

// csv lists every point of every curve, one a line.
func (p Portfolio) csv() []byte {
	out := []byte("perspective,curve,return_period,loss,low,high\n")
	row := func(perspective, curve string, points []Point) {
		for _, point := range points {
			out = append(out, perspective+","+curve+","+strconv.Itoa(point.ReturnPeriod)+","...)
			out = appendRow(out, point.Loss, point.Low, point.High)
		}
	}
	row("net", "oep", p.Net.OEP)
	row("net", "aep", p.Net.AEP)
	row("gross", "oep", p.Gross.OEP)
	row("gross", "aep", p.Gross.AEP)
	return out
}

func marshal(value any) ([]byte, error) {
	document, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return append(document, '\n'), nil
}
