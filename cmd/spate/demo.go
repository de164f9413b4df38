package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"spate/internal/demo"
)

type demoCommand struct {
	outputFlag
	Jobs    int    `help:"At least so many jobs." default:"400"`
	Workers int    `help:"At most so many workers." default:"8"`
	Seed    uint64 `help:"Of the portfolio." default:"1"`
	Results string `help:"Directory for the portfolio's figures." type:"path" default:"spate-demo" placeholder:"DIR"`
	Keep    bool   `help:"Keep everything running afterwards, until Ctrl-C, for runs of one's own."`
}

// Run shows the main job.
func (c *demoCommand) Run(ctx context.Context, p *program) error {
	o := demo.Options{Jobs: c.Jobs, Workers: c.Workers, Seed: c.Seed, Results: c.Results, Err: p.stderr}
	if !c.json() {
		fmt.Fprintf(p.stderr, "A reinsurer's nightly rollup: sandbox, controller, %s on this machine.\n\n", countOf(c.Workers, "worker"))
	}
	printed := false
	if c.Keep {
		o.Keep = func(ctx context.Context, k demo.Kept) error {
			if k.Summary != nil {
				printed = true
				if err := c.print(p.stdout, k.Summary); err != nil {
					return err
				}
			}
			explainKept(p.stderr, k)
			<-ctx.Done()
			return nil
		}
	}
	summary, err := demo.Run(ctx, o)
	if err != nil || printed {
		return err
	}
	return c.print(p.stdout, summary)
}

func (c *demoCommand) print(w io.Writer, s *demo.Summary) error {
	if c.json() {
		return printJSON(w, s)
	}
	return printDemo(w, s)
}

func explainKept(w io.Writer, k demo.Kept) {
	fmt.Fprintf(w, "\nEverything is still running, until Ctrl-C. In another terminal:\n")
	for _, e := range k.Env {
		fmt.Fprintf(w, "  export %s\n", e)
	}
	fmt.Fprintf(w, "  export SPATE_CONFIG=%s\n", k.Config)
	fmt.Fprintf(w, "  spate status\n  spate runs\n  spate submit %s/runs/changed/run.yaml --watch    # or a run file of your own\n", k.Dir)
	fmt.Fprintf(w, "Workers' logs are in %s/workers.\n", k.Dir)
}

// explanations tell what each run of the demo shows.
var explanations = map[string]string{ //nolint:gochecknoglobals // a constant table
	"first":     "nothing was known",
	"unchanged": "every output exists",
	"next-day":  "only labels changed",
	"changed":   "%d deals changed: %d expected",
}

func printDemo(w io.Writer, s *demo.Summary) error {
	body := make([][]string, 0, len(s.Runs))
	for _, r := range s.Runs {
		why := explanations[r.Name]
		if strings.Contains(why, "%d") {
			why = fmt.Sprintf(why, r.ChangedDeals, r.ExpectedExecuted)
		}
		body = append(body, []string{
			r.Name, strconv.Itoa(r.Jobs), strconv.Itoa(r.Executed), strconv.Itoa(r.Cached), strconv.Itoa(r.Failed), fmt.Sprintf("%.1f s", r.Seconds), why,
		})
	}
	if err := rows(w, []string{"RUN", "JOBS", "EXECUTED", "CACHED", "FAILED", "TOOK", ""}, body); err != nil {
		return err
	}
	f := s.Portfolio
	fmt.Fprintf(w, "\nPortfolio, %s, %s simulated years, %s millions\n", f.Perspective, thousands(f.Periods), f.Currency)
	fmt.Fprintf(w, "  average annual loss        %10.1f  ± %.1f\n", f.AAL/1e6, f.AALSE/1e6)
	fmt.Fprintf(w, "  largest loss, 1 in 250 y   %10.1f\n", f.OEP250/1e6)
	fmt.Fprintf(w, "  annual loss, 1 in 250 y    %10.1f\n", f.AEP250/1e6)
	fmt.Fprintf(w, "  mean of the worst 1 %%      %10.1f\n", f.AEPTVaR99/1e6)
	fmt.Fprintf(w, "\nWorkers: %d launched by RunTask, at most %d at once; %d left when idle, %d failed.\n",
		s.Workers.Launched, s.Workers.Peak, s.Workers.ExitedIdle, s.Workers.Failed)
	fmt.Fprintf(w, "Figures and the exceedance curve: %s/portfolio.{json,csv,svg}\n", s.Results)
	fmt.Fprintf(w, "Keep it running, for runs of your own: spate demo --keep\n")
	return nil
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
