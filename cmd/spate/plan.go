package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spate/controller"
	"spate/internal/config"
	"spate/internal/price"
	"spate/internal/watch"
	"spate/planner"
	"spate/planner/report"
	"spate/scaler"
)

type planCommand struct {
	configFlag
	outputFlag
	changeFlags
	RunFile string `arg:"" name:"run-file" help:"Run file, YAML or JSON." type:"path"`
	selectionFlags
}

// Help tells more.
func (c *planCommand) Help() string {
	return "Does what a controller does when the run is submitted, up to the point where jobs would be released: pins the image " +
		"and the inputs, derives the keys and asks which outputs exist. Nothing is written anywhere. It asks the ledger, in " +
		"DynamoDB, which follows S3 within seconds.\n\n" +
		"Jobs are compared with the newest run of the same name, to say why they would run. How long it takes and what it costs " +
		"are estimates, from how long such jobs took in the newest runs of that name, or else of the pool.\n"
}

// Validate checks that the run file is there.
func (c *planCommand) Validate() error {
	if err := checkRunFile(c.RunFile); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	_, err := c.changes()
	return err
}

// Run plans a run file.
func (c *planCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	prepared, err := prepare(ctx, in, c.RunFile, c.selectionFlags, c.changeFlags)
	if err != nil {
		return err
	}
	defer prepared.Close()
	if prepared.RunFile.Reproduce != nil {
		return &problem{what: "a reproduction computes all its jobs again: there is nothing to plan", todo: "`spate reproduce` runs it."}
	}
	options, err := controller.PreviewOptions(in.cfg, in.clients)
	if err != nil {
		return err
	}
	progress := progressOn(p.stderr)
	defer progress.clear()
	options.Progress = progress.show
	preview, err := planner.PreviewRun(ctx, options, prepared)
	if err != nil {
		return err
	}
	defer preview.Close()
	reader, err := in.reader()
	if err != nil {
		return err
	}
	pool, _ := findPool(in.cfg.Pools, preview.Run.Pool)
	idle, err := idleWorkers(ctx, in, pool.Name)
	if err != nil {
		return err
	}
	fleet := report.Fleet{Slots: pool.Slots, Max: pool.Max, Idle: idle}
	for _, x := range pool.Capacity {
		fleet.Providers = append(fleet.Providers, x.Max)
	}
	plan, err := reader.PlanOf(ctx, preview, fleet, progress.show)
	progress.clear()
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, planJSON(plan))
	}
	return printPlan(pageOn(p.stdout), plan)
}

// idleWorkers is how many workers of a pool run and have no job to do, as a controller has just reported.
func idleWorkers(ctx context.Context, in *installation, pool string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	pools, err := scaler.ReadStatus(ctx, in.runs)
	if err != nil {
		return 0, err
	}
	for _, s := range pools {
		if s.Pool == pool && s.Outstanding == 0 && time.Since(s.At) <= watch.Silence {
			return s.Running, nil
		}
	}
	return 0, nil
}

// planView is a plan as programs read it.
type planView struct {
	Name           string            `json:"name"`
	Pool           string            `json:"pool"`
	Image          string            `json:"image"`
	TaskDefinition string            `json:"task_definition"`
	Partial        *partialView      `json:"partial,omitempty"`
	Warnings       []string          `json:"warnings,omitempty"` // about its task types
	Jobs           int               `json:"jobs"`
	Cached         int               `json:"cached"`
	ToRun          int               `json:"to_run"`
	Unknown        int               `json:"unknown"`
	UnknownReason  string            `json:"unknown_reason,omitempty"`
	Tasks          []report.TaskPlan `json:"tasks"`
	Against        string            `json:"against"` // run; empty when there was none
	Reasons        []report.Reason   `json:"reasons"`
	Expected       expectedView      `json:"expected"`
	Cost           *report.Cost      `json:"cost"`
	Saved          *report.Cost      `json:"saved"`
}

// expectedView is a model's forecast.
type expectedView struct {
	Seconds  float64  `json:"seconds"`
	StartUp  float64  `json:"start_up_seconds"`
	Workers  int      `json:"workers"`
	Launched float64  `json:"launched_seconds"`
	Busy     float64  `json:"busy_seconds"`
	Chain    bool     `json:"longest_chain_decides"`
	AtLeast  bool     `json:"at_least"` // for some task types it is not known how long jobs take
	Unpaced  []string `json:"unknown_tasks"`
}

