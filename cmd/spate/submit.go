package main

import (
	"context"
	"errors"
	"fmt"

	"spate/controller"
	"spate/internal/queue"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
)

type submitCommand struct {
	configFlag
	outputFlag
	RunFile string `arg:"" name:"run-file" help:"Run file, YAML or JSON." type:"existingfile"`
	ID      string `help:"Submission id, which becomes the run's: the same id again is the same run. Left out, a new one is made." placeholder:"ID"`
	Watch   bool   `help:"Watch the run until it ends; exit 1 unless it succeeds." short:"w"`
}

// errUnsuccessful ends a watched run that did not succeed; what there is to say has been printed.
var errUnsuccessful = errors.New("the run did not succeed")

// Run submits a run file.
func (c *submitCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	catalogue, err := controller.Catalogue(in.cfg)
	if err != nil {
		return err
	}
	prepared, err := planner.Prepare(c.RunFile, catalogue)
	if err != nil {
		return err
	}
	defer prepared.Close()
	if _, ok := findPool(in.cfg.Pools, prepared.RunFile.Pool); !ok {
		run := prepared.RunFile
		return run.ErrorAt(c.RunFile, "pool", "there is no pool %q; the configuration has %s", run.Pool, poolNames(in.cfg.Pools))
	}
	submissions, err := queue.Open(ctx, in.clients.SQS, in.cfg.Queues.Submissions)
	if err != nil {
		return err
	}
	id, err := planner.Submit(ctx, in.objects, submissions, c.ID, prepared)
	if err != nil {
		return err
	}
	if !c.Watch {
		if c.json() {
			return printJSON(p.stdout, map[string]any{"run": id, "jobs": prepared.Jobs})
		}
		fmt.Fprintf(p.stdout, "%s\n", id)
		fmt.Fprintf(p.stderr, "%s submitted; `spate status %s` tells how it goes\n", countOf(prepared.Jobs, "job"), id)
		return nil
	}
	fmt.Fprintf(p.stderr, "%s submitted as %s\n", countOf(prepared.Jobs, "job"), id)
	run, err := watch.Run(ctx, id, watch.Options{Table: in.runs, Out: p.stderr})
	if err != nil {
		return err
	}
	if err := printRun(ctx, p.stdout, in, run, c.json()); err != nil {
		return err
	}
	if run.State != job.RunSucceeded {
		return errUnsuccessful
	}
	return nil
}
