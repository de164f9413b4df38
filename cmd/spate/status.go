package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"spate/internal/config"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

type statusCommand struct {
	configFlag
	outputFlag
	RunID string `arg:"" optional:"" name:"run" help:"Run to show; left out: all pools and the runs that are under way."`
}

// Run shows how things stand.
func (c *statusCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	if c.RunID != "" {
		run, err := planner.ReadRun(ctx, in.runs, c.RunID)
		if err != nil {
			return err
		}
		if run == nil {
			return fmt.Errorf("there is no run %s; `spate runs` lists them (a submission takes a moment to become one)", c.RunID)
		}
		return printRun(ctx, p.stdout, in, run, c.json())
	}
	pools, err := scaler.ReadStatus(ctx, in.runs)
	if err != nil {
		return err
	}
	all, err := planner.ReadRuns(ctx, in.runs)
	if err != nil {
		return err
	}
	var active []*planner.Run
	for _, r := range all {
		if !r.State.Ended() {
			active = append(active, r)
		}
	}
	if c.json() {
		return printJSON(p.stdout, map[string]any{"pools": poolsJSON(pools), "runs": runsJSON(active)})
	}
	return printStatus(p.stdout, time.Now(), pools, active)
}

func printStatus(w io.Writer, now time.Time, pools []scaler.Status, active []*planner.Run) error {
	if len(pools) == 0 {
		fmt.Fprintln(w, "No controller has worked on any pool yet: start one with `spate serve`.")
	}
	body := make([][]string, 0, len(pools))
	for _, s := range pools {
		body = append(body, []string{
			s.Pool, strconv.Itoa(s.Outstanding), strconv.Itoa(s.Wanted), strconv.Itoa(s.Running), strconv.Itoa(s.Pending), ago(now, s.At), s.Reason,
		})
	}
	if len(body) > 0 {
		if err := rows(w, []string{"POOL", "JOBS", "WANTED", "RUNNING", "PENDING", "CHANGED", "WHY"}, body); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	if len(active) == 0 {
		fmt.Fprintln(w, "No run is under way.")
		return nil
	}
	return printRuns(w, now, active)
}

// printRun shows one run, with what failed.
func printRun(ctx context.Context, w io.Writer, in *installation, r *planner.Run, asJSON bool) error {
	failures, err := planner.ReadFailures(ctx, in.runs, r.ID)
	if err != nil {
		return err
	}
	if asJSON {
		v := runJSON(r)
		v.Failures = failuresJSON(failures)
		return printJSON(w, v)
	}
	fmt.Fprintf(w, "%s  %s", r.ID, r.State)
	if !r.Ended.IsZero() {
		fmt.Fprintf(w, " in %s", took(r.Ended.Sub(r.Received)))
	}
	fmt.Fprintln(w)
	if r.Reason != "" {
		fmt.Fprintf(w, "  %s\n", r.Reason)
	}
	for _, e := range r.Errors {
		fmt.Fprintf(w, "  %s\n", e)
	}
	if p := r.Progress; p.Jobs > 0 {
		fmt.Fprintf(w, "  %s: %d executed, %d cached, %d failed, %d blocked", countOf(p.Jobs, "job"), p.Executed, p.Cached+p.Reused, p.Failed, p.Blocked)
		if !r.State.Ended() {
			fmt.Fprintf(w, "; %s", watch.Line(r, 0, 0))
		}
		if p.Retried > 0 {
			fmt.Fprintf(w, "; %d attempts were repeated", p.Retried)
		}
		fmt.Fprintln(w)
	}
	printFailures(w, failures)
	if r.State == job.RunSucceeded || r.State == job.RunFailed {
		fmt.Fprintf(w, "  results: %s\n", job.ObjectURL(in.cfg.Bucket, job.ResultsIndexPath(r.ID)))
	}
	return nil
}

// printedFailures is how many failed jobs are shown with their last lines.
const printedFailures = 10

func printFailures(w io.Writer, failures []planner.Failure) {
	shown := 0
	for _, f := range failures {
		if f.Retried {
			continue
		}
		if shown++; shown > printedFailures {
			fmt.Fprintf(w, "  … and more; --output json has all\n")
			return
		}
		fmt.Fprintf(w, "  %s failed at attempt %d: %s (%s)\n", f.Job, f.Attempt, f.Cause, f.Verdict)
		for _, line := range f.LastLines {
			fmt.Fprintf(w, "    | %s\n", line)
		}
	}
}

func findPool(pools []config.Pool, name string) (config.Pool, bool) {
	for _, p := range pools {
		if p.Name == name {
			return p, true
		}
	}
	return config.Pool{}, false
}

func poolNames(pools []config.Pool) string {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}
