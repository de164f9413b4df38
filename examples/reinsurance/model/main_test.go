package model_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spate/examples/reinsurance/model"
)

// job runs one task in a directory of its own and returns its exit code, error line and output directory.
func job(t *testing.T, task, params string, inputs map[string]string) (code int, message, out string) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.Mkdir(in, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range inputs {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(in, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	paramsFile := filepath.Join(dir, "params.json")
	if err := os.WriteFile(paramsFile, []byte(params), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"SPATE_PARAMS": paramsFile, "SPATE_INPUT_DIR": in, "SPATE_OUTPUT_DIR": out}
	var stderr bytes.Buffer
	code = model.Main(t.Context(), []string{task}, func(name string) string { return environment[name] }, &stderr)
	return code, strings.TrimSpace(stderr.String()), out
}

const (
	hurricanes = "occurrences-us-hurricane/occurrences.csv"
	someEvents = "period,occurrence,event,currency,loss\n1,1200100,1,USD,1000\n2,2210100,3,USD,5000\n2,2250100,4,USD,9000\n"
	someDeal   = `{"attachment":100,"limit":500,"share":0.5,"market_share":0.1,"currency":"USD","inuring_priority":2,"periods":250}`
	lossHeader = "period,occurrence,currency,loss,reinstatement_premium\n"
)

func TestADealWritesItsLossesAndASummary(t *testing.T) {
	const deal = `{"attachment":100,"limit":500,"reinstatements":1,"reinstatement_rate":0.5,"premium":40,` +
		`"share":0.5,"market_share":0.1,"currency":"USD","inuring_priority":2,"periods":250}`
	code, message, out := job(t, "price-deal", deal, map[string]string{
		hurricanes:               someEvents,
		"inuring-1-1/losses.csv": lossHeader + "2,2250100,USD,100,7\n",
		"inuring-1-2/losses.csv": lossHeader + "2,2210100,USD,50,7\n2,2250100,USD,150,0\n",
	})
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, message)
	}
	// Period 1: the cedant's 100 are at the attachment. Then (500−50−100)·½ and (900−250−100)·½, above the limit of 500;
	// of which 350 and the remaining 150 of the only reinstatement cost 40·½ times their part of 500, and half of that.
	if got, want := text(t, out, "losses.csv"), lossHeader+"2,2210100,USD,175,7\n2,2250100,USD,250,3\n"; got != want {
		t.Errorf("losses.csv:\n%swant\n%s", got, want)
	}
	var summary model.DealSummary
	if err := json.Unmarshal([]byte(text(t, out, "summary.json")), &summary); err != nil {
		t.Fatal(err)
	}
	want := model.DealSummary{
		Currency: "USD", Periods: 250, AAL: 1.7, AALSE: 1.7, RateOnLine: 0.0068, ReinstatementPremium: 0.04,
		HitProbability: 0.004, Occurrences: 2, LargestLoss: 250,
	}
	if summary != want {
		t.Errorf("summary %+v, want %+v", summary, want)
	}
}

