package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"spate/cache"
	"spate/job"
	"spate/planner/report"
)

type cacheVerifyCommand struct {
	configFlag
	outputFlag
	RunID  string `name:"run" help:"Verify the outputs of a run, by its id, the beginning of it, or its name, which is the newest run of that name." placeholder:"RUN" xor:"which"`
	Sample *int   `help:"Verify N outputs of the ledger and N that S3 lists, by chance; left out, 1000." placeholder:"N" xor:"which"`
	All    bool   `help:"Verify all outputs." xor:"which"`
}

// Help tells more.
func (c *cacheVerifyCommand) Help() string {
	return "Compares what view, ledger and S3 say, output by output. Of those in the ledger all three are asked; of those that S3 lists, whether the ledger has them. " +
		"What they disagree about is asked again three seconds later, and counts if they still do. Nothing is changed: the controller puts differences " +
		"right by itself, slowly, as it goes through the cache; `spate cache forget` and `spate cache rebuild` do it now.\n\n" +
		"A wrong hit is an output that view or ledger have and S3 has not: its job would be skipped, until the run looks before it ends. Exit code 1 when there is one; " +
		"all else costs a job that runs again. S3's requests for a million outputs cost about $0.40.\n\nThe view is asked where Redis can be reached from here. " +
		"Outputs that only the view has are found with --run, among those of a run; elsewhere only by the controller."
}

// Validate checks the flags.
func (c *cacheVerifyCommand) Validate() error {
	if c.Sample != nil && *c.Sample < 1 {
		return fmt.Errorf("--sample must be 1 or more, not %d", *c.Sample)
	}
	return nil
}

// defaultSample is how many outputs are verified where nothing else is said.
const defaultSample = 1000

// Run compares view, ledger and S3.
func (c *cacheVerifyCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	witnesses, release, err := in.witnesses()
	if err != nil {
		return err
	}
	defer release()
	options := cache.VerifyOptions{}
	total := int64(0)
	switch {
	case c.RunID != "":
		if options.Keys, total, err = keysOf(ctx, in, c.RunID); err != nil {
			return err
		}
	case c.All:
		if total, err = witnesses.Ledger.Items(ctx); err != nil {
			return err
		}
	case c.Sample != nil:
		options.Sample = *c.Sample
	default:
		options.Sample = defaultSample
	}
	if options.Sample > 0 {
		total = int64(options.Sample)
	}
	line := progressOn(p.stderr)
	options.Progress = func(phase cache.Phase, n int64) {
		if phase == cache.PhaseAgain {
			total = 0
		}
		line.bar(phaseName(phase), n, total)
	}
	began := time.Now()
	found, err := witnesses.Verify(ctx, options)
	line.clear()
	if err != nil {
		return err
	}
	if c.json() {
		err = printJSON(p.stdout, found)
	} else {
		err = printVerification(pageOn(p.stdout), time.Since(began), found, c.RunID != "")
	}
	if n := found.Counts[cache.WrongHit]; err == nil && n > 0 {
		err = &problem{
			what: either(int(n), "there is 1 wrong hit", "there are %d wrong hits"),
			todo: "`spate cache forget KEY` puts one right now; the controller finds them in time, and runs look before they end.",
		}
	}
	return err
}

func phaseName(p cache.Phase) string {
	switch p {
	case cache.PhaseOutputs:
		return "view, ledger and S3"
	case cache.PhaseListed:
		return "S3's listing"
	case cache.PhaseAgain:
		return "asked again"
	}
	return string(p)
}

// keysOf are the keys of a run's jobs, each once, and how many they are.
func keysOf(ctx context.Context, in *installation, ref string) (keys iter.Seq2[job.Key, error], n int64, err error) {
	reader, err := in.reader()
	if err != nil {
		return nil, 0, err
	}
	run, err := reader.FindRun(ctx, ref)
	if err != nil {
		return nil, 0, err
	}
	if run.Planned.IsZero() {
		return nil, 0, notPlanned(run)
	}
	return func(yield func(job.Key, error) bool) {
		seen := map[job.Key]bool{}
		for planned, err := range report.Jobs(ctx, in.objects, run.ID) {
			if err == nil && seen[planned.Key] {
				continue
			}
			seen[planned.Key] = true
			if !yield(planned.Key, err) || err != nil {
				return
			}
		}
	}, int64(run.Progress.Jobs), nil
}

