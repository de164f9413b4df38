package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/internal/download"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

// Of so many jobs each file is shown, and of one job so many of its files.
const (
	detailedJobs = 5
	shownFiles   = 20
)

func printResultsTitle(w page, run *planner.Run, results *report.Results, roots bool) {
	text := fmt.Sprintf("Results of %s (%s): %d of %s", run.ID, run.State, len(results.Outputs), countOf(results.Jobs, "job"))
	if roots {
		text += ", on which no other depends"
	}
	w.paragraph("", text+".")
	printRemarks(w, "", run.Remarks())
	if common := commonLabels(results.Outputs); len(common) > 0 {
		w.paragraph("  ", "labels: "+labelText(common, nil))
	}
}

// commonLabels are those that all jobs have.
func commonLabels(outputs []report.JobOutput) map[string]string {
	common := maps.Clone(outputs[0].Labels)
	for _, o := range outputs[1:] {
		maps.DeleteFunc(common, func(name, value string) bool { return o.Labels[name] != value })
	}
	return common
}

// labelText is labels other than those that are shown elsewhere.
func labelText(labels, elsewhere map[string]string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if _, ok := elsewhere[name]; !ok {
			texts = append(texts, name+"="+labels[name])
		}
	}
	return strings.Join(texts, ", ")
}

// outputState is a job's state, and whether its output is one that stands in, or was made from such.
func outputState(o *report.JobOutput) string {
	switch {
	case o.Substituted != nil:
		return "substituted"
	case len(o.SubstitutedBy) > 0:
		return o.State + ", on substituted"
	}
	return o.State
}

func printOutputList(w page, now time.Time, results *report.Results, limit int) error {
	var outputs []report.JobOutput
	for _, o := range results.Outputs {
		if o.Missing == "" {
			outputs = append(outputs, o)
		}
	}
	if len(outputs) == 0 {
		return nil
	}
	common := commonLabels(results.Outputs)
	if len(outputs) <= detailedJobs {
		return printOutputDetails(w, now, outputs, common)
	}
	shown := outputs
	if limit > 0 {
		shown = shown[:min(limit, len(shown))]
	}
	rows := make([][]string, len(shown))
	for i := range shown {
		o := &shown[i]
		rows[i] = []string{
			o.Job, outputState(o), strconv.Itoa(len(o.Files)), strconv.FormatInt(o.Bytes, 10), labelText(o.Labels, common),
		}
	}
	header := []string{"JOB", "STATE", "FILES", "BYTES", "LABELS"}
	if last := len(header) - 1; !slices.ContainsFunc(rows, func(row []string) bool { return row[last] != "" }) {
		header = header[:last]
		for i := range rows {
			rows[i] = rows[i][:last]
		}
	}
	fmt.Fprintln(w)
	if err := w.rows(header, rows); err != nil {
		return err
	}
	if n := len(outputs) - len(shown); n > 0 {
		w.paragraph("", fmt.Sprintf("… and %s more: --limit 0 shows all.", countOf(n, "job")))
	}
	return nil
}

func printOutputDetails(w page, now time.Time, outputs []report.JobOutput, common map[string]string) error {
	for i := range outputs {
		o := &outputs[i]
		text := fmt.Sprintf("%s (%s) %s, made by %s %s", o.Job, o.Task, outputState(o), o.MadeBy, ago(now, o.MadeAt))
		if labels := labelText(o.Labels, common); labels != "" {
			text += "; " + labels
		}
		fmt.Fprintln(w)
		w.paragraph("", text)
		if o.Substituted != nil {
			w.paragraph("  ", fmt.Sprintf("this output stands in for its own: %q", o.Substituted.Reason))
		} else if len(o.SubstitutedBy) > 0 {
			w.paragraph("  ", "depends on substituted "+someOf(o.SubstitutedBy, shownJobs))
		}
		rows := make([][]string, 0, len(o.Files))
		for _, f := range o.Files[:min(shownFiles, len(o.Files))] {
			rows = append(rows, []string{"  " + f.Path, strconv.FormatInt(f.Size, 10)})
		}
		if err := w.rows([]string{"  FILE", "BYTES"}, rows); err != nil {
			return err
		}
		if n := len(o.Files) - shownFiles; n > 0 {
			w.paragraph("  ", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "file")))
		}
		w.paragraph("  ", "manifest: "+o.Manifest)
	}
	return nil
}

func printDownload(w page, results *report.Results, tally *download.Tally, dir string) {
	text := fmt.Sprintf("%s downloaded to %s, %d B", countOf(tally.Fetched, "file"), dir, tally.Bytes)
	if tally.Kept > 0 {
		text += fmt.Sprintf("; %s there and right", either(tally.Kept, "1 was", "%d were"))
	}
	if tally.Replaced > 0 {
		text += fmt.Sprintf("; %s the place of other bytes", either(tally.Replaced, "1 took", "%d took"))
	}
	w.paragraph("", text+".")
	if len(tally.Bad) == 0 {
		return
	}
	fmt.Fprintln(w)
	w.paragraph("", either(len(tally.Bad), "1 file was", "%d files were")+" not downloaded, as S3 does not have what the manifest names:")
	for _, bad := range tally.Bad[:min(shownFiles, len(tally.Bad))] {
		w.paragraph("  ", bad.Path+": "+bad.Cause)
	}
	if n := len(tally.Bad) - shownFiles; n > 0 {
		w.paragraph("  ", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "file")))
	}
}

// printAdvice says how to get what S3 does not have as it should be.
func printAdvice(w page, results *report.Results, tally *download.Tally) {
	if tally != nil && len(tally.Bad) > 0 || slices.ContainsFunc(results.Outputs, func(o report.JobOutput) bool { return o.Lost }) {
		w.paragraph("", "What S3 no longer has is computed again when the run file is submitted again; so is what is damaged, once its manifest is deleted.")
	}
}

func printWithoutOutput(w page, results *report.Results) {
	var without []report.JobOutput
	never := false
	for _, o := range results.Outputs {
		if o.Missing != "" {
			without = append(without, o)
			never = never || !o.Lost
		}
	}
	if len(without) == 0 {
		return
	}
	fmt.Fprintln(w)
	w.paragraph("", either(len(without), "1 job has", "%d jobs have")+" no output:")
	for _, o := range without[:min(shownFiles, len(without))] {
		w.paragraph("  ", fmt.Sprintf("%s (%s): %s", o.Job, o.State, o.Missing))
	}
	if n := len(without) - shownFiles; n > 0 {
		w.paragraph("  ", fmt.Sprintf("… and %s more; --output json has all", countOf(n, "job")))
	}
	if never {
		shows := "`spate status %s` shows how the run goes."
		if results.State == string(job.RunFailed) {
			shows = "`spate failed %s` shows the causes."
		}
		w.paragraph("", fmt.Sprintf(shows, results.Run))
	}
}
