package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/cache"
	"spate/internal/config"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
	"spate/scaler"
)

type statusCommand struct {
	configFlag
	outputFlag
	RunID string `arg:"" optional:"" name:"run" help:"Run, by its id, the beginning of it, or its name, which is the newest run of that name; left out: all pools and the runs that are under way."`
	Watch bool   `help:"Show it anew each second, until Ctrl-C; a run, until it ends: exit 1 unless it succeeds." short:"w"`
}

// Run shows how things stand.
func (c *statusCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	if c.RunID != "" {
		return c.run(ctx, p, in)
	}
	if c.Watch {
		return c.redraw(ctx, p, in)
	}
	now, err := look(ctx, in)
	if err != nil {
		return err
	}
	if c.json() {
		_, silent := now.silence()
		return printJSON(p.stdout, map[string]any{
			"pools": poolsJSON(now.pools), "runs": runsJSON(now.at, in.cfg.Bucket, now.active), "cache": now.cache, "controller_silent": silent,
		})
	}
	return printStatus(pageOn(p.stdout), now)
}

// run shows or watches one run.
func (c *statusCommand) run(ctx context.Context, p *program, in *installation) error {
	reader, err := in.reader()
	if err != nil {
		return err
	}
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	run, err := reader.FindRun(contact, c.RunID)
	cancel()
	if err != nil {
		return err
	}
	if c.Watch {
		return follow(ctx, p, in, watched{id: run.ID, json: c.json()})
	}
	return showRun(ctx, p, in, run, c.json()) // however many failures there are to read
}

// state is what status shows of an installation.
type state struct {
	at     time.Time
	pools  []scaler.Status
	active []*planner.Run
	cache  *cache.Status // nil while none was saved
}

// silence is how long no controller has reported, and whether that is longer than one that leads would take. Where none
// ever has, it is silent.
func (s state) silence() (since time.Duration, silent bool) {
	if len(s.pools) == 0 {
		return 0, true
	}
	latest := slices.MaxFunc(s.pools, func(a, b scaler.Status) int { return a.At.Compare(b.At) })
	since = s.at.Sub(latest.At)
	return since, since > watch.Silence
}

func look(ctx context.Context, in *installation) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	pools, err := scaler.ReadStatus(ctx, in.runs)
	if err != nil {
		return state{}, err
	}
	active, err := planner.ReadActive(ctx, in.runs)
	if err != nil {
		return state{}, err
	}
	outputs, found, err := cache.ReadStatus(ctx, in.runs)
	if err != nil {
		return state{}, err
	}
	s := state{at: time.Now(), pools: pools, active: active}
	if found {
		s.cache = &outputs
	}
	return s, nil
}

// redrawEvery is how often --watch looks.
const redrawEvery = time.Second

