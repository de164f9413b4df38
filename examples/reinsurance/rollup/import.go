package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/sheet"
)

const usageError = 2

// importMelt checks an event loss table from another program and writes it the way the tasks read it: simulate-events as a
// peril's catalogue, price-deal as a cedant's own losses.
//
//	rollup import --out melt.csv events.csv
//	rollup import --out elt.csv --catalogue melt.csv cedant.csv
func importMelt(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error stands alone, not before all the usage
	usage := func() {
		fmt.Fprint(stdout, `rollup import [--summary N] [--sample-type N] [--catalogue FILE|PERIL]…
    --out FILE TABLE

Checks a moment event loss table (Open Results Data: EventId, EventRate,
MeanLoss, SDLoss and, if there, MaxLoss, SummaryId, SampleType; CSV in UTF-8)
and writes it as the tasks read it. Every row that is wrong is listed; then
nothing is written.

A table of the whole industry's losses becomes a peril's catalogue of events:
  rollup import --out melt.csv events.csv
  generate --melt us-hurricane=s3://…/melt.csv …

A table of one cedant's losses, in the currency of its deals, is checked
against the catalogue of each peril covered and becomes the deals' losses:
  rollup import --out elt.csv --catalogue melt.csv cedant.csv
  generate --elt deal-00001=s3://…/elt.csv …

`)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
	}
	out := flags.String("out", "", "file to write (required)")
	summary := flags.Int64("summary", 0, "SummaryId to take, where the table has several")
	sampleType := flags.Int64("sample-type", 0, "SampleType to take, where the table has both: 1 analytical, 2 sampled")
	var catalogue *model.Catalogue
	flags.Func("catalogue", "table that import wrote, or a peril's `name`, in which each event must be; may be repeated", func(name string) error {
		if catalogue == nil {
			catalogue = &model.Catalogue{}
		}
		return addCatalogue(catalogue, name)
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		usage()
		return model.Succeeded
	case err != nil:
		fmt.Fprintf(stderr, "import: %v\n  rollup import --help tells more.\n", err)
		return usageError
	case *out == "" || flags.NArg() != 1:
		fmt.Fprintln(stderr, "import: --out and one table are required\n  rollup import --help tells more.")
		return usageError
	}
	file := flags.Arg(0)
	content, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintf(stderr, "import: %v\n", err)
		return model.Failed
	}
	events, err := model.ImportMelt(file, content, model.MeltOptions{SummaryID: *summary, SampleType: *sampleType, Catalogue: catalogue})
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
	fmt.Fprintf(stdout, "%s: %d events, %.4g occurrences and a mean loss of %s a year\n", *out, len(events), rate, amount(loss))
	return model.Succeeded
}

// amount writes a sum of money so that its size can be checked at a glance: all digits before the point, in groups.
func amount(x float64) string {
	const small, large = 1000, 1e18 // below and above, digits after the point matter, and an int64 ends
	if x < small || x > large {
		return fmt.Sprintf("%.4g", x)
	}
	return sheet.Grouped(int64(math.Round(x)))
}

// addCatalogue adds the events of a table that importMelt wrote, or of a peril of the example.
func addCatalogue(catalogue *model.Catalogue, name string) error {
	peril, unknown := model.PerilNamed(name)
	if unknown == nil {
		return catalogue.Add(name, name, peril.Events)
	}
	content, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no such file, and %w", unknown)
	case err != nil:
		return fmt.Errorf("read catalogue: %w", err)
	}
	events, err := model.ReadMelt(name, content)
	if err != nil {
		return err
	}
	return catalogue.Add(name, name, events)
}
