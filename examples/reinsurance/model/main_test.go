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
	someEvents = "period,event,category,loss\n1,1100,1,1000\n2,2300,3,5000\n2,2400,4,9000\n"
	someDeal   = `{"attachment":100,"limit":500,"share":0.5,"market_share":0.1,"periods":250}`
)

func TestADealWritesItsLossesAndASummary(t *testing.T) {
	code, message, out := job(t, "price-deal", someDeal, map[string]string{
		"occurrences/occurrences.csv": someEvents,
		"inuring-1/losses.csv":        "period,event,loss\n2,2400,100\n",
		"inuring-2/losses.csv":        "period,event,loss\n2,2300,50\n2,2400,150\n",
	})
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, message)
	}
	// 1100: cedant 100, at the attachment. 2300: (500−50−100)·½. 2400: (900−250−100) above the limit 500, ·½.
	if got, want := text(t, out, "losses.csv"), "period,event,loss\n2,2300,175\n2,2400,250\n"; got != want {
		t.Errorf("losses.csv:\n%swant\n%s", got, want)
	}
	var summary model.DealSummary
	if err := json.Unmarshal([]byte(text(t, out, "summary.json")), &summary); err != nil {
		t.Fatal(err)
	}
	want := model.DealSummary{
		Currency: "USD", Periods: 250, AAL: 1.7, AALSE: 1.7, RateOnLine: 0.0068, HitProbability: 0.004, Events: 2, FullEvents: 1, LargestLoss: 250,
	}
	if summary != want {
		t.Errorf("summary %+v, want %+v", summary, want)
	}
}

func TestBadInputEndsWithExitCode65AndSaysWhere(t *testing.T) {
	events := func(more map[string]string) map[string]string {
		inputs := map[string]string{"occurrences/occurrences.csv": someEvents}
		maps.Copy(inputs, more)
		return inputs
	}
	for name, test := range map[string]struct {
		task, params string
		inputs       map[string]string
		want         string
	}{
		"no occurrences":      {"price-deal", someDeal, nil, "price-deal: occurrences/occurrences.csv: is missing from the inputs"},
		"unknown event":       {"price-deal", someDeal, events(map[string]string{"inuring-1/losses.csv": "period,event,loss\n1,1100,5\n2,2301,5\n"}), "price-deal: inuring-1/losses.csv:3:3: event 2301 is not in occurrences.csv"},
		"event of another":    {"price-deal", someDeal, events(map[string]string{"inuring-1/losses.csv": "period,event,loss\n1,2300,5\n"}), "price-deal: inuring-1/losses.csv:2:1: event 2300 is in period 2 of occurrences.csv, not 1"},
		"unexpected input":    {"price-deal", someDeal, events(map[string]string{"notes/notes.txt": "?"}), "price-deal: notes/notes.txt: is not an input of price-deal: occurrences/occurrences.csv and inuring-*/losses.csv are"},
		"bad occurrences":     {"price-deal", someDeal, map[string]string{"occurrences/occurrences.csv": "period,event,category,loss\n1,1100,1,x\n"}, `price-deal: occurrences/occurrences.csv:2:10: loss "x" is not a whole number`},
		"period beyond":       {"price-deal", `{"attachment":100,"limit":500,"share":0.5,"market_share":0.1,"periods":1}`, events(nil), "price-deal: occurrences/occurrences.csv:3:1: period 2 outside 1 to 1"},
		"unknown parameter":   {"price-deal", "{\"attachment\":100,\n \"limits\":1}", events(nil), `price-deal: params.json:2:2: unknown field "limits"`},
		"parameter of a kind": {"price-deal", "{\n  \"limit\": \"many\"}", events(nil), "price-deal: params.json:2:17: cannot unmarshal string into Go struct field DealParams.limit of type int64"},
		"not JSON":            {"combine", "{]", nil, "combine: params.json:1:2: invalid character ']' looking for beginning of object key string"},
		"two values":          {"combine", "{} {}", nil, "combine: params.json:1:4: more than one JSON value"},
		"no limit":            {"price-deal", `{"attachment":100,"share":0.5,"market_share":0.1,"periods":1}`, events(nil), "price-deal: params.json: limit 0 outside 1 to 100000000000000"},
		"share above 1":       {"price-deal", `{"limit":1,"share":1.5,"market_share":0.1,"periods":1}`, events(nil), "price-deal: params.json: share 1.5 outside 0 to 1"},
		"market share 0":      {"price-deal", `{"limit":1,"share":1,"periods":1}`, events(nil), "price-deal: params.json: market_share 0 outside 0 to 1"},
		"negative attachment": {"price-deal", `{"attachment":-1,"limit":1,"share":1,"market_share":1,"periods":1}`, events(nil), "price-deal: params.json: attachment -1 outside 0 to 100000000000000"},
		"nothing to combine":  {"combine", "{}", nil, "combine: inputs: nothing to combine"},
		"combine text":        {"combine", "{}", map[string]string{"a/a.txt": "x"}, "combine: a/a.txt: is not a table of losses: it is not called losses.csv"},
		"input of the first":  {"simulate-events", `{"periods":1}`, map[string]string{"a/a.csv": "x"}, "simulate-events: a/a.csv: is not an input of simulate-events, which has none"},
		"too few periods":     {"portfolio", `{"periods":249}`, events(nil), "portfolio: params.json: periods 249 outside 250 to 10000000"},
		"return period":       {"portfolio", `{"periods":250,"return_periods":[10,500]}`, events(nil), "portfolio: params.json: return period 500 outside 2 to 250, the number of simulated years"},
		"descending":          {"portfolio", `{"periods":250,"return_periods":[50,10]}`, events(nil), "portfolio: params.json: return_periods must ascend"},
		"unknown in the root": {"portfolio", `{"periods":250}`, events(map[string]string{"b/losses.csv": "period,event,loss\n9,9100,1\n"}), "portfolio: b/losses.csv:2:3: event 9100 is not in occurrences.csv"},
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
	if code, message, _ := job(t, "price-cat", "{}", nil); code != 1 || !strings.Contains(message, `unknown task "price-cat": one of simulate-events, price-deal, combine, portfolio`) {
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
	code, message, occurrences := job(t, "simulate-events", `{"seed":3,"periods":3000}`, nil)
	if code != 0 {
		t.Fatal(message)
	}
	events := text(t, occurrences, "occurrences.csv")
	inputs := map[string]string{"occurrences/occurrences.csv": events}
	code, message, priced := job(t, "price-deal", `{"attachment":20000000,"limit":30000000,"share":1,"market_share":0.001,"periods":3000}`, inputs)
	if code != 0 {
		t.Fatal(message)
	}
	inputs["bucket/losses.csv"] = text(t, priced, "losses.csv")
	code, message, out := job(t, "portfolio", `{"periods":3000}`, inputs)
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
	// 2 perspectives, 2 curves, 10 return periods of which all are at most 3,000.
	if lines := strings.Count(text(t, out, "portfolio.csv"), "\n"); lines != 1+2*2*10 {
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
