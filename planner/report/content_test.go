package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFilesAreSaidToDifferWhereTheyBeginTo(t *testing.T) {
	for _, test := range []struct {
		name, path, before, after string
		want                      Place
		text                      string
	}{
		{
			"a figure of a table", "alt.csv", "id,loss\n1,10\n2,20.5\n", "id,loss\n1,10\n2,20.7\n",
			Place{Line: 3, Column: 6, Offset: 18, Before: "2,20.5", After: "2,20.7"},
			"line 3, column 6: 2,20.5, then 2,20.7",
		},
		{
			"a line less", "alt.csv", "a\nb\n", "a\n",
			Place{Line: 2, Column: 1, Offset: 2, Before: "b"},
			"line 2, column 1: b, then nothing",
		},
		{"binary", "x.parquet", "PAR1\x00\x01", "PAR1\x00\x02", Place{Offset: 5}, "from byte 5 on"},
		{
			"a leaf of JSON", "summary.json", `{"n":1,"tvar":{"p99":[1,2,3.5]}}`, `{"tvar":{"p99":[1,2,3.25]},"n":1}`,
			Place{Value: "tvar.p99[2]", Before: "3.5", After: "3.25", Offset: 2},
			"tvar.p99[2]: 3.5, then 3.25",
		},
		{
			"a member that is new", "summary.json", `{"n":1}`, `{"n":1,"at":"noon"}`,
			Place{Value: "at", After: `"noon"`, Offset: 6},
			`at: nothing, then "noon"`,
		},
		{
			"another kind of value", "summary.json", `{"n":[1]}`, `{"n":1}`,
			Place{Value: "n", Before: "[1]", After: "1", Offset: 5},
			`n: [1], then 1`,
		},
		{
			"JSON that means the same", "summary.json", `{"n": 1}`, `{"n":1}`,
			Place{Line: 1, Column: 6, Offset: 5, Before: `{"n": 1}`, After: `{"n":1}`},
			`line 1, column 6: {"n": 1}, then {"n":1}`,
		},
		{
			"no JSON at all", "summary.json", "oops", `{}`,
			Place{Line: 1, Column: 1, Before: "oops", After: `{}`},
			`line 1, column 1: oops, then {}`,
		},
		{
			"a long line", "log", strings.Repeat("é", 5000) + "a" + strings.Repeat("z", 300), strings.Repeat("é", 5000) + "b",
			Place{
				Line: 1, Column: 10001, Offset: 10000,
				Before: "…" + strings.Repeat("é", 20) + "a" + strings.Repeat("z", 119) + "…", After: "…" + strings.Repeat("é", 20) + "b",
			},
			"line 1, column 10001: …" + strings.Repeat("é", 20) + "a" + strings.Repeat("z", 119) + "…, then …" + strings.Repeat("é", 20) + "b",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := compareContent(test.path, strings.NewReader(test.before), strings.NewReader(test.after))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("place (-want +got):\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("place %q, want %q", got, test.text)
			}
		})
	}
}

func TestFilesThatAreAlikeAsFarAsWasRead(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcde\n"), contentMost/16)
	got, err := compareContent("x", bytes.NewReader(append(slices.Clip(long), 'a')), bytes.NewReader(long))
	if err != nil || !got.Beyond || got.String() != "alike in the first 64 MiB" {
		t.Errorf("place %+v, error %v", got, err)
	}
}
