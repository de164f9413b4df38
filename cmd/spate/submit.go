package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"spate/internal/queue"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
)

type submitCommand struct {
	configFlag
	outputFlag
	changeFlags
	RunFile string `arg:"" name:"run-file" help:"Run file, YAML or JSON." type:"path"`
	ID      string `help:"What the run is called; the same id again is the same run. Left out, a new one is made." placeholder:"ID"`
	selectionFlags
	By    string `help:"Who submits (default: user@host)." placeholder:"NAME"`
	Watch bool   `help:"Watch the run until it ends; exit 1 unless it succeeds." short:"w"`
}

// selectionFlags say which jobs of a run file are meant, over what the file says itself.
type selectionFlags struct {
	Only           []string `help:"Only these jobs, and their ancestors where their outputs are missing." placeholder:"JOB"`
	WithDependents bool     `help:"With --only: also all that depends on these jobs."`
	Force          *string  `help:"Compute the jobs again although their outputs exist; says why." placeholder:"REASON"`
}

func (f selectionFlags) check() error {
	for i, id := range f.Only {
		if err := job.CheckID(id); err != nil {
			return fmt.Errorf("--only: %w", err)
		}
		if slices.Contains(f.Only[:i], id) {
			return fmt.Errorf("--only names job %s twice", id)
		}
	}
	if f.Force == nil {
		return nil
	}
	if err := job.CheckReason(*f.Force); err != nil {
		return fmt.Errorf("--force: %w", err)
	}
	return nil
}

func (f selectionFlags) selection() job.Selection {
	s := job.Selection{Only: f.Only, WithDependents: f.WithDependents}
	if f.Force != nil {
		s.Force = *f.Force
	}
	return s
}

// explain puts errors that are about the flags, and not about the file, in terms of the flags.
func (f selectionFlags) explain(err error) error {
	if errors.Is(err, job.ErrNoOnly) {
		return &problem{
			what: "--with-dependents says nothing without --only", todo: "Name the jobs whose dependents are meant with --only.", err: err, usage: true,
		}
	}
	many, ok := errors.AsType[*job.Errors](err)
	if !ok || len(f.Only) == 0 || slices.ContainsFunc(many.List, func(e *job.Error) bool { return e.File != "" }) {
		return err
	}
	return &problem{what: "--" + strings.ReplaceAll(many.Error(), "\nonly:", "\n--only:"), usage: true}
}

// Help tells more.
func (c *submitCommand) Help() string {
	return "A run file looks like this; jobs can also be JSON lines in a file of their own, named by jobs_from:\n\n" +
		"    name: nightly-rollup\n" +
		"    pool: rollup\n" +
		"    jobs:\n" +
		"      - {id: fetch, task: fetch-data}\n" +
		"      - {id: sum, task: sum-up, needs: {data: fetch}}\n\n" +
		"--only, --with-dependents and --force take the place of only, with_dependents and force in the file. " +
		"Ancestors of the chosen jobs come along, and run where their outputs are missing; they are never forced.\n"
}

// Validate checks that the run file is there.
func (c *submitCommand) Validate() error {
	if err := checkRunFile(c.RunFile); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.ID != "" {
		if err := job.CheckName(c.ID); err != nil {
			return fmt.Errorf("--id: %w", err)
		}
	}
	_, err := c.changes()
	return err
}

func checkRunFile(path string) error {
	switch info, err := os.Stat(path); {
	case path == "": // which kong reports
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no run file %s", path)
	case err != nil:
		return fmt.Errorf("run file: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a run file", path)
	}
	return nil
}

// Run submits a run file.
func (c *submitCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	prepared, err := prepare(ctx, in, c.RunFile, c.selectionFlags, c.changeFlags)
	if err != nil {
		return err
	}
	defer prepared.Close()
	prepared.By = cmp.Or(c.By, asker())
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	submissions, err := queue.Open(contact, in.clients.SQS, in.cfg.Queues.Submissions)
	if err != nil {
		return err
	}
	var before *planner.Run
	if c.ID != "" {
		if before, err = planner.ReadRun(contact, in.runs, c.ID); err != nil {
			return err
		}
	}
	id, err := planner.Submit(ctx, in.objects, submissions, c.ID, prepared)
	if err != nil {
		return err
	}
	if !c.Watch {
		if c.json() {
			return printJSON(p.stdout, map[string]any{"run": id, "jobs": prepared.Jobs, "existing": before != nil})
		}
		fmt.Fprintln(p.stdout, id)
		if before != nil {
			pageOn(p.stderr).paragraph("", existing(time.Now(), before))
			return nil
		}
		pageOn(p.stderr).paragraph("", fmt.Sprintf("Submitted %s. How it goes: `spate status %s`", what(prepared), id))
		return nil
	}
	text := fmt.Sprintf("Submitted %s as %s", what(prepared), id)
	if before != nil {
		text = existing(time.Now(), before)
	}
	pageOn(p.stderr).paragraph("", text)
	return follow(ctx, p, in, watched{id: id, json: c.json(), local: prepared})
}

// existing says that a run that was submitted once more is the one that there was before.
func existing(now time.Time, r *planner.Run) string {
	return fmt.Sprintf("%s was submitted %s and %s; nothing new was started. Use another --id, or none, to run again.", r.ID, ago(now, r.Received), stateOf(r))
}

// what says what was submitted. Jobs that are in S3 are counted by the planner.
func what(p *planner.Prepared) string {
	if p.RunFile.Reproduce != nil {
		return "a reproduction of " + p.RunFile.Reproduce.Run
	}
	if p.Jobs == 0 {
		return "the jobs of " + p.RunFile.JobsFrom
	}
	if len(p.RunFile.Only) > 0 {
		return "a part of " + countOf(p.Jobs, "job")
	}
	return countOf(p.Jobs, "job")
}

// watched is a run that is watched.
type watched struct {
	id    string
	json  bool
	local *planner.Prepared // what it was submitted as, from files of this machine; nil when that is not known
}

// serving is what to type for a controller.
func serving(p *program) string { return pageOn(p.stderr).name() + " serve" }

// follow watches a run until it ends and prints it. It is an error if the run does not succeed.
func follow(ctx context.Context, p *program, in *installation, o watched) error {
	run, err := watch.Run(ctx, o.id, watch.Options{Table: in.runs, Out: pageOn(p.stderr).Writer, Serve: serving(p)})
	if err != nil {
		if ctx.Err() == nil {
			return err
		}
		return &problem{what: "stopped watching; the run goes on", todo: fmt.Sprintf("`spate status %s` shows it.", o.id)}
	}
	if o.local != nil {
		run.Errors = o.local.Localise(in.cfg.Bucket, run)
	}
	if err := showRun(ctx, p, in, run, o.json); err != nil {
		return err
	}
	if run.State != job.RunSucceeded {
		return fmt.Errorf("run %s %s", o.id, run.State)
	}
	return nil
}
