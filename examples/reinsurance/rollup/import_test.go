package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	if want := "melt.csv: 5 events, 1.665 occurrences and a mean loss of 1.669e+10 a year\n"; code != 0 || said != want {
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
	if diff := cmp.Diff(want, events); diff != "" {
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
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
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
	for _, catalogue := range []string{"us-huricane", "/dev/null"} {
		if code, said, _ = importing(t, header+"5,0.03,1,0\n", "--catalogue", catalogue); code != 2 || !strings.Contains(said, catalogue) {
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
		{[]string{"--help"}, 0, "moment event loss table"},
		{[]string{"--out", "x", filepath.Join(t.TempDir(), "none.csv")}, 1, "no such file"},
	} {
		stderr.Reset()
		if code := importMelt(test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%v: exit code %d, %s", test.args, code, &stderr)
		}
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
