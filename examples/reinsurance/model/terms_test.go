package model_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spate/examples/reinsurance/model"
)

// reinstated returns the terms with so many reinstatements.
func reinstated(n int, t model.Terms) model.Terms {
	t.Reinstatements = &n
	return t
}

func TestTermsApplyInTheirOrder(t *testing.T) {
	layer := model.Terms{Attachment: 100, Limit: 50, Share: 1}
	half := model.Terms{Attachment: 100, Limit: 50, Share: 0.5}
	deductible := model.Terms{Limit: 100, AnnualDeductible: 50, Share: 1}
	excess := model.Terms{Attachment: 100, Limit: 50, AnnualDeductible: 30, Share: 0.5}
	paid := model.Terms{Limit: 100, Premium: 20, ReinstatementRate: 1, Share: 1}
	for _, test := range []struct {
		name     string
		terms    model.Terms
		subject  []int64 // one contract year
		losses   []int64
		premiums []int64 // all zero if nil
	}{
		{"below the attachment", layer, []int64{99}, []int64{0}, nil},
		{"at the attachment", layer, []int64{100}, []int64{0}, nil},
		{"inside the layer", layer, []int64{120}, []int64{20}, nil},
		{"above the layer", layer, []int64{1000}, []int64{50}, nil},
		{"the limit is there for each event", layer, []int64{1000, 1000, 1000, 120}, []int64{50, 50, 50, 20}, nil},
		{"no subject loss", layer, []int64{0}, []int64{0}, nil},
		{"the share comes after the limit", half, []int64{1000}, []int64{25}, nil},
		{"halves round away from zero", half, []int64{107}, []int64{4}, nil},

		{"the deductible is borne once a year, by the first losses", deductible, []int64{30, 30, 30}, []int64{0, 10, 30}, nil},
		{"the deductible comes after the occurrence limit", model.Terms{Limit: 100, AnnualDeductible: 100, Share: 1}, []int64{1000}, []int64{0}, nil},
		{"the deductible comes after the attachment", excess, []int64{120, 120, 1000}, []int64{0, 5, 25}, nil},
		{"the share comes after the deductible", model.Terms{Limit: 100, AnnualDeductible: 50, Share: 0.5}, []int64{100}, []int64{25}, nil},

		{"no reinstatement: one limit a year", reinstated(0, layer), []int64{130, 130, 130}, []int64{30, 20, 0}, nil},
		{"one reinstatement: two limits a year", reinstated(1, layer), []int64{1000, 1000, 1000}, []int64{50, 50, 0}, nil},
		{"the share comes after the aggregate limit", reinstated(0, half), []int64{130, 130, 130}, []int64{15, 10, 0}, nil},
		// The order that matters most: the deductible first, then the aggregate limit. The other way round pays 50.
		{"known answer: 100, 100, 100 to 100 xs 0, deductible 50", reinstated(0, deductible), []int64{100, 100, 100}, []int64{50, 50, 0}, nil},

		{"a full limit costs the whole rate", reinstated(1, paid), []int64{100, 100, 100}, []int64{100, 100, 0}, []int64{20, 0, 0}},
		{"part of a limit costs its part", reinstated(1, paid), []int64{25, 50, 100}, []int64{25, 50, 100}, []int64{5, 10, 5}},
		{"the last limit is not reinstated", reinstated(2, paid), []int64{100, 100, 100, 100}, []int64{100, 100, 100, 0}, []int64{20, 20, 0, 0}},
		{
			"half the premium, for the placed share",
			reinstated(1, model.Terms{Limit: 100, Premium: 20, ReinstatementRate: 0.5, Share: 0.4}),
			[]int64{100},
			[]int64{40},
			[]int64{4},
		},
		{
			"what the deductible keeps needs no reinstatement",
			reinstated(1, model.Terms{Limit: 100, AnnualDeductible: 50, Premium: 20, ReinstatementRate: 1, Share: 1}),
			[]int64{50, 100},
			[]int64{0, 100},
			[]int64{0, 20},
		},

		// FEMA's flood reinsurance. 2017: 26 % of 4 billion above 4 billion; Harvey, 8.5 to 9.5 billion, used up the layer.
		{"published: FEMA 2017, at least", reinstated(0, model.Terms{Attachment: 4e9, Limit: 4e9, Share: 0.26}), []int64{8.5e9}, []int64{1.04e9}, nil},
		{"published: FEMA 2017, at most", reinstated(0, model.Terms{Attachment: 4e9, Limit: 4e9, Share: 0.26}), []int64{9.5e9}, []int64{1.04e9}, nil},
		// 2018: 18.6 % of 2 billion above 4 and 54.3 % of 2 billion above 6, together 1.458 billion at most (published: 1.46).
		{"published: FEMA 2018, lower layer", reinstated(0, model.Terms{Attachment: 4e9, Limit: 2e9, Share: 0.186}), []int64{20e9}, []int64{0.372e9}, nil},
		{"published: FEMA 2018, upper layer", reinstated(0, model.Terms{Attachment: 6e9, Limit: 2e9, Share: 0.543}), []int64{20e9, 20e9}, []int64{1.086e9, 0}, nil},
	} {
		year := test.terms.Year()
		var losses, premiums []int64
		for _, subject := range test.subject {
			loss, premium := year.Recover(subject)
			losses, premiums = append(losses, loss), append(premiums, premium)
		}
		if test.premiums == nil {
			test.premiums = make([]int64, len(test.subject))
		}
		if !slices.Equal(losses, test.losses) || !slices.Equal(premiums, test.premiums) {
			t.Errorf("%s: subject losses %v\n recovered %v, want %v\n reinstatement premiums %v, want %v",
				test.name, test.subject, losses, test.losses, premiums, test.premiums)
		}
	}
}

