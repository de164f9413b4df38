package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"spate/job"
	"spate/planner/report"
)

type whyCommand struct {
	configFlag
	outputFlag
	Ref     string `arg:"" name:"job" help:"Job, by its id, its key or at least 8 digits of it, or as RUN/JOB."`
	RunID   string `name:"run" help:"Run to look in (default: the newest that has the job, of the 20 newest)." placeholder:"RUN"`
	Against string `help:"Run, or key, to compare with (default: the run of the same name before)." placeholder:"RUN|KEY"`
}

// Help tells more.
func (c *whyCommand) Help() string {
	return "Says why a job ran, or did not: which fields of what its key is derived from differ from the run before, down to the jobs " +
		"it depends on that changed themselves. Of a key it says which output it stands for and which of the 20 newest runs use it."
}

// Run explains a job.
func (c *whyCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	now := time.Now()
	run, name := c.RunID, c.Ref
	if run == "" {
		run, name = splitJob(c.Ref)
	}
	e, err := reader.Why(ctx, now, name, report.WhyOptions{Run: run, Against: c.Against, Retention: in.cfg.Cache.Retention})
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, e)
	}
	return printWhy(pageOn(p.stdout), now, e)
}

// Most of these is shown; JSON has all.
const (
	shownReasons = 10
	shownParams  = 12
)

func printWhy(w page, now time.Time, e *report.Explanation) error {
	head := headline(now, e)
	w.paragraph("", head)
	if because := e.Because(); because != "" && strings.HasSuffix(head, " because") {
		w.paragraph("  ", because)
	}
	if n := len(e.SubstitutedBy); n > 0 {
		w.paragraph("  ", fmt.Sprintf("substituted: it depends on %s, for which %s", someOf(e.SubstitutedBy, shownNames),
			either(n, "another output stands in", "other outputs stand in")))
	}
	if len(e.Differences) > 0 {
		fmt.Fprintln(w)
		with := "output " + e.AgainstKey.Short()
		if e.Against != nil {
			with = fmt.Sprintf("%s (%s, %s)", e.Against.ID, e.Against.State, ago(now, e.Against.Received))
		}
		w.paragraph("", "Compared with "+with+":")
		printDifferences(w, e.Differences)
		printAncestors(w, e.Ancestors)
	}
	printOutput(w, now, e.Output)
	if len(e.UsedBy) > 0 {
		fmt.Fprintln(w)
		w.paragraph("", "Used by:")
		for _, use := range e.UsedBy {
			w.paragraph("  ", fmt.Sprintf("%s (%s, %s): %s", use.Run.ID, use.Run.State, ago(now, use.Run.Received), someOf(use.Jobs, shownNames)))
		}
	}
	fmt.Fprintln(w)
	return printDocument(w, e)
}

// printDifferences lists what of a job itself is another, and names the parents that are.
func printDifferences(w page, differences []report.Difference) {
	var parents []string
	own := 0
	for _, d := range differences {
		if !d.IsOwn() {
			parents = append(parents, strings.TrimSuffix(strings.TrimPrefix(d.Field, "needs."), ".key"))
			continue
		}
		if own++; own <= shownReasons {
			w.paragraph("  ", d.String())
		}
	}
	if own > shownReasons {
		w.paragraph("  ", fmt.Sprintf("… and %d more; --output json has all", own-shownReasons))
	}
	if len(parents) > 0 {
		w.paragraph("  ", either(len(parents), "1 of its parents has", "%d of its parents have")+" another key: "+someOf(parents, shownJobs))
	}
}

// headline says what became of a job.
func headline(now time.Time, e *report.Explanation) string {
	if e.Run == nil {
		return fmt.Sprintf("%s is the key of a %s job; no run of the newest %d has it.", e.Key.Short(), e.Task, report.RunsSearched)
	}
	who := fmt.Sprintf("%s of run %s", e.Job, e.Run.ID)
	switch e.State {
	case job.Cached.String(), job.Done.String():
		switch s := e.Substituted; {
		case e.Output == nil:
			return who + " had an output, which is not there any more."
		case s != nil:
			return fmt.Sprintf("%s is substituted: instead of its own output %s, %s of run %s stands in, as %q (%s, %s).",
				who, s.For.Short(), e.Key.Short(), e.Output.Run, s.Reason, s.By, ago(now, s.At))
		case e.Output.Run != e.Run.ID && e.Seconds > 0:
			return fmt.Sprintf("%s ran for %s; run %s has made its output anew since, %s. It ran because",
				who, seconds(e.Seconds), e.Output.Run, ago(now, e.Output.Made))
		case e.Output.Run != e.Run.ID:
			return fmt.Sprintf("%s did not run: run %s had made its output, %s.", who, e.Output.Run, ago(now, e.Output.Made))
		}
		return fmt.Sprintf("%s ran, %s for %s, because", who, ago(now, e.Output.Made), seconds(e.Output.Seconds))
	case job.Failed.String():
		return fmt.Sprintf("%s failed: %s. It was to run because", who, e.Cause)
	case job.Blocked.String():
		return fmt.Sprintf("%s cannot run: %s. It was to run because", who, e.Cause)
	case job.Cancelled.String():
		return fmt.Sprintf("%s did not run: %s. It was to run because", who, e.Cause)
	}
	return fmt.Sprintf("%s is %s. It is to run because", who, e.State)
}

