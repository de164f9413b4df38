package model

import (
	"slices"
	"strconv"
	"strings"
)

// Names of the files that the portfolio task writes.
const (
	PortfolioJSON = "portfolio.json"
	PortfolioCSV  = "portfolio.csv"
	PortfolioSVG  = "portfolio.svg"
)

// Return periods, in years, that the headline figures use.
const (
	headline       = 250
	tailOneIn      = 100 // 99 % TVaR
	minimumPeriods = headline
)

// PortfolioParams are the parameters of portfolio.
type PortfolioParams struct {
	Periods       int      `json:"periods"`                  // simulated years, 250 to MaxPeriods
	Currency      Currency `json:"currency"`                 // of the figures
	Retrocession  []Terms  `json:"retrocession,omitempty"`   // contracts on the whole book, in the currency of the figures, ascending without overlap
	ReturnPeriods []int    `json:"return_periods,omitempty"` // years, ascending; DefaultReturnPeriods if absent
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
	top := int64(0)
	for i, terms := range p.Retrocession {
		if err := terms.validate(); err != nil {
			return badParam("retrocession contract %d: %v", i+1, reasonOf(err))
		}
		if terms.Attachment < top {
			return badParam("retrocession contract %d attaches at %d, inside the one below, which ends at %d", i+1, terms.Attachment, top)
		}
		top = terms.Attachment + terms.Limit
	}
	return p.Currency.validate("currency")
}

// A Perspective is one view of the losses: whose they are, after what. Amounts are in one currency.
type Perspective struct {
	AAL                  float64 `json:"aal"`                   // average annual loss
	AALSE                float64 `json:"aal_se"`                // its standard error
	ReinstatementPremium float64 `json:"reinstatement_premium"` // average a year: received, paid where the losses are ceded, net of both
	AEPTVaR              float64 `json:"aep_tvar_99"`           // mean of the worst 1 % of years
	AEPTVaRSE            float64 `json:"aep_tvar_99_se"`        // its standard error
	OEP                  []Point `json:"oep"`                   // the year's largest occurrence
	AEP                  []Point `json:"aep"`                   // the whole year
}

// A Portfolio is the content of portfolio.json. The figures at the top are those of Net at 250 years and 99 %.
type Portfolio struct {
	AAL         float64     `json:"aal"`
	AALSE       float64     `json:"aal_se"`
	OEP250      int64       `json:"oep_250"`
	AEP250      int64       `json:"aep_250"`
	AEPTVaR     float64     `json:"aep_tvar_99"`
	Perspective string      `json:"perspective"` // "net"
	Currency    Currency    `json:"currency"`    // of all amounts but the industry's, in plain units
	Periods     int         `json:"periods"`
	Net         Perspective `json:"net"`      // gross less ceded
	Gross       Perspective `json:"gross"`    // the reinsurer's losses from all deals, each after what inures to its benefit
	Ceded       Perspective `json:"ceded"`    // recovered from the retrocession of the whole book
	Industry    []Industry  `json:"industry"` // by peril
}

// An Industry is everybody's losses from one peril, before any reinsurance and in the peril's own currency.
type Industry struct {
	Peril    string   `json:"peril"`
	Currency Currency `json:"currency"`
	Perspective
}

func (p PortfolioParams) perspective(y years, losses []PeriodLoss) Perspective {
	occurrence, aggregate := descending(y.occurrence), descending(y.aggregate)
	var result Perspective
	mean, se := meanOf(y.aggregate)
	tail, tailSE := tailValueAtRisk(aggregate, tailOneIn)
	result.AAL, result.AALSE = cents(mean), cents(se)
	result.AEPTVaR, result.AEPTVaRSE = cents(tail), cents(tailSE)
	result.ReinstatementPremium = cents(premiumOf(losses) / float64(p.Periods))
	for _, years := range p.returnPeriods() {
		result.OEP = append(result.OEP, pointAt(occurrence, years))
		result.AEP = append(result.AEP, pointAt(aggregate, years))
	}
	return result
}

// returnPeriods returns those to show: as asked for, or all default ones that the simulated years allow.
func (p PortfolioParams) returnPeriods() []int {
	if len(p.ReturnPeriods) > 0 {
		return p.ReturnPeriods
	}
	return slices.DeleteFunc(DefaultReturnPeriods(), func(years int) bool { return years > p.Periods })
}

// portfolioTask reads occurrences-*/occurrences.csv, rates/rates.csv and the losses of any number of other directories,
// and writes the figures, the picture and the tables in the columns of Open Results Data.
func portfolioTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p PortfolioParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	book, err := p.readBook(inputs)
	if err != nil {
		return nil, err
	}
	result, err := Evaluate(p, book)
	if err != nil {
		return nil, err
	}
	document, err := marshal(result.Figures)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		PortfolioJSON: document,
		PortfolioCSV:  result.Figures.csv(),
		PortfolioSVG:  picture(result),
		SPLTFile:      result.splt(book),
		ALTFile:       result.alt(),
		EPTFile:       result.ept(p.returnPeriods()),
	}, nil
}

func (p PortfolioParams) readBook(inputs map[string][]byte) (Book, error) {
	rates, err := readRates(inputs)
	if err != nil {
		return Book{}, err
	}
	perils, err := readPerils(inputs, p.Periods)
	if err != nil {
		return Book{}, err
	}
	book := Book{Rates: rates}
	for _, peril := range perils {
		book.Industry = append(book.Industry, IndustryLosses{Peril: peril.name, Occurrences: peril.occurrences})
	}
	occurrences := mergePerils(perils)
	var tables [][]PeriodLoss
	for _, name := range sortedNames(inputs) {
		if name == ratesInput || isOccurrences(name) {
			continue
		}
		if !strings.HasSuffix(name, lossesSuffix) {
			return Book{}, notLosses(name)
		}
		losses, err := readKnownLosses(name, inputs[name], occurrences)
		if err != nil {
			return Book{}, err
		}
		tables = append(tables, losses)
	}
	book.Losses, err = Combine(tables)
	return book, err
}

// csv lists every point of every curve, one a line.
func (p Portfolio) csv() []byte {
	out := []byte("perspective,currency,curve,return_period,loss,low,high\n")
	row := func(perspective string, currency Currency, curve string, points []Point) {
		for _, point := range points {
			out = append(out, perspective+","+string(currency)+","+curve+","+strconv.Itoa(point.ReturnPeriod)+","...)
			out = appendRow(out, point.Loss, point.Low, point.High)
		}
	}
	rows := func(name string, currency Currency, view Perspective) {
		row(name, currency, "oep", view.OEP)
		row(name, currency, "aep", view.AEP)
	}
	rows("net", p.Currency, p.Net)
	rows("gross", p.Currency, p.Gross)
	rows("ceded", p.Currency, p.Ceded)
	for _, industry := range p.Industry {
		rows("industry "+industry.Peril, industry.Currency, industry.Perspective)
	}
	return out
}
