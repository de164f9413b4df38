package sheet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/sheet"
)

// read reads all rows of a sheet with three columns of our own.
func read(content string) (rows []string, err error) {
	s, err := sheet.Open("f.csv", []byte(content), sheet.Columns{
		Required: []string{"EventId", "MeanLoss"}, Optional: []string{"SDLoss"}, Ignored: []string{"ChanceOfLoss"},
	})
	if err != nil {
		return nil, err
	}
	for s.Next() {
		known := s.Count()
		event, mean, sd := s.Whole("EventId", 1, 1000), s.Decimal("MeanLoss", 0, 1e6), 0.0
		if s.Has("SDLoss") {
			sd = s.Decimal("SDLoss", 0, 1e6)
		}
		if s.OK(known) {
			rows = append(rows, fmt.Sprint(s.Line(), event, mean, sd))
		}
	}
	return rows, s.Err()
}

func TestColumnsMayComeInAnyOrder(t *testing.T) {
	for content, want := range map[string][]string{
		"EventId,MeanLoss\n1,2.5\n2,1e3\n":                   {"2 1 2.5 0", "3 2 1000 0"},
		"SDLoss,ChanceOfLoss,MeanLoss,EventId\r\n3,,4,5\r\n": {"2 5 4 3"},
		"EventId,MeanLoss\n\n1,\"2.5\"\n3,4":                 {"3 1 2.5 0", "4 3 4 0"},
		"EventId,MeanLoss\n":                                 nil,
	} {
		rows, err := read(content)
		if err != nil {
			t.Errorf("%q: %v", content, err)
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%q: %s", content, diff)
		}
	}
}

func TestFilesThatAreNoTableAreRefused(t *testing.T) {
	for content, want := range map[string]string{
		"":                               "f.csv: is empty: expected a header with EventId, MeanLoss",
		" \n\n":                          "f.csv: is empty: expected a header with EventId, MeanLoss",
		"\ufeffEventId,MeanLoss\n":       "f.csv:1:1: starts with a byte order mark: save as UTF-8 without one",
		"\xff\xfeE\x00":                  "f.csv:1:1: starts with a byte order mark: save as UTF-8 without one",
		"EventId;MeanLoss\n1;2,5\n":      `f.csv:1:1: header "EventId;MeanLoss" has one column: expected commas between columns, and points in decimals`,
		"EventId\n":                      "f.csv:1: column MeanLoss is missing",
		"event_id,MeanLoss\n":            `f.csv:1:1: unknown column "event_id": is it EventId?`,
		"EventId, MeanLoss\n":            `f.csv:1:9: unknown column " MeanLoss": is it MeanLoss?`,
		"EventId,MeanLoss,Loss\n":        `f.csv:1:18: unknown column "Loss": known are EventId, MeanLoss, SDLoss, ChanceOfLoss`,
		"EventId,MeanLoss,EventId\n":     "f.csv:1:18: column EventId twice",
		"1,2\n":                          "f.csv:1:1: unknown column \"1\": known are EventId, MeanLoss, SDLoss, ChanceOfLoss\nf.csv:1:3: unknown column \"2\": known are EventId, MeanLoss, SDLoss, ChanceOfLoss",
		"\"EventId\"x,MeanLoss\n":        "f.csv:1:9: a quotation mark is out of place",
		"EventId,MeanLoss\n1,\"2\n3,4\n": "f.csv:2: a quotation mark is out of place between here and line 3",
	} {
		rows, err := read(content)
		if _, ok := errors.AsType[sheet.InputErrors](err); !ok || err.Error() != want {
			t.Errorf("%q: accepted as %v\n got %v\nwant %s", content, rows, err, want)
		}
	}
}

func TestEveryBadCellIsReportedAndTheGoodRowsAreRead(t *testing.T) {
	rows, err := read(strings.Join([]string{
		"EventId,MeanLoss,SDLoss",
		"1,5,1",
		"2,,1",
		"3,NaN,1",
		"4,5,-Inf",
		"x,1 000,1",
		"6,\"1.234,56\",1",
		"7,1,5,1",
		"8,5",
		"9,-5,1",
		"0,5 USD,1e7",
		"10,0x1p3,1",
		"11,6,2",
	}, "\n"))
	if diff := cmp.Diff([]string{"2 1 5 1", "13 11 6 2"}, rows); diff != "" {
		t.Error(diff)
	}
	const number = "is not a number: expected digits with a decimal point, no group separators, no unit"
	want := strings.Join([]string{
		`f.csv:3:3: MeanLoss "" is empty: expected a number`,
		`f.csv:4:3: MeanLoss "NaN" is not a finite number`,
		`f.csv:5:5: SDLoss "-Inf" is not a finite number`,
		`f.csv:6:1: EventId "x" is not a whole number`,
		`f.csv:6:3: MeanLoss "1 000" ` + number,
		`f.csv:7:3: MeanLoss "1.234,56" ` + number,
		`f.csv:8:1: 4 columns, want 3 as in the header: is there a comma inside a number?`,
		`f.csv:9:1: 2 columns, want 3 as in the header`,
		`f.csv:10:3: MeanLoss "-5" is negative`,
		`f.csv:11:1: EventId "0" is outside 1 to 1000`,
		`f.csv:11:3: MeanLoss "5 USD" ` + number,
		`f.csv:11:9: SDLoss "1e7" is outside 0 to 1e+06`,
		`f.csv:12:4: MeanLoss "0x1p3" is not a decimal number`,
	}, "\n")
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatIsWrongThroughoutDoesNotFloodTheScreen(t *testing.T) {
	_, err := read("EventId,MeanLoss\n" + strings.Repeat("1,1'000\n", 500))
	problems, _ := errors.AsType[sheet.InputErrors](err)
	lines := strings.Split(err.Error(), "\n")
	if len(problems) != 500 || len(lines) != 51 || lines[50] != "f.csv: and 450 more problems" {
		t.Errorf("%d problems in %d lines, the last: %s", len(problems), len(lines), lines[len(lines)-1])
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("EventId,MeanLoss\n1,2.5\n")
	f.Add("EventId,MeanLoss\n1,\"2\n\"\"3,4\n")
	f.Add("MeanLoss,EventId,SDLoss\r\n1,2,3\r\n,,\r\n")
	f.Fuzz(func(t *testing.T, content string) {
		rows, err := read(content)
		problems, ok := errors.AsType[sheet.InputErrors](err)
		if err != nil && (!ok || len(problems) == 0) {
			t.Fatalf("%T: %v", err, err)
		}
		lines := strings.Count(content, "\n") + 1
		if len(rows) > lines {
			t.Fatalf("%d rows in %d lines", len(rows), lines)
		}
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines+1 || p.Column < 0 {
				t.Fatalf("%v is outside of %d lines", p, lines)
			}
		}
	})
}
