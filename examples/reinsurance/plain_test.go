package reinsurance_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"spate/examples/reinsurance/draw"
	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

// A plainResult is what a loop without files, buckets or tasks finds.
type plainResult struct {
	figures model.Portfolio
	splt    []string // lines without the header
}

// A plainContract is a contract year by the slow, obvious rule: after each event, what the year pays in all is worked out
// anew from all events so far, and the difference is what this event is paid.
type plainContract struct {
	terms   model.Terms
	subject []int64
}

func (c *plainContract) recover(subject int64) (loss, premium int64) {
	lossBefore, reinstatedBefore := c.yearToDate()
	c.subject = append(c.subject, subject)
	lossAfter, reinstatedAfter := c.yearToDate()
	due := float64(c.terms.Premium) * c.terms.ReinstatementRate * float64(reinstatedAfter-reinstatedBefore) / float64(c.terms.Limit)
	return rounded(float64(lossAfter-lossBefore) * c.terms.Share), rounded(due * c.terms.Share)
}

func (c *plainContract) yearToDate() (paid, reinstated int64) {
	for _, subject := range c.subject {
		paid += min(max(subject-c.terms.Attachment, 0), c.terms.Limit)
	}
	paid = max(paid-c.terms.AnnualDeductible, 0)
	if c.terms.Reinstatements == nil {
		return paid, 0
	}
	n := int64(*c.terms.Reinstatements)
	paid = min(paid, (1+n)*c.terms.Limit)
	return paid, min(paid, n*c.terms.Limit)
}

func rounded(x float64) int64 { return int64(math.Round(x)) }

// tables are the events of event loss tables, by their address.
type tables map[string][]model.Event

// lognormal is an amount by its mean and its coefficient of variation, drawn for one occurrence and correlation group.
func lognormal(mean, variation float64, u *model.Uncertainty, o model.Occurrence) float64 {
	const purpose = 4
	variance := draw.Log(1 + float64(variation*variation))
	z := draw.Normal(u.Seed, uint64(o.Event), uint64(o.ID), u.Group, purpose)
	return draw.Exp((draw.Log(mean) - float64(variance/2)) + float64(math.Sqrt(variance)*z))
}

// shared is what a cedant bears of the industry's loss, in the deal's currency.
func shared(p portfolio.Portfolio, d portfolio.Deal, o model.Occurrence) int64 {
	factor := 1.0 // secondary uncertainty
	if u := d.Terms.Uncertainty; u != nil {
		factor = lognormal(1, u.Variation, u, o)
	}
	return rounded(float64(converted(p, o.Loss, o.Currency, d.Terms.Currency)) * d.Terms.MarketShare * factor)
}

// own is what an occurrence costs a cedant with an event loss table.
func own(elt []model.Event, u *model.Uncertainty, o model.Occurrence) int64 {
	for _, e := range elt {
		if e.ID != o.Event {
			continue
		}
		loss := e.Mean
		if e.SD > 0 {
			loss = lognormal(e.Mean, e.SD/e.Mean, u, o)
		}
		if e.Max > 0 {
			loss = min(loss, e.Max)
		}
		return rounded(loss)
	}
	return 0
}

func converted(p portfolio.Portfolio, amount int64, from, to model.Currency) int64 {
	if from == to {
		return amount
	}
	return rounded(float64(amount) * p.Rates[from] / p.Rates[to])
}

// plainLoop computes the portfolio year by year, occurrence by occurrence, deal by deal.
func plainLoop(t testing.TB, p portfolio.Portfolio, elts tables) plainResult {
	t.Helper()
	var all []model.Occurrence
	var book model.Book
	perilOf := map[int64]string{}
	for _, peril := range p.Perils {
		occurrences, err := model.Simulate(model.SimulateParams{Seed: p.Seed, Periods: p.Periods, Peril: peril})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range occurrences {
			perilOf[o.ID] = peril.Name
		}
		all = append(all, occurrences...)
		book.Industry = append(book.Industry, model.IndustryLosses{Peril: peril.Name, Occurrences: occurrences})
	}
	slices.SortFunc(all, func(a, b model.Occurrence) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(book.Industry, func(a, b model.IndustryLosses) int { return cmp.Compare(a.Peril, b.Peril) })
	book.Rates = p.Rates

	var deals, retrocession []plainContract
	var gross, ceded, net []string
	period := int64(0)
	for _, o := range all {
		if o.Period != period {
			period, deals, retrocession = o.Period, nil, nil
			for _, d := range p.Deals {
				deals = append(deals, plainContract{terms: d.Terms.Terms})
			}
			for _, terms := range p.Retrocession {
				retrocession = append(retrocession, plainContract{terms: terms})
			}
		}
		paid, currencies := map[string]int64{}, map[string]model.Currency{}
		losses, premiums := map[model.Currency]int64{}, map[model.Currency]int64{}
		for i, d := range p.Deals {
			if !slices.Contains(d.Perils, perilOf[o.ID]) {
				continue
			}
			subject := shared(p, d, o)
			if d.ELT != "" {
				subject = own(elts[d.ELT], d.Terms.Uncertainty, o)
			}
			inuring := map[model.Currency]int64{}
			for _, id := range d.Inuring {
				inuring[currencies[id]] += paid[id]
			}
			for currency, recovered := range inuring {
				subject -= converted(p, recovered, currency, d.Terms.Currency)
			}
			loss, premium := deals[i].recover(max(subject, 0))
			paid[d.ID], currencies[d.ID] = loss, d.Terms.Currency
			losses[d.Terms.Currency] += loss
			premiums[d.Terms.Currency] += premium
		}
		var grossLoss, grossPremium, cededLoss, cededPremium int64
		for _, currency := range slices.Sorted(maps.Keys(losses)) {
			grossLoss += converted(p, losses[currency], currency, "USD")
			grossPremium += converted(p, premiums[currency], currency, "USD")
			if losses[currency] > 0 || premiums[currency] > 0 {
				book.Losses = append(book.Losses, model.PeriodLoss{
					Period: o.Period, Occurrence: o.ID, Currency: currency, Loss: losses[currency], Premium: premiums[currency],
				})
			}
		}
		for i := range retrocession {
			loss, premium := retrocession[i].recover(grossLoss)
			cededLoss += loss
			cededPremium += premium
		}
		line := func(summary int, loss, premium int64) string {
			month, day := monthAndDay(o.Day())
			return fmt.Sprintf("%d,%v,%d,%d,%d,%d,0,0,%d,1,%d,%d,%d", o.Period, 1/float64(p.Periods), o.Event, o.Period, month, day, summary, loss, o.ID, premium)
		}
		if grossLoss > 0 || grossPremium > 0 {
			gross = append(gross, line(1, grossLoss, grossPremium))
		}
		if cededLoss > 0 || cededPremium > 0 {
			ceded = append(ceded, line(2, cededLoss, cededPremium))
		}
		if grossLoss > cededLoss || grossPremium != cededPremium {
			net = append(net, line(3, grossLoss-cededLoss, grossPremium-cededPremium))
		}
	}
	result, err := model.Evaluate(model.PortfolioParams{Periods: p.Periods, Currency: p.Currency, Retrocession: p.Retrocession}, book)
	if err != nil {
		t.Fatal(err)
	}
	return plainResult{figures: result.Figures, splt: slices.Concat(gross, ceded, net, []string{""})}
}

func monthAndDay(dayOfYear int) (month, day int) {
	const year = 2027 // any that is not a leap year
	date := time.Date(year, time.January, dayOfYear, 0, 0, 0, 0, time.UTC)
	return int(date.Month()), date.Day()
}