// ANSI control sequences (ECMA-48): an empty screen, its upper left corner, and what stood further right or below.
const (
	clearScreen = "\x1b[2J\x1b[H"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// redraw shows the state each second, in place, until ctx ends.
func (c *statusCommand) redraw(ctx context.Context, p *program, in *installation) error {
	f, ok := terminal(p.stdout)
	if !ok || c.json() {
		return &problem{what: "status --watch without a run draws on a terminal", todo: "Name a run, or leave --watch out."}
	}
	fmt.Fprint(f, clearScreen)
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		now, err := look(ctx, in)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		var text bytes.Buffer
		if err := printStatus(page{&text, pageOn(p.stdout).width, pageOn(p.stdout).self}, now); err != nil {
			return err
		}
		fmt.Fprint(f, home+strings.ReplaceAll(text.String(), "\n", clearLine+"\n")+clearBelow)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func printStatus(w page, s state) error {
	since, silent := s.silence()
	if silent && len(s.pools) > 0 {
		w.paragraph("", fmt.Sprintf("No controller has reported for %s: is `spate serve` running? What follows is what the last one knew.", since.Round(time.Second)))
		fmt.Fprintln(w)
	}
	if len(s.pools) == 0 {
		w.paragraph("", "No controller has worked on any pool yet: start one with `spate serve`.")
	} else {
		body := make([][]string, 0, len(s.pools))
		for _, x := range s.pools {
			body = append(body, []string{
				x.Pool, strconv.Itoa(x.Outstanding), strconv.Itoa(x.Wanted), runningOf(x), strconv.Itoa(x.Pending), ago(s.at, x.At),
			})
		}
		if err := w.rows([]string{"POOL", "JOBS", "WANTED", "RUNNING", "PENDING", "REPORTED"}, body); err != nil {
			return err
		}
		fmt.Fprintln(w)
		for _, x := range s.pools {
			w.paragraph("", x.Reason)
			printBreakers(w, "  ", s.at, x)
		}
	}
	if s.cache != nil {
		w.paragraph("", cacheLine(*s.cache))
	}
	fmt.Fprintln(w)
	switch {
	case len(s.active) > 0:
	case silent:
		w.paragraph("", "No run is known to be under way; what was just submitted waits for a controller.")
	default:
		fmt.Fprintln(w, "No run is under way.")
	}
	for _, r := range s.active {
		w.paragraph("", fmt.Sprintf("%s  %s for %s", r.ID, r.State, lasted(s.at, r)))
		if r.Progress.Jobs > 0 {
			w.paragraph("  ", watch.Line(r, workersOf(r.Pool, s.pools), 0))
		}
	}
	return nil
}

// printBreakers says what stops a pool's growth, and what to do about it.
func printBreakers(w page, indent string, now time.Time, s scaler.Status) {
	for _, b := range s.Breakers {
		w.paragraph(indent, b.Standing(now, s.Pool))
		for _, text := range []string{b.Reason, "To do: " + b.Remedy + "."} {
			if !strings.Contains(s.Reason, strings.TrimSuffix(text, ".")) {
				w.paragraph(indent+"  ", text)
			}
		}
	}
}

func workersOf(pool string, pools []scaler.Status) int {
	for _, s := range pools {
		if s.Pool == pool {
			return s.Running + s.Pending
		}
	}
	return 0
}

// showRun prints one run, with what failed.
func showRun(ctx context.Context, p *program, in *installation, r *planner.Run, asJSON bool) error {
	failures, err := planner.ReadFailures(ctx, in.runs, r.ID)
	if err != nil {
		return err
	}
	slices.SortFunc(failures, func(a, b planner.Failure) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Attempt, b.Attempt))
	})
	audits, err := planner.ReadAsked(ctx, in.runs, r.ID)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	cost, known, err := reader.RunCost(ctx, r)
	if err != nil {
		return err
	}
	var pools []poolState
	if !r.State.Ended() && r.State != job.RunCancelling { // which waits for no workers
		if pools, err = lookAtPools(ctx, in); err != nil {
			return err
		}
	}
	if asJSON {
		v := runJSON(time.Now(), in.cfg.Bucket, r)
		if pool, ok := poolOf(r, pools); ok && !pool.status.At.IsZero() {
			v.PoolStatus = &pool.status
		}
		v.Audit = auditsJSON(audits)
		v.Failures = failuresJSON(r, failures)
		if v.Tasks = r.Tasks; known {
			v.Cost = &cost
		}
		return printJSON(p.stdout, v)
	}
	w := pageOn(p.stdout)
	printRun(w, time.Now(), r, failures)
	if known {
		printCost(w, cost)
	}
	printAudits(w, time.Now(), audits)
	printRunsPool(w, time.Now(), r, pools)
	if results(in.cfg.Bucket, r) != "" {
		w.paragraph("  ", fmt.Sprintf("results: `spate results %s`", r.ID))
	}
	return nil
}

// poolOf is how the pool of a run stands; false where that is not known.
func poolOf(r *planner.Run, pools []poolState) (poolState, bool) {
	i := slices.IndexFunc(pools, func(s poolState) bool { return s.status.Pool == r.Pool })
	if i < 0 {
		return poolState{}, false
	}
	return pools[i], true
}

// printRunsPool says how the pool stands that a run waits for. pools are none once it waits for none.
func printRunsPool(w page, now time.Time, r *planner.Run, pools []poolState) {
	pool, ok := poolOf(r, pools)
	if !ok {
		return
	}
	fmt.Fprintln(w)
	printSilence(w, now, pools)
	printStanding(w, "", now, pool)
}

