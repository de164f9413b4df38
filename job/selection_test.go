package job

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestASelectionIsLaidOverTheRunFilesOwn(t *testing.T) {
	const file = "name: n\npool: p\njobs_from: j\nonly: [a, b]\nwith_dependents: true\nforce: the model was fixed\n"
	for name, test := range map[string]struct{ over, want Selection }{
		"nothing": {Selection{}, Selection{[]string{"a", "b"}, true, "the model was fixed"}},
		"jobs":    {Selection{Only: []string{"c"}}, Selection{[]string{"c"}, true, "the model was fixed"}},
		"reason":  {Selection{Force: "again"}, Selection{[]string{"a", "b"}, true, "again"}},
	} {
		run, err := ParseRunFile("f", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Override(test.over); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, run.Selection); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestASelectionThatMakesNoSenseIsRefused(t *testing.T) {
	for want, s := range map[string]Selection{
		"with_dependents says nothing without only": {WithDependents: true},
		"reason is empty":      {Force: " "},
		"reason must be one":   {Force: "a\nb"},
		"reason has 501 bytes": {Force: strings.Repeat("x", MaxReasonLength+1)},
		`only: id "a b"`:       {Only: []string{"a b"}},
		`job "a" stands in it`: {Only: []string{"a", "a"}},
	} {
		if err := (&RunFile{}).Override(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

func TestUnknownJobsOfASelectionAreNamedWithTheirPlaceInTheFile(t *testing.T) {
	run, err := ParseRunFile("f", []byte("name: n\npool: p\nonly: [deal-1, deal-2]\njobs: [{id: deal-01, task: t}, {id: deal-2, task: t}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	check := func() string {
		errs := &Errors{}
		c := NewChecker("jobs", nil, errs)
		for _, s := range run.Jobs {
			c.Add(s, nil)
		}
		c.Finish()
		c.CheckOnly(run)
		return errs.Error()
	}
	if got, want := check(), `f:3:8: only: no job of this run is called "deal-1"; did you mean "deal-01"?`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := run.Override(Selection{Only: []string{"deal-3"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := check(), `only: no job of this run is called "deal-3"; did you mean "deal-2"?`; got != want {
		t.Errorf("laid over: %s, want %s", got, want)
	}
}
