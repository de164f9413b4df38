package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"spate/planner/report"
)

type logsCommand struct {
	configFlag
	outputFlag
	JobID   string `arg:"" name:"job" help:"Job, by its id or its key; of the key eight digits are enough."`
	RunID   string `name:"run" help:"Run in which to look; left out, the newest that has the job." placeholder:"RUN"`
	Attempt int    `help:"Attempt, from 1; left out, the one that made the output, else the last." placeholder:"N"`
}

// Help tells more.
func (c *logsCommand) Help() string {
	return "What the job's program and hooks printed goes to standard output; which attempt it was, to standard error. Of more than 8 MiB the " +
		"first and last 4 MiB are kept. A worker that died left nothing: its own log has lines of jobs with SPATE_LOG_LEVEL=debug."
}

// Validate checks the flags.
func (c *logsCommand) Validate() error {
	if c.Attempt < 0 {
		return fmt.Errorf("--attempt must be 1 or more, not %d", c.Attempt)
	}
	return nil
}

// Run shows what a job printed.
func (c *logsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	found, err := reader.FindJob(ctx, c.JobID, c.RunID)
	if err != nil {
		return err
	}
	log, err := reader.Log(ctx, time.Now(), found, c.Attempt)
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, log)
	}
	pageOn(p.stderr).paragraph("", logTitle(time.Now(), log))
	text := log.Text
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err = io.WriteString(pageOn(p.stdout).Writer, text) // as it is
	return err
}

// logTitle says whose log it is.
func logTitle(now time.Time, log *report.Log) string {
	text := fmt.Sprintf("%s of run %s, attempt %d", log.Job, log.Run, log.Attempt)
	switch {
	case log.StandsIn:
		text = fmt.Sprintf("%s of run %s, substituted by output %s: attempt %d for run %s", log.Job, log.Run, log.Key.Short(), log.Attempt, log.MadeBy)
	case log.MadeBy != log.Run:
		text = fmt.Sprintf("%s of run %s, from the cache: attempt %d for run %s", log.Job, log.Run, log.Attempt, log.MadeBy)
	}
	if log.Succeeded {
		text += fmt.Sprintf(", succeeded %s after %s", ago(now, log.At), took(time.Duration(log.Seconds*float64(time.Second))))
	} else {
		text += fmt.Sprintf(", failed %s: %s", ago(now, log.At), log.Cause)
	}
	switch {
	case log.Missing != "":
		text += "; " + log.Missing
	case log.Text == "":
		text += "; it printed nothing that was kept"
	}
	return text
}
