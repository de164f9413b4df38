package model_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

func simulate(t testing.TB, periods int) []model.Occurrence {
	t.Helper()
	events, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: periods, Peril: model.USHurricane()})
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

func TestTheIndustrysFiguresMeetTheKnownAnswersWithinTheirStandardErrors(t *testing.T) {
	// Closed form; aggregate figures by Panjer recursion with a step of 0.25 billion.
	known := []struct {
		returnPeriod int
		oep, aep     float64 // USD billions
	}{
		{10, 37.8, 46.0}, {50, 103.2, 119.2}, {100, 141.6, 160.3}, {250, 203.9, 225.0}, {500, 260.8, 283.2},
	}
	const periods = 200_000
	events := simulate(t, periods)
	params := model.PortfolioParams{Periods: periods, Currency: "USD"}
	for _, k := range known {
		params.ReturnPeriods = append(params.ReturnPeriods, k.returnPeriod)
	}
	result, err := model.Evaluate(params, model.Book{Industry: []model.IndustryLosses{{Peril: "us-hurricane", Occurrences: events}}})
	if err != nil {
		t.Fatal(err)
	}
	figures := result.Figures
	gross := figures.Industry[0]
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
	if figures.AAL != 0 || figures.OEP250 != 0 || figures.Gross.AAL != 0 {
		t.Errorf("figures of no deals: %+v", figures)
	}
}

// The known answers that have a closed form, without a simulation: an occurrence exceeds an amount with the sum of the
// categories' rates times their lognormal tails, and years without one have the probability of a Poisson count of zero.
func TestThePublishedTableGivesTheKnownAnswersInClosedForm(t *testing.T) {
	normal := func(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }
	lognormal := func(e model.Event) (mu, sigma float64) {
		variance := math.Log(1 + (e.SD/e.Mean)*(e.SD/e.Mean))
		return math.Log(e.Mean) - variance/2, math.Sqrt(variance)
	}
	above := func(amount float64) (rate float64) {
		for _, e := range model.USHurricane().Events {
			mu, sigma := lognormal(e)
			rate += e.Rate * normal((mu-math.Log(amount))/sigma)
		}
		return rate
	}
	// upTo is what an event costs on average when larger losses are cut.
	upTo := func(e model.Event, limit float64) float64 {
		mu, sigma := lognormal(e)
		z := (math.Log(limit) - mu) / sigma
		return e.Mean*normal(z-sigma) + limit*normal(-z)
	}
	aal, lower, upper := 0.0, 0.0, 0.0
	for _, e := range model.USHurricane().Events {
		aal += e.Rate * e.Mean / billion
		lower += e.Rate * (upTo(e, 50e9) - upTo(e, 20e9)) / billion
		upper += e.Rate * (upTo(e, 100e9) - upTo(e, 50e9)) / billion
	}
	near(t, "average annual loss", aal, 16.69, 0.005)
	near(t, "30 xs 20", lower, 3.715, 0.0005)
	near(t, "50 xs 50", upper, 2.013, 0.0005)
	near(t, "probability of a loss to 30 xs 20", 1-math.Exp(-above(20e9)), 0.190, 0.0005)
	for returnPeriod, oep := range map[float64]float64{10: 37.8, 50: 103.2, 100: 141.6, 250: 203.9, 500: 260.8} {
		const tenth = 0.1
		least, most := 1-math.Exp(-above((oep+tenth)*billion)), 1-math.Exp(-above((oep-tenth)*billion))
		if once := 1 / returnPeriod; once < least || once > most {
			t.Errorf("%v billion at %v years: exceeded with probability %v to %v", oep, returnPeriod, least, most)
		}
	}
}

