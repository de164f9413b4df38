package main

import (
	"context"
	"errors"
	"fmt"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

type substituteCommand struct {
	configFlag
	outputFlag
	askFlags
	RunID  string `arg:"" name:"run" help:"Run, by its whole id."`
	Job    string `arg:"" help:"Id of the job that failed, or is blocked."`
	From   string `help:"Output that stands in: its key, 8 or more of the first digits, or last-good." required:"" placeholder:"KEY"`
	Reason string `help:"Why; it stays with the run." required:"" placeholder:"TEXT"`
	Watch  bool   `help:"Watch the run until it ends; exit 1 unless it succeeds." short:"w"`
}

// lastGood is the --from that leaves it to the results of earlier runs which output stands in.
const lastGood = "last-good"

// Help tells more.
func (c *substituteCommand) Help() string {
	return "A job that fails keeps all that depends on it from running. This lets another output stand in for its own, such as yesterday's: " +
		"last-good is the newest output that a job of the same id has in the results of earlier runs, first of runs of the same name.\n\n" +
		"What depends on the job gets the keys that it would have if the other output were its parent's, so that no output is ever found " +
		"for something that it was not made from. The run, its results, and every job that depends on the substituted one say so for good.\n\n" +
		"A run that has failed goes on. The output must be of the same task type and have the files that other jobs name."
}

// Validate checks the flags.
func (c *substituteCommand) Validate() error {
	if err := job.CheckReason(c.Reason); err != nil {
		return fmt.Errorf("--reason: %w", err)
	}
	if c.From != lastGood && !report.IsKey(c.From) {
		return fmt.Errorf("--from %q is neither %s nor a key: want %d to %d digits of 0-9 and a-f", c.From, lastGood, report.MinKeyDigits, 2*job.KeySize)
	}
	return nil
}

// Run asks the controller to let an output stand in, and shows what came of it.
func (c *substituteCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	run, err := wholeRun(ctx, in, c.RunID)
	if err != nil {
		return err
	}
	if run.Planned.IsZero() {
		return notPlanned(run)
	}
	found, err := reader.FindJob(ctx, c.Job, run.ID)
	if err != nil {
		return err
	}
	key, by, err := c.output(ctx, reader, found)
	if err != nil {
		return err
	}
	differences, err := reader.DiffOutput(ctx, run, &found.Job, key)
	if errors.Is(err, objects.ErrNotFound) {
		return &problem{
			what: fmt.Sprintf("there is no output %s", key.Short()),
			todo: fmt.Sprintf("Outputs of a run: `spate status RUN` names its results; --from %s looks for one.", lastGood),
		}
	}
	if err != nil {
		return err
	}
	answers, err := c.ask(ctx, in, planner.Request{
		Run: run.ID, Kind: planner.RequestSubstitute, Jobs: []string{found.Job.ID}, From: key.String(), Reason: c.Reason,
	})
	if err != nil {
		return err
	}
	if !c.Watch && c.json() {
		return printJSON(p.stdout, substitutionView{run.ID, found.Job.ID, key, answers[0].Answer, differences, by})
	}
	w := pageOn(p.stdout)
	if c.Watch {
		w = pageOn(p.stderr)
	}
	printSubstitution(w, answers[0].Answer, differences, by)
	if c.Watch {
		return follow(ctx, p, in, watched{id: run.ID, json: c.json()})
	}
	pageOn(p.stderr).paragraph("", fmt.Sprintf("How the run goes on: `spate status %s`", run.ID))
	return nil
}

// output is the key of the output that is meant, and the jobs for which others stood in when it was made, as far as recent
// runs tell.
func (c *substituteCommand) output(ctx context.Context, reader *report.Reader, found *report.Found) (key job.Key, by []string, err error) {
	if c.From == lastGood {
		good, err := reader.LastGood(ctx, found.Run, &found.Job)
		if _, ok := errors.AsType[*report.NotFoundError](err); ok && found.Job.Replaces == (job.Replaced{}) {
			if _, _, own := reader.Manifest(ctx, found.Job.Key); own == nil {
				err = fmt.Errorf("job %s has an output: nothing needs to stand in for it", found.Job.ID)
			}
		}
		if err != nil {
			return job.Key{}, nil, err
		}
		return good.Key, nil, nil
	}
	other, err := reader.FindKey(ctx, c.From)
	if _, ok := errors.AsType[*report.NotFoundError](err); ok && len(c.From) == 2*job.KeySize {
		key, err := job.ParseKey(c.From)
		return key, nil, err
	}
	if err != nil {
		return job.Key{}, nil, err
	}
	return other.Job.Key, other.Job.SubstitutedBy, nil
}

// substitutionView is a substitution as programs read it.
type substitutionView struct {
	Run         string              `json:"run"`
	Job         string              `json:"job"`
	Key         job.Key             `json:"key"` // that stands in
	Answer      string              `json:"answer"`
	Differences []report.Difference `json:"differences"` // from what the job's own key was derived from, to what the output was made from

	SubstitutedBy []string `json:"substituted_by,omitempty"` // jobs for which other outputs stood in when the output was made
}

// shownOfSubstitute is how many differences of a substitute are shown; JSON has all.
const shownOfSubstitute = 10

func printSubstitution(w page, answer string, differences []report.Difference, by []string) {
	w.paragraph("", answer)
	if len(by) > 0 {
		w.paragraph("", "When it was made, "+either(len(by), "another output", "other outputs")+" stood in for "+someOf(by, shownNames)+".")
	}
	if len(differences) == 0 {
		return
	}
	w.paragraph("", "It was made from something else than the job itself would be:")
	for _, d := range differences[:min(len(differences), shownOfSubstitute)] {
		w.paragraph("  ", d.String())
	}
	if n := len(differences) - shownOfSubstitute; n > 0 {
		w.paragraph("  ", fmt.Sprintf("… and %d more; --output json has all", n))
	}
}
