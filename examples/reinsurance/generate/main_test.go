package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGenerateWritesARunFileAndItsJobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--deals", "20", "--change", "0.1", "--out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if want := "20 deals, 27 jobs: " + filepath.Join(dir, "run.yaml") + "\n"; stdout.String() != want {
		t.Errorf("says %q, want %q", &stdout, want)
	}
	file, err := os.ReadFile(filepath.Join(dir, "run.yaml"))
	if err != nil || !strings.Contains(string(file), `jobs_from: "jobs.jsonl"`) {
		t.Errorf("run.yaml: %v\n%s", err, file)
	}
	jobs, err := os.ReadFile(filepath.Join(dir, "jobs.jsonl"))
	if err != nil || bytes.Count(jobs, []byte("\n")) != 27 {
		t.Errorf("jobs.jsonl: %v, %d lines", err, bytes.Count(jobs, []byte("\n")))
	}
}

func TestGenerateRefusesWhatItCannotDo(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no directory": {nil, 2, "--out is required"},
		"no such flag": {[]string{"--deal", "3"}, 2, "not defined"},
		"no deals":     {[]string{"--deals", "0", "--out", t.TempDir()}, 1, "deals 0 outside 1 to 1000000"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: exit code %d, %s", name, code, &stderr)
		}
	}
}
