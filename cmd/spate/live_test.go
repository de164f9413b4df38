package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"spate/controller"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/provision"
	"spate/internal/telemetry"
	"spate/sandbox"
)

// TestLiveScripts runs what a user types against an installation: sandbox and controller in this process, workers and
// jobs as processes of their own. All scripts share it, and so its cache: each has run ids of its own and sets the run
// parameter script, which makes its jobs' keys its own.
//
// A script has the task types of liveTasks; it opens the gate that a slow job waits for with `exec touch $GATES/NAME`. To
// compare output that holds times or keys there is `cmpmask FILE WANT`, where FILE may be stdout or stderr; -update
// rewrites it. `waitfor stdout|stderr REGEXP PROGRAM…` runs a program until what it prints matches. `object put|delete FILE
// URL-END [CONTENT]` changes the object whose URL stands in a file. At the endpoint $HOLDING, one file of an output comes.
func TestLiveScripts(t *testing.T) {
	t.Parallel()
	in := startLive(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/live",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cmpmask": cmpmask, "waitfor": waitFor, "object": changeObject(t),
		},
		Setup: func(env *testscript.Env) error {
			for _, e := range in.env {
				name, value, _ := strings.Cut(e, "=")
				env.Setenv(name, value)
			}
			return nil
		},
	})
}

// live is an installation that the scripts use.
type live struct {
	env []string
}