func planJSON(p *report.Plan) planView {
	f := p.Forecast
	v := planView{
		Name: p.Run.Name, Pool: p.Run.Pool, Image: p.Run.Image, TaskDefinition: p.Run.TaskDefinition,
		Warnings: p.Run.Warnings, Jobs: p.Jobs, Cached: p.Cached, ToRun: p.ToRun, Unknown: p.Unknown, UnknownReason: p.UnknownReason,
		Tasks: p.Tasks, Against: p.Against, Reasons: p.Reasons, Cost: p.Cost, Saved: p.Saved,
		Expected: expectedView{
			Seconds: f.Total.Seconds(), Workers: f.Workers, Launched: f.Launched.Seconds(), Busy: f.Busy.Seconds(), Chain: f.Chain,
			AtLeast: len(p.Unpaced) > 0, Unpaced: p.Unpaced,
		},
	}
	if p.ToRun > 0 {
		v.Expected.StartUp = f.StartUp.Seconds()
	}
	if p.Run.Whole > 0 {
		v.Partial = &partialView{Jobs: p.Jobs, Of: p.Run.Whole}
	}
	return v
}

// reasonsShown is how many reasons are shown: with what stands around them, they fill one screen.
const reasonsShown = 10

func printPlan(w page, p *report.Plan) error {
	text := fmt.Sprintf("%s in pool %s: %s; %d cached, %d would run. Nothing was submitted.", p.Run.Name, p.Run.Pool, countOf(p.Jobs, "job"), p.Cached, p.ToRun)
	w.paragraph("", text)
	if p.Run.Whole > 0 {
		w.paragraph("  ", fmt.Sprintf("partial: %d of %s", p.Jobs, countOf(p.Run.Whole, "job")))
	}
	for _, warning := range p.Run.Warnings {
		w.paragraph("  ", "warning: "+warning)
	}
	if p.Unknown > 0 {
		w.paragraph("  ", fmt.Sprintf("Of %s among them it is not known whether there are outputs: %s", countOf(p.Unknown, "job"), p.UnknownReason))
	}
	fmt.Fprintln(w)
	body := make([][]string, 0, len(p.Tasks))
	for _, t := range p.Tasks {
		each, from := "unknown", ""
		if t.Pace != nil {
			each, from = took(toDuration(t.Pace.Seconds)), t.Pace.From
		}
		body = append(body, []string{t.Task, strconv.Itoa(t.Jobs), strconv.Itoa(t.Cached), strconv.Itoa(t.ToRun), each, from})
	}
	if err := w.rows([]string{"TASK", "JOBS", "CACHED", "TO RUN", "EACH TAKES", "AS IN"}, body); err != nil {
		return err
	}
	if p.ToRun > 0 {
		fmt.Fprintln(w)
		printReasons(w, p)
	}
	fmt.Fprintln(w)
	printForecast(w, p)
	return nil
}

func printReasons(w page, p *report.Plan) {
	if p.Against == "" {
		w.paragraph("", "Why they would run:")
	} else {
		w.paragraph("", fmt.Sprintf("Why they would run, compared with %s:", p.Against))
	}
	for _, c := range p.Reasons[:min(len(p.Reasons), reasonsShown)] {
		w.paragraph("  ", reasonText(c))
	}
	if more := len(p.Reasons) - reasonsShown; more > 0 {
		w.paragraph("  ", fmt.Sprintf("… and %s (all with --output json)", countOf(more, "further reason")))
	}
}

