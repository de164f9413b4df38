package report

import (
	"errors"
	"testing"
	"time"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// attempted writes that an attempt at a job failed.
func (p *past) attempted(run *planner.Run, planned job.Planned, attempt int, line string) {
	p.t.Helper()
	p.item(planner.Failure{
		Key:    table.Key{PK: table.RunPrefix + run.ID, SK: "FAILURE#" + planned.Key.String() + "#00000" + string(rune('0'+attempt))},
		JobKey: planned.Key.String(), Job: planned.ID, Attempt: attempt, Cause: "exit code 65", LastLines: []string{line},
	})
}

func TestWhatNeverPrintedSaysSo(t *testing.T) {
	p := newPast(t)
	run := p.run("nightly", "nightly", job.RunFailed, noon)
	jobs := p.manifest(run, deal("deal-1", `{}`), sum("all", "deal-1"))
	p.attempted(run, jobs[0], 1, "no licence")
	for _, test := range []struct {
		of      job.Planned
		attempt int
		want    string
	}{
		{jobs[1], 0, "job all of run nightly was never started"},
		{jobs[0], 2, "job deal-1 of run nightly had no attempt 2"},
	} {
		_, err := p.Log(t.Context(), noon, &Found{run, test.of}, test.attempt)
		if _, ok := errors.AsType[*NoLogError](err); !ok || err.Error() != test.want {
			t.Errorf("attempt %d at %s: %v, want %s", test.attempt, test.of.ID, err, test.want)
		}
	}
}

func TestAnAttemptIsThatOfTheRunThatIsAskedAbout(t *testing.T) {
	p := newPast(t)
	first := p.run("nightly-1", "nightly", job.RunFailed, noon.Add(-time.Hour))
	jobs := p.manifest(first, deal("deal-1", `{}`))
	p.attempted(first, jobs[0], 1, "no licence")
	second := p.run("nightly-2", "nightly", job.RunSucceeded, noon)
	p.manifest(second, deal("deal-1", `{}`))
	p.made(jobs[0], second, 1)
	for _, test := range []struct {
		run       *planner.Run
		attempt   int
		succeeded bool
	}{
		{first, 1, false}, {first, 0, true}, {second, 1, true},
	} {
		log, err := p.Log(t.Context(), noon, &Found{test.run, jobs[0]}, test.attempt)
		if err != nil || log.Succeeded != test.succeeded {
			t.Errorf("attempt %d of %s: %+v, %v", test.attempt, test.run.ID, log, err)
		}
	}
}
