package portfolio

import (
	"spate/examples/reinsurance/draw"
	"spate/examples/reinsurance/model"
)

// A market is what a cedant's programme covers, and in which currency.
type market struct {
	part     float64 // of the cedants
	perils   []string
	currency model.Currency
	unit     float64 // what a billion US dollars of industry loss is to US hurricanes is so much here, in the currency
}

// markets are invented, like the deals.
func markets() []market {
	const hurricane, earthquake, windstorm, typhoon = "us-hurricane", "invented-us-earthquake", "invented-eu-windstorm", "invented-jp-typhoon"
	return []market{
		{part: 0.60, perils: []string{hurricane}, currency: "USD", unit: 1e9},
		{part: 0.12, perils: []string{hurricane, earthquake}, currency: "USD", unit: 1e9},
		{part: 0.15, perils: []string{windstorm}, currency: "EUR", unit: 0.15e9},
		{part: 0.08, perils: []string{typhoon}, currency: "JPY", unit: 20e9},
		{part: 0.05, perils: []string{hurricane, windstorm}, currency: "USD", unit: 1e9},
	}
}

func marketOf(seed, cedant uint64) market {
	all := markets()
	u := draw.Uniform(seed, cedant, drawMarket)
	for _, m := range all {
		if u -= m.part; u < 0 {
			return m
		}
	}
	return all[len(all)-1]
}

// rates are invented, though not far from those of recent years.
func rates() model.Rates {
	return model.Rates{"USD": 1, "EUR": 1.1, "JPY": 0.0068}
}

// retrocession protects the book: the cedants bear a fixed part of the industry's losses, so that the layers fit
// portfolios of any size.
func retrocession() []model.Terms {
	once := 1
	return []model.Terms{
		{Attachment: 8e9, Limit: 6e9, Reinstatements: &once, ReinstatementRate: 1, Premium: 0.6e9, Share: 0.8},
		{Attachment: 14e9, Limit: 10e9, AnnualDeductible: 1e9, Reinstatements: &once, ReinstatementRate: 1, Premium: 0.5e9, Share: 0.6},
	}
}
