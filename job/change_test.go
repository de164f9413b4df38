package job

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestAChangeIsAPathAndAValue(t *testing.T) {
	for text, want := range map[string]Change{
		"deal-1.limit=5":          {path: []string{"deal-1", "limit"}, Value: jsontext.Value("5")},
		"a.limit=5e6":             {path: []string{"a", "limit"}, Value: jsontext.Value("5000000")},
		"a.x=1e20":                {path: []string{"a", "x"}, Value: jsontext.Value("1e20")},
		"a.x=0.5":                 {path: []string{"a", "x"}, Value: jsontext.Value("0.5")},
		"a.x.y.0.z= true ":        {path: []string{"a", "x", "y", "0", "z"}, Value: jsontext.Value("true")},
		"a.x=null":                {path: []string{"a", "x"}, Value: jsontext.Value("null")},
		"a.x=some text":           {path: []string{"a", "x"}, Value: jsontext.Value(`"some text"`)},
		`a.x="5"`:                 {path: []string{"a", "x"}, Value: jsontext.Value(`"5"`)},
		"a.x=":                    {path: []string{"a", "x"}, Value: jsontext.Value(`""`)},
		"a.x=b=c":                 {path: []string{"a", "x"}, Value: jsontext.Value(`"b=c"`)},
		`"a.b".x=1`:               {path: []string{"a.b", "x"}, Value: jsontext.Value("1"), quoted: true},
		`a."x.y=\"z\"".w=[1,"b"]`: {path: []string{"a", `x.y="z"`, "w"}, Value: jsontext.Value(`[1,"b"]`)},
	} {
		got, err := ParseChange(text)
		want.Text = text
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if diff := cmp.Diff(want, got, cmp.AllowUnexported(Change{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestAChangeThatCannotBeReadSaysWhatWasWanted(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "has no '='",
		"a.x":                     "has no '='",
		"a=5":                     "names no parameter: want JOB.PARAM=VALUE",
		".x=5":                    "a name is empty",
		"a..x=5":                  "a name is empty",
		"a.=5":                    "a name is empty",
		`a.x"y=5`:                 "quotes stand inside a name",
		`"a.x=5`:                  "no string in quotes",
		`"a"x=5`:                  "want '.' or '=' behind",
		"a.x={":                   "no valid JSON",
		`a.x="5`:                  "no valid JSON",
		"a.x=9007199254740993":    "beyond 2^53",
		`a.x={"y":1e999}`:         "beyond what a 64-bit float can hold",
		`a.x={"y":{"z":1,"z":2}}`: "no valid JSON",
		"a.x=\xff":                "not UTF-8",
	} {
		if c, err := ParseChange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want one that says %q", text, c, err, want)
		}
	}
}

// jobsWith yields jobs by id, with their params.
func jobsWith(params map[string]string) iter.Seq2[Spec, error] {
	return func(yield func(Spec, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(params)) {
			if !yield(Spec{ID: id, Params: jsontext.Value(params[id])}, nil) {
				return
			}
		}
	}
}

func overlayOf(t *testing.T, allowNew bool, run string, jobs map[string]string, texts ...string) (Overlay, error) {
	t.Helper()
	o := OverlayOptions{Params: jsontext.Value(run), AllowNew: allowNew}
	for _, text := range texts {
		c, err := ParseChange(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Changes = append(o.Changes, c)
	}
	return NewOverlay(o, jobsWith(jobs))
}

func TestChangesAreLaidOverParametersOfTheirJobsAlone(t *testing.T) {
	jobs := map[string]string{
		"deal":     `{"limit":4000000,"id":9007199254740992,"terms":{"share":0.5,"layers":[{"at":1},{"at":2}]}}`,
		"deal.old": `{"limit":7,"terms":{"share":1}}`,
		"bare":     "",
	}
	for name, tc := range map[string]struct {
		changes  []string
		allowNew bool
		want     Overlay
	}{
		"one number": {changes: []string{"deal.limit=5e6"}, want: Overlay{
			"deal": jsontext.Value(`{"id":9007199254740992,"limit":5000000,"terms":{"share":0.5,"layers":[{"at":1},{"at":2}]}}`),
		}},
		"nested, and in a list": {changes: []string{"deal.terms.share=0.25", "deal.terms.layers.1.at=3"}, want: Overlay{
			"deal": jsontext.Value(`{"id":9007199254740992,"limit":4000000,"terms":{"layers":[{"at":1},{"at":3}],"share":0.25}}`),
		}},
		"an id with a dot": {changes: []string{"deal.old.limit=8"}, want: Overlay{
			"deal.old": jsontext.Value(`{"limit":8,"terms":{"share":1}}`),
		}},
		"of the run's parameters": {changes: []string{"bare.currency=EUR", "deal.old.currency=JPY"}, want: Overlay{
			"bare":     jsontext.Value(`{"currency":"EUR"}`),
			"deal.old": jsontext.Value(`{"currency":"JPY","limit":7,"terms":{"share":1}}`),
		}},
		"inside one of the run's parameters": {changes: []string{"bare.rates.EUR=1.2"}, want: Overlay{
			"bare": jsontext.Value(`{"rates":{"EUR":1.2,"JPY":0.007}}`),
		}},
		"a new parameter, and a new kind": {changes: []string{"bare.more=1", `deal.old.limit=none`}, allowNew: true, want: Overlay{
			"bare":     jsontext.Value(`{"more":1}`),
			"deal.old": jsontext.Value(`{"limit":"none","terms":{"share":1}}`),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := overlayOf(t, tc.allowNew, `{"currency":"USD","rates":{"EUR":1.1,"JPY":0.007}}`, jobs, tc.changes...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(texts(tc.want), texts(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func texts(o Overlay) map[string]string {
	all := map[string]string{}
	for id, params := range o {
		all[id] = string(params)
	}
	return all
}

func TestAChangeThatCannotBeMadeNamesWhatIsNear(t *testing.T) {
	jobs := map[string]string{
		"deal-1": `{"limit":4,"share":0.5,"layers":[1,2]}`,
		"a":      `{"b":{"limit":1}}`,
		"a.b":    `{"limit":2}`,
	}
	for text, want := range map[string]string{
		"deal-l.limit=5":      `there is no job deal-l; did you mean "deal-1"?`,
		"portfolio.limit=5":   "there is no job portfolio; the run has 3 jobs",
		"deal-1.limt=5":       `job deal-1 has no parameter limt; did you mean "limit"? --allow-new adds one`,
		"deal-1.premium=5":    "job deal-1 has no parameter premium; it has layers, limit, share; --allow-new adds one",
		"deal-1.limit=high":   "job deal-1 has a number at limit, not a string; --allow-new sets it all the same",
		"deal-1.limit.x=5":    "job deal-1 has a number at limit: nothing lies below it",
		"deal-1.layers.2=5":   `job deal-1 has 2 elements at layers, counted from 0: there is no element "2"`,
		"deal-1.layers.top=5": `there is no element "top"`,
		"a.b.limit=5":         `it may mean job a.b or job a: put quotes around the id, as in "a.b".limit=…`,
	} {
		_, err := overlayOf(t, false, "", jobs, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `change "`) {
			t.Errorf("%s: error %v\nwant one that says %s", text, err, want)
		}
	}
	if _, err := overlayOf(t, false, "", jobs, `"a".b.limit=5`); err != nil {
		t.Errorf("an id in quotes: %v", err)
	}
	_, err := overlayOf(t, false, "", jobs, "deal-1.limit=5", "deal-1.limit=6", "nobody.x=1")
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "changed twice") {
		t.Errorf("error %v, want both faults", err)
	}
}

func FuzzChange(f *testing.F) {
	for _, seed := range []string{"a.limit=5e6", `"a.b".x.0=[1,{"y":"z"}]`, "a.b.c=text", `a."x\n"=`, "a.x={", "a..x=1", "=", `a.x=1e999`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseChange(text)
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !c.Value.IsValid() || len(c.path) < 2 {
			t.Fatalf("value %q, path %q", c.Value, c.path)
		}
		// Laid over a job that has nothing but what leads to it, the change is found again where it was put.
		for _, id := range c.ids() {
			below := c.below(id)
			params := "0"
			for _, name := range slices.Backward(below) {
				quoted, err := jsontext.AppendQuote(nil, name)
				if err != nil {
					t.Fatal(err)
				}
				params = fmt.Sprintf("{%s:%s}", quoted, params)
			}
			o, err := NewOverlay(OverlayOptions{Changes: []Change{c}, AllowNew: true}, jobsWith(map[string]string{id: params}))
			if err != nil {
				t.Fatalf("%q over %s: %v", text, params, err)
			}
			if !o[id].IsValid() || !hasParam(o[id], below) {
				t.Fatalf("%q over %s is %s", text, params, o[id])
			}
		}
	})
}