// startLive starts an installation that ends with the test.
func startLive(t *testing.T) live {
	t.Helper()
	dir := t.TempDir()
	bin, gates := filepath.Join(dir, "bin"), filepath.Join(dir, "gates")
	for _, d := range []string{bin, gates, filepath.Join(dir, "flaky")} {
		must(t, os.Mkdir(d, 0o755))
	}
	program, err := exec.LookPath("spate") // testscript's, which is this test's program
	must(t, err)
	must(t, os.Symlink(program, filepath.Join(bin, "spate")))
	for name, script := range livePrograms() {
		script = "#!/bin/sh\nset -eu\n" + strings.ReplaceAll(script, "@DIR@", dir)
		must(t, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
	}
	logFile, err := os.Create(filepath.Join(dir, "spate.log"))
	must(t, err)
	log := telemetry.Logger(logFile, "info")

	s, err := sandbox.New(sandbox.Options{TaskPath: []string{bin}, Path: os.Getenv("PATH"), LogDir: filepath.Join(dir, "workers"), Log: log})
	must(t, err)
	file := filepath.Join(dir, "spate.yaml")
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(liveConfig, "@REDIS@", s.RedisURL())), 0o600))
	cfg, err := config.Load(file, nil)
	must(t, err)
	clients := awsclient.Local(s.Endpoint())

	// The sandbox ends last: the controller gives its lease back.
	sandboxCtx, stopSandbox := context.WithCancel(context.WithoutCancel(t.Context()))
	controllerCtx, stopController := context.WithCancel(sandboxCtx)
	started := false
	sandboxEnded, controllerEnded := make(chan error, 1), make(chan error, 1)
	go func() { sandboxEnded <- s.Run(sandboxCtx) }()
	t.Cleanup(func() {
		stopController()
		ended := make([]error, 0, 3)
		if started {
			ended = append(ended, <-controllerEnded)
		}
		stopSandbox()
		for _, err := range append(ended, <-sandboxEnded, logFile.Close()) {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if data, err := os.ReadFile(logFile.Name()); err == nil && t.Failed() {
			t.Logf("the log ends with:\n%s", data[max(0, len(data)-4000):])
		}
	})
	must(t, provision.Create(t.Context(), clients, cfg, provision.Image{
		Name: "live@sha256:" + strings.Repeat("5e", 32), Command: []string{"spate", "worker"}, CPU: "X86_64",
	}))
	c, err := controller.New(t.Context(), controller.Options{Config: cfg, Clients: clients, Holder: "live", Log: log})
	must(t, err)
	started = true
	go func() { controllerEnded <- c.Run(controllerCtx) }()
	return live{env: append(s.Env(), "HOLDING="+holding(t, s.Endpoint()), "SPATE_CONFIG="+file, "COLUMNS=80", "GATES="+gates)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// liveConfig keeps two workers with four slots, so that scripts do not wait for one another, and a pool for the script that
// pauses, drains and kills.
const liveConfig = `environment: live
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "@REDIS@"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
http: {listen: "127.0.0.1:0"}
pools:
  - name: work
    queue: spate-work
    cluster: hpc
    task_definition: spate-work
    subnets: [subnet-a]
    capacity: [{provider: FARGATE, max: 2}]
    max: 2
    slots: 4
    idle_timeout: 10s
    visibility_timeout: 5s
  - name: spare
    queue: spate-spare
    cluster: hpc
    task_definition: spate-spare
    subnets: [subnet-a]
    capacity: [{provider: FARGATE, max: 2}]
    max: 2
    idle_timeout: 2m
    visibility_timeout: 5s
tasks:
  ok: {command: [live-ok]}
  sum: {command: [live-sum]}
  figures: {command: [live-figures]}
  fail: {command: [live-fail], permanent_exit_codes: [65]}
  maybe: {command: [live-maybe], permanent_exit_codes: [65]}
  flaky: {command: [live-flaky]}
  slow: {command: [live-slow]}
  noisy: {command: [live-noisy]}
  random: {command: [live-noisy], deterministic: false}
  chatty: {command: [live-chatty], permanent_exit_codes: [65]}
  gated: {command: [live-gated], permanent_exit_codes: [65]}
`

// livePrograms are the task types' programs.
func livePrograms() map[string]string {
	return map[string]string{
		// ok writes the parameter value to out/value.txt.
		"live-ok": `sed -n 's/.*"value":\([0-9]*\).*/\1/p' params.json > out/value.txt; echo "the value is $(cat out/value.txt)"`,
		// sum adds up its parents' values.
		"live-sum": `cat in/*/value.txt | awk '{s += $1} END {print s}' > out/value.txt; echo "the sum is $(cat out/value.txt)"`,
		// figures writes the sum of its parents' values as JSON.
		"live-figures": `awk '{s += $1; n++} END {printf "{\"sum\":%d,\"mean\":%g,\"parts\":[{\"part\":\"n\",\"of\":%d}]}\n", s, s/n, n}' in/*/value.txt > out/figures.json`,
		// fail fails for good.
		"live-fail": `echo "reading losses.csv"; echo "error: row 17: loss is negative" >&2; exit 65`,
		// maybe fails for good when its parameter fail is true, and else does what ok does.
		"live-maybe": `! grep -q '"fail":true' params.json || { echo "error: the feed is late" >&2; exit 65; }; exec live-ok`,
		// flaky fails at its first attempt.
		"live-flaky": `if mkdir @DIR@/flaky/$SPATE_JOB_KEY 2>/dev/null; then echo "no licence is free"; exit 1; fi; echo 1 > out/value.txt`,
		// noisy writes another number each time.
		"live-noisy": `echo >> @DIR@/noise; echo "seed 17" > out/report.txt; echo "drawn $(($(wc -l < @DIR@/noise)))" >> out/report.txt; echo 1 > out/same.txt`,
		// chatty prints 3,000 lines and ends with the parameter exit.
		"live-chatty": `seq -f 'line %.0f' 1 3000; exit $(sed -n 's/.*"exit":\([0-9]*\).*/\1/p' params.json)`,
		// gated fails for good while the gate that its parameter gate names is closed.
		"live-gated": `gate=@DIR@/gates/$(sed -n 's/.*"gate":"\([^"]*\)".*/\1/p' params.json)
[ -e "$gate" ] || { echo "no licence"; exit 65; }
echo 1 > out/value.txt`,
		// slow waits for the gate that its parameter gate names, a minute at most; GATE.waiting says that it does.
		"live-slow": `gate=@DIR@/gates/$(sed -n 's/.*"gate":"\([^"]*\)".*/\1/p' params.json)
echo waiting; : > "$gate.waiting"; i=0
until [ -e "$gate" ]; do i=$((i+1)); [ $i -lt 1200 ]; sleep 0.05; done
echo 1 > out/value.txt; echo open`,
	}
}

// cmpmask compares like cmp, after mask.
func cmpmask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cmpmask FILE WANT")
	}
	got, want := mask(ts.ReadFile(args[0]), ts.Getenv("WORK")), ts.ReadFile(args[1])
	if got == want {
		return
	}
	if !*update {
		ts.Fatalf("%s and %s differ (-want +got), to be rewritten with -update:\n%s", args[0], args[1], cmp.Diff(want, got))
	}
	script := filepath.Join("testdata", "live", ts.Name()+".txtar")
	ts.Defer(func() { // after testscript has written its own updates
		archive, err := txtar.ParseFile(script)
		ts.Check(err)
		for i := range archive.Files {
			if archive.Files[i].Name == args[1] {
				archive.Files[i].Data = []byte(got)
			}
		}
		ts.Check(os.WriteFile(script, txtar.Format(archive), 0o644))
	})
}

