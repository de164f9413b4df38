package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spate/internal/queue"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

type reproduceCommand struct {
	configFlag
	outputFlag
	RunID  string   `arg:"" name:"run" help:"Run whose jobs are computed again, by its id, the beginning of it, or its name, which is the newest run of that name."`
	Sample int      `help:"How many jobs, at least one of each task type; left out, 100, or all when there are no more." placeholder:"N"`
	Seed   int      `help:"Another number chooses other jobs." placeholder:"N" default:"0"`
	Jobs   []string `name:"job" help:"Compute these jobs again, and no sample." placeholder:"ID"`
	ID     string   `help:"What the reproduction is called, which is a run of its own; the same id again goes on with it." placeholder:"ID"`
}

// Help tells more.
func (c *reproduceCommand) Help() string {
	return "Computes jobs of a run again, with the image, task types, parameters and inputs that the run was planned with, on the outputs that " +
		"their parents had, and compares the new files with the old by SHA-256. Nothing of the run is changed, and nothing is taken from the " +
		"cache.\n\n" +
		"A task type that gives other bytes is remembered: later runs of it carry a warning. Usual causes are the time, random numbers " +
		"without a seed, the order in which threads finish or files are listed, and names of directories in the output.\n\n" +
		"Task types with deterministic: false are left out. Exit code 0: all files were identical."
}

// Validate checks the flags.
func (c *reproduceCommand) Validate() error {
	if c.RunID == "" { // which kong reports
		return nil
	}
	return job.Reproduction{Run: c.RunID, Jobs: c.Jobs, Sample: c.Sample, Seed: c.Seed}.Validate()
}

// Run computes jobs of a run again and compares.
func (c *reproduceCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	original, err := reader.FindRun(ctx, c.RunID)
	if err != nil {
		return err
	}
	if err := original.Reproducible(); err != nil {
		return err
	}
	name := "again-" + original.ID
	prepared, err := planner.PrepareReproduction(name[:min(len(name), job.MaxNameLength)], job.Reproduction{
		Run: original.ID, Jobs: c.Jobs, Sample: c.Sample, Seed: c.Seed,
	})
	if err != nil {
		return err
	}
	id, err := c.submit(ctx, p, in, prepared)
	if err != nil {
		return err
	}
	run, err := watch.Run(ctx, id, watch.Options{Table: in.runs, Out: pageOn(p.stderr).Writer, Label: "again", Serve: serving(p)})
	if err != nil {
		if ctx.Err() == nil {
			return err
		}
		return &problem{
			what: "stopped watching; the reproduction goes on",
			todo: fmt.Sprintf("`spate reproduce %s --id %s`, with the same flags, goes on with it.", original.ID, id),
		}
	}
	if run.Reproduction == nil || run.State == job.RunRejected {
		return &problem{what: run.Reason}
	}
	return c.print(ctx, p, reader, run)
}

// submit submits the reproduction and returns its id.
func (c *reproduceCommand) submit(ctx context.Context, p *program, in *installation, prepared *planner.Prepared) (string, error) {
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	submissions, err := queue.Open(contact, in.clients.SQS, in.cfg.Queues.Submissions)
	if err != nil {
		return "", err
	}
	prepared.By = asker()
	id, err := planner.Submit(contact, in.objects, submissions, c.ID, prepared)
	if err == nil && !c.json() {
		pageOn(p.stderr).paragraph("", fmt.Sprintf("Computing jobs of %s again, as run %s", prepared.RunFile.Reproduce.Run, id))
	}
	return id, err
}

// shownDifferences is of how many files it is said where they differ. JSON has jsonDifferences.
const (
	shownDifferences = 5
	jsonDifferences  = 100
)

// reproducedView is a reproduction as programs read it.
type reproducedView struct {
	Run       string                `json:"run"` // the reproduction
	State     job.RunState          `json:"state"`
	Reason    string                `json:"reason"`
	Compared  int                   `json:"compared"`  // jobs
	Identical int                   `json:"identical"` // jobs
	Original  *planner.Reproduction `json:"reproduction"`
	*report.Reproduced
}

