package model_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

func TestMalformedTablesAreRefusedWithTheirPosition(t *testing.T) {
	const header = "period,occurrence,currency,loss,reinstatement_premium\n"
	const columns = "(period,occurrence,currency,loss,reinstatement_premium)"
	for name, test := range map[string]struct{ content, want string }{
		"empty":            {"", `f.csv: is empty: expected the header "period,occurrence,currency,loss,reinstatement_premium"`},
		"byte order mark":  {"\ufeff" + header, "f.csv:1:1: starts with a byte order mark: save as plain UTF-8"},
		"UTF-16":           {"\xff\xfep\x00", "f.csv:1:1: starts with a byte order mark: save as plain UTF-8"},
		"wrong header":     {"period;loss\n", `f.csv:1:1: header "period;loss", want "period,occurrence,currency,loss,reinstatement_premium"`},
		"carriage returns": {strings.Replace(header, "\n", "\r\n", 1), `f.csv:1:1: header "period,occurrence,currency,loss,reinstat"…, want "period,occurrence,currency,loss,reinstatement_premium"`},
		"cut off":          {header + "1,1001100,USD,5,0\n1,10", "f.csv:3: the last line has no end: the file may have been cut off"},
		"column missing":   {header + "1,1001100,USD,5\n", "f.csv:2:1: 4 columns, want 5 " + columns},
		"column too many":  {header + "1,1001100,USD,5,0,0\n", "f.csv:2:1: 6 columns, want 5 " + columns},
		"blank line":       {header + "\n", "f.csv:2:1: 1 columns, want 5 " + columns},
		"empty field":      {header + "1,,USD,5,0\n", `f.csv:2:3: occurrence "" is empty: expected a whole number`},
		"NaN":              {header + "1,1001100,USD,NaN,0\n", `f.csv:2:15: loss "NaN" is not a whole number`},
		"infinite":         {header + "1,1001100,USD,Inf,0\n", `f.csv:2:15: loss "Inf" is not a whole number`},
		"fraction":         {header + "1,1001100,USD,5.5,0\n", `f.csv:2:15: loss "5.5" is not a whole number`},
		"exponent":         {header + "1,1001100,USD,1e9,0\n", `f.csv:2:15: loss "1e9" is not a whole number`},
		"space":            {header + "1, 1001100,USD,5,0\n", `f.csv:2:3: occurrence " 1001100" is not a whole number`},
		"negative":         {header + "1,1001100,USD,5,0\n2,2001100,USD,5,-5\n", `f.csv:3:17: reinstatement_premium "-5" is negative`},
		"too large":        {header + "1,1001100,USD,100000000000001,0\n", `f.csv:2:15: loss "100000000000001" is above 100,000,000,000,000`},
		"huge":             {header + "1,1001100,USD,99999999999999999999999999999999999999999999,0\n", `f.csv:2:15: loss "9999999999999999999999999999999999999999"… is above 100,000,000,000,000`},
		"currency":         {header + "1,1001100,$,5,0\n", `f.csv:2:11: currency "$" is not a currency code such as USD`},
		"currency case":    {header + "1,1001100,usd,5,0\n", `f.csv:2:11: currency "usd" is not a currency code such as USD`},
		"no currency":      {header + "1,1001100,,5,0\n", `f.csv:2:11: currency "" is not a currency code such as USD`},
		"period 0":         {header + "0,1100,USD,5,0\n", "f.csv:2:1: period 0 outside 1 to 10"},
		"period beyond":    {header + "11,11001100,USD,5,0\n", "f.csv:2:1: period 11 outside 1 to 10"},
		"other period":     {header + "2,1001100,USD,5,0\n", "f.csv:2:3: occurrence 1001100 is not of period 2: its number is period × 1,000,000 + day × 1,000 + peril × 100 + count"},
		"twice":            {header + "1,1001100,USD,5,0\n1,1001100,USD,5,0\n", "f.csv:3:3: occurrence 1001100 in USD does not come after 1001100 in USD: rows must ascend"},
		"out of order":     {header + "2,2001100,USD,5,0\n1,1001100,USD,5,0\n", "f.csv:3:3: occurrence 1001100 in USD does not come after 2001100 in USD: rows must ascend"},
		"currency order":   {header + "1,1001100,USD,5,0\n1,1001100,EUR,5,0\n", "f.csv:3:3: occurrence 1001100 in EUR does not come after 1001100 in USD: rows must ascend"},
	} {
		losses, err := model.ReadLosses("f.csv", []byte(test.content), 10)
		if err == nil {
			t.Errorf("%s: accepted as %v", name, losses)
			continue
		}
		if _, ok := errors.AsType[*model.InputError](err); !ok || err.Error() != test.want {
			t.Errorf("%s: %T\n got %s\nwant %s", name, err, err, test.want)
		}
	}
}

