package main

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"spate/internal/config"
	"spate/internal/demo"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

func someRuns() []*planner.Run {
	return []*planner.Run{
		{
			ID: "reinsurance-rollup-20261121-115948-5226c3", Name: "reinsurance-rollup", Pool: "rollup", Owner: "risk", State: job.RunActive,
			Received: noon.Add(-12 * time.Second), Planned: noon.Add(-11 * time.Second),
			Progress: planner.Progress{Jobs: 7152, Cached: 6210, Done: 120, Executed: 118, Reused: 2, Running: 8, Queued: 400, Waiting: 414},
		},
		{
			ID: "deals-7", Pool: "deals", Owner: "underwriting", State: job.RunFailed, Received: noon.Add(-3 * time.Hour), Ended: noon.Add(-3*time.Hour + 95*time.Second),
			Progress: planner.Progress{Jobs: 12, Done: 9, Executed: 9, Failed: 1, Blocked: 2, Retried: 2},
		},
		{
			ID: "nightly", Pool: "rollup", State: job.RunSucceeded, Received: noon.Add(-10 * 24 * time.Hour), Ended: noon.Add(-10*24*time.Hour + 90*time.Minute),
			Progress: planner.Progress{Jobs: 400, Cached: 371, Done: 29, Executed: 29},
		},
		{ID: "typo", Pool: "rollup", State: job.RunRejected, Received: noon.Add(-90 * time.Second), Ended: noon.Add(-89 * time.Second), Reason: "2 inputs are missing"},
	}
}

func someState() state {
	return state{
		at: noon,
		pools: []scaler.Status{
			{
				Pool: "deals", Outstanding: 0, Wanted: 20, Running: 20, At: noon.Add(-5 * time.Minute),
				Reason: "deals: 20 workers wanted for 0 jobs (min 20); 20 running; enough",
			}, {
				Pool: "rollup", Outstanding: 942, Wanted: 942, Running: 118, Pending: 82, At: noon.Add(-time.Second),
				Reason: "rollup: 942 workers wanted for 942 jobs; 118 running, 82 starting; launching 100 on FARGATE_SPOT",
			},
		},
		active: someRuns()[:1],
	}
}

