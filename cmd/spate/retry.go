package main

import (
	"context"
	"errors"
	"slices"

	"spate/planner"
)

type retryCommand struct {
	configFlag
	outputFlag
	askFlags
	RunID  string   `arg:"" name:"run" complete:"run-id" help:"Run, by its whole id."`
	Jobs   []string `arg:"" optional:"" name:"job" help:"Failed jobs to try again, by their ids; left out: all."`
	Reason string   `help:"Why; it is kept with the run." placeholder:"TEXT"`
	Failed bool     `help:"Try all again that failed, which is the default."`
	Watch  bool     `help:"Watch the run until it ends; exit 1 unless it succeeds." short:"w"`
}

// Help tells more.
func (c *retryCommand) Help() string {
	return "Failed jobs get all their attempts again, and what they blocked waits for them again. A run that has failed becomes active " +
		"again. Image, inputs and parameters are those of the run: to try others, submit it again; what is done is cached."
}

// Validate checks the flags.
func (c *retryCommand) Validate() error {
	if c.Failed && len(c.Jobs) > 0 {
		return errors.New("--failed means all that failed: name jobs, or give --failed")
	}
	return nil
}

// Run has failed jobs tried again.
func (c *retryCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	run, err := wholeRun(ctx, in, c.RunID)
	if err != nil {
		return err
	}
	requests := []planner.Request{{Run: run.ID, Kind: planner.RequestRetry, Reason: c.Reason}}
	if len(c.Jobs) > 0 {
		requests = nil
		for jobs := range slices.Chunk(c.Jobs, planner.MaxRequestJobs) {
			requests = append(requests, planner.Request{Run: run.ID, Kind: planner.RequestRetry, Reason: c.Reason, Jobs: jobs})
		}
	}
	answers, err := c.ask(ctx, in, requests...)
	if err != nil {
		return err
	}
	if !c.Watch {
		return printAnswers(p, c.json(), run.ID, answers)
	}
	for _, a := range answers {
		pageOn(p.stderr).paragraph("", run.ID+": "+a.Answer)
	}
	return follow(ctx, p, in, watched{id: run.ID, json: c.json()})
}
