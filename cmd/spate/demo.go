package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"spate/internal/demo"
)

type demoCommand struct {
	outputFlag
	Jobs    int    `help:"How many jobs a run has, at least." default:"400"`
	Workers int    `help:"How many workers there are, at most." default:"8"`
	Seed    uint64 `help:"Another seed, another portfolio." default:"1"`
	Results string `help:"Directory for the portfolio's figures (default ${default})." type:"path" default:"spate-demo" placeholder:"DIR"`
	Keep    bool   `help:"Keep everything running afterwards, until Ctrl-C, for runs of your own."`
}

// Help tells more.
func (c *demoCommand) Help() string {
	return "A portfolio of reinsurance deals is rolled up four times: when nothing is known, unchanged, with labels changed only, " +
		"and with 3 % of the deals changed. Sandbox, controller and workers run on this machine; nothing is left of them but the figures."
}

// What one machine can be asked for.
const (
	maxDemoJobs    = 1_000_000
	maxDemoWorkers = 1000
)

// Validate checks the flags.
func (c *demoCommand) Validate() error {
	if c.Jobs < 1 || c.Jobs > maxDemoJobs {
		return fmt.Errorf("--jobs must be 1 to %d, not %d", maxDemoJobs, c.Jobs)
	}
	if c.Workers < 1 || c.Workers > maxDemoWorkers {
		return fmt.Errorf("--workers must be 1 to %d, not %d", maxDemoWorkers, c.Workers)
	}
	return nil
}

// Run shows the main job.
func (c *demoCommand) Run(ctx context.Context, p *program) error {
	o := demo.Options{Jobs: c.Jobs, Workers: c.Workers, Seed: c.Seed, Results: c.Results, Err: pageOn(p.stderr).Writer}
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
			explainKept(pageOn(p.stderr), k)
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
	if wd, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(wd, s.Results); err == nil && filepath.IsLocal(short) {
			s.Results = short
		}
	}
	if err := printDemo(pageOn(w), s); err != nil || c.Keep {
		return err
	}
	_, err := fmt.Fprintf(w, "\nTo submit runs of your own: %s demo --keep\n", pageOn(w).name())
	return err
}

func explainKept(w page, k demo.Kept) {
	fmt.Fprintf(w, "\nEverything is still running, until Ctrl-C. In another terminal:\n\n")
	for _, e := range k.Env {
		fmt.Fprintf(w, "export %s\n", e)
	}
	fmt.Fprintf(w, "export SPATE_CONFIG=%s\n", shellWord(k.Config))
	fmt.Fprintf(w, "%[1]s status\n%[1]s runs\n%[1]s submit --watch %[2]s\n", w.name(), shellWord(k.Dir+"/runs/changed/run.yaml"))
	fmt.Fprintf(w, "\nThe last is a run file to begin one of your own with.\nWorkers' logs: %s/workers\n", k.Dir)
}

// explanations tell what each run of the demo shows.
var explanations = map[string]string{ //nolint:gochecknoglobals // a constant table
	"first":     "nothing was known",
	"unchanged": "every output exists",
	"next-day":  "only labels changed",
	"changed":   "%d deals changed: %d expected",
}

func printDemo(w page, s *demo.Summary) error {
	body := make([][]string, 0, len(s.Runs))
	for _, r := range s.Runs {
		why := explanations[r.Name]
		if strings.Contains(why, "%d") {
			why = fmt.Sprintf(why, r.ChangedDeals, r.ExpectedExecuted)
		}
		body = append(body, []string{
			r.Name, strconv.Itoa(r.Jobs), strconv.Itoa(r.Executed), strconv.Itoa(r.Cached), strconv.Itoa(r.Failed), took(time.Duration(r.Seconds * float64(time.Second))), why,
		})
	}
	if err := w.rows([]string{"RUN", "JOBS", "EXECUTED", "CACHED", "FAILED", "TOOK", ""}, body); err != nil {
		return err
	}
	f := s.Portfolio
	fmt.Fprintf(w, "\nPortfolio, %s, %s simulated years, %s millions\n", f.Perspective, thousands(f.Periods), f.Currency)
	fmt.Fprintf(w, "  average annual loss        %10.1f  ± %.1f\n", f.AAL/1e6, f.AALSE/1e6)
	fmt.Fprintf(w, "  largest loss, 1 in 250 y   %10.1f\n", f.OEP250/1e6)
	fmt.Fprintf(w, "  annual loss, 1 in 250 y    %10.1f\n", f.AEP250/1e6)
	fmt.Fprintf(w, "  mean of the worst 1 %%      %10.1f\n", f.AEPTVaR99/1e6)
	fmt.Fprintln(w)
	w.paragraph("", "The cache saved "+demoSavings(s)+".")
	w.paragraph("", fmt.Sprintf("Workers: %d launched by RunTask, at most %d at once; %d left when idle, %d failed.",
		s.Workers.Launched, s.Workers.Peak, s.Workers.ExitedIdle, s.Workers.Failed))
	w.paragraph("", fmt.Sprintf("Figures and exceedance curve: %s/portfolio.{json,csv,svg}", s.Results))
	return nil
}

// demoSavings says what the cache saved, and what that is made of.
func demoSavings(s *demo.Summary) string {
	text := fmt.Sprintf("%s: %s of computing, %s on %s at %s a worker's hour (%s)", countOf(s.Saved.Jobs, "job"),
		took(toDuration(s.Saved.JobSeconds)), about(s.Saved.USD), s.Saved.Provider, s.Saved.WorkerUSDPerHour, s.Saved.Prices)
	if s.Saved.Estimated > 0 {
		text += fmt.Sprintf("; estimated for %s from others like them", countOf(s.Saved.Estimated, "job"))
	}
	return text
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
