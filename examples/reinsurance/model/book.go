package model

import "slices"

// A Book is all that the portfolio's figures are made from.
type Book struct {
	Losses   []PeriodLoss     // of all deals, added by occurrence and currency
	Rates    Rates            // needed where currencies other than the portfolio's occur
	Industry []IndustryLosses // ascending by peril
}

// IndustryLosses are what one peril costs everybody.
type IndustryLosses struct {
	Peril       string
	Occurrences []Occurrence
}

// A Result is the portfolio's figures and the losses that they were made from, in the portfolio's currency and ascending
// by occurrence.
type Result struct {
	Figures           Portfolio
	Gross, Ceded, Net []PeriodLoss
	gross, ceded, net years
}

// Evaluate applies the retrocession to the whole book and computes the figures of each perspective. Currencies meet
// here, once: each occurrence's loss in each currency is converted by itself. Errors are *InputError.
func Evaluate(p PortfolioParams, b Book) (Result, error) {
	if err := p.validate(); err != nil {
		return Result{}, err
	}
	var r Result
	var err error
	if r.Gross, err = convert(b.Losses, b.Rates, p.Currency); err != nil {
		return Result{}, err
	}
	r.Ceded, r.Net = p.cede(r.Gross)
	r.gross, r.ceded, r.net = newYears(p.Periods, r.Gross), newYears(p.Periods, r.Ceded), newYears(p.Periods, r.Net)
	r.Figures = Portfolio{
		Perspective: "net",
		Currency:    p.Currency,
		Periods:     p.Periods,
		Net:         p.perspective(r.net, r.Net),
		Gross:       p.perspective(r.gross, r.Gross),
		Ceded:       p.perspective(r.ceded, r.Ceded),
	}
	f := &r.Figures
	f.AAL, f.AALSE, f.AEPTVaR = f.Net.AAL, f.Net.AALSE, f.Net.AEPTVaR
	f.OEP250 = pointAt(descending(r.net.occurrence), headline).Loss
	f.AEP250 = pointAt(descending(r.net.aggregate), headline).Loss
	for _, peril := range b.Industry {
		losses := industryLosses(peril.Occurrences)
		industry := Industry{Peril: peril.Peril, Perspective: p.perspective(newYears(p.Periods, losses), losses)}
		if len(losses) > 0 {
			industry.Currency = losses[0].Currency
		}
		f.Industry = append(f.Industry, industry)
	}
	return r, nil
}

// cede applies each retrocession contract to the gross losses of all deals together. What remains is net; a
// reinstatement premium that the reinsurer pays is deducted from those that it receives.
func (p PortfolioParams) cede(gross []PeriodLoss) (ceded, net []PeriodLoss) {
	contracts := make([]Year, len(p.Retrocession))
	period := int64(0)
	for _, l := range gross {
		if l.Period != period {
			period = l.Period
			for i, terms := range p.Retrocession {
				contracts[i] = terms.Year()
			}
		}
		recovery := l
		recovery.Loss, recovery.Premium = 0, 0
		for i := range contracts {
			loss, premium := contracts[i].Recover(l.Loss)
			recovery.Loss += loss
			recovery.Premium += premium
		}
		if recovery.Loss > 0 || recovery.Premium > 0 {
			ceded = append(ceded, recovery)
		}
		l.Loss -= recovery.Loss
		l.Premium -= recovery.Premium
		if l.Loss > 0 || l.Premium != 0 {
			net = append(net, l)
		}
	}
	return ceded, slices.Clip(net)
}