// NOAA's technical memorandum TPC-5 counts landfalls from 1851 to 2006: 279, of them 96 major, which are categories 3 to 5.
func TestHurricanesAreAsFrequentAsTheLandfallsThatWereCounted(t *testing.T) {
	const years = 2006 - 1851 + 1
	var all, major float64
	for _, event := range model.USHurricane().Events {
		all += event.Rate * years
		if event.ID >= 3 {
			major += event.Rate * years
		}
	}
	const errors = 2 // standard errors of a Poisson count
	near(t, "landfalls", all, 279, errors*math.Sqrt(279))
	near(t, "major landfalls", major, 96, errors*math.Sqrt(96))
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
			Terms:    model.Terms{Attachment: int64(layer.attachment * billion), Limit: int64(layer.limit * billion), Share: 1},
			Currency: "USD", MarketShare: 1, Periods: periods,
		}
		yearly := make([]float64, periods+1)
		for _, loss := range price(t, deal, model.Cover{Occurrences: events}) {
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

func TestEachEventHasItsFrequencyAndSeverityAndSeason(t *testing.T) {
	const periods = 200_000
	for _, peril := range model.Perils() {
		occurrences, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: periods, Peril: peril})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range peril.Events {
			var count, sum float64
			for _, o := range occurrences {
				if o.Event == e.ID {
					count++
					sum += float64(o.Loss)
				}
				day, inside := o.Day(), o.Day() >= peril.FirstDay && o.Day() <= peril.LastDay
				if peril.LastDay < peril.FirstDay {
					inside = (day >= peril.FirstDay && day <= 365) || (day >= 1 && day <= peril.LastDay)
				}
				if !inside {
					t.Fatalf("%s: day %d outside %d to %d", peril.Name, day, peril.FirstDay, peril.LastDay)
				}
			}
			near(t, "rate", count/periods, e.Rate, 4*math.Sqrt(e.Rate/periods))
			near(t, "mean severity", sum/count, e.Mean, 4*e.SD/math.Sqrt(count))
		}
	}
}

// unnumbered drops the count within the day, which depends on what else happens on it.
func unnumbered(o model.Occurrence) model.Occurrence {
	o.ID -= o.ID % 100
	return o
}

func TestMorePeriodsOrAnotherRateLeaveTheOtherEventsAlone(t *testing.T) {
	few, many := simulate(t, 100), simulate(t, 200)
	for i, o := range few {
		if many[i] != o {
			t.Fatalf("occurrence %d of 100 periods is %v, of 200 periods %v", i, o, many[i])
		}
	}
	peril := model.USHurricane()
	peril.Events[0].Rate = 3
	changed, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: 100, Peril: peril})
	if err != nil {
		t.Fatal(err)
	}
	others := func(occurrences []model.Occurrence) map[model.Occurrence]int {
		kept := map[model.Occurrence]int{}
		for _, o := range occurrences {
			if o.Event != 1 {
				kept[unnumbered(o)]++
			}
		}
		return kept
	}
	if len(few) == len(changed) {
		t.Fatal("the rate has no effect")
	}
	if diff := cmp.Diff(others(few), others(changed)); diff != "" {
		t.Error(diff)
	}
}

func TestOccurrencesOfOneDayAreToldApart(t *testing.T) {
	peril := model.Peril{
		Name: "storms", Number: 9, Currency: "EUR", FirstDay: 365, LastDay: 1,
		Events: []model.Event{{ID: 1, Rate: 20, Mean: 100}, {ID: 2, Rate: 20, Mean: 200}},
	}
	occurrences, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: 20, Peril: peril})
	if err != nil {
		t.Fatal(err)
	}
	if len(occurrences) < 700 {
		t.Fatalf("%d occurrences, want about 800", len(occurrences))
	}
	for i, o := range occurrences {
		if o.Loss != 100*o.Event {
			t.Errorf("event %d costs %d", o.Event, o.Loss)
		}
		if i > 0 && o.ID <= occurrences[i-1].ID {
			t.Fatalf("occurrence %d comes after %d", o.ID, occurrences[i-1].ID)
		}
	}
	peril.FirstDay, peril.LastDay = 1, 1
	for i := range 9 {
		peril.Events = append(peril.Events, model.Event{ID: int64(i) + 3, Rate: 20, Mean: 1})
	}
	if _, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: 20, Peril: peril}); err == nil {
		t.Error("220 occurrences a day were numbered")
	}
}

