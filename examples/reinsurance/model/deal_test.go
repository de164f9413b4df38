package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

func TestTermsApplyInTheirOrder(t *testing.T) {
	tests := []struct {
		name     string
		terms    model.DealParams
		industry int64
		inuring  int64
		want     int64
	}{
		{"below the attachment", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 1}, 99, 0, 0},
		{"at the attachment", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 1}, 100, 0, 0},
		{"inside the layer", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 1}, 120, 0, 20},
		{"above the layer", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 1}, 1000, 0, 50},
		{"share comes after the limit", model.DealParams{Attachment: 100, Limit: 50, Share: 0.5, MarketShare: 1}, 1000, 0, 25},
		{"market share comes before the attachment", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 0.1}, 1200, 0, 20},
		{"inuring recoveries come after the market share", model.DealParams{Attachment: 100, Limit: 50, Share: 1, MarketShare: 0.1}, 1500, 20, 30},
		{"inuring recoveries come before the attachment", model.DealParams{Attachment: 100, Limit: 50, Share: 0.5, MarketShare: 1}, 160, 30, 15},
		{"recoveries above the loss leave none", model.DealParams{Attachment: 0, Limit: 50, Share: 1, MarketShare: 1}, 10, 30, 0},
		{"halves round away from zero", model.DealParams{Attachment: 0, Limit: 50, Share: 0.5, MarketShare: 1}, 7, 0, 4},
		// FEMA's flood reinsurance of 2017: 26 % of 4 billion above 4 billion; Harvey used up the layer.
		{"published: FEMA 2017", model.DealParams{Attachment: 4e9, Limit: 4e9, Share: 0.26, MarketShare: 1}, 9e9, 0, 1.04e9},
	}
	for _, test := range tests {
		if got := test.terms.Recover(test.industry, test.inuring); got != test.want {
			t.Errorf("%s: recovered %d, want %d", test.name, got, test.want)
		}
	}
}

func TestADealPaysEventByEventAndOnlyNonZeroLossesAreListed(t *testing.T) {
	deal := model.DealParams{Attachment: 100, Limit: 100, Share: 1, MarketShare: 1, Periods: 3}
	events := []model.Event{{1, 1100, 1, 150}, {1, 1200, 2, 90}, {2, 2100, 1, 500}, {3, 3300, 3, 180}}
	inuring := []model.EventLoss{{1, 1100, 20}, {2, 2100, 350}, {3, 3300, 80}}
	want := []model.EventLoss{{1, 1100, 30}, {2, 2100, 50}}
	if diff := cmp.Diff(want, deal.Price(events, inuring)); diff != "" {
		t.Error(diff)
	}
}

func TestCombiningAddsByEvent(t *testing.T) {
	tables := [][]model.EventLoss{
		{{1, 1100, 5}, {2, 2100, 7}},
		{},
		{{1, 1100, 1}, {1, 1200, 2}},
		{{3, 3100, 4}},
		{{1, 1100, 10}},
	}
	want := []model.EventLoss{{1, 1100, 16}, {1, 1200, 2}, {2, 2100, 7}, {3, 3100, 4}}
	got, err := model.Combine(tables)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := model.Combine([][]model.EventLoss{{{1, 1100, 5}}, {{2, 1100, 5}}}); err == nil {
		t.Error("an event in two periods was accepted")
	}
	if _, err := model.Combine([][]model.EventLoss{{{1, 1100, model.MaxAmount}}, {{1, 1100, 1}}}); err == nil {
		t.Error("a sum beyond the largest amount was accepted")
	}
}