// everything is what commands print, by the name of its golden file.
func everything() map[string]func(w page) error {
	exit := 65
	runs := someRuns()
	all := map[string]func(w page) error{
		"runs":       func(w page) error { return printRuns(w, noon, runs) },
		"runs-short": func(w page) error { return printRuns(w, noon, runs[1:]) },
		"status":     func(w page) error { return printStatus(w, someState()) },
		"status-silent": func(w page) error {
			s := someState()
			s.at = noon.Add(44 * time.Second)
			return printStatus(w, s)
		},
		"status-stopped": func(w page) error {
			s := someState()
			s.pools[1].Running, s.pools[1].Pending = 0, 0
			s.pools[1].Limit, s.pools[1].Reason = scaler.LimitCrashLoop, "rollup: 942 workers wanted for 942 jobs; none there; launching none; 942 more held: 34 workers of spate-rollup:7 have failed to start, or ended before they received anything, and none has worked since; the last: CannotPullContainerError: failed to resolve ref spate:7: not found; tried again in 3m10s"
			s.pools[1].Breakers = []scaler.Breaker{
				{
					Kind: scaler.LimitCrashLoop, State: scaler.BreakerOpen, Since: noon.Add(-9 * time.Minute), NextTry: noon.Add(190 * time.Second), Trials: 2,
					Reason: "34 workers of spate-rollup:7 have failed to start, or ended before they received anything, and none has worked since; the last: CannotPullContainerError: failed to resolve ref spate:7: not found.",
					Remedy: "check the image",
				},
				{
					Kind: scaler.LimitQuota, State: scaler.BreakerHalfOpen, Provider: "FARGATE", Since: noon.Add(-time.Minute), TriedAt: noon.Add(-time.Second),
					Reason: "You've reached the limit on the number of vCPUs you can run concurrently (quota L-3032A538, Fargate On-Demand vCPU resource count)",
					Remedy: "ask for more in the Service Quotas console",
				},
			}
			return printStatus(w, s)
		},
		"status-new":    func(w page) error { return printStatus(w, state{at: noon}) },
		"run-active":    func(w page) error { printRun(w, noon, runs[0], nil); return nil },
		"pools":         func(w page) error { return printPools(w, noon, somePools()) },
		"pool":          func(w page) error { printPool(w, noon, somePools()[0], someChanges()); return nil },
		"pool-breaker":  func(w page) error { printPool(w, noon, somePools()[1], nil); return nil },
		"pool-new":      func(w page) error { printPool(w, noon, somePools()[2], nil); return nil },
		"decisions":     func(w page) error { return printStretches(w, noon, scaler.Stretches(someDecisions())) },
		"decisions-all": func(w page) error { return printDecisions(w, noon, someDecisions()) },
		"run-stopped": func(w page) error { // by its pool
			r := *runs[0]
			r.Pool = "deals"
			printRun(w, noon, &r, nil)
			printRunsPool(w, noon, &r, somePools())
			return nil
		},
		"run-cancelling": func(w page) error {
			r := *runs[0]
			r.State, r.Reason, r.Progress.Cancelled, r.Progress.Waiting = job.RunCancelling, "cancelled by kim@desk: wrong terms", r.Progress.Waiting, 0
			printRun(w, noon, &r, nil)
			return nil
		},
		"run-failed": func(w page) error {
			printRun(w, noon, runs[1], []planner.Failure{
				{Job: "deal-00017", Attempt: 1, ExitCode: &exit, Cause: "exit code 1", Verdict: "tried again", Retried: true, LastLines: []string{"not shown"}},
				{
					Job: "deal-00017", Attempt: 2, ExitCode: &exit, Cause: "exit code 65", Verdict: "exit code 65 is permanent for task price-deal",
					LastLines: []string{"reading melt.csv", "line 12: a share must be between 0 and 1"},
				},
			})
			return nil
		},
		"run-many-failures": func(w page) error {
			var failures []planner.Failure
			for i := range printedFailures + 2 {
				failures = append(failures, planner.Failure{Job: fmt.Sprintf("deal-%05d", i), Attempt: 3, Cause: "exit code 9", Verdict: "attempt 3 was the last of 3"})
			}
			printRun(w, noon, runs[1], failures)
			return nil
		},
		"run-rejected": func(w page) error {
			r := *runs[3]
			r.Errors = []string{
				`s3://spate-data/submissions/typo/jobs-d64511afce7a3712.jsonl:1: job "count-lamb": there is no input s3://spate-data/texts/lamb.txt`,
				`s3://spate-data/submissions/typo/jobs-d64511afce7a3712.jsonl:2: job "count-star": there is no input s3://spate-data/texts/star.txt`,
			}
			printRun(w, noon, &r, nil)
			return nil
		},
		"run-unknown-task": func(w page) error {
			r := *runs[3]
			r.Reason, r.Errors = "the manifest is not valid", []string{`jobs.jsonl:3:18: unknown task "prise"; did you mean "price"?`}
			printRun(w, noon, &r, nil)
			return nil
		},
		"submit-existing": func(w page) error {
			for _, r := range runs {
				w.paragraph("", existing(noon, r))
			}
			return nil
		},
		"runs-json": func(w page) error { return printJSON(w, runsJSON(noon, "spate-data", runs)) },
		"demo": func(w page) error {
			return printDemo(w, &demo.Summary{
				Runs: []demo.RunSummary{
					{Name: "first", Jobs: 400, Executed: 400, Seconds: 14.04},
					{Name: "unchanged", Jobs: 400, Cached: 400, Seconds: 0.6},
					{Name: "next-day", Jobs: 400, Cached: 400, Seconds: 0.4},
					{Name: "changed", Jobs: 400, Executed: 29, Cached: 371, Seconds: 72, ChangedDeals: 12, ExpectedExecuted: 29},
				},
				Saved:     demo.SavedSummary{Jobs: 1171, Estimated: 12, JobSeconds: 183.2, USD: 0.0025, Provider: "FARGATE", WorkerUSDPerHour: 0.04937, Prices: "AWS Fargate pricing, Linux, us-east-1"},
				Workers:   demo.WorkerSummary{Launched: 8, Peak: 8, ExitedIdle: 8},
				Portfolio: demo.FiguresSummary{AAL: 1648.3e6, AALSE: 45e6, OEP250: 28137.7e6, AEP250: 30228.9e6, AEPTVaR99: 30000.1e6, Perspective: "net", Currency: "USD", Periods: 10000},
				Results:   "spate-demo/portfolio",
			})
		},
		"sandbox": func(w page) error {
			greeting{endpoint: "http://127.0.0.1:4566", redis: "redis://127.0.0.1:6380", seed: 42}.print(w)
			return nil
		},
		"sandbox-config": func(w page) error {
			greeting{
				endpoint: "http://127.0.0.1:4566", redis: "redis://127.0.0.1:6380", seed: 42, config: "/home/ada/spate.yaml", pools: []config.Pool{{Name: "rollup"}, {Name: "deals"}},
			}.print(w)
			return nil
		},
		"demo-kept": func(w page) error {
			explainKept(w, demo.Kept{
				Config: "/tmp/spate-demo-1/spate.yaml", Dir: "/tmp/spate-demo-1", Env: []string{"AWS_ENDPOINT_URL=http://127.0.0.1:39905", "AWS_REGION=us-east-1"},
			})
			return nil
		},
	}
	maps.Copy(all, cacheTexts())
	return all
}