// FEMA's flood reinsurance of 2018 had a combined limit of 1.458 billion, published as 1.46.
func TestTwoLayersOfOneProgrammePayTheirCombinedLimit(t *testing.T) {
	catastrophe := []model.Occurrence{{Period: 1, ID: at(1, 240, 0), Event: 1, Currency: "USD", Loss: 11e9}}
	var layers [][]model.PeriodLoss
	for _, terms := range []model.Terms{{Attachment: 4e9, Limit: 2e9, Share: 0.186}, {Attachment: 6e9, Limit: 2e9, Share: 0.543}} {
		deal := model.DealParams{Terms: reinstated(0, terms), Currency: "USD", MarketShare: 1, Periods: 1}
		layers = append(layers, price(t, deal, model.Cover{Occurrences: catastrophe}))
	}
	got, err := model.Combine(layers)
	if err != nil || len(got) != 1 || got[0].Loss != 1_458_000_000 {
		t.Errorf("recovered %v, %v", got, err)
	}
}

func TestAYearNeverPaysBeyondItsTerms(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		amount := func(name string, least int64) int64 { return rapid.Int64Range(least, 1000).Draw(rt, name) }
		n := rapid.IntRange(0, 3).Draw(rt, "reinstatements")
		terms := reinstated(n, model.Terms{
			Attachment: amount("attachment", 0), Limit: amount("limit", 1), AnnualDeductible: amount("deductible", 0),
			Premium: amount("premium", 1), ReinstatementRate: 1, Share: 1,
		})
		year := terms.Year()
		var paid, toLayer, reinstatement int64
		for _, subject := range rapid.SliceOfN(rapid.Int64Range(0, 3000), 0, 12).Draw(rt, "year") {
			loss, premium := year.Recover(subject)
			if loss < 0 || loss > terms.Limit || loss > max(subject-terms.Attachment, 0) || premium < 0 {
				rt.Fatalf("subject loss %d recovers %d with a premium of %d", subject, loss, premium)
			}
			paid += loss
			reinstatement += premium
			toLayer += min(max(subject-terms.Attachment, 0), terms.Limit)
		}
		if want := min(max(toLayer-terms.AnnualDeductible, 0), int64(n+1)*terms.Limit); paid != want {
			rt.Errorf("the year pays %d, want %d of %d to the layer", paid, want, toLayer)
		}
		// Each premium is rounded by itself, by a half at most.
		if most := int64(n)*terms.Premium + 6; reinstatement > most {
			rt.Errorf("reinstatement premiums of %d, %d times %d at most", reinstatement, n, terms.Premium)
		}
	})
}

func TestTermsThatMakeNoSenseAreRefused(t *testing.T) {
	const good = `"attachment":100,"limit":50,"share":1,"market_share":1,"currency":"USD","inuring_priority":1,"periods":10`
	for more, want := range map[string]string{
		`,"attachment":-1`:                           "attachment -1 outside 0 to 100000000000000",
		`,"limit":-50`:                               "limit -50 outside 1 to 100000000000000",
		`,"limit":0`:                                 "limit 0 outside 1 to 100000000000000",
		`,"annual_deductible":-1`:                    "annual_deductible -1 outside 0 to 100000000000000",
		`,"reinstatements":-1`:                       "reinstatements -1 outside 0 to 99; leave it out where they are unlimited",
		`,"reinstatement_rate":-0.5`:                 "reinstatement_rate -0.5 outside 0 to 10",
		`,"premium":-1`:                              "premium -1 outside 0 to 100000000000000",
		`,"reinstatement_rate":1,"premium":5`:        "reinstatement_rate 1 without a number of reinstatements that it is paid for",
		`,"reinstatements":1,"reinstatement_rate":1`: "reinstatement_rate 1 without the premium that it is a part of",
		`,"share":1.01`:                              "share 1.01 outside 0 to 1",
		`,"share":0`:                                 "share 0 outside 0 to 1",
	} {
		code, message, _ := job(t, "price-deal", "{"+good+more+"}", map[string]string{hurricanes: someEvents})
		if code != 65 || !strings.HasSuffix(message, want) {
			t.Errorf("%s: exit code %d, %s, want %s", more, code, message, want)
		}
	}
}
