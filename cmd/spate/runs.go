package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"spate/job"
	"spate/planner"
	"spate/planner/report"
	"spate/scaler"
)

type runsCommand struct {
	configFlag
	outputFlag
	Limit int `help:"How many to list, at most; 0 lists all." default:"20"`
}

// Validate checks the flags.
func (c *runsCommand) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit must be 0 or more, not %d", c.Limit)
	}
	return nil
}

// Run lists runs.
func (c *runsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	all, err := planner.ReadRuns(ctx, in.runs)
	if err != nil {
		return err
	}
	shown := all
	if c.Limit > 0 {
		shown = all[:min(c.Limit, len(all))]
	}
	if c.json() {
		return printJSON(p.stdout, map[string]any{"runs": runsJSON(time.Now(), in.cfg.Bucket, shown)})
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stdout, "There is no run yet: `spate submit FILE` makes one.")
		return nil
	}
	if err := printRuns(pageOn(p.stdout), time.Now(), shown); err != nil {
		return err
	}
	if n := len(all) - len(shown); n > 0 {
		fmt.Fprintf(p.stderr, "%d older are not shown; --limit 0 lists all\n", n)
	}
	return nil
}

func printRuns(w page, now time.Time, runs []*planner.Run) error {
	body := make([][]string, 0, len(runs))
	for _, r := range runs {
		p := r.Progress
		body = append(body, []string{
			r.ID, markedState(r), r.Pool, strconv.Itoa(p.Jobs), strconv.Itoa(p.Executed), strconv.Itoa(p.Cached + p.Reused),
			strconv.Itoa(p.Failed), strconv.Itoa(p.Blocked), lasted(now, r), ago(now, r.Received), r.Owner,
		})
	}
	header := []string{"RUN", "STATE", "POOL", "JOBS", "EXECUTED", "CACHED", "FAILED", "BLOCKED", "TOOK", "SUBMITTED", "OWNER"}
	if err := w.rowsWithin(header, body, "OWNER", "POOL", "BLOCKED", "SUBMITTED", "CACHED", "EXECUTED"); err != nil {
		return err
	}
	if slices.ContainsFunc(runs, func(r *planner.Run) bool { return len(r.Remarks()) > 0 }) {
		w.paragraph("", "* Partial, forced or substituted: `spate status RUN` tells more.")
	}
	return nil
}

// markedState is a run's state, with a mark when it is no ordinary run.
func markedState(r *planner.Run) string {
	if len(r.Remarks()) > 0 {
		return string(r.State) + "*"
	}
	return string(r.State)
}

// lasted is how long a run took, or has taken so far.
func lasted(now time.Time, r *planner.Run) string { return took(duration(now, r)) }

func duration(now time.Time, r *planner.Run) time.Duration {
	if r.Ended.IsZero() {
		return max(0, now.Sub(r.Received))
	}
	return r.Ended.Sub(r.Received)
}

// results is the URL of the index of a run's results; empty when there is none.
func results(bucket string, r *planner.Run) string {
	cancelled := r.State == job.RunCancelled && r.Progress.Jobs > 0 // else it never had jobs
	if r.State != job.RunSucceeded && r.State != job.RunFailed && !cancelled {
		return ""
	}
	return job.ObjectURL(bucket, job.ResultsIndexPath(r.ID))
}

// runView is a run as programs read it.
type runView struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Pool     string            `json:"pool"`
	Owner    string            `json:"owner"`
	By       string            `json:"submitted_by,omitempty"`
	Labels   map[string]string `json:"labels"`
	State    job.RunState      `json:"state"`
	Reason   string            `json:"reason"`
	Errors   []string          `json:"errors"`
	Received time.Time         `json:"received_at"`
	Planned  *time.Time        `json:"planned_at"`
	Ended    *time.Time        `json:"ended_at"`
	Seconds  float64           `json:"seconds"` // from when it was received to its end, or until now
	Image    string            `json:"image"`
	Results  string            `json:"results,omitempty"`  // URL of their index, once there is one
	Partial  *partialView      `json:"partial,omitempty"`  // of a run that was made of some jobs of its file
	Forced   *forcedView       `json:"forced,omitempty"`   // of a run that computes jobs again
	Warnings []string          `json:"warnings,omitempty"` // about its task types

	Reproduction *planner.Reproduction `json:"reproduction,omitempty"` // of a run that computes another's jobs again

	Substitutions []planner.Substitution `json:"substitutions,omitempty"`
	Progress      planner.Progress       `json:"progress"`
	Failures      []failureView          `json:"failures,omitempty"`
	Audit         []auditView            `json:"audit,omitempty"` // what was asked about it

	PoolStatus *scaler.Status `json:"pool_status,omitempty"` // of a run that has not ended, once a controller has worked on its pool

	Tasks map[string]planner.TaskFigures `json:"tasks,omitempty"` // what the jobs took, by task type
	Cost  *report.RunCost                `json:"cost,omitempty"`  // an estimate
}

type partialView struct {
	Jobs int `json:"jobs"`
	Of   int `json:"of"`
}

type forcedView struct {
	Jobs   int    `json:"jobs"`
	Reason string `json:"reason"`
}

type failureView struct {
	Job       string    `json:"job"`
	Key       string    `json:"key"`
	Attempt   int       `json:"attempt"`
	ExitCode  *int      `json:"exit_code"`
	Cause     string    `json:"cause"`
	LastLines []string  `json:"last_lines"`
	Verdict   string    `json:"verdict"`
	Retried   bool      `json:"retried"`
	Forgiven  bool      `json:"forgiven"` // somebody had it tried again
	Worker    string    `json:"worker"`
	At        time.Time `json:"at"`

	Substituted bool `json:"substituted,omitzero"` // another output stands in for the job's
}

func runJSON(now time.Time, bucket string, r *planner.Run) runView {
	v := runView{
		ID: r.ID, Name: r.Name, Pool: r.Pool, Owner: r.Owner, By: r.By, Labels: r.Labels, State: r.State, Reason: r.Reason, Errors: r.Errors,
		Received: r.Received, Planned: optional(r.Planned), Ended: optional(r.Ended), Seconds: duration(now, r).Seconds(),
		Image: r.Image, Results: results(bucket, r), Progress: r.Progress, Substitutions: r.Substitutions,
		Warnings: r.Warnings, Reproduction: r.Reproduction,
	}
	if r.Partial() {
		v.Partial = &partialView{r.Progress.Jobs, r.Whole}
	}
	if r.Force != "" {
		v.Forced = &forcedView{r.Forced, r.Force}
	}
	return v
}

func runsJSON(now time.Time, bucket string, runs []*planner.Run) []runView {
	views := make([]runView, len(runs))
	for i, r := range runs {
		views[i] = runJSON(now, bucket, r)
	}
	return views
}

func failuresJSON(r *planner.Run, failures []planner.Failure) []failureView {
	views := make([]failureView, len(failures))
	for i, f := range failures {
		views[i] = failureView{f.Job, f.JobKey, f.Attempt, f.ExitCode, f.Cause, f.LastLines, f.Verdict, f.Retried, f.Forgiven, f.Worker, f.At, substituted(r, f)}
	}
	return views
}

func poolsJSON(pools []scaler.Status) []scaler.Status {
	if pools == nil {
		return []scaler.Status{}
	}
	return pools
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