// shownExamples is how many outputs are shown about which the three disagree. JSON has a hundred.
const shownExamples = 10

// printVerification prints what was found of all outputs, or of a run's.
func printVerification(w page, d time.Duration, v cache.Verification, ofRun bool) error {
	asked := "view, ledger and S3"
	if !v.ViewAsked {
		asked = "ledger and S3"
	}
	text := fmt.Sprintf("%s asked about %s", asked, many(v.Outputs, "output"))
	if v.Listed > 0 {
		text += fmt.Sprintf(", the ledger about %s that S3 lists", grouped(v.Listed))
	}
	w.paragraph("", strings.ToUpper(text[:1])+text[1:]+", in "+took(d)+".")
	switch {
	case v.ViewAsked || v.Outputs == 0:
	case v.ViewUntil > 0:
		w.paragraph("", fmt.Sprintf("The view was asked no more after %s: %s.", many(v.ViewUntil, "output"), v.ViewError))
	case v.ViewError != "":
		w.paragraph("", fmt.Sprintf("The view was not asked: %s.", v.ViewError))
	default:
		w.paragraph("", "The view was not asked: no epoch is live that could answer.")
	}
	if v.Passing > 0 {
		w.paragraph("", either(int(v.Passing), "1 difference was gone a few seconds later: it was under way.", "%d differences were gone a few seconds later: they were under way."))
	}
	if v.Beyond > 0 {
		w.paragraph("", fmt.Sprintf("There are so many differences that %s of them were not asked again, and are not counted below. "+
			"If the ledger was lost: `spate cache rebuild --from-s3`.", grouped(v.Beyond)))
	}
	same := len(v.Counts) == 0
	if same && v.Beyond == 0 {
		w.paragraph("", "They say the same.")
	}
	if v.ViewAsked && !ofRun {
		w.paragraph("", "Outputs that only the view has were not looked for: `spate cache verify --run RUN` finds those of a run, and the controller finds all in time.")
	}
	if same {
		return nil
	}
	for _, d := range []struct {
		kind cache.Disagreement
		one  string
		many string
		text string
	}{
		{cache.WrongHit, "wrong hit", "wrong hits", "view or ledger have the output, and S3 does not"},
		{cache.LateExpiry, "late expiry", "late expiries", "the ledger promises the output for longer than S3's copy counts; the controller puts this right in time"},
		{cache.NotInLedger, "not in ledger", "not in ledger", "S3 has the output; its job would run again. The controller puts this right in time, and `spate cache rebuild --from-s3` now"},
		{cache.NotInView, "not in view", "not in view", "ledger and S3 have the output; its job would run again. The controller puts this right in time, and `spate cache rebuild` now"},
	} {
		if n := v.Counts[d.kind]; n > 0 {
			name := d.many
			if n == 1 {
				name = d.one
			}
			w.paragraph("", fmt.Sprintf("%s %s: %s.", grouped(n), name, d.text))
		}
	}
	fmt.Fprintln(w)
	body := make([][]string, 0, shownExamples)
	for i, e := range v.Examples {
		if i == shownExamples {
			break
		}
		body = append(body, []string{e.Key.String(), strings.ReplaceAll(string(e.Disagree), "_", " "), e.View, e.Ledger, e.S3, e.Run})
	}
	if err := w.rows([]string{"KEY", "WHAT", "VIEW", "LEDGER", "S3", "RUN"}, body); err != nil {
		return err
	}
	if n := len(v.Examples); n > shownExamples {
		w.paragraph("", "… and more; --output json has the first hundred")
	}
	return nil
}
