package reinsurance_test

import (
	"slices"

	"pgregory.net/rapid"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

// drawn replaces what a generated portfolio is made of by anything that is allowed: terms of every kind, covers of any
// perils in any currency, cedants' own event losses, rates and retrocession. A cedant's deals keep one set of perils and
// one source of losses.
func drawn(t *rapid.T, p portfolio.Portfolio) (portfolio.Portfolio, tables) {
	p.Rates = model.Rates{"USD": 1, "EUR": rapid.Float64Range(0.5, 2).Draw(t, "EUR"), "JPY": rapid.Float64Range(0.05, 0.2).Draw(t, "JPY")}
	unit := map[model.Currency]int64{"USD": 1e6, "EUR": 1e6, "JPY": 1e8}
	type cover struct {
		perils []string
		elt    []model.Event // for an event loss table in millions
	}
	covers, elts := map[string]cover{}, tables{}
	p.Deals = slices.Clone(p.Deals)
	for i := range p.Deals {
		deal := &p.Deals[i]
		c, ok := covers[deal.Cedant]
		if !ok {
			own := rapid.IntRange(0, 2).Draw(t, "own losses") == 0
			for _, peril := range p.Perils {
				if rapid.Bool().Draw(t, "covered") || len(c.perils) == 0 && peril.Name == p.Perils[len(p.Perils)-1].Name {
					c.perils = append(c.perils, peril.Name)
					if own {
						c.elt = append(c.elt, drawnLosses(t, peril.Events)...)
					}
				}
			}
			covers[deal.Cedant] = c
		}
		currency := rapid.SampledFrom([]model.Currency{"USD", "EUR", "JPY"}).Draw(t, "currency")
		deal.Perils, deal.Terms.Currency = c.perils, currency
		deal.Terms.Terms = drawnTerms(t, unit[currency])
		deal.Terms.MarketShare = rapid.Float64Range(0.0005, 0.2).Draw(t, "market share")
		u := *deal.Terms.Uncertainty
		u.Variation = rapid.Float64Range(0.01, 3).Draw(t, "variation")
		if deal.Terms.Uncertainty = &u; rapid.IntRange(0, 4).Draw(t, "certain") == 0 {
			deal.Terms.Uncertainty = nil
		}
		if len(c.elt) > 0 {
			address := "s3://losses/" + deal.ID
			var err error
			if p, err = p.WithELT(deal.ID, address); err != nil {
				t.Fatal(err)
			}
			elts[address] = slices.Clone(c.elt)
			for j := range elts[address] {
				e := &elts[address][j]
				e.Mean, e.SD, e.Max = e.Mean*float64(unit[currency]), e.SD*float64(unit[currency]), e.Max*float64(unit[currency])
			}
		}
	}
	p.Retrocession = nil
	for top := int64(0); rapid.IntRange(0, 2).Draw(t, "more retrocession") > 0; {
		terms := drawnTerms(t, 10e6)
		terms.Attachment += top
		top = terms.Attachment + terms.Limit
		p.Retrocession = append(p.Retrocession, terms)
	}
	return p, elts
}

// drawnLosses are a cedant's losses by some of a peril's events, in millions; at least one.
func drawnLosses(t *rapid.T, events []model.Event) []model.Event {
	var losses []model.Event
	for i, e := range events {
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "not touched") == 0 {
			continue
		}
		loss := model.Event{ID: e.ID, Rate: e.Rate, Mean: rapid.Float64Range(0.001, 500).Draw(t, "mean")}
		loss.SD = loss.Mean * rapid.SampledFrom([]float64{0, 0.3, 2}).Draw(t, "variation")
		loss.Max = loss.Mean * rapid.SampledFrom([]float64{0, 1, 1.5}).Draw(t, "largest")
		losses = append(losses, loss)
	}
	return losses
}

// drawnTerms are any terms that are allowed, in the order of magnitude of unit.
func drawnTerms(t *rapid.T, unit int64) model.Terms {
	terms := model.Terms{
		Attachment:       rapid.Int64Range(0, 100*unit).Draw(t, "attachment"),
		Limit:            rapid.Int64Range(1, 200*unit).Draw(t, "limit"),
		AnnualDeductible: rapid.SampledFrom([]int64{0, 1, unit, 50 * unit}).Draw(t, "deductible"),
		Share:            rapid.SampledFrom([]float64{1, 0.5, 1.0 / 3, 0.07}).Draw(t, "share"),
	}
	if rapid.IntRange(0, 3).Draw(t, "limited") > 0 {
		n := rapid.SampledFrom([]int{0, 1, 2, 99}).Draw(t, "reinstatements")
		terms.Reinstatements = &n
		if n > 0 && rapid.Bool().Draw(t, "paid") {
			terms.Premium = rapid.Int64Range(1, 20*unit).Draw(t, "premium")
			terms.ReinstatementRate = rapid.Float64Range(0.1, 2).Draw(t, "rate")
		}
	}
	return terms
}

// kindsOf are the kinds of terms, covers and effects that a portfolio has, each of which a thorough test must meet.
func kindsOf(p portfolio.Portfolio, figures model.Portfolio) []string {
	var kinds []string
	has := func(kind string, yes bool) {
		if yes {
			kinds = append(kinds, kind)
		}
	}
	for _, d := range p.Deals {
		terms := d.Terms
		has("deductible", terms.AnnualDeductible > 0)
		has("no reinstatement", terms.Reinstatements != nil && *terms.Reinstatements == 0)
		has("paid reinstatements", terms.ReinstatementRate > 0)
		has("unlimited", terms.Reinstatements == nil)
		has("part placed", terms.Share < 1)
		has("inuring", len(d.Inuring) > 0)
		has("no uncertainty", terms.Uncertainty == nil)
		has("own losses", d.ELT != "")
		for _, other := range p.Deals {
			has("inuring in another currency", slices.Contains(d.Inuring, other.ID) && other.Terms.Currency != terms.Currency)
		}
		has("all perils", len(d.Perils) == len(p.Perils))
		has("in "+string(terms.Currency), true)
	}
	has("retrocession pays", figures.Ceded.AAL > 0)
	has("retrocession is reinstated", figures.Ceded.ReinstatementPremium > 0)
	has("deals are reinstated", figures.Gross.ReinstatementPremium > 0)
	return kinds
}