func printCost(w page, c report.RunCost) {
	if c.JobSeconds > 0 {
		w.paragraph("  ", "cost: "+costOf(c.Cost))
	}
	if c.Saved.JobSeconds > 0 {
		text := "the cache saved " + savedBy(c.Saved)
		if c.SavedEstimated > 0 {
			text += fmt.Sprintf(" (estimated for %s from others like them)", countOf(c.SavedEstimated, "job"))
		}
		if c.SavedUnknown > 0 {
			text += fmt.Sprintf(", and %s of which it is not known how long they take", countOf(c.SavedUnknown, "job"))
		}
		w.paragraph("  ", text)
	}
}

func printRun(w page, now time.Time, r *planner.Run, failures []planner.Failure) {
	word := "for"
	if r.State.Ended() {
		word = "in"
	}
	w.paragraph("", fmt.Sprintf("%s  %s %s %s", r.ID, r.State, word, lasted(now, r)))
	if r.Reason != "" {
		w.paragraph("  ", r.Reason)
	}
	if r.Reproduction != nil {
		w.paragraph("  ", reproduction(r))
	}
	for _, warning := range r.Warnings {
		w.paragraph("  ", "warning: "+warning)
	}
	unknown := false
	for _, e := range r.Errors {
		w.paragraph("  ", e)
		unknown = unknown || strings.Contains(e, "unknown task")
	}
	if unknown && r.State == job.RunRejected {
		w.paragraph("  ", "The controller knows other task types than yours may: it takes them from the configuration it was started with.")
	}
	if p := r.Progress; p.Jobs > 0 {
		text := fmt.Sprintf("%s: %d executed, %d cached", countOf(p.Jobs, "job"), p.Executed, p.Cached+p.Reused)
		if n := r.Substituted(); n > 0 {
			text += fmt.Sprintf(" (%d of them substituted)", n)
		}
		text += fmt.Sprintf(", %d failed, %d blocked", p.Failed, p.Blocked)
		if p.Cancelled > 0 {
			text += fmt.Sprintf(", %d cancelled", p.Cancelled)
		}
		if left := p.Left(); left > 0 && !r.State.Ended() {
			if r.State == job.RunCancelling {
				text += fmt.Sprintf(", %d on the queue or running", left)
			} else {
				text += fmt.Sprintf(", %d to do, %d of them running", left, p.Running)
			}
		}
		if p.Retried > 0 {
			text += fmt.Sprintf("; %s repeated", countOf(p.Retried, "attempt"))
		}
		w.paragraph("  ", text)
	}
	for _, remark := range r.Remarks() {
		w.paragraph("  ", remark)
	}
	printFailures(w, r, failures)
}

// reproduction says of a run that it computes another's jobs again, and what came of it.
func reproduction(r *planner.Run) string {
	text := "reproduction of " + r.Reproduction.Run
	if compared, identical := r.Reproduction.Compared(); compared > 0 && r.Reason == "" {
		text += fmt.Sprintf(": %d of %s gave the same bytes", identical, countOf(compared, "job"))
	}
	return text
}

// printedFailures is how many failed jobs are shown with their last lines.
const printedFailures = 10

func printFailures(w page, r *planner.Run, failures []planner.Failure) {
	shown := 0
	for _, f := range failures {
		if f.Retried || f.Forgiven {
			continue
		}
		if shown++; shown > printedFailures {
			fmt.Fprintln(w, "  … and more; --output json has all")
			return
		}
		text := fmt.Sprintf("%s failed at attempt %d: %s (%s)", f.Job, f.Attempt, f.Cause, f.Verdict)
		if substituted(r, f) {
			text += "; substituted"
		}
		w.paragraph("  ", text)
		w.quote(f.LastLines)
	}
}

// substituted reports whether another output stands in for that of a job that failed.
func substituted(r *planner.Run, f planner.Failure) bool {
	return slices.ContainsFunc(r.Substitutions, func(s planner.Substitution) bool { return s.For == f.JobKey })
}

func findPool(pools []config.Pool, name string) (config.Pool, bool) {
	for _, p := range pools {
		if p.Name == name {
			return p, true
		}
	}
	return config.Pool{}, false
}

// poolsOf names the pools of one source.
func poolsOf(source string, pools []config.Pool) []string {
	return poolNames(slices.DeleteFunc(slices.Clone(pools), func(p config.Pool) bool { return p.Source != source }))
}

func poolNames(pools []config.Pool) []string {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	return names
}
