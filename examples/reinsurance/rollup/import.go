package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"spate/examples/reinsurance/model"
)

const usageError = 2

// importMelt checks an event loss table from another program and writes it the way simulate-events reads it:
//
//	rollup import --out melt.csv events.csv
func importMelt(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `rollup import [--summary N] [--sample-type N] --out FILE TABLE

Checks a moment event loss table (Open Results Data: EventId, EventRate, MeanLoss, SDLoss and,
if there, MaxLoss, SummaryId, SampleType; CSV in UTF-8) and writes the catalogue of events that
simulate-events reads as melt.csv. Every row that is wrong is listed; then nothing is written.

`)
		flags.PrintDefaults()
	}
	out := flags.String("out", "", "file to write (required)")
	summary := flags.Int64("summary", 0, "SummaryId to take, where the table has several")
	sampleType := flags.Int64("sample-type", 0, "SampleType to take, where the table has both: 1 analytical, 2 sampled")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return model.Succeeded
	case err != nil:
		return usageError
	case *out == "" || flags.NArg() != 1:
		fmt.Fprintln(stderr, "import: --out and one table are required")
		return usageError
	}
	file := flags.Arg(0)
	content, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintf(stderr, "import: %v\n", err)
		return model.Failed
	}
	events, err := model.ImportMelt(file, content, model.MeltOptions{SummaryID: *summary, SampleType: *sampleType})
	if err != nil {
		fmt.Fprintln(stderr, err)
		return model.BadInput
	}
	if err := os.WriteFile(*out, model.WriteMelt(events), 0o644); err != nil { //nolint:gosec // the user names the file
		fmt.Fprintf(stderr, "import: %v\n", err)
		return model.Failed
	}
	rate, loss := 0.0, 0.0
	for _, e := range events {
		rate += e.Rate
		loss += e.Rate * e.Mean
	}
	fmt.Fprintf(stdout, "%s: %d events, %.4g occurrences and a mean loss of %.4g a year\n", *out, len(events), rate, loss)
	return model.Succeeded
}
