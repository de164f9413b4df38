package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"

	"spate/internal/download"
	"spate/planner"
	"spate/planner/report"
)

type resultsCommand struct {
	configFlag
	outputFlag
	RunID string   `arg:"" name:"run" help:"Run, by its id, the beginning of it, or its name, which is the newest run of that name."`
	Jobs  []string `arg:"" name:"job" help:"Jobs, by id or pattern, such as 'deal-*'." optional:""`
	Label []string `help:"Only jobs with this label, their own or the run's; repeat it for more." placeholder:"NAME=VALUE" sep:"none"`
	Roots bool     `help:"Only jobs on which no other depends." xor:"which"`
	All   bool     `help:"All jobs." xor:"which"`
	To    string   `help:"Download the files below this directory." placeholder:"DIR"`
	Limit int      `help:"How many jobs to show, at most; 0 shows all. JSON always has all, and --to downloads all." default:"40"`
}

// Help tells more.
func (c *resultsCommand) Help() string {
	return "Where neither jobs nor labels are given it is about the roots: the jobs on which no other depends, which is what most people want " +
		"of a run. --all is about all of its jobs.\n\n" +
		"--to writes DIR/JOB/FILE and checks each file's SHA-256. Files that are there and right are kept, others of these names are replaced, " +
		"nothing else in DIR is touched. When it was interrupted, the same command goes on.\n\n" +
		"Exit code 1: a job given by its id has no output; or, with --to, not all of what the run made could be downloaded, or there was nothing."
}

// Validate checks the flags.
func (c *resultsCommand) Validate() error {
	if c.Limit < 0 {
		return fmt.Errorf("--limit must be 0 or more, not %d", c.Limit)
	}
	if c.All && len(c.Jobs)+len(c.Label) > 0 {
		return errors.New("--all is about all jobs: give neither jobs nor labels with it")
	}
	for _, pattern := range c.Jobs {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%s is no pattern: want *, ? or [a-z]", pattern)
		}
	}
	_, err := c.labels()
	return err
}

func (c *resultsCommand) labels() (map[string]string, error) {
	labels := make(map[string]string, len(c.Label))
	for _, label := range c.Label {
		name, value, ok := strings.Cut(label, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--label must be NAME=VALUE, not %s", label)
		}
		if _, twice := labels[name]; twice {
			return nil, fmt.Errorf("--label %s is given twice", name)
		}
		labels[name] = value
	}
	return labels, nil
}

// roots reports whether only jobs are meant on which no other depends.
func (c *resultsCommand) roots() bool {
	return c.Roots || !c.All && len(c.Jobs)+len(c.Label) == 0
}

// Run lists outputs, and downloads them.
func (c *resultsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	run, err := reader.FindRun(ctx, c.RunID)
	if err != nil {
		return err
	}
	if run.Planned.IsZero() {
		return notPlanned(run)
	}
	labels, err := c.labels()
	if err != nil {
		return err
	}
	line := progressOn(p.stderr)
	results, err := reader.Results(ctx, time.Now(), run, report.ResultsOptions{
		Jobs: c.Jobs, Labels: labels, Roots: c.roots(),
		Progress: func(done, of int) { line.show("outputs looked for", done, of) },
	})
	line.clear()
	if err != nil {
		return err
	}
	var tally *download.Tally
	if c.To != "" {
		if tally, err = c.download(ctx, p, in, results); err != nil {
			return err
		}
	}
	if err := c.print(pageOn(p.stdout), run, results, tally); err != nil {
		return err
	}
	return shortOf(results, tally)
}

func (c *resultsCommand) download(ctx context.Context, p *program, in *installation, results *report.Results) (*download.Tally, error) {
	line := progressOn(p.stderr)
	tally, err := download.To(ctx, c.To, in.objects, results.Downloads(), func(done, of int64) {
		unit, what := int64(1e3), "kB downloaded"
		if of > 100e6 {
			unit, what = 1e6, "MB downloaded"
		}
		line.show(what, int(done/unit), int(of/unit))
	})
	line.clear()
	there := fmt.Sprintf("%s of %d are in %s; the same command goes on from there.", countOf(tally.Fetched+tally.Kept, "file"), files(results), c.To)
	if err != nil && ctx.Err() != nil {
		return nil, &problem{what: "stopped", todo: there}
	}
	return tally, noRoom(err, c.To, there)
}

// noRoom explains an error about a disk that is full. Others pass.
func noRoom(err error, dir, there string) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &problem{what: fmt.Sprintf("there is no room in %s: %v", dir, err), todo: "Make room. " + there, err: err}
	}
	return err
}

// files counts the files of outputs.
func files(results *report.Results) int {
	n := 0
	for _, o := range results.Outputs {
		n += len(o.Files)
	}
	return n
}

// resultsView is what --output json prints.
type resultsView struct {
	*report.Results
	Remarks  []string      `json:"remarks,omitempty"` // what makes the run no ordinary one: a part, forced, substituted
	Download *downloadView `json:"download,omitempty"`
}

type downloadView struct {
	Dir string `json:"dir"`
	*download.Tally
}

func (c *resultsCommand) print(w page, run *planner.Run, results *report.Results, tally *download.Tally) error {
	if c.json() {
		v := resultsView{Results: results, Remarks: run.Remarks()}
		if tally != nil {
			v.Download = &downloadView{c.To, tally}
		}
		return printJSON(w, v)
	}
	printResultsTitle(w, run, results, c.roots())
	if tally != nil {
		printDownload(w, results, tally, c.To)
	} else if err := printOutputList(w, time.Now(), results, c.Limit); err != nil {
		return err
	}
	printWithoutOutput(w, results)
	printAdvice(w, results, tally)
	return nil
}

// shortOf is an error when what was asked for is not all there; else nil.
func shortOf(results *report.Results, tally *download.Tally) error {
	var named []string
	lost := 0
	for _, o := range results.Outputs {
		if o.Missing != "" && o.Named {
			named = append(named, o.Job)
		}
		if o.Lost {
			lost++
		}
	}
	switch {
	case len(named) > 0:
		return fmt.Errorf("there is no output of %s", someOf(named, shownJobs))
	case tally == nil:
		return nil
	case len(tally.Bad) > 0:
		return fmt.Errorf("%s could not be downloaded", countOf(len(tally.Bad), "file"))
	case lost > 0:
		return fmt.Errorf("%s could not be downloaded", countOf(lost, "output"))
	case tally.Fetched+tally.Kept == 0:
		return errors.New("there was nothing to download")
	}
	return nil
}
