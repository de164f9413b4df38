package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"spate/internal/config"
	"spate/internal/price"
	"spate/scaler"
)

func TestAQuestionIsAnsweredWithYesOrIsNot(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var asked bytes.Buffer
		got, err := answeredYes(t.Context(), strings.NewReader(answer), page{Writer: &asked}, "Stop all?")
		if got != want || err != nil || asked.String() != "Stop all? [y/N] " {
			t.Errorf("%q: %t, %v, asked %q", answer, got, err, asked.String())
		}
	}
}

func TestAQuestionThatNobodyAnswersEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent, typed := io.Pipe()
	t.Cleanup(func() { typed.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var asked bytes.Buffer
	if yes, err := answeredYes(ctx, silent, page{Writer: &asked}, "Stop all?"); yes || err != nil || asked.String() != "Stop all? [y/N] \n" {
		t.Errorf("%t, %v, asked %q", yes, err, asked.String())
	}
}

func TestAQuestionFitsIntoItsTerminal(t *testing.T) {
	t.Parallel()
	var asked bytes.Buffer
	_, err := answeredYes(t.Context(), strings.NewReader("y\n"), page{Writer: &asked, width: 20}, "Stop all that are there?")
	if must(t, err); asked.String() != "Stop all that are\n  there? [y/N] " {
		t.Errorf("asked %q", asked.String())
	}
}

func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	t.Parallel()
	file, err := os.Open(os.DevNull)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	for _, p := range []program{{stdin: file}, {stdin: strings.NewReader("y\n")}} {
		err := confirm(t.Context(), &p, "Stop all?")
		if wrong, ok := errors.AsType[*problem](err); !ok || !wrong.usage {
			t.Errorf("error %v, want one of usage", err)
		}
	}
}

