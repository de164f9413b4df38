package main

import (
	"context"
	"fmt"

	"spate/planner"
)

type cancelCommand struct {
	configFlag
	outputFlag
	askFlags
	RunID  string `arg:"" name:"run" complete:"run-id" help:"Run, by its whole id."`
	Reason string `help:"Why; it is kept with the run." placeholder:"TEXT"`
}

// Help tells more.
func (c *cancelCommand) Help() string {
	return "About a second after the answer nothing more of the run is started: workers drop what they have not begun, and no worker is " +
		"launched for it. Jobs that are running finish, and outputs stay. Runs that share jobs with it go on by themselves. What was cancelled can be submitted again: " +
		"only what has no output runs."
}

// Run cancels a run.
func (c *cancelCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	run, err := wholeRun(ctx, in, c.RunID)
	if err != nil {
		return err
	}
	answers, err := c.ask(ctx, in, planner.Request{Run: run.ID, Kind: planner.RequestCancel, Reason: c.Reason})
	if err != nil {
		return err
	}
	if err := printAnswers(p, c.json(), run.ID, answers); err != nil || c.json() {
		return err
	}
	pageOn(p.stderr).paragraph("", fmt.Sprintf("Until it has ended: `spate status %s --watch`", run.ID))
	return nil
}
