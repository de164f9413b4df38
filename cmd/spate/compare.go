package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

type compareCommand struct {
	configFlag
	outputFlag
	Before  string   `arg:"" complete:"run" help:"Earlier run, by its id, the beginning of it, or its name, which is the newest run of that name."`
	After   string   `arg:"" complete:"run" help:"Later run."`
	Job     []string `help:"Compare these jobs only, and show every difference." placeholder:"ID"`
	Outputs bool     `help:"Compare the outputs of changed jobs, too." default:"true" negatable:""`
}

// Help tells more.
func (c *compareCommand) Help() string {
	return "A job is found again in the other run by its id, and has changed when its key is another. What was changed in jobs themselves " +
		"stands first: it is the cause of the rest, which changed only because what they need did.\n\n" +
		"Outputs of changed jobs are compared file by file, by SHA-256; that reads two manifests for each. Jobs of equal key share one " +
		"output."
}

// Run compares two runs.
func (c *compareCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	before, err := reader.FindRun(ctx, c.Before)
	if err != nil {
		return err
	}
	after, err := reader.FindRun(ctx, c.After)
	if err != nil {
		return err
	}
	for _, run := range []*planner.Run{before, after} {
		if run.Planned.IsZero() {
			return notPlanned(run)
		}
	}
	line := progressOn(p.stderr)
	comparison, err := reader.Compare(ctx, before, after, report.CompareOptions{Jobs: c.Job, Outputs: c.Outputs, Progress: line.show})
	line.clear()
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, comparison)
	}
	printComparison(pageOn(p.stdout), time.Now(), comparison)
	if len(c.Job) > 0 {
		printChanges(pageOn(p.stdout), comparison.Changes)
	}
	return nil
}

// Most of these is shown; JSON has all.
const (
	shownCauses = 8
	shownNames  = 5
)

func printComparison(w page, now time.Time, c *report.Comparison) {
	w.paragraph("", fmt.Sprintf("%s (%s, %s) → %s (%s, %s)",
		c.Before.ID, c.Before.State, ago(now, c.Before.Received), c.After.ID, c.After.State, ago(now, c.After.Received)))
	w.paragraph("  ", fmt.Sprintf("%s then, %d now: %d the same, %d changed, %d new, %d gone",
		countOf(c.Jobs.Before, "job"), c.Jobs.After, c.Jobs.Same, c.Jobs.Changed(), c.Jobs.New, c.Jobs.Gone))
	for _, run := range []report.RunRef{c.Before, c.After} {
		printRemarks(w, run.ID+" is ", run.Remarks)
	}
	if c.Jobs.Own > 0 {
		fmt.Fprintln(w)
		w.paragraph("", either(c.Jobs.Own, "1 job was changed itself:", "%d jobs were changed themselves:"))
		for _, cause := range c.Causes[:min(len(c.Causes), shownCauses)] {
			printCause(w, cause)
		}
		if n := len(c.Causes) - shownCauses; n > 0 {
			w.paragraph("  ", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "kind of change")))
		}
	}
	if c.Jobs.ByParents > 0 {
		fmt.Fprintln(w)
		w.paragraph("", either(c.Jobs.ByParents, "1 job changed only because what it needs did:", "%d jobs changed only because what they need did:"))
		w.paragraph("  ", byTask(c.ByTask))
	}
	for _, list := range []struct {
		what string
		jobs []report.JobRef
	}{{"new", c.New}, {"gone", c.Gone}} {
		if len(list.jobs) == 0 {
			continue
		}
		names := make([]string, len(list.jobs))
		for i, j := range list.jobs {
			names[i] = j.ID
		}
		fmt.Fprintln(w)
		w.paragraph("", fmt.Sprintf("%s: %s", countOf(len(names), list.what+" job"), someOf(names, shownNames)))
	}
	if c.Outputs != nil && len(c.Changes) > 0 {
		fmt.Fprintln(w)
		printOutputs(w, c)
	}
}

func printCause(w page, cause report.Cause) {
	w.paragraph("  ", byTask(cause.Tasks)+": "+strings.Join(cause.Fields, ", "))
	example := cause.Example.ID + ": "
	switch {
	case cause.Jobs == 1:
	case cause.Uniform:
		example = "all of them: "
	default:
		example = "such as " + example
	}
	w.paragraph("    ", example+sentences(cause.Example.Differences, shownNames))
}

// either is text about one thing, or about n of them.
func either(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}

// sentences are differences in one line.
func sentences(differences []report.Difference, most int) string {
	texts := make([]string, len(differences))
	for i, d := range differences {
		texts[i] = d.String()
	}
	if len(texts) > most {
		texts = append(texts[:most], fmt.Sprintf("… and %d more", len(texts)-most))
	}
	return strings.Join(texts, "; ")
}

// byTask counts jobs by task type, the most frequent first.
func byTask(counts map[string]int) string {
	tasks := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, task := range tasks {
		tasks[i] = fmt.Sprintf("%d %s", counts[task], task)
	}
	return someOf(tasks, shownNames)
}

func printOutputs(w page, c *report.Comparison) {
	out := c.Outputs
	text := fmt.Sprintf("Outputs of %s: %s, %s the same bytes as before", countOf(c.Jobs.Changed(), "changed job"),
		either(out.Differ, "1 differs", "%d differ"), either(out.Same, "1 has", "%d have"))
	if out.Missing > 0 {
		text += fmt.Sprintf("; %d cannot be compared, as there is no output", out.Missing)
	}
	w.paragraph("", text)
	var same []string
	for _, change := range c.Changes {
		if change.Output.Same {
			same = append(same, change.ID)
		}
	}
	if len(same) > 0 {
		w.paragraph("  ", "the same: "+someOf(same, shownNames))
	}
	if out.Savable > 0 {
		w.paragraph("  ", fmt.Sprintf("%s ran only because of parents whose bytes are the same: stopping there would have saved %s of computing",
			either(out.Savable, "1 job", "%d jobs"), took(time.Duration(out.SavableSeconds*float64(time.Second)))))
	}
}

// printChanges shows all that is known of some changes.
func printChanges(w page, changes []report.Change) {
	for _, change := range changes {
		fmt.Fprintln(w)
		w.paragraph("", fmt.Sprintf("%s (%s)  key %s → %s", change.ID, change.Task, change.Before.Short(), change.After.Short()))
		if change.Substituted {
			w.paragraph("  ", "substituted: in one of the runs another output stands in for its own, or for that of a job that it depends on")
		}
		for _, d := range change.Differences {
			w.paragraph("  ", d.String())
		}
		if len(change.Parents) > 0 {
			w.paragraph("  ", "changed parents: "+someOf(change.Parents, shownJobs))
		}
		if change.Output == nil {
			continue
		}
		switch out := change.Output; {
		case out.Missing != "":
			w.paragraph("  ", "output: "+out.Missing)
		case out.Same:
			w.paragraph("  ", "output: the same bytes")
		default:
			for _, f := range out.Files {
				w.paragraph("  ", "output: "+fileDifference(f))
			}
		}
	}
}

// fileDifference says how a file differs.
func fileDifference(f job.FileDifference) string {
	switch {
	case f.Before == nil:
		return fmt.Sprintf("%s is new, %d B", f.Path, f.After.Size)
	case f.After == nil:
		return f.Path + " is gone"
	case f.Before.Size == f.After.Size:
		return fmt.Sprintf("%s differs, %d B as before", f.Path, f.After.Size)
	}
	return fmt.Sprintf("%s differs, %d B → %d B", f.Path, f.Before.Size, f.After.Size)
}