func TestALeverSaysWhatFollows(t *testing.T) {
	t.Parallel()
	pool := config.Pool{Name: "rollup", Max: 3000}
	busy, empty := scaler.Status{Running: 800, Pending: 12}, scaler.Status{}
	run := scaler.Control{Mode: scaler.ModeRun}
	fifty, many := 50, 5000
	capped := scaler.Control{
		Mode: scaler.ModeDrained, Set: scaler.Mark{By: "anna@host", Reason: "new image", At: noon.Add(-3 * time.Hour)},
		Cap: &fifty, CapSet: scaler.Mark{By: "ben@host", At: noon.Add(-time.Minute)},
	}
	for want, test := range map[string]struct {
		pull    scaler.Pull
		before  scaler.Control
		changed bool
		status  scaler.Status
	}{
		"rollup is paused: no worker is launched. Its 812 workers go on, and leave when they have been idle.":                                                                    {scaler.Pull{Lever: scaler.LeverPause}, run, true, busy},
		"rollup is paused: no worker is launched. It has no workers.":                                                                                                            {scaler.Pull{Lever: scaler.LeverPause}, run, true, empty},
		"rollup is drained: no worker is launched. Its 812 workers finish the jobs that they run, and leave. What is queued waits.":                                              {scaler.Pull{Lever: scaler.LeverDrain}, run, true, busy},
		"rollup is killed: no worker is launched. Its 812 workers are stopped; the jobs that they run go back to the queue.":                                                     {scaler.Pull{Lever: scaler.LeverKill}, run, true, busy},
		"rollup runs: workers are launched as there is work.":                                                                                                                    {scaler.Pull{Lever: scaler.LeverResume}, run, true, busy},
		"rollup runs: workers are launched as there is work. It was drained by anna@host 3h ago: new image. Its cap of 50 workers stays: `spate cap rollup none` takes it away.": {scaler.Pull{Lever: scaler.LeverResume}, capped, true, busy},
		"rollup has a cap of 50 workers, instead of its maximum of 3000.":                                                                                                        {scaler.Pull{Lever: scaler.LeverCap, Cap: &fifty}, run, true, empty},
		"rollup has a cap of 50 workers. It has 812: none is stopped, and they leave when they have been idle.":                                                                  {scaler.Pull{Lever: scaler.LeverCap, Cap: &fifty}, run, true, busy},
		"rollup has a cap of 5000 workers, which makes no difference: its maximum is 3000.":                                                                                      {scaler.Pull{Lever: scaler.LeverCap, Cap: &many}, run, true, busy},
		"rollup has no cap any more: its maximum is 3000.":                                                                                                                       {scaler.Pull{Lever: scaler.LeverCap}, capped, true, busy},
		"rollup: nothing has changed: it is drained already, by anna@host 3h ago: new image":                                                                                     {scaler.Pull{Lever: scaler.LeverDrain}, capped, false, busy},
		"rollup: nothing has changed: it has this cap already, by ben@host 60s ago":                                                                                              {scaler.Pull{Lever: scaler.LeverCap, Cap: &fifty}, capped, false, busy},
		"rollup: nothing has changed: it has no cap":                                                                                                                             {scaler.Pull{Lever: scaler.LeverCap}, run, false, busy},
	} {
		after := test.before
		if test.changed {
			after, _ = test.before.Pulled(noon, test.pull)
		}
		if got := pulled(noon, pool, leverView{"rollup", test.pull.Lever, test.changed, test.before, after, test.status}); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// somePools is what the commands about pools show.
func somePools() []poolState {
	perHour := price.USD(36.2123)
	fifty := 50
	anna := scaler.Mark{By: "anna@host", Reason: "waiting for the new image", At: noon.Add(-3 * time.Hour)}
	return []poolState{
		{
			config: &config.Pool{Name: "rollup", Max: 3000},
			status: scaler.Status{
				Pool: "rollup", Outstanding: 60000, Wanted: 3000, Running: 812, Pending: 12, Launched: 1634, Exited: 800, Failed: 12, Vanished: 1, Stopped: 9,
				Peak: 1200, PerHour: &perHour, Limit: scaler.LimitPaused, At: noon.Add(-2 * time.Second), ControlVersion: 3,
				Reason: "rollup: 3,000 workers wanted for 60,000 jobs (max 3,000); 812 running, 12 starting; launching none: paused by anna@host at 09:00 UTC: waiting for the new image",
				Stops: []scaler.StopCount{
					{Reason: "exit code 1: Essential container in task exited", Count: 11, Last: noon.Add(-5 * time.Minute)},
					{Reason: "Your Spot Task was interrupted.", Count: 1, Last: noon.Add(-time.Hour)},
				},
				Drift: "ECS counts 837 Fargate tasks in cluster hpc, 13 more than Spate's pools have: they are other people's, or of a pool that the configuration has no more",
				Parts: scaler.Parts{
					Demand: noon.Add(-3 * time.Second), Listing: noon.Add(-12 * time.Second), Tasks: noon.Add(-2 * time.Second), Control: noon.Add(-3 * time.Second),
					Events: noon.Add(-4 * time.Second), Cluster: noon.Add(-45 * time.Second),
				},
			},
			control: scaler.Control{Mode: scaler.ModePaused, Set: anna, SetVersion: 3, Version: 3},
		},
		{
			config: &config.Pool{Name: "deals", Min: 20, Max: 300},
			status: scaler.Status{
				Pool: "deals", Outstanding: 40, Wanted: 40, Running: 20, Limit: scaler.LimitCrashLoop, At: noon.Add(-time.Second),
				Reason: "deals: 40 workers wanted for 40 jobs; 20 running; launching none: 5 workers died before they took a job: CannotPullContainerError.",
				Breakers: []scaler.Breaker{{
					Kind: scaler.LimitCrashLoop, State: scaler.BreakerOpen, Reason: "5 workers died before they took a job: CannotPullContainerError.",
					Remedy: "check the image", Since: noon.Add(-4 * time.Minute), NextTry: noon.Add(2 * time.Minute),
				}},
			},
			control: scaler.Control{Mode: scaler.ModeRun, Cap: &fifty, CapSet: scaler.Mark{By: "ben@host", At: noon.Add(-10 * time.Second)}, Version: 1},
		},
		{config: &config.Pool{Name: "new", Max: 10}, status: scaler.Status{Pool: "new"}, control: scaler.Control{Mode: scaler.ModeRun}},
		{status: scaler.Status{Pool: "old", Limit: scaler.LimitNone, Reason: "old: no work, no workers", At: noon.Add(-40 * 24 * time.Hour)}, control: scaler.Control{Mode: scaler.ModeRun}},
	}
}

func someChanges() []scaler.Change {
	var changes []scaler.Change
	for i := range 9 {
		changes = append(changes, scaler.Change{Lever: scaler.LeverResume, Mark: scaler.Mark{By: "kim@desk", At: noon.Add(time.Duration(i-30) * 24 * time.Hour)}})
	}
	five := 5
	return append(
		changes,
		scaler.Change{Lever: scaler.LeverCap, Mark: scaler.Mark{By: "ben@host", At: noon.Add(-5 * time.Hour), Reason: "licences"}, After: scaler.Control{Cap: &five}},
		scaler.Change{Lever: scaler.LeverCap, Mark: scaler.Mark{By: "ben@host", At: noon.Add(-4 * time.Hour)}},
		scaler.Change{Lever: scaler.LeverPause, Mark: scaler.Mark{By: "anna@host", At: noon.Add(-3 * time.Hour), Reason: "waiting for the new image"}},
	)
}

// someDecisions is a night's ramp.
func someDecisions() []scaler.Decided {
	begin := noon.Add(-11 * time.Hour)
	at := func(second, jobs, wanted, have, launched int, limit scaler.Limit, reason string) scaler.Decided {
		return scaler.Decided{
			Pool: "rollup", At: begin.Add(time.Duration(second) * time.Second), Figures: scaler.Figures{Outstanding: &jobs, Wanted: &wanted, Have: &have}, Launched: launched,
			Limit: limit, Reason: "rollup: " + reason, Decisions: 1,
		}
	}
	taken := at(-2, 0, 0, 0, 0, scaler.LimitControl, "launching none: whether people want the pool to run is not known")
	taken.Figures = scaler.Figures{}
	return []scaler.Decided{
		taken,
		at(0, 60000, 3000, 0, 100, scaler.LimitPacing, "3,000 workers wanted for 60,000 jobs; none there; launching 100 on FARGATE; 2,900 more wait for the launch rate; 3,000 in about 2m25s"),
		at(1, 60000, 3000, 100, 20, scaler.LimitPacing, "3,000 workers wanted for 60,000 jobs; 100 starting; launching 20 on FARGATE; 2,880 more wait for the launch rate; 3,000 in about 2m24s"),
		at(145, 59100, 3000, 2980, 20, scaler.LimitMax, "3,000 workers wanted for 59,100 jobs (max 3,000); 1,800 running, 1,180 starting; launching 20 on FARGATE"),
		at(205, 52000, 3000, 3000, 0, scaler.LimitMax, "3,000 workers wanted for 52,000 jobs (max 3,000); 3,000 running; enough"),
		at(39570, 10, 10, 0, 10, scaler.LimitNone, "10 workers wanted for 10 jobs; none there; launching 10 on FARGATE"),
	}
}
