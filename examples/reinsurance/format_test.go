package reinsurance_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"spate/examples/reinsurance/portfolio"
	"spate/job"
)

func TestSpateReadsTheRunThatTheGeneratorWrites(t *testing.T) {
	p, err := portfolio.Generate(portfolio.Options{Deals: 600, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	p = p.Relabel(map[string]string{"as_of": "2026-11-21"})
	var file bytes.Buffer
	if err := p.WriteRunFile(&file, "jobs.jsonl"); err != nil {
		t.Fatal(err)
	}
	run, err := job.ParseRunFile("run.yaml", file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if run.Pool != "rollup" || run.JobsFrom != "jobs.jsonl" || run.Labels["as_of"] != "2026-11-21" {
		t.Errorf("run file reads as %+v", run)
	}
	jobs := 0
	for reader := job.NewReader("jobs.jsonl", bytes.NewReader(jobLines(t, p))); ; jobs++ {
		_, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if jobs != p.JobCount() {
		t.Errorf("read %d jobs, want %d", jobs, p.JobCount())
	}
}
