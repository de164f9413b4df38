package report

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiguresAreCalledByWhereTheyStand(t *testing.T) {
	for document, want := range map[string]map[string]float64{
		`{"aal":941.5,"currency":"USD","net":{"oep":[{"return_period":10,"loss":5},{"return_period":250,"loss":7}]}}`: {
			"aal": 941.5, "net.oep[return_period=10].loss": 5, "net.oep[return_period=250].loss": 7,
		},
		`{"industry":[{"currency":"USD","peril":"wind","aal":1},{"currency":"USD","peril":"quake","aal":2}]}`: {
			"industry[peril=wind].aal": 1, "industry[peril=quake].aal": 2,
		},
		`{"curve":[1.5,[2,3]],"same":[{"x":1},{"x":1}],"halves":[{"at":0.5},{"at":1.5}]}`: {
			"curve[0]": 1.5, "curve[1][0]": 2, "curve[1][1]": 3, "same[0].x": 1, "same[1].x": 1, "halves[0].at": 0.5, "halves[1].at": 1.5,
		},
		`[{"a":1},{"b":2}]`:   {"[0].a": 1, "[1].b": 2},
		`17`:                  {"": 17},
		`{"a":true,"b":null}`: {},
	} {
		got, err := figuresOf([]byte(document))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", document, err, diff)
		}
	}
	for _, bad := range []string{"", "{", `{"a":1,}`, `{"a":1,"a":2}`, "NaN", "[1"} {
		if got, err := figuresOf([]byte(bad)); err == nil {
			t.Errorf("%q: no error but %v", bad, got)
		}
	}
}

func TestFiguresThatMovedMostComeFirst(t *testing.T) {
	d, err := compareFigures(
		[]byte(`{"same":1,"gone":2,"small":1000,"zero":0,"large":10,"down":-4}`),
		[]byte(`{"same":1,"new":2,"small":1001,"zero":3,"large":15,"down":-1}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(d.moved, byMovement)
	want := []Figure{
		{Path: "zero", Before: 0, After: 3},
		{Path: "down", Before: -4, After: -1},
		{Path: "large", Before: 10, After: 15},
		{Path: "small", Before: 1000, After: 1001},
	}
	if diff := cmp.Diff(want, d.moved); diff != "" || d.same != 1 || d.others != 2 {
		t.Errorf("%d the same, %d in one only, moved (-want +got):\n%s", d.same, d.others, diff)
	}
	for i, want := range []float64{math.Inf(1), 0.75, 0.5, 0.001} {
		if got := d.moved[i].Relative(); got != want {
			t.Errorf("%s moved by %v of what it was, want %v", d.moved[i].Path, got, want)
		}
	}
}
