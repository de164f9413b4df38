package main

import (
	"bytes"
	"testing"
	"time"

	"spate/job"
	"spate/planner/report"
)

// someComparison is of two nights.
func someComparison() *report.Comparison {
	digit := func(b byte) (k job.Key) { k[0] = b; return k }
	limit := func(before, after string) []report.Difference {
		return []report.Difference{{Kind: report.KindParams, Field: "params.limit", Before: []byte(before), After: []byte(after)}}
	}
	image := []report.Difference{{
		Kind: report.KindImage, Field: "image", Before: []byte(`"sha256:1111111111111111"`), After: []byte(`"sha256:2222222222222222"`),
	}}
	return &report.Comparison{
		Before: report.RunRef{ID: "nightly-20261120-220000-5226c3", Name: "nightly", State: job.RunSucceeded, Received: noon.Add(-14 * time.Hour)},
		After:  report.RunRef{ID: "nightly-20261121-115500-a81f02", Name: "nightly", State: job.RunActive, Received: noon.Add(-5 * time.Minute)},
		Jobs:   report.Tally{Before: 400, After: 401, Same: 371, Own: 13, ByParents: 14, New: 3, Gone: 2},
		Causes: []report.Cause{
			{Fields: []string{"params.limit"}, Jobs: 12, Tasks: map[string]int{"price-deal": 12}, Example: report.Change{ID: "deal-00017", Differences: limit("5000000", "6000000")}},
			{Fields: []string{"image"}, Jobs: 1, Tasks: map[string]int{"exchange-rates": 1}, Uniform: true, Example: report.Change{ID: "rates", Differences: image}},
		},
		ByTask: map[string]int{"combine": 11, "price-deal": 2, "portfolio": 1},
		Changes: []report.Change{
			{
				ID: "deal-00017", Task: "price-deal", Before: digit(1), After: digit(2), Differences: limit("5000000", "6000000"), Parents: []string{"rates"},
				Output: &report.OutputDiff{Files: []job.FileDifference{
					{Path: "losses.csv", Before: &job.FileSize{Size: 44500}, After: &job.FileSize{Size: 44500}},
					{Path: "new.json", After: &job.FileSize{Size: 12}},
					{Path: "old.json", Before: &job.FileSize{Size: 9}},
					{Path: "summary.json", Before: &job.FileSize{Size: 251}, After: &job.FileSize{Size: 252}},
				}},
			},
			{ID: "rates", Task: "exchange-rates", Before: digit(3), After: digit(4), Differences: image, Output: &report.OutputDiff{Same: true}},
			{ID: "portfolio", Task: "portfolio", Before: digit(5), After: digit(6), Parents: []string{"combine-1"}, Output: &report.OutputDiff{Missing: "there is no output of now"}},
		},
		New:     []report.JobRef{{ID: "deal-00400"}, {ID: "deal-00401"}, {ID: "deal-00402"}},
		Gone:    []report.JobRef{{ID: "deal-00008"}, {ID: "deal-00009"}},
		Outputs: &report.OutputsTally{Compared: 26, Same: 1, Differ: 25, Missing: 1, Savable: 3, SavableSeconds: 71.2},
	}
}

func TestAComparisonIsReadable(t *testing.T) {
	t.Parallel()
	for suffix, width := range map[string]int{"": 0, "-80": 80} {
		var b bytes.Buffer
		w := page{Writer: &b, width: width}
		c := someComparison()
		printComparison(w, noon, c)
		printChanges(w, c.Changes)
		golden(t, "compare"+suffix+".txt", b.String())
	}
}

func TestProgressIsOnlyForTerminals(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	line := progressOn(&b)
	line.began = time.Time{}
	line.show("comparing jobs", 1, 2)
	line.clear()
	if b.Len() > 0 {
		t.Errorf("a file got %q", &b)
	}
	line.out = &b
	line.show("comparing jobs", 1, 2)
	line.clear()
	if want := "\rcomparing jobs: 1 of 2" + clearLine + "\r" + clearLine; b.String() != want {
		t.Errorf("a terminal got %q, want %q", &b, want)
	}
}
