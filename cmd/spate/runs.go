package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"spate/job"
	"spate/planner"
	"spate/scaler"
)

type runsCommand struct {
	configFlag
	outputFlag
	Limit int `help:"At most so many; 0 for all." default:"20"`
}

// Run lists runs.
func (c *runsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	all, err := planner.ReadRuns(ctx, in.runs)
	if err != nil {
		return err
	}
	if c.Limit > 0 && len(all) > c.Limit {
		all = all[:c.Limit]
	}
	if c.json() {
		return printJSON(p.stdout, map[string]any{"runs": runsJSON(all)})
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stdout, "There is no run yet: `spate submit FILE` makes one.")
		return nil
	}
	return printRuns(p.stdout, time.Now(), all)
}

func printRuns(w io.Writer, now time.Time, runs []*planner.Run) error {
	body := make([][]string, 0, len(runs))
	for _, r := range runs {
		last, p := now, r.Progress
		if !r.Ended.IsZero() {
			last = r.Ended
		}
		body = append(body, []string{
			r.ID, string(r.State), r.Pool, strconv.Itoa(p.Jobs), strconv.Itoa(p.Executed), strconv.Itoa(p.Cached + p.Reused),
			strconv.Itoa(p.Failed + p.Blocked), took(last.Sub(r.Received)), ago(now, r.Received), r.Owner,
		})
	}
	return rows(w, []string{"RUN", "STATE", "POOL", "JOBS", "EXECUTED", "CACHED", "FAILED", "TOOK", "SUBMITTED", "OWNER"}, body)
}

// runView is a run as programs read it.
type runView struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Pool     string            `json:"pool"`
	Owner    string            `json:"owner"`
	Labels   map[string]string `json:"labels"`
	State    job.RunState      `json:"state"`
	Reason   string            `json:"reason"`
	Errors   []string          `json:"errors"`
	Received time.Time         `json:"received_at"`
	Planned  *time.Time        `json:"planned_at"`
	Ended    *time.Time        `json:"ended_at"`
	Image    string            `json:"image"`
	Progress planner.Progress  `json:"progress"`
	Failures []failureView     `json:"failures,omitempty"`
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
	Worker    string    `json:"worker"`
	At        time.Time `json:"at"`
}

func runJSON(r *planner.Run) runView {
	return runView{
		ID: r.ID, Name: r.Name, Pool: r.Pool, Owner: r.Owner, Labels: r.Labels, State: r.State, Reason: r.Reason, Errors: r.Errors,
		Received: r.Received, Planned: optional(r.Planned), Ended: optional(r.Ended), Image: r.Image, Progress: r.Progress,
	}
}

func runsJSON(runs []*planner.Run) []runView {
	views := make([]runView, len(runs))
	for i, r := range runs {
		views[i] = runJSON(r)
	}
	return views
}

func failuresJSON(failures []planner.Failure) []failureView {
	views := make([]failureView, len(failures))
	for i, f := range failures {
		views[i] = failureView{f.Job, f.JobKey, f.Attempt, f.ExitCode, f.Cause, f.LastLines, f.Verdict, f.Retried, f.Worker, f.At}
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
