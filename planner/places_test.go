package planner

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

func TestErrorsOfARejectedRunNameTheSubmittersFile(t *testing.T) {
	p := &Prepared{
		RunFile: &job.RunFile{JobsSHA256: "d64511afce7a3712"},
		places:  places{runFile: "run.yaml", jobs: "deals.jsonl", at: []place{{3, 8}, {7, 9}}},
	}
	jobs := "s3://data/" + job.SubmissionJobsPath("r1", "d64511afce7a3712")
	file := "s3://data/" + job.SubmissionPath("r1")
	run := &Run{ID: "r1", Errors: []string{
		jobs + `:2: job "b": there is no input s3://data/b.csv:1: x`,
		jobs + ":1:44: unknown task \"prise\"",
		jobs + ": no jobs: a run needs at least one",
		jobs + ":3: a job that was not submitted",
		file + `:1:20: only: no job of this run is called "x"`,
		"s3://data/other.jsonl:1: something else",
		"there is no pool",
		"and 7 more",
	}}
	want := []string{
		`deals.jsonl:7:9: job "b": there is no input s3://data/b.csv:1: x`,
		"deals.jsonl:3:8: unknown task \"prise\"",
		"deals.jsonl: no jobs: a run needs at least one",
		jobs + ":3: a job that was not submitted",
		`run.yaml: only: no job of this run is called "x"`,
		"s3://data/other.jsonl:1: something else",
		"there is no pool",
		"and 7 more",
	}
	if diff := cmp.Diff(want, p.Localise("data", run)); diff != "" {
		t.Error(diff)
	}
	p.places = places{}
	if diff := cmp.Diff(run.Errors, p.Localise("data", run)); diff != "" {
		t.Errorf("of files that are not known: %s", diff)
	}
}
