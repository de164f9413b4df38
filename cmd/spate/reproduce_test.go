package main

import (
	"bytes"
	"testing"
	"time"

	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

func TestAReproductionIsPrintedOnOneScreen(t *testing.T) {
	run := &planner.Run{
		ID: "again-nightly-20261121-140312-5f09c1", State: job.RunSucceeded, Received: noon, Ended: noon.Add(72 * time.Second),
		Reproduction: &planner.Reproduction{Run: "nightly", NotDeterministic: 3, WithoutOutput: 1, Tasks: []planner.ReproducedTask{
			{Task: "combine", Compared: 4, Identical: 3}, {Task: "price-deal", Compared: 45, Identical: 45},
		}},
	}
	found := &report.Reproduced{
		Different: []report.ReproducedJob{{Job: "north", Task: "combine", Files: []report.ReproducedFile{
			{
				FileDifference: job.FileDifference{Path: "alt.csv", Before: &job.FileSize{Size: 90210}, After: &job.FileSize{Size: 90211}},
				Place:          &report.Place{Line: 207, Column: 9, Before: "206,4411,1203.5", After: "206,4411,1203.25"},
			},
			{
				FileDifference: job.FileDifference{Path: "summary.json", Before: &job.FileSize{Size: 512}, After: &job.FileSize{Size: 512}},
				Place:          &report.Place{Value: "tvar.p99", Before: "881204.5", After: "881204.7"},
			},
			{FileDifference: job.FileDifference{Path: "trace.log", Before: &job.FileSize{Size: 1}}},
		}}},
		NotCompared: []report.ReproducedJob{{Job: "deal-17", Task: "price-deal", Cause: "output of parent 66b5e1: there is no manifest; what the original was computed from is gone"}},
	}
	for suffix, width := range map[string]int{"": 0, "-80": 80} {
		var b bytes.Buffer
		if err := printReproduced(page{Writer: &b, width: width}, noon, run, found); err != nil {
			t.Fatal(err)
		}
		golden(t, "reproduce"+suffix+".txt", b.String())
	}
}
