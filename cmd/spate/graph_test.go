package main

import (
	"bytes"
	"testing"

	"spate/job"
	"spate/planner/report"
)

func TestAGraphIsReadable(t *testing.T) {
	t.Parallel()
	g := &report.Graph{
		Run: report.RunRef{ID: "nightly-20261121-115500-a81f02", State: job.RunActive}, Jobs: 400, Widest: 2,
		Levels: []report.Level{
			{Jobs: 5, Tasks: map[string]int{"simulate-events": 4, "exchange-rates": 1}, States: map[string]int{"done": 1, "cached": 4}},
			{Jobs: 320, Tasks: map[string]int{"price-deal": 320}, States: map[string]int{"done": 150, "cached": 50, "failed": 2, "queued": 118}},
			{Jobs: 74, Tasks: map[string]int{"combine": 70, "check": 3, "price-deal": 1}, States: map[string]int{"blocked": 10, "waiting": 64}},
			{Jobs: 1, Tasks: map[string]int{"portfolio": 1}, States: map[string]int{"blocked": 1}},
		},
		Path: report.Path{Measured: 60, Expected: 11.5, Unknown: []string{"combine", "portfolio"}, Jobs: []report.Step{
			{ID: "occurrences-us-hurricane", State: "cached"},
			{ID: "deal-00361", State: "done", Seconds: 60},
			{ID: "deal-00362", State: "queued", Seconds: 11.5, Expected: true},
			{ID: "portfolio", State: "blocked"},
		}},
		Ends: 9, Done: 1,
		Waiting: []report.End{
			{ID: "portfolio", State: "blocked", WaitsFor: []report.Await{
				{State: "failed", Jobs: 2, First: []string{"deal-00007", "deal-00009"}},
				{State: "queued", Jobs: 118, First: []string{"deal-00010", "deal-00011", "deal-00012", "deal-00013"}},
			}},
			{ID: "deal-00400", State: "queued"},
			{ID: "deal-00401", State: "queued"},
			{ID: "deal-00402", State: "queued"},
			{ID: "deal-00403", State: "queued"},
			{ID: "deal-00404", State: "queued"},
		},
	}
	long := &report.Graph{Run: report.RunRef{ID: "long", State: job.RunSucceeded}, Widest: 1}
	for i := range 20 {
		long.Jobs++
		long.Levels = append(long.Levels, report.Level{Jobs: 1, Tasks: map[string]int{"step": 1}, States: map[string]int{"done": 1}})
		long.Path.Jobs = append(long.Path.Jobs, report.Step{ID: "step-" + string(rune('a'+i)), State: "done"})
	}
	cancelled := &report.Graph{
		Run: report.RunRef{ID: "stopped", State: job.RunCancelled}, Jobs: 3, Widest: 1,
		Levels: []report.Level{{Jobs: 3, Tasks: map[string]int{"step": 3}, States: map[string]int{"done": 1, "cancelled": 2}}},
		Path:   report.Path{Expected: 4, Jobs: []report.Step{{ID: "step-b", State: "cancelled", Seconds: 4, Expected: true}}},
		Ends:   3, Done: 1, Waiting: []report.End{{ID: "step-b", State: "cancelled"}, {ID: "step-c", State: "cancelled"}},
	}
	underWay := &report.Graph{
		Run: report.RunRef{ID: "now", State: job.RunActive}, Jobs: 2, Widest: 1,
		Levels: []report.Level{{Jobs: 1, Tasks: map[string]int{"step": 1}, States: map[string]int{"done": 1}}, {Jobs: 1, Tasks: map[string]int{"sum": 1}, States: map[string]int{"queued": 1}}},
		Path:   report.Path{Expected: 4, Jobs: []report.Step{{ID: "step", State: "done"}, {ID: "sum", State: "queued", Seconds: 4, Expected: true}}},
		Ends:   1, Waiting: []report.End{{ID: "sum", State: "queued"}},
	}
	measured := &report.Graph{
		Run: report.RunRef{ID: "over", State: job.RunSucceeded, Substituted: []string{"step"}}, Jobs: 1, Widest: 1,
		Levels: []report.Level{{Jobs: 1, Tasks: map[string]int{"step": 1}, States: map[string]int{"done": 1}}},
		Path:   report.Path{Measured: 4, Jobs: []report.Step{{ID: "step", State: "done", Seconds: 4}}},
		Ends:   1, Done: 1,
	}
	for suffix, width := range map[string]int{"": 0, "-80": 80} {
		var b bytes.Buffer
		for _, g := range []*report.Graph{g, long, cancelled, underWay, measured} {
			if err := printGraph(page{Writer: &b, width: width}, g); err != nil {
				t.Fatal(err)
			}
		}
		golden(t, "graph"+suffix+".txt", b.String())
	}
}