func TestBadInputEndsWithExitCode65AndSaysWhere(t *testing.T) {
	events := func(more map[string]string) map[string]string {
		inputs := map[string]string{hurricanes: someEvents}
		maps.Copy(inputs, more)
		return inputs
	}
	// Of two equal names, the last one counts.
	deal := func(more string) string { return strings.TrimSuffix(someDeal, "}") + "," + more + "}" }
	root := func(more string) string { return `{"periods":250,"currency":"USD"` + more + "}" }
	peril := func(more string) string {
		return `{"periods":1,"peril":{"name":"x","number":1,"currency":"USD","first_day":1,"last_day":365` + more + "}}"
	}
	for name, test := range map[string]struct {
		task, params string
		inputs       map[string]string
		want         string
	}{
		"no occurrences":      {"price-deal", someDeal, nil, "price-deal: inputs: no occurrences-*/occurrences.csv: which events does it cover?"},
		"unknown occurrence":  {"price-deal", someDeal, events(map[string]string{"inuring-1-1/losses.csv": lossHeader + "1,1200100,USD,5,0\n2,2210101,USD,5,0\n"}), "price-deal: inuring-1-1/losses.csv:3:3: occurrence 2210101 is not in any occurrences.csv"},
		"unexpected input":    {"price-deal", someDeal, events(map[string]string{"notes/notes.txt": "?"}), "price-deal: notes/notes.txt: is not an input of price-deal: occurrences-*/occurrences.csv and events.csv, elt.csv, inuring-*/losses.csv and rates/rates.csv are"},
		"a file by itself":    {"price-deal", someDeal, events(map[string]string{"notes.txt": "?"}), "price-deal: notes.txt: is not an input of price-deal: occurrences-*/occurrences.csv and events.csv, elt.csv, inuring-*/losses.csv and rates/rates.csv are"},
		"same priority":       {"price-deal", someDeal, events(map[string]string{"inuring-2-1/losses.csv": lossHeader}), "price-deal: inuring-2-1/losses.csv: priority 2 does not come before this deal's, 2"},
		"no priority":         {"price-deal", someDeal, events(map[string]string{"inuring-x/losses.csv": lossHeader}), "price-deal: inuring-x/losses.csv: does not name the inuring priority, as in inuring-1-1/losses.csv"},
		"bad occurrences":     {"price-deal", someDeal, map[string]string{hurricanes: "period,occurrence,event,currency,loss\n1,1200100,1,USD,x\n"}, `price-deal: ` + hurricanes + `:2:17: loss "x" is not a whole number`},
		"one number, twice":   {"price-deal", someDeal, events(map[string]string{"occurrences-x/occurrences.csv": someEvents}), "price-deal: occurrences-x/occurrences.csv: has the peril number 1, and so has " + hurricanes},
		"other currency":      {"price-deal", deal(`"currency":"EUR"`), events(nil), "price-deal: rates/rates.csv: has no rate for USD: cannot convert USD to EUR"},
		"bad rates":           {"price-deal", someDeal, events(map[string]string{"rates/rates.csv": "currency,rate\nEUR,1,1\n"}), "price-deal: rates/rates.csv:2:1: 3 columns, want 2 (currency,rate)"},
		"period beyond":       {"price-deal", deal(`"periods":1`), events(nil), "price-deal: " + hurricanes + ":3:1: period 2 outside 1 to 1\n" + hurricanes + ":4:1: period 2 outside 1 to 1"},
		"unknown parameter":   {"price-deal", "{\"attachment\":100,\n \"limits\":1}", events(nil), `price-deal: params.json:2:2: unknown field "limits"`},
		"parameter of a kind": {"price-deal", "{\n  \"market_share\": \"all\"}", events(nil), "price-deal: params.json:2:23: cannot unmarshal string into Go struct field DealParams.market_share of type float64"},
		"not JSON":            {"combine", "{]", nil, "combine: params.json:1:2: invalid character ']' looking for beginning of object key string"},
		"two values":          {"combine", "{} {}", nil, "combine: params.json:1:4: more than one JSON value"},
		"market share 0":      {"price-deal", deal(`"market_share":0`), nil, "price-deal: params.json: market_share 0 outside 0 to 1"},
		"priority 0":          {"price-deal", deal(`"inuring_priority":0`), nil, "price-deal: params.json: inuring_priority 0 outside 1 to 99"},
		"deal's currency":     {"price-deal", deal(`"currency":"dollars"`), nil, `price-deal: params.json: currency "dollars" is not a currency code such as USD`},
		"variation":           {"price-deal", deal(`"uncertainty":{"variation":-0.1}`), nil, "price-deal: params.json: variation -0.1 outside 0 to 5"},
		"nothing to combine":  {"combine", "{}", nil, "combine: inputs: nothing to combine"},
		"combine text":        {"combine", "{}", map[string]string{"a/a.txt": "x"}, "combine: a/a.txt: is not a table of losses: it is not called losses.csv"},
		"input of the first":  {"simulate-events", peril(""), map[string]string{"a/a.csv": "x"}, "simulate-events: a/a.csv: is not an input of simulate-events: only melt.csv is"},
		"no events":           {"simulate-events", peril(""), nil, "simulate-events: params.json: the peril has no events"},
		"two lists of events": {"simulate-events", peril(`,"events":[{"event":1,"rate":1,"mean":1,"sd":0}]`), map[string]string{"melt.csv": "?"}, "simulate-events: melt.csv: is one list of events, and the parameters hold another"},
		"bad event":           {"simulate-events", peril(""), map[string]string{"melt.csv": "EventId,EventRate,MeanLoss,SDLoss,MaxLoss\n1,1,5,NaN,0\n"}, `simulate-events: melt.csv:2:7: SDLoss "NaN" is not a finite number`},
		"no rate of 1":        {"exchange-rates", `{"rates":{"EUR":1.1}}`, nil, "exchange-rates: params.json: no currency has the rate 1: which one are the others expressed in?"},
		"rate 0":              {"exchange-rates", `{"rates":{"EUR":0,"USD":1}}`, nil, "exchange-rates: params.json: rate 0 of EUR outside 1e-06 to 1e+06"},
		"rates need nothing":  {"exchange-rates", `{"rates":{"USD":1}}`, map[string]string{"a/a.csv": "x"}, "exchange-rates: a/a.csv: is not an input of exchange-rates, which has none"},
		"too few periods":     {"portfolio", root(`,"periods":249`), events(nil), "portfolio: params.json: periods 249 outside 250 to 10000000"},
		"no currency":         {"portfolio", root(`,"currency":""`), events(nil), `portfolio: params.json: currency "" is not a currency code such as USD`},
		"return period":       {"portfolio", root(`,"return_periods":[10,500]`), events(nil), "portfolio: params.json: return period 500 outside 2 to 250, the number of simulated years"},
		"descending":          {"portfolio", root(`,"return_periods":[50,10]`), events(nil), "portfolio: params.json: return_periods must ascend"},
		"retrocession":        {"portfolio", root(`,"retrocession":[{"limit":-1,"share":1}]`), events(nil), "portfolio: params.json: retrocession contract 1: limit -1 outside 1 to 100000000000000"},
		"overlap":             {"portfolio", root(`,"retrocession":[{"limit":10,"share":1},{"attachment":9,"limit":10,"share":1}]`), events(nil), "portfolio: params.json: retrocession contract 2 attaches at 9, inside the one below, which ends at 10"},
		"unknown in the root": {"portfolio", root(""), events(map[string]string{"b/losses.csv": lossHeader + "9,9200100,USD,1,0\n"}), "portfolio: b/losses.csv:2:3: occurrence 9200100 is not in any occurrences.csv"},
		"unknown currency":    {"portfolio", root(""), events(map[string]string{"b/losses.csv": lossHeader + "1,1200100,XYZ,1,0\n"}), "portfolio: rates/rates.csv: has no rate for XYZ: cannot convert XYZ to USD"},
	} {
		code, message, out := job(t, test.task, test.params, test.inputs)
		if code != 65 || message != test.want {
			t.Errorf("%s: exit code %d\n got %s\nwant %s", name, code, message, test.want)
		}
		if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
			t.Errorf("%s: left %d output files behind", name, len(entries))
		}
	}
}

