// Command generate writes a portfolio of reinsurance deals as a run: run.yaml and jobs.jsonl. The deals are invented, or
// read from a reinsurance information file of Open Exposure Data.
//
//	go run ./examples/reinsurance/generate --deals 300 --out /tmp/rollup
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usageError = 2

// An order is what the command line asks for.
type order struct {
	options     portfolio.Options
	change      float64
	asOf        string
	analyses    int
	out         string
	info, scope string
	melts       map[string]string
	elts        [][2]string // deal and address
}

func run(args []string, stdout, stderr io.Writer) int {
	o := order{melts: map[string]string{}}
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error stands alone, not before all the flags
	flags.IntVar(&o.options.Deals, "deals", 300, "number of deals to invent")
	flags.Uint64Var(&o.options.Seed, "seed", 1, "seed of the deals and of the simulated years")
	flags.IntVar(&o.options.Periods, "periods", portfolio.DefaultPeriods, "simulated years")
	flags.IntVar(&o.options.Nominal, "nominal", 0, "size that the number of buckets is chosen for (default the number of deals)")
	flags.Float64Var(&o.change, "change", 0, "fraction of the deals to change, for a second run")
	flags.IntVar(&o.analyses, "analyses", 0, "write as many further runs, each of which asks for one deal on other terms")
	flags.StringVar(&o.asOf, "as-of", "2026-11-21", "date label of the run")
	flags.StringVar(&o.out, "out", "", "directory to write to (required)")
	flags.StringVar(&o.info, "reinsinfo", "", "reinsurance information file (OED) to read the deals from; with --reinsscope")
	flags.StringVar(&o.scope, "reinsscope", "", "reinsurance scope file (OED) with Perils and either MarketShare and Variation or EventLosses")
	flags.Func("melt", "PERIL=s3://bucket/key: read this peril's events from a table that rollup import wrote", o.addMelt)
	flags.Func("elt", "DEAL=s3://bucket/key: take this deal's losses by event from a table that rollup import wrote", o.addELT)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprint(stdout, "generate --out DIR [--deals N] … writes a portfolio of reinsurance deals as a run.\n\n")
		flags.PrintDefaults()
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "generate: %v\n  --help lists the flags.\n", err)
		return usageError
	case o.out == "" || flags.NArg() > 0:
		fmt.Fprintln(stderr, "generate: --out is required, and there are no arguments")
		return usageError
	case o.analyses < 0:
		fmt.Fprintf(stderr, "generate: --analyses %d is below 0\n", o.analyses)
		return usageError
	case (o.info == "") != (o.scope == ""):
		fmt.Fprintln(stderr, "generate: --reinsinfo and --reinsscope go together")
		return usageError
	}
	p, err := o.portfolio()
	if err == nil {
		err = writeRun(o.out, p)
	}
	if err == nil && o.analyses > 0 {
		err = writeAnalyses(filepath.Join(o.out, analysesDir), p.Analyses(o.analyses, o.options.Seed))
	}
	if err != nil {
		fmt.Fprintf(stderr, "generate: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "%d deals, %d jobs: %s\n", len(p.Deals), p.JobCount(), filepath.Join(o.out, "run.yaml"))
	if o.analyses > 0 {
		fmt.Fprintf(stdout, "%d analyses: %s\n", o.analyses, filepath.Join(o.out, analysesDir))
	}
	return 0
}

func (o *order) addMelt(value string) error {
	name, address, ok := strings.Cut(value, "=")
	if !ok || !strings.HasPrefix(address, "s3://") {
		return errors.New("expected PERIL=s3://bucket/key")
	}
	if _, err := model.PerilNamed(name); err != nil {
		return err
	}
	o.melts[name] = address
	return nil
}

func (o *order) addELT(value string) error {
	id, address, ok := strings.Cut(value, "=")
	if !ok {
		return errors.New("expected DEAL=s3://bucket/key")
	}
	o.elts = append(o.elts, [2]string{id, address})
	return nil
}

func (o *order) portfolio() (portfolio.Portfolio, error) {
	p, err := portfolio.Generate(o.options)
	if err != nil {
		return portfolio.Portfolio{}, err
	}
	if o.info != "" {
		p.Nominal = o.options.Nominal
		if p, err = readDeals(p, o.info, o.scope); err != nil {
			return portfolio.Portfolio{}, err
		}
	}
	p.Melts = o.melts
	for _, elt := range o.elts {
		if p, err = p.WithELT(elt[0], elt[1]); err != nil {
			return portfolio.Portfolio{}, err
		}
	}
	p, _ = p.Change(o.change, o.options.Seed)
	return p.Relabel(map[string]string{"as_of": o.asOf}), nil
}

func readDeals(p portfolio.Portfolio, info, scope string) (portfolio.Portfolio, error) {
	files := []portfolio.File{{Name: info}, {Name: scope}}
	for i := range files {
		var err error
		if files[i].Content, err = os.ReadFile(files[i].Name); err != nil {
			return portfolio.Portfolio{}, fmt.Errorf("read deals: %w", err)
		}
	}
	return p.ReadOED(files[0], files[1])
}

func writeRun(dir string, p portfolio.Portfolio) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	const jobs = "jobs.jsonl"
	if err := write(filepath.Join(dir, jobs), p.WriteJSONL); err != nil {
		return err
	}
	// The same deals in the fields of Open Exposure Data, for people and for --reinsinfo.
	err := write(filepath.Join(dir, "reinsinfo.csv"), func(info io.Writer) error {
		return write(filepath.Join(dir, "reinsscope.csv"), func(scope io.Writer) error {
			return p.WriteOED(info, scope)
		})
	})
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, "run.yaml"), func(w io.Writer) error {
		return p.WriteRunFile(w, jobs)
	})
}

// analysesDir is the directory of the analyses' run files, below that of the rollup.
const analysesDir = "analyses"

func writeAnalyses(dir string, analyses []portfolio.Analysis) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for _, a := range analyses {
		if err := write(filepath.Join(dir, fmt.Sprintf("%06d.json", a.Number)), a.Write); err != nil {
			return err
		}
	}
	return nil
}

// write creates the file and reports also what only closing it finds out.
func write(path string, content func(io.Writer) error) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	defer func() {
		if closing := file.Close(); err == nil && closing != nil {
			err = fmt.Errorf("close file: %w", closing)
		}
	}()
	return content(file)
}
