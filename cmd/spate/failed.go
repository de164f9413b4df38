package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

type failedCommand struct {
	configFlag
	outputFlag
	RunID string `arg:"" name:"run" help:"Run, by its id, the beginning of it, or its name, which is the newest run of that name."`
	Limit int    `help:"How many groups to show, at most; 0 shows all. JSON always has all." default:"10"`
}

// Help tells more.
func (c *failedCommand) Help() string {
	return "Jobs that failed of the same are shown together, those of most jobs first: same task type and exit code, and a cause and last line " +
		"that differ in numbers and paths at most. Texts are of the group's first job. It works for runs under way, too."
}

// Validate checks the flags.
func (c *failedCommand) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit must be 0 or more, not %d", c.Limit)
	}
	return nil
}

// Run shows what failed in a run.
func (c *failedCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	run, err := reader.FindRun(ctx, c.RunID)
	if err != nil {
		return err
	}
	if run.Planned.IsZero() {
		return notPlanned(run)
	}
	failed, err := reader.Failed(ctx, time.Now(), run)
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, struct {
			Run   string `json:"run"`
			State string `json:"state"`
			*report.Failed
		}{run.ID, string(run.State), failed})
	}
	printFailed(pageOn(p.stdout), run, failed, c.Limit)
	return nil
}

// notPlanned is the error about a run whose jobs nobody knows.
func notPlanned(run *planner.Run) *problem {
	return &problem{
		what: (&report.NotPlannedError{Run: run}).Error(),
		todo: fmt.Sprintf("`spate status %s` says why.", run.ID),
	}
}

// shownJobs is how many jobs of a group are named.
const shownJobs = 8

func printFailed(w page, run *planner.Run, failed *report.Failed, limit int) {
	if failed.Failed == 0 && len(failed.Substituted) > 0 {
		w.paragraph("", fmt.Sprintf("What failed in run %s is substituted: %s", run.ID, someOf(failed.Substituted, shownJobs)))
		return
	}
	if failed.Failed == 0 {
		text := fmt.Sprintf("No job of run %s has failed", run.ID)
		if run.Progress.Retried > 0 {
			text += fmt.Sprintf("; %s repeated", countOf(run.Progress.Retried, "attempt"))
		}
		w.paragraph("", text+".")
		return
	}
	text := fmt.Sprintf("%s of run %s failed, of %s", countOf(failed.Failed, "job"), run.ID, countOf(len(failed.Groups), "cause"))
	if failed.Blocked > 0 {
		text += fmt.Sprintf("; %s cannot run because of that", countOf(failed.Blocked, "job"))
	}
	w.paragraph("", text+".")
	shown := failed.Groups
	if limit > 0 {
		shown = shown[:min(limit, len(shown))]
	}
	for _, g := range shown {
		fmt.Fprintln(w)
		text := fmt.Sprintf("%s of task %s: %s", countOf(len(g.Jobs), "job"), g.Task, g.Cause)
		if g.Blocks > 0 {
			text += fmt.Sprintf("; blocks %d", g.Blocks)
		}
		w.paragraph("", text)
		w.paragraph("  ", someOf(g.Jobs, shownJobs))
		if g.Verdict != "" {
			w.paragraph("  ", fmt.Sprintf("%s, and no further one: %s", countOf(max(1, g.Attempts), "attempt"), g.Verdict))
		}
		w.quote(g.LastLines)
	}
	fmt.Fprintln(w)
	if n := len(failed.Groups) - len(shown); n > 0 {
		w.paragraph("", fmt.Sprintf("%s more: --limit 0 shows all.", countOf(n, "cause")))
	}
	printSubstituted(w, failed.Substituted)
	first := failed.Groups[0].Jobs[0]
	w.paragraph("", fmt.Sprintf("All that a job printed: `spate logs %s --run %s`", first, run.ID))
	if run.State == job.RunActive || run.State == job.RunFailed {
		w.paragraph("", fmt.Sprintf("When its cause is mended: `spate retry %s`", run.ID))
		w.paragraph("", fmt.Sprintf("To go on without: `spate substitute %s %s --from last-good --reason TEXT`", run.ID, first))
	}
}

// printSubstituted names jobs for which other outputs stand in.
func printSubstituted(w page, ids []string) {
	if len(ids) > 0 {
		w.paragraph("", fmt.Sprintf("%s substituted: %s", either(len(ids), "1 job is", "%d jobs are"), someOf(ids, shownJobs)))
	}
}

// someOf names the first of many.
func someOf(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(slices.Concat(names[:most], []string{fmt.Sprintf("… and %d more", len(names)-most)}), ", ")
}
