package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/provision"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
	"spate/sandbox"
)

const submitConfig = `tables: {runs: runs, outputs: outputs}
bucket: data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: submissions, events: events, outputs: created}
pools:
  - {name: work, queue: q, cluster: c, task_definition: t, subnets: [s], capacity: [{provider: FARGATE, max: 1}], max: 1}
tasks:
  count: {command: [wc]}
`

func TestARunSubmittedOnceMoreIsToldFromANewOne(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	configFile, runFile := file("spate.yaml", submitConfig), file("run.yaml", "name: a\npool: work\njobs: [{id: a, task: count}]\n")
	runs := installed(t, configFile)
	submit := func(args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		p := program{nil, &out, &errs, os.Environ(), os.Getenv}
		if code := run(p, append([]string{"submit", "--config", configFile, "--id", "rhymes", runFile}, args...)); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		return out.String(), errs.String()
	}
	existing := func() bool {
		t.Helper()
		var answer struct {
			Existing *bool `json:"existing"`
		}
		stdout, _ := submit("--output", "json")
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || answer.Existing == nil {
			t.Fatalf("error %v: printed %s", err, stdout)
		}
		return *answer.Existing
	}
	if _, stderr := submit(); !strings.HasPrefix(stderr, "Submitted 1 job.") || existing() {
		t.Errorf("a new run is told as an existing one: %s", stderr)
	}
	r := planner.Run{Key: table.Key{PK: table.RunRecords, SK: "rhymes"}, ID: "rhymes", State: job.RunSucceeded, Received: time.Now().Add(-3*time.Minute - time.Second)}
	if err := runs.Put(t.Context(), r, table.Condition{}); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := submit()
	if want := "rhymes was submitted 3m ago and has succeeded; nothing new was started."; !strings.HasPrefix(stderr, want) || stdout != "rhymes\n" || !existing() {
		t.Errorf("an existing run is told as a new one: %s%s", stdout, stderr)
	}
}

// installed points this process at a sandbox with all that a configuration names, and returns its table of runs.
func installed(t *testing.T, configFile string) *table.Table {
	t.Helper()
	s, cfg := sandboxed(t, configFile)
	return table.New(awsclient.Local(s.Endpoint()).DynamoDB, cfg.Tables.Runs)
}

// sandboxed points this process at a sandbox with all that a configuration names.
func sandboxed(t *testing.T, configFile string) (*sandbox.Sandbox, *config.Config) {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Listen: "127.0.0.1:0", RedisListen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the sandbox ended with %v", err)
		}
	})
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	cfg, err := config.Load(configFile, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if err := provision.Create(t.Context(), awsclient.Local(s.Endpoint()), cfg, provision.Image{Name: "image@sha256:" + strings.Repeat("5e", 32), CPU: "X86_64"}); err != nil {
		t.Fatal(err)
	}
	return s, cfg
}
