package main

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/examples/reinsurance/model"
)

// importing runs the command on a table and returns its exit code, what it says and what it writes.
func importing(t *testing.T, table string, flags ...string) (code int, said, written string) {
	t.Helper()
	dir := t.TempDir()
	file, out := filepath.Join(dir, "events.csv"), filepath.Join(dir, "melt.csv")
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code = importMelt(append(flags, "--out", out, file), &stdout, &stderr)
	content, err := os.ReadFile(out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	said = strings.ReplaceAll(stdout.String()+stderr.String(), dir+string(filepath.Separator), "")
	return code, said, string(content)
}

func TestAnEventLossTableOfOpenResultsDataBecomesACatalogue(t *testing.T) {
	table, err := os.ReadFile(filepath.Join("testdata", "us-hurricane.csv"))
	if err != nil {
		t.Fatal(err)
	}
	code, said, written := importing(t, string(table))
	if want := "melt.csv: 5 events, 1.665 occurrences and a mean loss of 16,691,300,000 a year\n"; code != 0 || said != want {
		t.Errorf("exit code %d, %q, want %q", code, said, want)
	}
	events, err := model.ReadMelt("melt.csv", []byte(written))
	if err != nil {
		t.Fatal(err)
	}
	want := model.USHurricane().Events
	for i := range want {
		want[i].Max = 900e9
	}
	if diff := gocmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

func TestRowsOfOneSummaryAndOneSampleTypeAreChosen(t *testing.T) {
	const table = "EventId,SummaryId,SampleType,EventRate,MeanLoss,SDLoss\n" +
		"7,1,1,0.5,100,0\n7,1,2,0.5,101,9\n7,2,1,0.5,200,0\n7,2,2,0.5,201,9\n"
	code, said, written := importing(t, table, "--summary", "2", "--sample-type", "2")
	if want := "EventId,EventRate,MeanLoss,SDLoss,MaxLoss\n7,0.5,201,9,0\n"; code != 0 || written != want {
		t.Errorf("exit code %d, %s%s", code, said, written)
	}
	code, said, written = importing(t, table)
	want := `events.csv:3:5: SampleType "2" is another one than 1 above: choose one
events.csv:4:3: SummaryId "2" is another one than 1 above: choose one
events.csv:5:3: SummaryId "2" is another one than 1 above: choose one
events.csv:5:5: SampleType "2" is another one than 1 above: choose one
`
	if code != 65 || said != want || written != "" {
		t.Errorf("exit code %d\n%swant\n%s", code, said, want)
	}
}

func TestTheMeanLossIsToldSoThatItsSizeIsSeen(t *testing.T) {
	for table, want := range map[string]string{
		"1,0.5,38100000,0\n":        "a mean loss of 19,050,000 a year",
		"1,0.5,1999,0\n2,0.5,1,0\n": "a mean loss of 1,000 a year",
		"1,0.5,0.123456,0\n":        "a mean loss of 0.06173 a year",
		"1,20,100000000000000,0\n":  "a mean loss of 2,000,000,000,000,000 a year",
	} {
		if code, said, _ := importing(t, "EventId,EventRate,MeanLoss,SDLoss\n"+table); code != 0 || !strings.Contains(said, want) {
			t.Errorf("exit code %d, %q, want %q", code, said, want)
		}
	}
}

func TestEveryBadRowIsListedAndNothingIsWritten(t *testing.T) {
	code, said, written := importing(t, strings.Join([]string{
		"EventId,EventRate,MeanLoss,SDLoss,MaxLoss",
		"1,0.5,100,10,1000",
		"2,0,100,10,1000",
		"3,0.5,0,10,1000",
		"4,0.5,NaN,10,1000",
		"5,0.5,1.000.000,10,1000",
		"6,0.5,100,1001,9000",
		"7,0.5,100,10,99",
		"8,0.5,100,10,0",
		"1,0.5,100,10,1000",
		"9,0,5,100,10,1000",
		"10,Inf,100,-10,1000",
		"x,21,100,10,1000",
	}, "\n"))
	want := `events.csv:3:3: EventRate "0" is outside 0 to 20 occurrences a year
events.csv:4:7: MeanLoss "0" is outside 0 to 100,000,000,000,000: leave out events without a loss
events.csv:5:7: MeanLoss "NaN" is not a finite number
events.csv:6:7: MeanLoss "1.000.000" is not a number: expected digits with a decimal point, no group separators, no unit
events.csv:7:11: SDLoss "1001" is outside 0 to ten times the mean, 100
events.csv:8:14: MaxLoss "99" is below the mean, 100
events.csv:9:14: MaxLoss "0" is below the mean, 100
events.csv:10:1: EventId "1" is the event of line 2 again
events.csv:11:1: 6 columns, want 5 as in the header: is there a comma inside a number?
events.csv:12:4: EventRate "Inf" is not a finite number
events.csv:12:12: SDLoss "-10" is negative
events.csv:13:1: EventId "x" is not a whole number
events.csv:13:3: EventRate "21" is outside 0 to 20
`
	if code != 65 || written != "" {
		t.Errorf("exit code %d, wrote %q", code, written)
	}
	if diff := gocmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestEachKindOfBadTableIsToldWithItsPlace(t *testing.T) {
	const (
		header = "EventId,EventRate,MeanLoss,SDLoss\n"
		number = "is not a number: expected digits with a decimal point, no group separators, no unit\n"
	)
	for name, test := range map[string]struct{ table, want string }{
		"empty":             {"", "events.csv: is empty: expected a header with EventId, EventRate, MeanLoss, SDLoss\n"},
		"only a header":     {header, "events.csv: has no events\n"},
		"byte order mark":   {"\ufeff" + header + "1,0.5,100,10\n", "events.csv:1:1: starts with a byte order mark: save as UTF-8 without one\n"},
		"UTF-16":            {"\xff\xfeE\x00", "events.csv:1:1: starts with a byte order mark: save as UTF-8 without one\n"},
		"semicolons":        {"EventId;EventRate;MeanLoss;SDLoss\n1;0,5;100;10\n", "events.csv:1:1: header \"EventId;EventRate;MeanLoss;SDLoss\" has one column: expected commas between columns, and points in decimals\n"},
		"wrong column":      {"EventId,Rate,MeanLoss,SDLoss\n1,0.5,100,10\n", "events.csv:1:9: unknown column \"Rate\": known are EventId, EventRate, MeanLoss, SDLoss, MaxLoss,"},
		"missing column":    {"EventId,EventRate,MeanLoss\n1,0.5,100\n", "events.csv:1: column SDLoss is missing\n"},
		"short row":         {header + "1,0.5,100\n", "events.csv:2:1: 3 columns, want 4 as in the header\n"},
		"decimal comma":     {header + "1,0,5,100,10\n", "events.csv:2:1: 5 columns, want 4 as in the header: is there a comma inside a number?\n"},
		"quoted comma":      {header + "1,0.5,\"1,5\",10\n", "events.csv:2:7: MeanLoss \"1,5\" " + number},
		"European":          {header + "1,0.5,\"1.234,56\",10\n", "events.csv:2:7: MeanLoss \"1.234,56\" " + number},
		"American":          {header + "1,0.5,\"1,234.56\",10\n", "events.csv:2:7: MeanLoss \"1,234.56\" " + number},
		"Swiss":             {header + "1,0.5,1'234.56,10\n", "events.csv:2:7: MeanLoss \"1'234.56\" " + number},
		"unit":              {header + "1,0.5,100 USD,10\n", "events.csv:2:7: MeanLoss \"100 USD\" " + number},
		"not a number":      {header + "1,0.5,NaN,10\n", "events.csv:2:7: MeanLoss \"NaN\" is not a finite number\n"},
		"infinite":          {header + "1,0.5,100,Infinity\n", "events.csv:2:11: SDLoss \"Infinity\" is not a finite number\n"},
		"beyond a float":    {header + "1,0.5,1e999,10\n", "events.csv:2:7: MeanLoss \"1e999\" is not a finite number\n"},
		"negative":          {header + "1,0.5,-100,10\n", "events.csv:2:7: MeanLoss \"-100\" is negative\n"},
		"blank":             {header + "1,,100,10\n", "events.csv:2:3: EventRate \"\" is empty: expected a number\n"},
		"twice":             {header + "1,0.5,100,10\n2,0.5,100,10\n1,0.5,100,10\n", "events.csv:4:1: EventId \"1\" is the event of line 2 again\n"},
		"no id":             {header + "1.0,0.5,100,10\n", "events.csv:2:1: EventId \"1.0\" is not a whole number\n"},
		"loose quote":       {header + "1,0.5,1\"00,10\n2,0.5,y,10\n", "events.csv:2:8: a quotation mark is out of place\nevents.csv:3:7: MeanLoss \"y\" " + number},
		"Windows lines":     {"EventId,EventRate,MeanLoss,SDLoss\r\n1,0.5,y,10\r\n", "events.csv:2:7: MeanLoss \"y\" " + number},
		"not the catalogue": {header + "6,0.5,100,10\n", "events.csv:2:1: EventId \"6\" is not in the catalogue of us-hurricane\n"},
	} {
		var flags []string
		if name == "not the catalogue" {
			flags = []string{"--catalogue", "us-hurricane"}
		}
		code, said, written := importing(t, test.table, flags...)
		if code != 65 || !strings.HasPrefix(said, test.want) || written != "" {
			t.Errorf("%s: exit code %d, wrote %q\n got %swant %s", name, code, written, said, test.want)
		}
	}
}

func TestTheGuideShowsWhatImportSays(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/reinsurance-files.md")
	if err != nil {
		t.Fatal(err)
	}
	_, said, _ := importing(t, "EventId,EventRate,MeanLoss,SDLoss\n3,0.36,\"40000000,00\",20000000\n4,0.17,90.000.000,30000000\n"+
		"5,0.025,150000000\n7,0.01,150000000,0\n5,0.02,NaN,0\n", "--catalogue", "us-hurricane")
	if shown := strings.ReplaceAll(said, "events.csv", "cedant.csv"); !strings.Contains(string(guide), "cedant.csv\n"+shown+"```") {
		t.Errorf("docs/reinsurance-files.md does not show\n%s", shown)
	}
}

func TestNothingOfATableIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1e14), 1, 20, rapid.ID).Draw(rt, "events")
		columns := rapid.Permutation([]string{"EventId", "EventRate", "MeanLoss", "SDLoss", "MaxLoss", "ChanceOfLoss"}).Draw(rt, "columns")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "line end")
		format := rapid.SampledFrom([]byte{'f', 'e', 'g'}).Draw(rt, "format")
		quote := rapid.SampledFrom([]string{"", `"`}).Draw(rt, "quote")
		var want []model.Event
		table := strings.Join(columns, ",") + end
		for _, id := range ids {
			e := model.Event{ID: id, Rate: rapid.Float64Range(1e-9, 20).Draw(rt, "rate"), Mean: rapid.Float64Range(1e-3, 1e13).Draw(rt, "mean")}
			e.SD, e.Max = e.Mean*rapid.Float64Range(0, 9).Draw(rt, "variation"), e.Mean*rapid.Float64Range(1, 9).Draw(rt, "largest")
			cells := make([]string, len(columns))
			for i, column := range columns {
				value := map[string]float64{"EventRate": e.Rate, "MeanLoss": e.Mean, "SDLoss": e.SD, "MaxLoss": e.Max}[column]
				cells[i] = quote + strconv.FormatFloat(value, format, -1, 64) + quote
				if column == "EventId" {
					cells[i] = strconv.FormatInt(id, 10)
				}
			}
			table += strings.Join(cells, ",") + end
			want = append(want, e)
		}
		code, said, written := importing(t, strings.TrimSuffix(table, rapid.SampledFrom([]string{"", end}).Draw(rt, "cut")))
		got, err := model.ReadMelt("melt.csv", []byte(written))
		if code != 0 || err != nil {
			rt.Fatalf("exit code %d, %v: %s\n%s", code, err, said, table)
		}
		slices.SortFunc(want, func(a, b model.Event) int { return cmp.Compare(a.ID, b.ID) })
		if diff := gocmp.Diff(want, got); diff != "" {
			rt.Error(diff)
		}
	})
}