func TestFaultsOfTheSurroundingsEndWithExitCode1(t *testing.T) {
	if code, message, _ := job(t, "price-cat", "{}", nil); code != 1 || !strings.Contains(message, `unknown task "price-cat": one of simulate-events, exchange-rates, price-deal, combine, portfolio`) {
		t.Errorf("unknown task: exit code %d, %s", code, message)
	}
	var stderr bytes.Buffer
	if code := model.Main(t.Context(), []string{"combine"}, func(string) string { return "" }, &stderr); code != 1 || !strings.Contains(stderr.String(), "must be set") {
		t.Errorf("no environment: exit code %d, %s", code, &stderr)
	}
	missing := func(string) string { return filepath.Join(t.TempDir(), "nowhere") }
	if code := model.Main(t.Context(), []string{"combine"}, missing, io.Discard); code != 1 {
		t.Errorf("no parameters: exit code %d", code)
	}
}

func TestTheRootWritesFiguresTablesAndAPicture(t *testing.T) {
	params, err := json.Marshal(model.SimulateParams{Seed: 3, Periods: 3000, Peril: model.USHurricane()})
	if err != nil {
		t.Fatal(err)
	}
	code, message, occurrences := job(t, "simulate-events", string(params), nil)
	if code != 0 {
		t.Fatal(message)
	}
	inputs := map[string]string{hurricanes: text(t, occurrences, "occurrences.csv")}
	code, message, priced := job(t, "price-deal", `{"attachment":20000000,"limit":30000000,"share":1,"market_share":0.001,"currency":"USD","inuring_priority":1,"periods":3000}`, inputs)
	if code != 0 {
		t.Fatal(message)
	}
	inputs["bucket/losses.csv"] = text(t, priced, "losses.csv")
	code, message, out := job(t, "portfolio", `{"periods":3000,"currency":"USD","retrocession":[{"attachment":40000000,"limit":5000000,"share":0.5}]}`, inputs)
	if code != 0 {
		t.Fatal(message)
	}
	var figures map[string]any
	if err := json.Unmarshal([]byte(text(t, out, "portfolio.json")), &figures); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aal", "aal_se", "oep_250", "aep_250", "aep_tvar_99"} {
		if value, ok := figures[name].(float64); !ok || value <= 0 {
			t.Errorf("portfolio.json: %s is %v, want a positive number", name, figures[name])
		}
	}
	if figures["perspective"] != "net" || figures["currency"] != "USD" || figures["periods"] != 3000.0 {
		t.Errorf("portfolio.json: %v, %v, %v", figures["perspective"], figures["currency"], figures["periods"])
	}
	// Three perspectives and the industry, 2 curves, 10 return periods of which all are at most 3,000.
	if lines := strings.Count(text(t, out, "portfolio.csv"), "\n"); lines != 1+4*2*10 {
		t.Errorf("portfolio.csv has %d lines", lines)
	}
	elements := map[string]int{}
	for decoder := xml.NewDecoder(strings.NewReader(text(t, out, "portfolio.svg"))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("portfolio.svg: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
		}
	}
	if elements["polyline"] != 4 || elements["polygon"] != 4 || elements["circle"] != 4 {
		t.Errorf("portfolio.svg has %v, want four curves, their bands and their marks", elements)
	}
}

