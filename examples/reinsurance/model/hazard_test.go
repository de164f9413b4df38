package model_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"spate/examples/reinsurance/model"
)

func simulate(t testing.TB, periods int) []model.Event {
	t.Helper()
	events, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: periods})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s = %.4g, want %.4g ± %.2g", what, got, want, tolerance)
	}
}

const billion = 1e9

func TestGrossFiguresMeetTheKnownAnswersWithinTheirStandardErrors(t *testing.T) {
	// Closed form; aggregate figures by Panjer recursion with a step of 0.25 billion.
	known := []struct {
		returnPeriod int
		oep, aep     float64 // USD billions
	}{
		{10, 37.8, 46.0}, {50, 103.2, 119.2}, {100, 141.6, 160.3}, {250, 203.9, 225.0}, {500, 260.8, 283.2},
	}
	const periods = 200_000
	events := simulate(t, periods)
	params := model.PortfolioParams{Periods: periods}
	for _, k := range known {
		params.ReturnPeriods = append(params.ReturnPeriods, k.returnPeriod)
	}
	result, err := model.Evaluate(params, nil, events)
	if err != nil {
		t.Fatal(err)
	}
	gross := result.Gross
	const errors = 3.0 // standard errors: the seed is fixed, so this never flickers
	if gross.AALSE <= 0 || gross.AALSE > 0.2*billion {
		t.Errorf("standard error of the average annual loss is %.3g", gross.AALSE)
	}
	near(t, "average annual loss", gross.AAL/billion, 16.69, errors*gross.AALSE/billion)
	near(t, "99 % TVaR", gross.AEPTVaR/billion, 241, errors*gross.AEPTVaRSE/billion+0.5)
	const z90, recursion = 1.645, 0.3
	for i, k := range known {
		oep, aep := gross.OEP[i], gross.AEP[i]
		se := float64(oep.High-oep.Low) / (2 * z90) / billion
		near(t, "OEP", float64(oep.Loss)/billion, k.oep, errors*se+0.05)
		se = float64(aep.High-aep.Low) / (2 * z90) / billion
		near(t, "AEP", float64(aep.Loss)/billion, k.aep, errors*se+recursion)
	}
	if result.AAL != 0 || result.OEP250 != 0 {
		t.Errorf("net figures of no deals: %v, %v", result.AAL, result.OEP250)
	}
}

func TestLayersMeetTheKnownAnswersWithinTheirStandardErrors(t *testing.T) {
	const periods = 200_000
	events := simulate(t, periods)
	for _, layer := range []struct {
		attachment, limit float64 // USD billions
		aal, hit          float64 // USD billions a year; probability a year, 0 if not known
	}{
		{20, 30, 3.715, 0.190},
		{50, 50, 2.013, 0},
	} {
		deal := model.DealParams{
			Attachment: int64(layer.attachment * billion), Limit: int64(layer.limit * billion), Share: 1, MarketShare: 1, Periods: periods,
		}
		yearly := make([]float64, periods+1)
		for _, loss := range deal.Price(events, nil) {
			yearly[loss.Period] += float64(loss.Loss) / billion
		}
		var sum, squares, hits float64
		for _, loss := range yearly[1:] {
			sum += loss
			squares += loss * loss
			if loss > 0 {
				hits++
			}
		}
		mean := sum / periods
		near(t, "average annual loss of the layer", mean, layer.aal, 3*math.Sqrt((squares/periods-mean*mean)/periods))
		if layer.hit > 0 {
			near(t, "probability of a loss", hits/periods, layer.hit, 3*math.Sqrt(layer.hit/periods)+0.0005)
		}
	}
}

func TestEachCategoryHasItsFrequencyAndSeverity(t *testing.T) {
	const periods = 200_000
	events := simulate(t, periods)
	for _, c := range model.USHurricanes() {
		var count, sum float64
		for _, e := range events {
			if e.Category == int64(c.Category) {
				count++
				sum += float64(e.Loss) / billion
			}
		}
		near(t, "rate", count/periods, c.Rate, 4*math.Sqrt(c.Rate/periods))
		near(t, "mean severity", sum/count, c.Mean, 4*c.SD/math.Sqrt(count))
	}
}

func TestMorePeriodsOrAnotherRateLeaveTheOtherEventsAlone(t *testing.T) {
	few, many := simulate(t, 100), simulate(t, 200)
	for i, e := range few {
		if many[i] != e {
			t.Fatalf("event %d of 100 periods is %v, of 200 periods %v", i, e, many[i])
		}
	}
	categories := model.USHurricanes()
	categories[0].Rate = 3
	changed, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: 100, Categories: categories})
	if err != nil {
		t.Fatal(err)
	}
	others := func(events []model.Event) (kept []model.Event) {
		for _, e := range events {
			if e.Category != 1 {
				kept = append(kept, e)
			}
		}
		return kept
	}
	before, after := others(few), others(changed)
	if len(before) != len(after) || len(few) == len(changed) {
		t.Fatalf("%d other events became %d; %d in all became %d", len(before), len(after), len(few), len(changed))
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("event %v became %v", before[i], after[i])
		}
	}
}

func TestOccurrenceTableKeepsItsPublishedBytes(t *testing.T) {
	// The same on every architecture; another value means that every output of every portfolio changes.
	sum := sha256.Sum256(model.WriteEvents(simulate(t, 10_000)))
	if got, want := hex.EncodeToString(sum[:8]), "2f4d75b72c531605"; got != want {
		t.Errorf("SHA-256 of the table for seed 1 and 10,000 periods starts %s, want %s", got, want)
	}
}

func TestHazardsThatMakeNoSenseAreRefused(t *testing.T) {
	good := model.Category{Category: 1, Rate: 1, Mean: 1, SD: 1}
	with := func(change func(*model.Category)) model.SimulateParams {
		c := good
		change(&c)
		return model.SimulateParams{Periods: 1, Categories: []model.Category{c}}
	}
	for name, params := range map[string]model.SimulateParams{
		"no periods":      {},
		"too many":        {Periods: model.MaxPeriods + 1},
		"category 0":      with(func(c *model.Category) { c.Category = 0 }),
		"category 10":     with(func(c *model.Category) { c.Category = 10 }),
		"rate 0":          with(func(c *model.Category) { c.Rate = 0 }),
		"rate NaN":        with(func(c *model.Category) { c.Rate = math.NaN() }),
		"mean -1":         with(func(c *model.Category) { c.Mean = -1 }),
		"sd infinite":     with(func(c *model.Category) { c.SD = math.Inf(1) }),
		"category twice":  {Periods: 1, Categories: []model.Category{good, good}},
		"beyond a dollar": {Periods: 100_000, Categories: []model.Category{{Category: 1, Rate: 20, Mean: 1000, SD: 10_000}}},
	} {
		if events, err := model.Simulate(params); err == nil {
			t.Errorf("%s: accepted with %d events", name, len(events))
		}
	}
}