func printAncestors(w page, ancestors []report.Ancestor) {
	if len(ancestors) == 0 {
		return
	}
	fmt.Fprintln(w)
	w.paragraph("", either(len(ancestors), "1 job on which it depends was changed itself:", "%d jobs on which it depends were changed themselves:"))
	for i, a := range ancestors {
		if i == shownReasons {
			w.paragraph("  ", fmt.Sprintf("… and %d more; --output json has all", len(ancestors)-i))
			return
		}
		text := a.ID + ": " + sentences(a.Differences, 3)
		if a.IsNew {
			text = a.ID + " is new"
		}
		if len(a.Through) > 0 {
			const shown = 3
			through := a.Through[:min(len(a.Through), shown)]
			text += " (through " + strings.Join(through, ", ")
			if more := a.Between - len(through); more > 0 {
				text += fmt.Sprintf(", … and %d more", more)
			}
			text += ")"
		}
		w.paragraph("  ", text)
	}
}

func printOutput(w page, now time.Time, out *report.OutputFacts) {
	fmt.Fprintln(w)
	if out == nil {
		w.paragraph("", "It has no output.")
		return
	}
	text := fmt.Sprintf("Output: %s, %d B, made by run %s %s in %s", countOf(out.Files, "file"), out.Bytes, out.Run, ago(now, out.Made), seconds(out.Seconds))
	if out.Expires.After(now) {
		const day = 24 * time.Hour
		text += "; expires in " + countOf(int((out.Expires.Sub(now)+day-1)/day), "day")
	} else {
		text += "; it has expired, and counts as absent"
	}
	w.paragraph("", text)
}

// printDocument shows what a key was derived from.
func printDocument(w page, e *report.Explanation) error {
	doc, err := job.ParseDocument(e.Document)
	if err != nil {
		return err
	}
	key := e.Key
	if e.Substituted != nil && e.Output == nil { // what the one that stood in was made from is not known any more
		key = e.Substituted.For
	}
	w.paragraph("", fmt.Sprintf("Key %s is derived from", key.Short()))
	spec := doc.Spec
	w.paragraph("  ", fmt.Sprintf("task %s: %s", spec.Task.Name, strings.Join(spec.Task.Command, " ")))
	w.paragraph("  ", fmt.Sprintf("image %s for %s, namespace %s", shortImage(spec.Image), spec.Platform, spec.Namespace))
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		w.paragraph("  ", "env "+name+"="+spec.Env[name])
	}
	params := map[string]jsontext.Value{}
	if err := json.Unmarshal(spec.Params, &params); err != nil {
		return fmt.Errorf("print params of key %s: %w", e.Key.Short(), err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		lines = append(lines, "params."+name+" = "+string(params[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Inputs)) {
		in := spec.Inputs[name]
		text := fmt.Sprintf("inputs.%s: %d B, ETag %s", name, in.Size, in.ETag)
		if in.SHA256 != "" {
			text = fmt.Sprintf("inputs.%s: SHA-256 %s", name, in.SHA256)
		}
		lines = append(lines, text)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Parents)) {
		files := "all files"
		if len(doc.Parents[name].Files) > 0 {
			files = someOf(doc.Parents[name].Files, 3)
		}
		lines = append(lines, fmt.Sprintf("needs.%s: %s of output %s", name, files, doc.Parents[name].Key.Short()))
	}
	for i, line := range lines {
		if i == shownParams {
			w.paragraph("  ", fmt.Sprintf("… and %d more; --output json has all", len(lines)-i))
			break
		}
		w.paragraph("  ", shorten(line, 76))
	}
	return nil
}

// shorten cuts a line after so many characters.
func shorten(line string, most int) string {
	if r := []rune(line); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return line
}
