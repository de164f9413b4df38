package model_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"spate/examples/reinsurance/model"
)

func TestMalformedTablesAreRefusedWithTheirPosition(t *testing.T) {
	const header = "period,event,loss\n"
	for name, test := range map[string]struct{ content, want string }{
		"empty":            {"", `f.csv: is empty: expected the header "period,event,loss"`},
		"byte order mark":  {"\ufeff" + header, "f.csv:1:1: starts with a byte order mark: save as plain UTF-8"},
		"wrong header":     {"period;event;loss\n", `f.csv:1:1: header "period;event;loss", want "period,event,loss"`},
		"carriage returns": {"period,event,loss\r\n", `f.csv:1:1: header "period,event,loss\r", want "period,event,loss"`},
		"cut off":          {header + "1,1100,5\n1,12", "f.csv:3: the last line has no end: the file may have been cut off"},
		"column missing":   {header + "1,1100\n", "f.csv:2:1: 2 columns, want 3 (period,event,loss)"},
		"column too many":  {header + "1,1100,5,6\n", "f.csv:2:1: 4 columns, want 3 (period,event,loss)"},
		"blank line":       {header + "\n", "f.csv:2:1: 1 columns, want 3 (period,event,loss)"},
		"empty field":      {header + "1,,5\n", `f.csv:2:3: event "" is empty: expected a whole number`},
		"NaN":              {header + "1,1100,NaN\n", `f.csv:2:8: loss "NaN" is not a whole number`},
		"infinite":         {header + "1,1100,Inf\n", `f.csv:2:8: loss "Inf" is not a whole number`},
		"fraction":         {header + "1,1100,5.5\n", `f.csv:2:8: loss "5.5" is not a whole number`},
		"exponent":         {header + "1,1100,1e9\n", `f.csv:2:8: loss "1e9" is not a whole number`},
		"space":            {header + "1, 1100,5\n", `f.csv:2:3: event " 1100" is not a whole number`},
		"negative":         {header + "1,1100,5\n2,2100,-5\n", `f.csv:3:8: loss "-5" is negative`},
		"too large":        {header + "1,1100,100000000000001\n", `f.csv:2:8: loss "100000000000001" is above 100,000,000,000,000`},
		"huge":             {header + "1,1100,99999999999999999999999999999999999999999999\n", `f.csv:2:8: loss "9999999999999999999999999999999999999999"… is above 100,000,000,000,000`},
		"period 0":         {header + "0,1100,5\n", "f.csv:2:1: period 0 outside 1 to 10"},
		"period beyond":    {header + "11,11100,5\n", "f.csv:2:1: period 11 outside 1 to 10"},
		"event twice":      {header + "1,1100,5\n1,1100,5\n", "f.csv:3:1: event 1100 of period 1 does not come after event 1100 of period 1: rows must ascend"},
		"out of order":     {header + "2,2100,5\n1,3100,5\n", "f.csv:3:1: event 3100 of period 1 does not come after event 2100 of period 2: rows must ascend"},
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

func FuzzReadLosses(f *testing.F) {
	f.Add([]byte("period,event,loss\n1,1100,5\n2,2100,0\n"))
	f.Add([]byte("period,event,loss\n"))
	f.Add([]byte("\ufeffperiod,event,loss\n1,1100,NaN\n"))
	f.Add([]byte("period,event,loss\n1,1100,-5\n"))
	f.Add([]byte("period,event,loss\n007,01100,99999999999999999999\n,,\n\n"))
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
	events := simulate(t, 50)
	text := model.WriteEvents(events)
	again, err := model.ReadEvents("occurrences.csv", text, 50)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(model.WriteEvents(again), text) {
		t.Error("the table changed")
	}
	if lines := strings.Count(string(text), "\n"); lines != len(events)+1 {
		t.Errorf("%d lines for %d events", lines, len(events))
	}
}
