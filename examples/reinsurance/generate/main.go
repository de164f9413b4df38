// Command generate invents a portfolio of reinsurance deals and writes it as a run: run.yaml and jobs.jsonl.
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

	"spate/examples/reinsurance/portfolio"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

const usageError = 2

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	deals := flags.Int("deals", 300, "number of deals")
	seed := flags.Uint64("seed", 1, "seed of the deals and of the simulated years")
	periods := flags.Int("periods", portfolio.DefaultPeriods, "simulated years")
	change := flags.Float64("change", 0, "fraction of the deals to change, for a second run")
	asOf := flags.String("as-of", "2026-11-21", "date label of the run")
	out := flags.String("out", "", "directory to write to (required)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return usageError
	case *out == "" || flags.NArg() > 0:
		fmt.Fprintln(stderr, "generate: --out is required, and there are no arguments")
		return usageError
	}
	p, err := portfolio.Generate(portfolio.Options{Deals: *deals, Seed: *seed, Periods: *periods})
	if err == nil {
		p, _ = p.Change(*change, *seed)
		p = p.Relabel(map[string]string{"as_of": *asOf})
		err = writeRun(*out, p)
	}
	if err != nil {
		fmt.Fprintf(stderr, "generate: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "%d deals, %d jobs: %s\n", len(p.Deals), p.JobCount(), filepath.Join(*out, "run.yaml"))
	return 0
}

func writeRun(dir string, p portfolio.Portfolio) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	const jobs = "jobs.jsonl"
	if err := write(filepath.Join(dir, jobs), p.WriteJSONL); err != nil {
		return err
	}
	return write(filepath.Join(dir, "run.yaml"), func(w io.Writer) error {
		return p.WriteRunFile(w, jobs)
	})
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
