package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/controller"
	"spate/internal/queue"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

type whatIfCommand struct {
	configFlag
	outputFlag
	changeFlags
	RunID string `arg:"" name:"run" help:"Run that has succeeded, by its id, the beginning of it, or its name, which is the newest run of that name."`
	ID    string `help:"What the changed run is called; the same id again shows the same run. Left out, a new one is made." placeholder:"ID"`
	Files string `help:"Files of the results that hold figures, as JSON (default ${default})." default:"*.json" placeholder:"GLOB"`
}

// Help tells more.
func (c *whatIfCommand) Help() string {
	return "Submits the jobs of a run once more, with changed parameters. Only what depends on the changes runs; all else is " +
		"shared with the run. When it is done, it shows which figures moved: numbers in the JSON files of the jobs that no " +
		"other job needs. Nothing of the old run changes. For example:\n\n" +
		"    spate what-if nightly --change deal-00017.limit=5e6\n\n" +
		"Where ids hold dots, the longest id that exists is meant; quotes end doubt: '\"deal.7\".limit=1'.\n"
}

// Validate checks the flags.
func (c *whatIfCommand) Validate() error {
	if len(c.Change) == 0 {
		return errors.New("what-if needs at least one --change JOB.PARAM=VALUE")
	}
	if _, err := path.Match(c.Files, ""); err != nil {
		return fmt.Errorf("--files %q: %w", c.Files, err)
	}
	_, err := c.changes()
	return err
}

// Run submits a changed run, watches it and shows what it brought.
func (c *whatIfCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	base, err := reader.FindRun(contact, c.RunID)
	cancel()
	if err != nil {
		return err
	}
	if base.State != job.RunSucceeded {
		return &problem{
			what: fmt.Sprintf("run %s %s: what-if compares with a run that has succeeded", base.ID, stateOf(base)),
			todo: "`spate submit RUN-FILE --change …` runs changed jobs without comparing.",
		}
	}
	if len(base.Substitutions) > 0 {
		printRemarks(pageOn(p.stderr), base.ID+" is ", base.Remarks())
		pageOn(p.stderr).paragraph("  ", "Here substituted jobs are computed themselves, so figures may move for that.")
	}
	id, changed, err := c.submit(ctx, in, base)
	if err != nil {
		return err
	}
	pageOn(p.stderr).paragraph("", fmt.Sprintf("Submitted as %s, from %s with %s.", id, base.ID, countOf(len(c.Change), "change")))
	run, err := watch.Run(ctx, id, watch.Options{Table: in.runs, Out: pageOn(p.stderr).Writer, Label: id, Serve: serving(p)})
	if err != nil {
		if ctx.Err() == nil {
			return err
		}
		return &problem{what: "stopped watching; the run goes on", todo: "The same command with --id " + id + " shows what moved."}
	}
	if run.State != job.RunSucceeded {
		if err := showRun(ctx, p, in, run, c.json()); err != nil {
			return err
		}
		return fmt.Errorf("run %s %s", id, run.State)
	}
	line := progressOn(p.stderr)
	effect, err := reader.Effect(ctx, report.EffectOptions{
		Base: base, Run: run, Changed: changed, Files: c.Files, Outputs: func(read, of int) { line.show("reading outputs", read, of) },
	})
	line.clear()
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, effectJSON(effect, c.Change, duration(time.Now(), run)))
	}
	return printEffect(pageOn(p.stdout), effect, c.Change, c.Files, lasted(time.Now(), run))
}

// submit submits the base run's jobs with the changes, and returns the run's id and those of the changed jobs.
func (c *whatIfCommand) submit(ctx context.Context, in *installation, base *planner.Run) (string, []string, error) {
	catalogue, err := controller.Catalogue(in.cfg)
	if err != nil {
		return "", nil, err
	}
	prepared, err := planner.PrepareAgain(ctx, in.objects, base)
	if err != nil {
		return "", nil, err
	}
	defer prepared.Close()
	changed, err := c.apply(ctx, prepared, in.objects, catalogue)
	if err != nil {
		return "", nil, err
	}
	contact, cancel := context.WithTimeout(ctx, contactTimeout) // begins here: changing a million jobs takes longer
	defer cancel()
	prepared.By = asker()
	submissions, err := queue.Open(contact, in.clients.SQS, in.cfg.Queues.Submissions)
	if err != nil {
		return "", nil, err
	}
	id, err := planner.Submit(ctx, in.objects, submissions, c.ID, prepared)
	return id, changed, err
}

// stateOf is a run's state as a verb.
func stateOf(r *planner.Run) string {
	switch r.State {
	case job.RunReceived, job.RunPlanning, job.RunActive, job.RunCancelling:
		return "is " + string(r.State)
	case job.RunSucceeded, job.RunFailed:
		return "has " + string(r.State)
	case job.RunRejected, job.RunCancelled:
		return "was " + string(r.State)
	}
	return "is in state " + string(r.State)
}

// effectView is an effect as programs read it.
type effectView struct {
	*report.Effect
	Changes []string     `json:"changes"`
	Seconds float64      `json:"seconds"` // from when it was received to its end
	Figures []figureView `json:"figures"`
}

type figureView struct {
	report.Figure
	Change   float64  `json:"change"`
	Relative *float64 `json:"relative"` // null where the figure was 0
}