func TestOccurrenceTablesKeepTheirPublishedBytes(t *testing.T) {
	// The same on every architecture; another value means that every output of every portfolio changes.
	sum := sha256.Sum256(model.WriteOccurrences(simulate(t, 10_000)))
	if got, want := hex.EncodeToString(sum[:8]), "0d96d3e9c916af56"; got != want {
		t.Errorf("SHA-256 of the table for seed 1 and 10,000 periods starts %s, want %s", got, want)
	}
}

func TestHazardsThatMakeNoSenseAreRefused(t *testing.T) {
	good := model.Event{ID: 1, Rate: 1, Mean: 1e9, SD: 1e9}
	event := func(change func(*model.Event)) model.SimulateParams {
		e := good
		change(&e)
		return model.SimulateParams{Periods: 1, Peril: model.Peril{Name: "x", Number: 1, Currency: "USD", FirstDay: 1, LastDay: 365, Events: []model.Event{e}}}
	}
	peril := func(change func(*model.SimulateParams)) model.SimulateParams {
		p := event(func(*model.Event) {})
		change(&p)
		return p
	}
	if _, err := model.Simulate(peril(func(*model.SimulateParams) {})); err != nil {
		t.Fatal(err)
	}
	for name, params := range map[string]model.SimulateParams{
		"nothing":     {},
		"no periods":  peril(func(p *model.SimulateParams) { p.Periods = 0 }),
		"too many":    peril(func(p *model.SimulateParams) { p.Periods = model.MaxPeriods + 1 }),
		"too much":    peril(func(p *model.SimulateParams) { p.Periods, p.Peril.Events = model.MaxPeriods, make([]model.Event, 300) }),
		"no name":     peril(func(p *model.SimulateParams) { p.Peril.Name = "" }),
		"number 0":    peril(func(p *model.SimulateParams) { p.Peril.Number = 0 }),
		"number 10":   peril(func(p *model.SimulateParams) { p.Peril.Number = 10 }),
		"currency":    peril(func(p *model.SimulateParams) { p.Peril.Currency = "usd" }),
		"first day":   peril(func(p *model.SimulateParams) { p.Peril.FirstDay = 0 }),
		"last day":    peril(func(p *model.SimulateParams) { p.Peril.LastDay = 366 }),
		"no events":   peril(func(p *model.SimulateParams) { p.Peril.Events = nil }),
		"event twice": peril(func(p *model.SimulateParams) { p.Peril.Events = []model.Event{good, good} }),
		"event 0":     event(func(e *model.Event) { e.ID = 0 }),
		"rate 0":      event(func(e *model.Event) { e.Rate = 0 }),
		"rate NaN":    event(func(e *model.Event) { e.Rate = math.NaN() }),
		"mean -1":     event(func(e *model.Event) { e.Mean = -1 }),
		"sd infinite": event(func(e *model.Event) { e.SD = math.Inf(1) }),
		"sd negative": event(func(e *model.Event) { e.SD = -1 }),
		"max below":   event(func(e *model.Event) { e.Max = 0.9e9 }),
		"beyond a dollar": peril(func(p *model.SimulateParams) {
			p.Periods, p.Peril.Events[0] = 100_000, model.Event{ID: 1, Rate: 20, Mean: 1e12, SD: 1e13}
		}),
	} {
		if occurrences, err := model.Simulate(params); err == nil {
			t.Errorf("%s: accepted with %d occurrences", name, len(occurrences))
		}
	}
}

func TestLossesAreCutAtTheLargest(t *testing.T) {
	peril := model.USHurricane()
	peril.Events = []model.Event{{ID: 1, Rate: 1, Mean: 10e9, SD: 20e9, Max: 30e9}}
	occurrences, err := model.Simulate(model.SimulateParams{Seed: 1, Periods: 2000, Peril: peril})
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, o := range occurrences {
		if o.Loss > 30e9 {
			t.Fatalf("loss %d", o.Loss)
		}
		if o.Loss == 30e9 {
			cut++
		}
	}
	if cut == 0 || cut > len(occurrences)/5 {
		t.Errorf("%d of %d losses are the largest", cut, len(occurrences))
	}
}
