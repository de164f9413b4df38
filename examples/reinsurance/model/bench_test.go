package model_test

import (
	"testing"

	"spate/examples/reinsurance/model"
)

func BenchmarkPriceDeal(b *testing.B) {
	table := model.WriteOccurrences(simulate(b, 10_000))
	deal := model.DealParams{
		Terms:    reinstated(1, model.Terms{Attachment: 140e6, Limit: 210e6, AnnualDeductible: 53e6, ReinstatementRate: 1, Premium: 42e6, Share: 0.15}),
		Currency: "USD", InuringPriority: 1, MarketShare: 0.00565, Periods: 10_000,
		Uncertainty: &model.Uncertainty{Seed: 1, Variation: 0.3, Group: 7},
	}
	b.SetBytes(int64(len(table)))
	for b.Loop() {
		occurrences, err := model.ReadOccurrences("occurrences.csv", table, 10_000)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := deal.Price(model.Cover{Occurrences: occurrences}); err != nil {
			b.Fatal(err)
		}
	}
}