func TestACedantsTableIsCheckedAgainstTheCatalogue(t *testing.T) {
	const header = "EventId,EventRate,MeanLoss,SDLoss\n"
	code, said, written := importing(t, header+"5,0.025,900000,200000\n301,0.9,100000,0\n", "--catalogue", "us-hurricane", "--catalogue", "invented-eu-windstorm")
	if want := "EventId,EventRate,MeanLoss,SDLoss,MaxLoss\n5,0.025,900000,200000,0\n301,0.9,100000,0,0\n"; code != 0 || written != want {
		t.Errorf("exit code %d, %s%s", code, said, written)
	}
	mine := filepath.Join(t.TempDir(), "mine.csv")
	if err := os.WriteFile(mine, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(mine))
	mine = filepath.Base(mine)
	code, said, written = importing(t, header+"5,0.02502,900000,200000\n301,0.9,100000,0\n302,0.25,7,0\n6,0.9,1,0\n5,0.025,1,0\n301,0.09,1,0\n", "--catalogue", mine)
	want := `events.csv:4:1: EventId "302" is not in the catalogue of mine.csv
events.csv:5:1: EventId "6" is not in the catalogue of mine.csv
events.csv:6:1: EventId "5" is the event of line 2 again
events.csv:7:1: EventId "301" is the event of line 3 again
`
	if code != 65 || written != "" || said != want {
		t.Errorf("exit code %d\n%swant\n%s", code, said, want)
	}
	if code, said, _ = importing(t, header+"5,0.03,1,0\n", "--catalogue", mine); code != 65 || !strings.Contains(said, `events.csv:2:3: EventRate "0.03" is not the catalogue's, 0.025`) {
		t.Errorf("exit code %d, %s", code, said)
	}
	for catalogue, want := range map[string]string{
		"us-huricane": `import: invalid value "us-huricane" for flag -catalogue: there is no such file, and no peril is called us-huricane: ` +
			"there are us-hurricane, invented-us-earthquake, invented-eu-windstorm, invented-jp-typhoon\n  rollup import --help tells more.\n",
		"/dev/null": "import: invalid value \"/dev/null\" for flag -catalogue: /dev/null: is empty",
	} {
		if code, said, _ = importing(t, header+"5,0.03,1,0\n", "--catalogue", catalogue); code != 2 || !strings.HasPrefix(said, want) {
			t.Errorf("exit code %d, %s", code, said)
		}
	}
	if code, said, _ = importing(t, header+"5,0.03,1,0\n", "--catalogue", mine, "--catalogue", "us-hurricane"); code != 2 || !strings.Contains(said, "event 5 is in the catalogue of another peril, too") {
		t.Errorf("exit code %d, %s", code, said)
	}
}

func TestWrongUseIsToldFromWrongTables(t *testing.T) {
	var stdout, stderr bytes.Buffer
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "--out and one table are required"},
		{[]string{"--out", "x", "a", "b"}, 2, "--out and one table are required"},
		{[]string{"--summery", "2"}, 2, "not defined"},
		{[]string{"--out", "x", filepath.Join(t.TempDir(), "none.csv")}, 1, "no such file"},
	} {
		stderr.Reset()
		if code := importMelt(test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%v: exit code %d, %s", test.args, code, &stderr)
		}
	}
	if code := importMelt([]string{"--help"}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "moment event loss table") ||
		!strings.Contains(stdout.String(), "-sample-type") {
		t.Errorf("exit code %d, %s", code, &stdout)
	}
	for table, want := range map[string]string{
		"EventId,EventRate,MeanLoss,SDLoss\n":       "events.csv: has no events\n",
		"\ufeffEventId,EventRate,MeanLoss,SDLoss\n": "events.csv:1:1: starts with a byte order mark: save as UTF-8 without one\n",
	} {
		if code, said, _ := importing(t, table); code != 65 || said != want {
			t.Errorf("%q: exit code %d, %s", table, code, said)
		}
	}
}
