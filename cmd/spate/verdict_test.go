package main

import (
	"bytes"
	"strings"
	"testing"

	"spate/cache"
	"spate/planner/report"
)

func TestProgramsReadTheVerdictAndWhatWantsAttention(t *testing.T) {
	t.Parallel()
	s := someCache()
	s.Refresh.Urgent = 0
	well := statsOf(s, &report.HitRatios{})
	s.Findings = []cache.Finding{{Check: cache.CheckMemory, Severity: cache.SeverityWarning}}
	attention := statsOf(s, &report.HitRatios{})
	for _, row := range []struct {
		view cacheStatsView
		want string
	}{
		{well, `"verdict": "well", "attention": [],`},
		{attention, `"verdict": "attention", "attention": [ "Redis's memory" ],`},
		{cacheStatsView{Verdict: cache.VerdictUnknown, Attention: []string{}}, `"verdict": "unknown", "attention": [], "status": null,`},
	} {
		var out bytes.Buffer
		if err := printJSON(&out, row.view); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, row.want) {
			t.Errorf("JSON lacks %s:\n%s", row.want, out.String())
		}
	}
}