func (c *reproduceCommand) print(ctx context.Context, p *program, reader *report.Reader, run *planner.Run) error {
	most := shownDifferences
	if c.json() {
		most = jsonDifferences
	}
	found, err := reader.Reproduced(ctx, run, most)
	if err != nil {
		return err
	}
	compared, identical := run.Reproduction.Compared()
	if c.json() {
		err = printJSON(p.stdout, reproducedView{run.ID, run.State, run.Reason, compared, identical, run.Reproduction, found})
	} else {
		err = printReproduced(pageOn(p.stdout), time.Now(), run, found)
	}
	switch {
	case err != nil:
		return err
	case identical < compared:
		return &problem{what: fmt.Sprintf("%s of %s gave other bytes", countOf(compared-identical, "job"), run.Reproduction.Run)}
	case len(found.NotCompared) > 0:
		return &problem{what: fmt.Sprintf("%s of %s could not be compared", countOf(len(found.NotCompared), "job"), run.Reproduction.Run)}
	}
	return nil
}

// shownReproduced is how many jobs are shown that differ, or were not compared.
const shownReproduced = 5

func printReproduced(w page, now time.Time, run *planner.Run, found *report.Reproduced) error {
	r := run.Reproduction
	compared, identical := r.Compared()
	w.paragraph("", fmt.Sprintf("%d of %s of %s gave the same bytes when computed again, as run %s in %s.",
		identical, countOf(compared, "job"), r.Run, run.ID, lasted(now, run)))
	if left := leftOut(r); left != "" {
		w.paragraph("", left)
	}
	if len(r.Tasks) > 0 {
		fmt.Fprintln(w)
		body := make([][]string, 0, len(r.Tasks))
		for _, t := range r.Tasks {
			body = append(body, []string{t.Task, strconv.Itoa(t.Compared), strconv.Itoa(t.Identical), strconv.Itoa(t.Compared - t.Identical)})
		}
		if err := w.rows([]string{"TASK", "COMPARED", "IDENTICAL", "DIFFERENT"}, body); err != nil {
			return err
		}
	}
	for i, x := range found.Different {
		fmt.Fprintln(w)
		if i == shownReproduced {
			w.paragraph("", countOf(len(found.Different)-i, "more job")+" differ; --output json has all.")
			break
		}
		w.paragraph("", fmt.Sprintf("%s (%s) differs:", x.Job, x.Task))
		for k, f := range x.Files {
			if k == shownReproduced {
				w.paragraph("  ", fmt.Sprintf("… and in %s", countOf(len(x.Files)-k, "more file")))
				break
			}
			w.paragraph("  ", f.Path+": "+describeDifference(f))
		}
	}
	for i, x := range found.NotCompared {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if i == shownReproduced {
			w.paragraph("", countOf(len(found.NotCompared)-i, "more job")+" could not be compared; --output json has all.")
			break
		}
		w.paragraph("", fmt.Sprintf("%s (%s) could not be compared: %s", x.Job, x.Task, x.Cause))
	}
	if tasks := r.NotDeterministicTasks(); len(tasks) > 0 {
		fmt.Fprintln(w)
		w.paragraph("", fmt.Sprintf("From now on runs of %s carry a warning, until image or definition change. "+
			"Mend the program, or declare deterministic: false. `spate reproduce --help` names usual causes.", strings.Join(tasks, ", ")))
	}
	return nil
}

// leftOut says which jobs could not be chosen, and why.
func leftOut(r *planner.Reproduction) string {
	var parts []string
	for _, x := range []struct {
		count int
		why   string
	}{
		{r.NotDeterministic, "declared not deterministic"},
		{r.WithoutOutput, "without an output to compare with"},
		{r.Substituted, "for which another output stands"},
	} {
		if x.count > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", countOf(x.count, "job"), x.why))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Left out: " + strings.Join(parts, ", ") + "."
}

// describeDifference says in what a file differs.
func describeDifference(f report.ReproducedFile) string {
	switch {
	case f.After == nil:
		return "was not written again"
	case f.Before == nil:
		return "was not there the first time"
	}
	text := "other bytes"
	if f.Before.Size != f.After.Size {
		text = fmt.Sprintf("%d bytes, then %d", f.Before.Size, f.After.Size)
	}
	if f.Place != nil {
		text += "; " + f.Place.String()
	}
	return text
}
