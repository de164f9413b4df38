package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/job"
	"spate/planner/report"
)

type graphCommand struct {
	configFlag
	outputFlag
	RunID string `arg:"" name:"run" help:"Run, by its id, the beginning of it, or its name, which is the newest run of that name."`
	Job   string `help:"Only this job, what it depends on and what depends on it." placeholder:"ID"`
	Dot   bool   `help:"Write the graph for Graphviz: pipe it to 'dot -Tsvg'."`
}

// Help tells more.
func (c *graphCommand) Help() string {
	return "Shows a run level by level (jobs of one level need none of one another), the chain of jobs that takes longest, and what the end " +
		"results wait for. What this run computed counts as measured, once it has ended; jobs without output, marked ~, as such jobs took in " +
		"the newest runs; others not at all. So of a run under way it is the chain that is left.\n\n" +
		"--dot draws up to " + strconv.Itoa(report.DotMost) + " jobs one by one, and the task types of more."
}

// Validate checks the flags.
func (c *graphCommand) Validate() error {
	if c.Dot && c.json() {
		return errors.New("--dot and --output json exclude each other")
	}
	return nil
}

// Run shows a run's graph.
func (c *graphCommand) Run(ctx context.Context, p *program) error {
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
	graph, err := reader.Graph(ctx, time.Now(), run, c.Job)
	switch {
	case err != nil:
		return err
	case c.json():
		return printJSON(p.stdout, graph)
	case c.Dot:
		return graph.Dot(p.stdout)
	}
	return printGraph(pageOn(p.stdout), graph)
}

// Most of these is shown; JSON has all.
const (
	shownLevels = 16
	shownSteps  = 8
	shownEnds   = 5
	// shownAwaited is of the jobs of one state that an end waits for.
	shownAwaited = 3
	barWidth     = 10
)

func printGraph(w page, g *report.Graph) error {
	what := "Run " + g.Run.ID
	if g.Job != "" {
		what = "Job " + g.Job + " and its relatives of run " + g.Run.ID
	}
	w.paragraph("", fmt.Sprintf("%s (%s): %s on %s; the widest is level %d", what, g.Run.State, countOf(g.Jobs, "job"), countOf(len(g.Levels), "level"), g.Widest))
	printRemarks(w, "", g.Run.Remarks)
	fmt.Fprintln(w)
	if err := printLevels(w, g); err != nil {
		return err
	}
	fmt.Fprintln(w)
	printPath(w, g)
	fmt.Fprintln(w)
	printEnds(w, g)
	printSubstituted(w, g.Run.Substituted)
	return nil
}

func printLevels(w page, g *report.Graph) error {
	header := []string{"LEVEL", "JOBS", "DONE", "FAILED", "BLOCKED", "CANCELLED", "", "TASKS"}
	widest := g.Levels[g.Widest-1].Jobs
	var rows [][]string
	cancelled := 0
	for i, level := range g.Levels {
		cancelled += level.Count(job.Cancelled)
		if i >= shownLevels {
			continue
		}
		done := level.Count(job.Cached, job.Done)
		rows = append(rows, []string{
			strconv.Itoa(i + 1), strconv.Itoa(level.Jobs), strconv.Itoa(done), strconv.Itoa(level.Count(job.Failed)),
			strconv.Itoa(level.Count(job.Blocked)), strconv.Itoa(level.Count(job.Cancelled)), bar(done, level.Jobs, widest), mostOf(level.Tasks),
		})
	}
	if cancelled == 0 {
		at := slices.Index(header, "CANCELLED")
		header = slices.Delete(header, at, at+1)
		for i := range rows {
			rows[i] = slices.Delete(rows[i], at, at+1)
		}
	}
	if err := w.rows(header, rows); err != nil {
		return err
	}
	if n := len(g.Levels) - shownLevels; n > 0 {
		w.paragraph("", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "level")))
	}
	return nil
}

// mostOf names the task types of a level of which there are most.
func mostOf(tasks map[string]int) string {
	names := slices.SortedFunc(maps.Keys(tasks), func(a, b string) int { return cmp.Or(cmp.Compare(tasks[b], tasks[a]), cmp.Compare(a, b)) })
	if len(names) > 2 {
		names = append(names[:2], "…")
	}
	return strings.Join(names, ", ")
}

// bar is as long as its share of the widest, and filled as far as jobs are done.
func bar(done, jobs, widest int) string {
	length := max(1, jobs*barWidth/widest)
	filled := done * length / jobs
	return strings.Repeat("█", filled) + strings.Repeat("░", length-filled)
}

func printPath(w page, g *report.Graph) {
	path := g.Path
	jobs := countOf(len(path.Jobs), "job")
	text := "Critical path: "
	switch measured, expected := seconds(path.Measured), seconds(path.Expected); {
	case path.Seconds() == 0:
		text = fmt.Sprintf("Longest chain: %s; how long they take is not known", jobs)
	case path.Expected == 0:
		text += fmt.Sprintf("%s measured, of %s; no number of workers makes the run faster", measured, jobs)
	case path.Measured == 0 && g.Run.State.Ended():
		text += fmt.Sprintf("about %s, as such jobs took lately, of %s", expected, jobs)
	case path.Measured == 0:
		text += fmt.Sprintf("about %s to go, as such jobs took lately, of %s; no number of workers makes the run faster", expected, jobs)
	default:
		text += fmt.Sprintf("about %s of %s: %s measured, and %s as such jobs took lately", seconds(path.Seconds()), jobs, measured, expected)
	}
	if len(path.Unknown) > 0 {
		text += "; without " + someOf(path.Unknown, shownNames) + ", of which nobody knows how long they take"
	}
	w.paragraph("", text)
	steps := make([]string, len(path.Jobs))
	for i, s := range path.Jobs {
		switch {
		case s.Expected:
			steps[i] = fmt.Sprintf("%s (%s, ~%s)", s.ID, s.State, seconds(s.Seconds))
		case s.Seconds > 0:
			steps[i] = s.ID + " " + seconds(s.Seconds)
		default:
			steps[i] = fmt.Sprintf("%s (%s)", s.ID, s.State)
		}
	}
	if n := len(steps) - shownSteps; n > 1 {
		steps = slices.Concat(steps[:shownSteps/2], []string{fmt.Sprintf("… %d more …", n)}, steps[len(steps)-shownSteps/2:])
	}
	w.paragraph("  ", strings.Join(steps, " → "))
}

func printEnds(w page, g *report.Graph) {
	w.paragraph("", fmt.Sprintf("End results, which no job needs: %d, of which %s", g.Ends, either(g.Done, "1 exists", "%d exist")))
	failed := false
	for i, end := range g.Waiting {
		if i == shownEnds {
			w.paragraph("  ", fmt.Sprintf("… and %d more", g.Ends-g.Done-shownEnds))
			break
		}
		var waits []string
		for _, a := range end.WaitsFor {
			failed = failed || a.State == job.Failed.String()
			names := strings.Join(a.First[:min(len(a.First), shownAwaited)], ", ")
			if a.Jobs > shownAwaited {
				names += ", …"
			}
			waits = append(waits, fmt.Sprintf("%d %s (%s)", a.Jobs, a.State, names))
		}
		text := fmt.Sprintf("%s is %s", end.ID, end.State)
		if len(waits) > 0 {
			text += ": it waits for " + strings.Join(waits, ", ")
		}
		w.paragraph("  ", text)
	}
	if failed {
		w.paragraph("", fmt.Sprintf("Why jobs failed: `spate failed %s`", g.Run.ID))
	}
}
