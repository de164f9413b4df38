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
		"results wait for. Times are those of jobs that this run computed, known when it has ended; without them the longest chain is shown.\n\n" +
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
	barWidth    = 10
)

func printGraph(w page, g *report.Graph) error {
	what := "Run " + g.Run.ID
	if g.Job != "" {
		what = "Job " + g.Job + " and its relatives of run " + g.Run.ID
	}
	w.paragraph("", fmt.Sprintf("%s (%s): %s on %s; the widest is level %d", what, g.Run.State, countOf(g.Jobs, "job"), countOf(len(g.Levels), "level"), g.Widest))
	fmt.Fprintln(w)
	if err := printLevels(w, g); err != nil {
		return err
	}
	fmt.Fprintln(w)
	printPath(w, g.Path)
	fmt.Fprintln(w)
	printEnds(w, g)
	return nil
}

func printLevels(w page, g *report.Graph) error {
	widest := g.Levels[g.Widest-1].Jobs
	var rows [][]string
	for i, level := range g.Levels[:min(len(g.Levels), shownLevels)] {
		done := level.Count(job.Cached, job.Done)
		tasks := slices.SortedFunc(maps.Keys(level.Tasks), func(a, b string) int {
			return cmp.Or(cmp.Compare(level.Tasks[b], level.Tasks[a]), cmp.Compare(a, b))
		})
		if len(tasks) > 2 {
			tasks = append(tasks[:2], "…")
		}
		rows = append(rows, []string{
			strconv.Itoa(i + 1), strconv.Itoa(level.Jobs), strconv.Itoa(done), strconv.Itoa(level.Count(job.Failed)),
			strconv.Itoa(level.Count(job.Blocked, job.Cancelled)), bar(done, level.Jobs, widest), strings.Join(tasks, ", "),
		})
	}
	if err := w.rows([]string{"LEVEL", "JOBS", "DONE", "FAILED", "BLOCKED", "", "TASKS"}, rows); err != nil {
		return err
	}
	if n := len(g.Levels) - shownLevels; n > 0 {
		w.paragraph("", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "level")))
	}
	return nil
}

// bar is as long as its share of the widest, and filled as far as jobs are done.
func bar(done, jobs, widest int) string {
	length := max(1, jobs*barWidth/widest)
	filled := done * length / jobs
	return strings.Repeat("█", filled) + strings.Repeat("░", length-filled)
}

func printPath(w page, path report.Path) {
	text := fmt.Sprintf("Longest chain: %s", countOf(len(path.Jobs), "job"))
	if path.Seconds > 0 {
		text = fmt.Sprintf("Critical path: %s of %s; however many workers there are, the run takes that long", seconds(path.Seconds), countOf(len(path.Jobs), "job"))
	}
	w.paragraph("", text)
	steps := make([]string, len(path.Jobs))
	for i, s := range path.Jobs {
		steps[i] = s.ID
		switch {
		case s.Seconds > 0:
			steps[i] += " " + seconds(s.Seconds)
		case path.Seconds > 0:
			steps[i] += " (" + s.State + ")"
		}
	}
	if n := len(steps) - shownSteps; n > 0 {
		steps = slices.Concat(steps[:shownSteps/2], []string{fmt.Sprintf("… %d more …", n)}, steps[len(steps)-shownSteps/2:])
	}
	w.paragraph("  ", strings.Join(steps, " → "))
}

func printEnds(w page, g *report.Graph) {
	w.paragraph("", fmt.Sprintf("End results, which no job needs: %d, of which %s", g.Ends, either(g.Done, "1 exists", "%d exist")))
	for i, end := range g.Waiting {
		if i == shownEnds {
			w.paragraph("  ", fmt.Sprintf("… and %d more", g.Ends-g.Done-shownEnds))
			return
		}
		var counts []string
		total := 0
		for _, state := range slices.Sorted(maps.Keys(end.WaitsFor)) {
			counts = append(counts, fmt.Sprintf("%d %s", end.WaitsFor[state], state))
			total += end.WaitsFor[state]
		}
		text := fmt.Sprintf("%s is %s", end.ID, end.State)
		if total != 1 || len(end.Jobs) == 0 || end.Jobs[0] != end.ID { // it waits for others
			named := end.Jobs[:min(len(end.Jobs), shownNames)]
			text += fmt.Sprintf(", for %s: %s", strings.Join(counts, ", "), strings.Join(named, ", "))
			if total > len(named) {
				text += fmt.Sprintf(", … and %d more", total-len(named))
			}
		}
		w.paragraph("  ", text)
	}
}