func TestEveryBadRowOfATableIsListed(t *testing.T) {
	const occurrences = "period,occurrence,event,currency,loss\n"
	_, err := model.ReadOccurrences("f.csv", []byte(occurrences+strings.Join([]string{
		"1,1001100,7,USD,5",
		"1,1001101,7,USD,NaN",
		"1,1001102,7,USD,1.234,56",
		"1,1001103,7,USD",
		"11,1001104,7,usd,+Inf",
		"1,1001100,7,USD,5",
		"1,1001105,7,EUR,5",
		"1,1001106,-7,USD,5",
		"1,1001107,7,USD,5",
	}, "\n")+"\n"), 10)
	want := `f.csv:3:17: loss "NaN" is not a whole number
f.csv:4:1: 6 columns, want 5 (period,occurrence,event,currency,loss)
f.csv:5:1: 4 columns, want 5 (period,occurrence,event,currency,loss)
f.csv:6:1: period 11 outside 1 to 10
f.csv:6:14: currency "usd" is not a currency code such as USD
f.csv:6:18: loss "+Inf" is not a whole number
f.csv:7:3: occurrence 1001100 does not come after 1001100: rows must ascend
f.csv:8:13: currency EUR, but the rows above are in USD
f.csv:9:11: event "-7" is negative`
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	_, err = model.ReadLosses("f.csv", []byte("period,occurrence,currency,loss,reinstatement_premium\n"+strings.Repeat("x\n", 500)), 10)
	if err == nil || strings.Count(err.Error(), "\n") != 50 || !strings.HasSuffix(err.Error(), "f.csv: and 450 more problems") {
		t.Errorf("500 bad rows are told as %v", err)
	}
}

func FuzzReadLosses(f *testing.F) {
	const header = "period,occurrence,currency,loss,reinstatement_premium\n"
	f.Add([]byte(header + "1,1001100,EUR,5,0\n1,1001100,USD,7,1\n2,2002100,USD,0,0\n"))
	f.Add([]byte(header))
	f.Add([]byte("\ufeff" + header + "1,1001100,USD,NaN,0\n"))
	f.Add([]byte(header + "1,1001100,USD,-5,0\n"))
	f.Add([]byte(header + "007,07001100,USD,99999999999999999999,0\n,,,,\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		losses, err := model.ReadLosses("f.csv", content, 100)
		if err != nil {
			bad, ok := errors.AsType[*model.InputError](err)
			if !ok {
				t.Fatalf("%T: %v", err, err)
			}
			if lines := bytes.Count(content, []byte{'\n'}) + 1; bad.Line < 0 || bad.Line > lines {
				t.Fatalf("line %d of %d: %v", bad.Line, lines, err)
			}
			return
		}
		// What is accepted means what it says: written again and read again, it is the same.
		again, err := model.ReadLosses("f.csv", model.WriteLosses(losses), 100)
		if err != nil {
			t.Fatalf("refuses what it wrote: %v", err)
		}
		if len(again) != len(losses) || len(losses) != bytes.Count(content, []byte{'\n'})-1 {
			t.Fatalf("%d lines, %d rows, then %d", bytes.Count(content, []byte{'\n'}), len(losses), len(again))
		}
		for i := range losses {
			if losses[i] != again[i] {
				t.Fatalf("row %d: %v became %v", i, losses[i], again[i])
			}
		}
	})
}