func effectJSON(e *report.Effect, changes []string, took time.Duration) effectView {
	v := effectView{Effect: e, Changes: changes, Seconds: took.Seconds(), Figures: make([]figureView, len(e.Figures))}
	for i, f := range e.Figures {
		v.Figures[i] = figureView{Figure: f, Change: f.Change()}
		if r := f.Relative(); !math.IsInf(r, 0) {
			v.Figures[i].Relative = &r
		}
	}
	return v
}

// figuresShown is how many figures are shown: with what stands around them, they fill one screen.
const figuresShown = 15

// printEffect prints what moved in the files of a pattern.
func printEffect(w page, e *report.Effect, changes []string, files, took string) error {
	p := e.Progress
	w.paragraph("", fmt.Sprintf("What if %s: run %s, from %s", strings.Join(changes, ", "), e.Run, e.Base))
	w.paragraph("  ", fmt.Sprintf("%s: %d executed, %d reused, in %s", countOf(p.Jobs, "job"), p.Executed, p.Cached+p.Reused, took))
	w.paragraph("  ", costText(e.Cost, p.Jobs))
	if e.Unexplained > 0 {
		w.paragraph("  ", fmt.Sprintf("%s changed since %s though no --change reaches them: their inputs, image or task types are "+
			"others now, and figures may have moved for that.", countOf(e.Unexplained, "further job"), e.Base))
	}
	fmt.Fprintln(w)
	if e.Absent > 0 {
		w.paragraph("", fmt.Sprintf("%s no part of %s, which is one of some of the jobs only: nothing follows from that.",
			either(e.Absent, "1 changed job is", "%d changed jobs are"), e.Base))
	}
	switch {
	case e.Differing == 0 && e.Absent > 0:
		w.paragraph("", "Nothing differs.")
		return nil
	case e.Differing == 0:
		w.paragraph("", "Nothing differs: the changes set what the parameters were.")
		return nil
	case len(e.Figures) == 0:
		if e.Same+e.Others == 0 {
			w.paragraph("", fmt.Sprintf("There were no figures to compare: the results hold none in files called %s. Which outputs differ: `spate compare %s %s`",
				files, e.Base, e.Run))
			return nil
		}
		w.paragraph("", fmt.Sprintf("No figure moved; %d are as they were.", e.Same))
		return nil
	}
	shown := e.Figures[:min(len(e.Figures), figuresShown)]
	text := countOf(len(e.Figures), "figure")
	if f := shown[0]; ofOneFile(e.Figures) {
		text += fmt.Sprintf(" of %s/%s", f.Job, f.File)
	}
	text += fmt.Sprintf(" moved, %d did not", e.Same)
	if e.Others > 0 {
		text += fmt.Sprintf(", %d are in one of the runs only", e.Others)
	}
	if len(shown) < len(e.Figures) {
		text += fmt.Sprintf(". The %d that moved most (all with --output json)", len(shown))
	}
	w.paragraph("", text+":")
	return w.rowsWithin([]string{"FIGURE", "BEFORE", "AFTER", "CHANGE", "RELATIVE"}, figureRows(shown, !ofOneFile(e.Figures)), "CHANGE")
}

// costText compares what was computed with what all jobs took.
func costText(c report.EffectCost, jobs int) string {
	text := fmt.Sprintf("computed for %s; a full run computes for %s", seconds(c.Executed), seconds(c.Full))
	if c.Full > 0 {
		text += fmt.Sprintf(", so this was %s of it", percent(c.Executed/c.Full))
	}
	if c.Counted < jobs {
		text += fmt.Sprintf(" (by %s)", countOf(c.Counted, "output"))
	}
	if c.ExecutedUSD != nil {
		text += fmt.Sprintf("\ncost %s; a full run costs %s", about(*c.ExecutedUSD), about(*c.FullUSD))
	}
	return text
}

func ofOneFile(figures []report.Figure) bool {
	return !slices.ContainsFunc(figures, func(f report.Figure) bool { return f.Job != figures[0].Job || f.File != figures[0].File })
}

// figureRows are the rows of a table of figures. They name job and file where that is asked for.
func figureRows(figures []report.Figure, places bool) [][]string {
	rows := make([][]string, len(figures))
	for i, f := range figures {
		name := f.Path
		if places {
			name = f.Job + "/" + f.File + ": " + f.Path
		}
		relative := "from 0"
		if r := f.Relative(); !math.IsInf(r, 0) {
			relative = signed(r, percent)
		}
		rows[i] = []string{name, number(f.Before), number(f.After), signed(f.Change(), number), relative}
	}
	return rows
}

// number writes large numbers whole, their digits in groups of three, and small ones to five digits.
func number(x float64) string {
	const large, tooLarge = 1e3, 1e15
	size := math.Abs(x)
	if size < large && size != math.Trunc(size) || size >= tooLarge {
		return strconv.FormatFloat(x, 'g', 5, 64)
	}
	digits := strconv.FormatFloat(size, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if x < 0 {
		return "-" + digits
	}
	return digits
}

// percent writes a part of one: to a tenth of a percent, and small ones to two digits.
func percent(part float64) string {
	const tenth = 0.001
	if size := math.Abs(part); size < tenth && size > 0 {
		return strconv.FormatFloat(part*100, 'g', 2, 64) + "%"
	}
	return strconv.FormatFloat(part*100, 'f', 1, 64) + "%"
}

// signed writes a change with its sign.
func signed(x float64, write func(float64) string) string {
	if x > 0 {
		return "+" + write(x)
	}
	return write(x)
}

// seconds is how long processes ran, in few digits.
func seconds(s float64) string { return took(time.Duration(s * float64(time.Second))) }
