package portfolio_test

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/examples/reinsurance/portfolio"
)

func TestAPortfolioSurvivesTheFieldsOfOpenExposureData(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, err := portfolio.Generate(portfolio.Options{
			Deals: rapid.IntRange(1, 60).Draw(rt, "deals"), Seed: rapid.Uint64().Draw(rt, "seed"), Nominal: 100,
		})
		if err != nil {
			rt.Fatal(err)
		}
		var info, scope bytes.Buffer
		for _, d := range p.Deals {
			if rapid.IntRange(0, 4).Draw(rt, "own losses") == 0 {
				if p, err = p.WithELT(d.ID, "s3://b/"+rapid.StringMatching(`[a-z, "]*`).Draw(rt, "key")+"x"); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if err := p.WriteOED(&info, &scope); err != nil {
			rt.Fatal(err)
		}
		again, err := p.ReadOED(portfolio.File{Name: "info.csv", Content: info.Bytes()}, portfolio.File{Name: "scope.csv", Content: scope.Bytes()})
		if err != nil {
			rt.Fatal(err)
		}
		slices.SortFunc(again.Deals, func(a, b portfolio.Deal) int { return cmp.Compare(a.ID, b.ID) })
		if diff := gocmp.Diff(p, again); diff != "" {
			rt.Error(diff)
		}
	})
}

const (
	someInfo = "ReinsNumber,ReinsLayerNumber,ReinsCurrency,InuringPriority,ReinsType,OccAttachment,OccLimit,PlacedPercent," +
		"AggAttachment,AggLimit,Reinstatement,ReinstatementCharge,ReinsPremium,ReinsPeril,CededPercent,AttachmentBasis\n"
	someScope = "ReinsNumber,AccNumber,MarketShare,Variation,Perils\n"
	goodInfo  = "4,2,USD,2,CXL,30000000,20000000,0.5,,40000000,1,1,3000000,WTC,1,LO\n" +
		"9,1,USD,1,CXL,10000000,20000000,1,5000000,,,,,WTC,,\n"
	goodScope = "4,ACME,0.001,0.3,us-hurricane\n9,ACME,0.001,,us-hurricane;invented-us-earthquake\n"
)

func readOED(t *testing.T, info, scope string) (portfolio.Portfolio, error) {
	t.Helper()
	p := generate(t, portfolio.Options{Deals: 1, Seed: 1})
	return p.ReadOED(portfolio.File{Name: "info.csv", Content: []byte(info)}, portfolio.File{Name: "scope.csv", Content: []byte(scope)})
}

func TestContractsComeAfterThoseThatInureToTheirBenefit(t *testing.T) {
	p, err := readOED(t, someInfo+goodInfo, someScope+goodScope)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Deals) != 2 || p.Deals[0].ID != "deal-00009" || p.Deals[1].ID != "deal-00004" {
		t.Fatalf("deals %+v", p.Deals)
	}
	first, second := p.Deals[0], p.Deals[1]
	if len(first.Inuring) != 0 || !slices.Equal(second.Inuring, []string{"deal-00009"}) {
		t.Errorf("inuring %v and %v", first.Inuring, second.Inuring)
	}
	if first.Terms.Reinstatements != nil || first.Terms.AnnualDeductible != 5_000_000 || first.Terms.Uncertainty != nil || len(first.Perils) != 2 {
		t.Errorf("first deal %+v", first)
	}
	if t2 := second.Terms; *t2.Reinstatements != 1 || t2.ReinstatementRate != 1 || t2.Premium != 3_000_000 || t2.Share != 0.5 || t2.Uncertainty.Variation != 0.3 {
		t.Errorf("second deal %+v", t2)
	}
	ids := make([]string, 0, 16)
	for _, job := range p.Jobs() {
		for _, need := range job.Needs {
			if !slices.Contains(ids, need.Job) {
				t.Errorf("%s comes before %s", job.ID, need.Job)
			}
		}
		ids = append(ids, job.ID)
	}
}