func text(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The quarters of 21, 21, 21 and 37 are rounded to 5, 5, 5 and 9, which is less than a quarter of the 100 that were used up;
// that of 99 is rounded to as much.
func TestAYearThatUsesUpTheAggregateLimitCountsHoweverItsLossesAreRounded(t *testing.T) {
	const deal = `{"attachment":0,"limit":100,"reinstatements":0,"share":0.25,"market_share":1,"currency":"USD","inuring_priority":1,"periods":4}`
	events := "period,occurrence,event,currency,loss\n1,1200100,1,USD,21\n1,1201100,1,USD,21\n1,1202100,1,USD,21\n1,1203100,1,USD,37\n1,1204100,1,USD,9\n" +
		"2,2200100,1,USD,99\n3,3200100,1,USD,100\n4,4200100,1,USD,21\n4,4201100,1,USD,21\n4,4202100,1,USD,21\n4,4203100,1,USD,37\n"
	code, message, out := job(t, "price-deal", deal, map[string]string{hurricanes: events})
	var summary model.DealSummary
	if err := json.Unmarshal([]byte(text(t, out, "summary.json")), &summary); code != 0 || err != nil {
		t.Fatal(code, message, err)
	}
	if summary.ExhaustProbability != 0.75 {
		t.Errorf("the limit is used up in %v of the years, want all of the four but the second", summary.ExhaustProbability)
	}
}
