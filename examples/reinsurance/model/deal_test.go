package model_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

// at numbers the n-th occurrence of a period on a day, by peril 1.
func at(period, day, n int64) int64 { return period*1_000_000 + day*1_000 + 100 + n }

func occurrence(period, day, loss int64) model.Occurrence {
	return model.Occurrence{Period: period, ID: at(period, day, 0), Event: 1, Currency: "USD", Loss: loss}
}

func loss(period, day, amount, premium int64) model.PeriodLoss {
	return model.PeriodLoss{Period: period, Occurrence: at(period, day, 0), Currency: "USD", Loss: amount, Premium: premium}
}

func price(t testing.TB, p model.DealParams, c model.Cover) []model.PeriodLoss {
	t.Helper()
	losses, err := p.Price(c)
	if err != nil {
		t.Fatal(err)
	}
	return losses
}

func TestADealPaysYearByYearInTheOrderOfTheEvents(t *testing.T) {
	deal := model.DealParams{
		Terms:       reinstated(0, model.Terms{Attachment: 100, Limit: 100, AnnualDeductible: 10, Share: 0.5}),
		Currency:    "USD",
		MarketShare: 0.1,
	}
	got := price(t, deal, model.Cover{
		Occurrences: []model.Occurrence{
			occurrence(1, 200, 1500), // 150 to the cedant, 50 to the layer, 40 after the deductible
			occurrence(1, 201, 900),  // below the attachment
			occurrence(1, 300, 9999), // 60 are left of the only limit
			occurrence(1, 301, 9999), // nothing is left
			occurrence(2, 10, 1300),  // another year
			occurrence(3, 10, 1900),
		},
		// Recoveries of the year 3 leave 190 − 70 = 120, of which 10 remain after the deductible. Others concern nobody.
		Inuring: []model.PeriodLoss{loss(1, 199, 5, 0), loss(1, 201, 5, 0), loss(3, 10, 70, 9), loss(3, 11, 1000, 0)},
	})
	want := []model.PeriodLoss{loss(1, 200, 20, 0), loss(1, 300, 30, 0), loss(2, 10, 10, 0), loss(3, 10, 5, 0)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestInuringRecoveriesComeAfterTheMarketShareAndBeforeTheAttachment(t *testing.T) {
	for _, test := range []struct{ industry, inuring, want int64 }{
		{1500, 20, 30}, // 10 % of 1500, less 20, above 100
		{1500, 50, 0},
		{1500, 200, 0}, // recoveries above the loss leave none
		{9000, 0, 50},
	} {
		deal := model.DealParams{Terms: model.Terms{Attachment: 100, Limit: 50, Share: 1}, Currency: "USD", MarketShare: 0.1}
		cover := model.Cover{Occurrences: []model.Occurrence{occurrence(1, 1, test.industry)}, Inuring: []model.PeriodLoss{loss(1, 1, test.inuring, 0)}}
		got := int64(0)
		for _, l := range price(t, deal, cover) {
			got += l.Loss
		}
		if got != test.want {
			t.Errorf("industry %d, inuring %d: recovered %d, want %d", test.industry, test.inuring, got, test.want)
		}
	}
}

func TestCurrenciesConvertWhereTheyMeet(t *testing.T) {
	deal := model.DealParams{Terms: model.Terms{Attachment: 100, Limit: 1000, Share: 1}, Currency: "USD", MarketShare: 0.5}
	euro := model.PeriodLoss{Period: 1, Occurrence: at(1, 5, 0), Currency: "EUR", Loss: 33}
	cover := model.Cover{
		Occurrences: []model.Occurrence{{Period: 1, ID: at(1, 5, 0), Event: 7, Currency: "EUR", Loss: 1001}},
		Inuring:     []model.PeriodLoss{euro, {Period: 1, Occurrence: at(1, 5, 0), Currency: "USD", Loss: 14}},
		Rates:       model.Rates{"USD": 1, "EUR": 1.1},
	}
	// 1001 EUR are 1101.1 USD, rounded; half of that is 550.5, rounded to 551; less 36.3, rounded, and 14; above 100.
	want := []model.PeriodLoss{loss(1, 5, 551-36-14-100, 0)}
	if diff := cmp.Diff(want, price(t, deal, cover)); diff != "" {
		t.Error(diff)
	}
	cover.Rates = model.Rates{"USD": 1}
	_, err := deal.Price(cover)
	if _, bad := errors.AsType[*model.InputError](err); !bad || err.Error() != "rates/rates.csv: has no rate for EUR: cannot convert EUR to USD" {
		t.Errorf("without a rate: %v", err)
	}
	deal.Currency = "EUR"
	cover.Inuring = []model.PeriodLoss{euro}
	if got := price(t, deal, cover)[0].Loss; got != 501-33-100 {
		t.Errorf("where all is in euros, no rate is needed: recovered %d", got)
	}
}

func TestSecondaryUncertaintyDependsOnItsNameAlone(t *testing.T) {
	occurrences := simulate(t, 2000)
	deal := func(group uint64, attachment int64) map[int64]int64 {
		paid := map[int64]int64{}
		params := model.DealParams{
			Terms: model.Terms{Attachment: attachment, Limit: 1e13, Share: 1}, Currency: "USD", MarketShare: 1,
			Uncertainty: &model.Uncertainty{Seed: 3, Variation: 0.4, Group: group}, Periods: 2000,
		}
		for _, l := range price(t, params, model.Cover{Occurrences: occurrences}) {
			paid[l.Occurrence] = l.Loss
		}
		return paid
	}
	ground, upper, other := deal(17, 0), deal(17, 20e9), deal(18, 0)
	var expected, drawn, differ float64
	for _, o := range occurrences {
		expected += float64(o.Loss)
		drawn += float64(ground[o.ID])
		// Two layers of one group see one loss, whatever else they look at.
		if want := max(ground[o.ID]-20e9, 0); upper[o.ID] != want {
			t.Fatalf("occurrence %d: %d above 20 billion of %d, want %d", o.ID, upper[o.ID], ground[o.ID], want)
		}
		if ground[o.ID] != other[o.ID] {
			differ++
		}
	}
	if len(upper) < 100 || differ < float64(len(occurrences))*0.99 {
		t.Errorf("%d losses above 20 billion; %v of %d differ between groups", len(upper), differ, len(occurrences))
	}
	if ratio := drawn / expected; ratio < 0.97 || ratio > 1.03 {
		t.Errorf("the drawn losses are %.3f of the expected ones", ratio)
	}
}

func TestCombiningAddsByOccurrenceAndCurrency(t *testing.T) {
	euros := func(l model.PeriodLoss) model.PeriodLoss { l.Currency = "EUR"; return l }
	tables := [][]model.PeriodLoss{
		{loss(1, 10, 5, 1), loss(2, 10, 7, 0)},
		{},
		{euros(loss(1, 10, 100, 3)), loss(1, 10, 1, 1), loss(1, 20, 2, 0)},
		{loss(3, 10, 4, 0)},
		{loss(1, 10, 10, 0)},
	}
	want := []model.PeriodLoss{euros(loss(1, 10, 100, 3)), loss(1, 10, 16, 2), loss(1, 20, 2, 0), loss(2, 10, 7, 0), loss(3, 10, 4, 0)}
	got, err := model.Combine(tables)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := model.Combine([][]model.PeriodLoss{{loss(1, 1, model.MaxAmount, 0)}, {loss(1, 1, 1, 0)}}); err == nil {
		t.Error("a sum beyond the largest amount was accepted")
	}
}