func TestContractsThatMakeNoSenseAreAllListed(t *testing.T) {
	scope := someScope + goodScope + "5,ACME,0.001,,us-hurricane\n6,ACME,0.001,,us-hurricane\n"
	_, err := readOED(t, someInfo+strings.Join([]string{
		"4,1,USD,1,CXL,-1,20000000,0.5,,,,,,,,",
		"4,1,USD,1,CXL,0,0,1.5,,,,,,,,",
		"4,1,XYZ,0,QS,0,NaN,0,,,,,,,,",
		"4,1,USD,1,CXL,0,100.5,1,,,,,,,0.9,RA",
		"4,1,USD,1,CXL,0,100,1,,300,1,,,,,",
		"4,1,USD,1,CXL,0,100,1,,300,,,,,,",
		"4,1,USD,1,CXL,0,100,1,,,1,1,,,,",
		"4,1,USD,1,CXL,0,100,1,,,,1,5,,,",
		"5,1,USD,1,CXL,0,100,1,,,,,,,,",
		"5,1,USD,1,CXL,0,100,1,,,,,,,,",
		"7,1,USD,1,CXL,0,100,1,,,,,,,,",
		"6,1,USD,1,CXL,0,100,0,5,,,,,,,,",
	}, "\n"), scope)
	want := `info.csv:2:15: OccAttachment "-1" is negative
info.csv:3:17: OccLimit "0" is outside 1 to 1e+14
info.csv:3:19: PlacedPercent "1.5" is outside 0 to 1
info.csv:4:5: ReinsCurrency "XYZ" is not among the currencies of the exchange rates
info.csv:4:9: InuringPriority "0" is outside 1 to 99
info.csv:4:11: ReinsType "QS" is not read: only CXL, catastrophe excess of loss, is
info.csv:4:16: OccLimit "NaN" is not a finite number
info.csv:4:20: PlacedPercent "0" places nothing: want more than 0, at most 1
info.csv:5:17: OccLimit "100.5" has decimals: expected whole units of the currency
info.csv:5:31: CededPercent "0.9" is not read: only "1" or nothing is
info.csv:5:35: AttachmentBasis "RA" is not read: only "LO" or nothing is
info.csv:6:24: AggLimit "300" is not (1 + Reinstatement) × OccLimit
info.csv:7:24: AggLimit "300" is not (1 + Reinstatement) × OccLimit
info.csv:8:27: ReinstatementCharge "1" is a part of ReinsPremium, of which there is none
info.csv:9:26: ReinstatementCharge "1" is paid for no reinstatement
info.csv:11:1: ReinsNumber "5" is the contract of line 10 again
info.csv:12:1: ReinsNumber "7" is not in scope.csv
info.csv:13:1: 17 columns, want 16 as in the header: is there a comma inside a number?`
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := gocmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestAContractMayHaveItsCedantsOwnEventLosses(t *testing.T) {
	const header = "ReinsNumber,AccNumber,EventLosses,Perils\n"
	p, err := readOED(t, someInfo+goodInfo, header+"4,ACME,s3://b/acme.csv,us-hurricane\n9,ACME,s3://b/acme.csv,us-hurricane;invented-eu-windstorm\n")
	if err != nil {
		t.Fatal(err)
	}
	jobs := map[string]portfolio.Job{}
	for _, job := range p.Jobs() {
		jobs[job.ID] = job
	}
	for id, needs := range map[string][]string{
		"deal-00009": {"occurrences-us-hurricane", "occurrences-invented-eu-windstorm"}, // in euros, but the losses are the deal's: no rates
		"deal-00004": {"occurrences-us-hurricane", "inuring-1-1"},
	} {
		job := jobs[id]
		if job.Inputs["elt.csv"] != "s3://b/acme.csv" || len(job.Needs) != len(needs) {
			t.Errorf("%s: inputs %v, needs %v", id, job.Inputs, job.Needs)
		}
		for _, name := range needs {
			if files := job.Needs[name].Files; strings.HasPrefix(name, "occurrences") && !slices.Equal(files, []string{"occurrences.csv", "events.csv"}) {
				t.Errorf("%s needs %v of %s", id, files, name)
			}
		}
	}
	first, second := p.Deals[0].Terms, p.Deals[1].Terms
	if first.MarketShare != 0 || first.Uncertainty.Variation != 0 || first.Uncertainty.Group == 0 || *first.Uncertainty != *second.Uncertainty {
		t.Errorf("terms %+v, uncertainty %+v and %+v", first, first.Uncertainty, second.Uncertainty)
	}

	_, err = readOED(t, someInfo+goodInfo, "ReinsNumber,AccNumber,MarketShare,Variation,EventLosses,Perils\n"+
		"4,ACME,0.1,0.3,s3://b/acme.csv,us-hurricane\n9,ACME,,,acme.csv,us-hurricane\n10,ACME,,,,us-hurricane\n")
	want := `scope.csv:2:8: MarketShare "0.1" is given beside EventLosses, which are all of the cedant's: leave one out
scope.csv:2:12: Variation "0.3" is given beside EventLosses, which are all of the cedant's: leave one out
scope.csv:3:10: EventLosses "acme.csv" is not an address in S3, s3://bucket/key
scope.csv:4:9: MarketShare "" is empty: expected a number`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = readOED(t, someInfo+goodInfo, header+"4,ACME,,us-hurricane\n")
	if want := `scope.csv:2:8: EventLosses "" is empty, and there is no column MarketShare: expected one of them`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestADealNeedsExchangeRatesWhereItsCurrencyIsNotThatOfAnInuringContract(t *testing.T) {
	p, err := readOED(t, someInfo+strings.Replace(goodInfo, "4,2,USD", "4,2,EUR", 1), someScope+goodScope)
	if err != nil {
		t.Fatal(err)
	}
	p.Deals[1].ELT = "s3://b/acme.csv" // in euros
	for _, job := range p.Jobs() {
		if job.ID == "deal-00004" {
			if _, there := job.Needs["rates"]; !there {
				t.Errorf("needs %v, of which one is in dollars, and no rates", job.Needs)
			}
		}
	}
}

func TestCoversThatMakeNoSenseAreAllListed(t *testing.T) {
	_, err := readOED(t, someInfo+goodInfo, someScope+strings.Join([]string{
		"4,ACME,0.001,0.3,us-hurricane",
		"4,ACME,0.001,0.3,us-hurricane",
		"5,,0,9,us-hurricane;flood",
		`6,ACME,"0,5",0.3,us-hurricane`,
	}, "\n"))
	want := `scope.csv:3:1: ReinsNumber "4" has two rows: the example's contracts cover one account
scope.csv:4:3: AccNumber "" is empty: which cedant is it?
scope.csv:4:4: MarketShare "0" bears nothing: want more than 0, at most 1
scope.csv:4:6: Variation "9" is outside 0 to 5
scope.csv:4:8: Perils "us-hurricane;flood" has "flood", which is not a peril of the portfolio
scope.csv:5:8: MarketShare "0,5" is not a number: expected digits with a decimal point, no group separators, no unit`
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := gocmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	for info, want := range map[string]string{
		someInfo:            "info.csv: has no contracts",
		"\ufeff" + someInfo: "info.csv:1:1: starts with a byte order mark: save as UTF-8 without one",
		strings.Replace(someInfo, "OccLimit", "OccLimits", 1): `info.csv:1:84: unknown column "OccLimits"`,
	} {
		if _, err := readOED(t, info, someScope+goodScope); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", info, err, want)
		}
	}
}