func TestWhatIsPrintedForPeople(t *testing.T) {
	t.Parallel()
	for name, show := range everything() {
		for suffix, width := range map[string]int{"": 0, "-80": 80} {
			t.Run(name+suffix, func(t *testing.T) {
				var b bytes.Buffer
				if err := show(page{&b, width, ""}); err != nil {
					t.Fatal(err)
				}
				golden(t, name+suffix+".txt", b.String())
			})
		}
	}
}

func TestTextFitsIntoItsTerminal(t *testing.T) {
	t.Parallel()
	for name, show := range everything() {
		var b bytes.Buffer
		if err := show(page{&b, 80, ""}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			// A word, such as an address to copy, is never broken, nor is a command.
			words := wordsOf(strings.TrimSpace(line))
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && len(words) > 1 {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

func TestFoldKeepsEveryWordAndBreaksOnlyBetweenThem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one two three", 0, "one two three"},
		{"one two three", 13, "one two three"},
		{"one two three", 12, "one two\n  three"},
		{"one two three four", 9, "one two\n  three\n  four"},
		{"äöü äöü äöü", 7, "äöü äöü\n  äöü"},
		{"https://example.org/a-long-address x", 10, "https://example.org/a-long-address\n  x"},
	} {
		if got := fold(strings.Split(test.text, " "), test.width, "  "); got != test.want {
			t.Errorf("fold(%q, %d) = %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func TestTimesAsPeopleSayThem(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s ago", 0: "0s ago", 119 * time.Second: "119s ago", 2 * time.Minute: "2m ago", 3 * time.Hour: "3h ago", 49 * time.Hour: "2026-11-19",
	} {
		if got := ago(noon, noon.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := ago(noon, time.Time{}); got != "" {
		t.Errorf("no time: %q, want nothing", got)
	}
	for d, want := range map[time.Duration]string{
		0: "0.0s", 59940 * time.Millisecond: "59.9s", 59970 * time.Millisecond: "1m0s", 95 * time.Second: "1m35s", 90 * time.Minute: "1h30m", 49*time.Hour + 29*time.Second: "49h0m",
	} {
		if got := took(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