// waitFor runs a program again and again until what it prints on stdout or stderr matches.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[0] != "stdout" && args[0] != "stderr" {
		ts.Fatalf("usage: waitfor stdout|stderr REGEXP PROGRAM [ARGUMENT…]")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-ticker.C {
		_ = ts.Exec(args[2], args[3:]...) // what it prints is looked at
		if want.MatchString(ts.ReadFile(args[0])) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s to match %q:\n%s", args[0], args[1], ts.ReadFile(args[0]))
		}
	}
}

// mask replaces what differs from one run of a script to the next, and the widths that follow from it.
func mask(text, work string) string {
	if work != "" {
		text = strings.ReplaceAll(text, work, "$WORK")
	}
	for _, m := range []struct{ pattern, by string }{
		{`[\d.e-]+% of it`, "<share> of it"},
		{`(about|less than) \$[0-9.]+`, "about <amount>"},
		{`("[a-z_]*usd[a-z_]*": )[0-9.e-]+`, "$1<amount>"},
		{`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)`, "<time>"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d\b`, "<minute>"},
		{`\b[0-9a-f]{64}\b`, "<key>"},
		{`/[0-9a-f]{2}/<key>`, "/<digits>/<key>"},
		{`\ba\d+-[0-9a-f]{16}\b`, "<attempt>"},
		{`\b[0-9a-f]{32}\b`, "<task>"},
		{`\b[0-9a-f]{12}\b`, "<short key>"},
		{`\b\d+(\.\d+)?(ms|[smh])( ago)?\b`, "<duration>$3"},
		{`\b\d+m\d+s\b`, "<duration>"},
		{`("[a-z_]*seconds[a-z_]*": )[0-9.e+-]+`, "$1<seconds>"},
		{`127\.0\.0\.1:\d+`, "<address>"},
		{`(\S) {2,}`, "$1  "},
	} {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.by)
	}
	return text
}

func TestMaskReplacesOnlyWhatDiffersFromRunToRun(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("0123456789abcdef", 4)
	text := fmt.Sprintf("at %s took 1.4s, 3s ago\nRUN   4m5s\n  a  12  jobs\nkey %s %s\n\"seconds\": 0.25\n/w/x",
		time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC).Format(time.RFC3339Nano), key, key[:12])
	want := "at <time> took <duration>, <duration> ago\nRUN  <duration>\n  a  12  jobs\nkey <key> <short key>\n\"seconds\": <seconds>\n$WORK/x"
	if diff := cmp.Diff(want, mask(text, "/w")); diff != "" {
		t.Error(diff)
	}
}
