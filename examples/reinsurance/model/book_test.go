package model_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

// aBook has one occurrence of 1,000 euros a year in the first n of 250 years, and one of 50 dollars on the same day.
func aBook(years int64) model.Book {
	book := model.Book{Rates: model.Rates{"USD": 1, "EUR": 1.5}, Industry: []model.IndustryLosses{{Peril: "storm"}}}
	for period := int64(1); period <= years; period++ {
		id := at(period, 59, 0)
		book.Industry[0].Occurrences = append(book.Industry[0].Occurrences, model.Occurrence{Period: period, ID: id, Event: 7, Currency: "EUR", Loss: 9000})
		book.Losses = append(book.Losses,
			model.PeriodLoss{Period: period, Occurrence: id, Currency: "EUR", Loss: 1000, Premium: 10},
			model.PeriodLoss{Period: period, Occurrence: id, Currency: "USD", Loss: 50, Premium: 1})
	}
	return book
}

func TestRetrocessionAppliesToTheWholeBookAfterConversion(t *testing.T) {
	params := model.PortfolioParams{
		Periods: 250, Currency: "USD",
		Retrocession: []model.Terms{
			reinstated(1, model.Terms{Attachment: 1000, Limit: 200, Premium: 40, ReinstatementRate: 0.5, Share: 0.5}),
			{Attachment: 1300, Limit: 1000, Share: 1},
		},
	}
	result, err := model.Evaluate(params, aBook(2))
	if err != nil {
		t.Fatal(err)
	}
	// 1,500 + 50 dollars gross. Ceded: half of 200, for 10 of premium; and 250. Net of premiums: 15 + 1 − 10.
	dollars := func(amount, premium int64) []model.PeriodLoss {
		return []model.PeriodLoss{loss(1, 59, amount, premium), loss(2, 59, amount, premium)}
	}
	for name, view := range map[string]struct{ got, want []model.PeriodLoss }{
		"gross": {result.Gross, dollars(1550, 16)},
		"ceded": {result.Ceded, dollars(350, 10)},
		"net":   {result.Net, dollars(1200, 6)},
	} {
		if diff := cmp.Diff(view.want, view.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f := result.Figures
	if f.Gross.AAL != 12.4 || f.Ceded.AAL != 2.8 || f.Net.AAL != 9.6 || f.AAL != 9.6 || f.Net.ReinstatementPremium != 0.05 || f.Ceded.ReinstatementPremium != 0.08 {
		t.Errorf("figures %+v", f)
	}
	if industry := f.Industry[0]; industry.Peril != "storm" || industry.Currency != "EUR" || industry.AAL != 72 {
		t.Errorf("the industry %+v", industry)
	}
}

func TestTheRootWritesTheColumnsOfOpenResultsData(t *testing.T) {
	const years = 125
	inputs := map[string]string{"rates/rates.csv": string(model.WriteRates(aBook(1).Rates))}
	book := aBook(years)
	inputs[hurricanes] = string(model.WriteOccurrences(book.Industry[0].Occurrences))
	inputs["bucket/losses.csv"] = string(model.WriteLosses(book.Losses))
	params := `{"periods":250,"currency":"USD","return_periods":[10,250],"retrocession":[{"attachment":1300,"limit":1000,"share":1}]}`
	code, message, out := job(t, "portfolio", params, inputs)
	if code != 0 {
		t.Fatal(message)
	}
	splt := strings.Split(text(t, out, "splt.csv"), "\n")
	for line, want := range map[int]string{
		0:           "Period,PeriodWeight,EventId,Year,Month,Day,Hour,Minute,SummaryId,SampleId,Loss,Occurrence,ReinstatementPremium",
		1:           "1,0.004,7,1,2,28,0,0,1,1,1550,1059100,16",
		2:           "2,0.004,7,2,2,28,0,0,1,1,1550,2059100,16",
		1 + years:   "1,0.004,7,1,2,28,0,0,2,1,250,1059100,0",
		1 + 2*years: "1,0.004,7,1,2,28,0,0,3,1,1300,1059100,16",
		1 + 3*years: "",
		3 * years:   fmt.Sprintf("%d,0.004,7,%d,2,28,0,0,3,1,1300,%d059100,16", years, years, years),
	} {
		if splt[line] != want {
			t.Errorf("splt.csv, line %d: %s, want %s", line+1, splt[line], want)
		}
	}
	// Half of the years cost 1,550: the standard deviation is half of it, times √(250/249).
	if got, want := text(t, out, "alt.csv"), "SummaryId,SampleType,MeanLoss,SDLoss\n1,2,775.00,776.55\n2,2,125.00,125.25\n3,2,650.00,651.30\n"; got != want {
		t.Errorf("alt.csv:\n%swant\n%s", got, want)
	}
	var want strings.Builder
	want.WriteString("SummaryId,EPCalc,EPType,ReturnPeriod,Loss\n")
	for summary, amount := range []string{"1550.00", "250.00", "1300.00"} {
		for _, kind := range []int{1, 2, 3, 4} {
			for _, returnPeriod := range []int{250, 10} {
				fmt.Fprintf(&want, "%d,2,%d,%d,%s\n", summary+1, kind, returnPeriod, amount)
			}
		}
	}
	if diff := cmp.Diff(want.String(), text(t, out, "ept.csv")); diff != "" {
		t.Error(diff)
	}
}

func TestAnImportedCatalogueGivesTheSameOccurrencesAsItsParameters(t *testing.T) {
	peril := model.USHurricane()
	want := string(model.WriteOccurrences(simulate(t, 300)))
	melt := string(model.WriteMelt(peril.Events))
	params := `{"seed":1,"periods":300,"peril":{"name":"mine","number":1,"currency":"USD","first_day":152,"last_day":334}}`
	code, message, out := job(t, "simulate-events", params, map[string]string{"melt.csv": melt})
	if code != 0 || text(t, out, "occurrences.csv") != want {
		t.Errorf("exit code %d, %s: other occurrences", code, message)
	}
}

func TestRatesAreWrittenForOtherJobs(t *testing.T) {
	code, message, out := job(t, "exchange-rates", `{"rates":{"USD":1,"JPY":0.0068,"EUR":1.1}}`, nil)
	if code != 0 || text(t, out, "rates.csv") != "currency,rate\nEUR,1.1\nJPY,0.0068\nUSD,1\n" {
		t.Errorf("exit code %d, %s", code, message)
	}
}