func TestTablesSurviveWritingAndReading(t *testing.T) {
	occurrences := simulate(t, 50)
	text := model.WriteOccurrences(occurrences)
	again, err := model.ReadOccurrences("occurrences.csv", text, 50)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(occurrences, again); diff != "" {
		t.Error(diff)
	}
	rates := model.Rates{"USD": 1, "JPY": 0.0068, "EUR": 1.1}
	if got, want := string(model.WriteRates(rates)), "currency,rate\nEUR,1.1\nJPY,0.0068\nUSD,1\n"; got != want {
		t.Errorf("rates are written as %q", got)
	}
	if got, err := model.ReadRates("rates.csv", model.WriteRates(rates)); err != nil || !cmp.Equal(got, rates) {
		t.Errorf("%v became %v: %v", rates, got, err)
	}
	events := []model.Event{{ID: 7, Rate: 0.01, Mean: 1234.5, SD: 0.25}, {ID: 8, Rate: 1, Mean: 1e9, SD: 1e9, Max: 4e9}}
	if got, err := model.ReadMelt("melt.csv", model.WriteMelt(events)); err != nil || !cmp.Equal(got, events) {
		t.Errorf("%v became %v: %v", events, got, err)
	}
}

func TestMalformedOccurrencesAndRatesAreRefused(t *testing.T) {
	const occurrences, rates = "period,occurrence,event,currency,loss\n", "currency,rate\n"
	read := map[string]func(string) error{
		"occurrences": func(content string) error {
			_, err := model.ReadOccurrences("f.csv", []byte(occurrences+content), 10)
			return err
		},
		"rates": func(content string) error {
			_, err := model.ReadRates("f.csv", []byte(rates+content))
			return err
		},
	}
	for _, test := range []struct{ kind, content, want string }{
		{"occurrences", "1,1001100,x,USD,5\n", `f.csv:2:11: event "x" is not a whole number`},
		{"occurrences", "1,1001100,1,USD,5\n1,1001101,1,EUR,5\n", "f.csv:3:13: currency EUR, but the rows above are in USD"},
		{"occurrences", "1,1001100,1,USD,5\n1,1001100,1,USD,5\n", "f.csv:3:3: occurrence 1001100 does not come after 1001100: rows must ascend"},
		{"rates", "EUR,1,1\n", "f.csv:2:1: 3 columns, want 2 (currency,rate)"},
		{"rates", "EUR,\n", `f.csv:2:5: rate "" is empty: expected a number`},
		{"rates", "EUR,NaN\n", `f.csv:2:5: rate "NaN" is not a finite number`},
		{"rates", "EUR,0\n", `f.csv:2:5: rate "0" is outside 1e-06 to 1e+06`},
		{"rates", "EUR,-1\n", `f.csv:2:5: rate "-1" is negative`},
		{"rates", "EUR,0x1p4\n", `f.csv:2:5: rate "0x1p4" is not a decimal number`},
		{"rates", "EUR,1.1 USD\n", `f.csv:2:5: rate "1.1 USD" is not a number: expected digits with a decimal point, no group separators, no unit`},
		{"rates", "Euro,1.1\n", `f.csv:2:1: currency "Euro" is not a currency code such as USD`},
		{"rates", "USD,1\nEUR,1.1\n", "f.csv:3:1: currency EUR does not come after USD: rows must ascend"},
	} {
		if err := read[test.kind](test.content); err == nil || err.Error() != test.want {
			t.Errorf("%s %q:\n got %v\nwant %s", test.kind, test.content, err, test.want)
		}
	}
}