func reasonText(c report.Reason) string {
	who := fmt.Sprintf("%s (%s)", countOf(c.Jobs, "job"), c.First)
	if c.Jobs > 1 {
		who = fmt.Sprintf("%s (%s, …)", countOf(c.Jobs, "job"), c.First)
	}
	switch c.Kind {
	case report.ReasonForced:
		return fmt.Sprintf("forced: %s, as %q", who, c.Example)
	case report.ReasonChanged:
		if c.Jobs > 1 {
			return fmt.Sprintf("changed: %s, such as %s", who, c.Example)
		}
		return fmt.Sprintf("changed: %s, %s", who, c.Example)
	case report.ReasonNew:
		return fmt.Sprintf("new: %s", who)
	case report.ReasonFailed:
		return fmt.Sprintf("not completed there: %s", who)
	case report.ReasonUnfinished:
		return fmt.Sprintf("not completed there yet: %s", who)
	case report.ReasonExpired:
		return fmt.Sprintf("unchanged, but the output has expired or is gone: %s", who)
	case report.ReasonUnknown:
		return fmt.Sprintf("unknown whether there is an output: %s", who)
	case report.ReasonFirst:
		return fmt.Sprintf("no output, and no earlier run of this name to compare with: %s", who)
	case report.ReasonParent:
		return fmt.Sprintf("only what they depend on changed: %s", who)
	}
	return string(c.Kind)
}

func printForecast(w page, p *report.Plan) {
	if f := p.Forecast; p.ToRun == 0 {
		w.paragraph("", "Expected: seconds, and no worker.")
	} else {
		atLeast := ""
		if len(p.Unpaced) > 0 {
			atLeast = "at least "
		}
		text := fmt.Sprintf("Expected, by a model: %s%s with %s: %s until the first job starts, %s of work", atLeast, took(f.Total),
			countOf(f.Workers, "worker"), took(f.StartUp), took(f.Busy))
		if f.Chain {
			text += ", which the longest chain of jobs decides"
		}
		w.paragraph("", text+".")
		if len(p.Unpaced) > 0 {
			w.paragraph("  ", fmt.Sprintf("Without %s, which never ran in pool %s: how long their jobs take is not known.", strings.Join(p.Unpaced, ", "), p.Run.Pool))
		}
	}
	if p.Cost == nil {
		w.paragraph("", fmt.Sprintf("Cost: unknown, as task definition %s names no cpu and memory.", p.Run.TaskDefinition))
		return
	}
	switch {
	case p.ToRun == 0:
	case len(p.Unpaced) == 0:
		w.paragraph("", "Cost: "+costOf(*p.Cost)+".")
	case p.Cost.JobSeconds > 0:
		w.paragraph("", "Cost: at least "+costOf(*p.Cost)+".")
	default:
		w.paragraph("", "Cost: unknown.")
	}
	if p.Saved.JobSeconds > 0 {
		w.paragraph("", "The cache saves "+savedBy(*p.Saved)+".")
	}
}

// savedBy is what a cache saves with what that is made of.
func savedBy(c report.Cost) string {
	return fmt.Sprintf("%s, for %s of jobs", about(c.USD), took(toDuration(c.JobSeconds)))
}

// about is an amount that was estimated.
func about(u price.USD) string {
	if u > 0 && u < 0.0001 {
		return "less than $0.0001"
	}
	return "about " + u.String()
}

// costOf is an estimate with what it is made of.
func costOf(c report.Cost) string {
	text := fmt.Sprintf("%s on %s", about(c.USD), c.Provider)
	if c.MaxUSD > c.USD {
		text += fmt.Sprintf(", %s if all on demand", about(c.MaxUSD))
	}
	return fmt.Sprintf("%s, for %s of jobs, at us-east-1 prices, without start-up and idle minutes", text, took(toDuration(c.JobSeconds)))
}

func toDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// prepare reads and checks a run file, with what flags change of it.
func prepare(ctx context.Context, in *installation, path string, selection selectionFlags, change changeFlags) (*planner.Prepared, error) {
	catalogue, err := controller.Catalogue(in.cfg)
	if err != nil {
		return nil, err
	}
	prepared, err := planner.PrepareWith(path, planner.PrepareOptions{
		Catalogue: catalogue, Pools: poolsOf(config.SourcePlanner, in.cfg.Pools), External: poolsOf(config.SourceExternal, in.cfg.Pools), Selection: selection.selection(),
	})
	if err != nil {
		return nil, selection.explain(err)
	}
	if _, err := change.apply(ctx, prepared, in.objects, catalogue); err != nil {
		prepared.Close()
		return nil, err
	}
	return prepared, nil
}
