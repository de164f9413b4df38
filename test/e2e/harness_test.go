package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// program is the binary under test. TestMain builds it unless it is given.
var program string

func TestMain(m *testing.M) {
	given := flag.String("program", "", "binary to test, called spate; left out, it is built")
	flag.Parse()
	if err := flag.Set("test.parallel", "2"); err != nil { // each test is a dozen processes
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if program = *given; program != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "spate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "spate")
	build := exec.Command("go", "build", "-o", program, "spate/cmd/spate")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// Times of the installations' pools: short, so that faults heal within a test.
const (
	visibility = 3 * time.Second
	idle       = 3 * time.Second
	patience   = 40 * time.Second // until something that must happen has happened; generous, for a busy machine
)

// Names in the installations' configurations.
const (
	bucket           = "spate-data"
	pool             = "work"
	jobsQueue        = "spate-work"
	submissionsQueue = "spate-submissions"
	eventsQueue      = "spate-events"
	outputsQueue     = "spate-outputs-created"
	runsTable        = "spate-runs"
	outputsTable     = "spate-outputs"
	cluster          = "hpc"
	family           = "spate-work"
)

// setup is what an installation is to be. The zero value of a field takes its default.
type setup struct {
	tasks      string // the catalogue: the YAML below tasks, not indented; @DIR@ stands for the installation's directory
	maxWorkers int    // default 3
	slots      int    // default 1
	extra      string // further top-level YAML, such as a cache section
	config     string // path of a whole configuration with this harness's names, in place of all of the above
	path       string // directory before the others of PATH
}

// installation is one of Spate, with a sandbox for an AWS.
type installation struct {
	dir     string // of everything; removed with the test
	config  string // path of spate.yaml
	tmp     string // TMPDIR of its processes
	env     []string
	clients *awsclient.Clients
	runs    *table.Table
	objects *objects.Store
	redis   *redis.Client
	sandbox *process

	controllers int
}

// install starts a sandbox and creates everything in it. No controller runs yet.
func install(t *testing.T, s setup) *installation {
	t.Helper()
	in := emptyInstallation(t)
	if s.path != "" {
		in.setVariable("PATH", s.path+string(filepath.ListSeparator)+in.variable("PATH"))
	}
	yaml := in.yaml(s)
	if s.config != "" {
		data, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		yaml = string(data)
	}
	in.write(t, "spate.yaml", yaml)
	in.sandbox = in.start(t, "sandbox", "sandbox", "--config", in.config, "--listen", "127.0.0.1:0", "--redis", "127.0.0.1:0", "--logs", in.logs())
	// The Redis is the last that the sandbox tells.
	eventually(t, "the sandbox serves", func() bool {
		in.sandbox.mustRun(t)
		return bytes.Contains(in.sandbox.stdout(), []byte("SPATE_REDIS_URL=")) && bytes.HasSuffix(in.sandbox.stdout(), []byte("\n"))
	})
	for line := range strings.Lines(string(in.sandbox.stdout())) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			in.env = append(in.env, value)
		}
	}
	in.startRedis(t)
	in.clients = awsclient.Local(in.variable("AWS_ENDPOINT_URL"))
	in.runs, in.objects = table.New(in.clients.DynamoDB, runsTable), objects.New(in.clients.S3, bucket)
	options, err := redis.ParseURL(in.variable("SPATE_REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	in.redis = redis.NewClient(options)
	t.Cleanup(func() { in.redis.Close() })
	return in
}

// emptyInstallation is only directories and an environment for processes.
func emptyInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{dir: t.TempDir()}
	in.config, in.tmp = filepath.Join(in.dir, "spate.yaml"), filepath.Join(in.dir, "tmp")
	for _, dir := range []string{in.tmp, in.logs()} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + in.dir, "TMPDIR=" + in.tmp}
	t.Cleanup(func() { in.checkNothingIsLeft(t) }) // runs last
	return in
}

// logs is where the tasks' logs go.
func (in *installation) logs() string { return filepath.Join(in.dir, "logs") }

func (in *installation) yaml(s setup) string {
	if s.maxWorkers == 0 {
		s.maxWorkers = 3
	}
	if s.slots == 0 {
		s.slots = 1
	}
	return fmt.Sprintf(`environment: test
tables: {runs: %s, outputs: %s}
bucket: %s
redis: {url: "redis://127.0.0.1:1"}   # SPATE_REDIS_URL says which it is
queues: {submissions: %s, events: %s, outputs: %s}
http: {listen: "127.0.0.1:0"}
pools:
  - name: %s
    queue: %s
    cluster: %s
    task_definition: %s
    subnets: [subnet-a]
    capacity: [{provider: FARGATE, max: %d}]
    max: %d
    slots: %d
    idle_timeout: %s
    visibility_timeout: %s
%s
tasks:
%s
`, runsTable, outputsTable, bucket, submissionsQueue, eventsQueue, outputsQueue, pool, jobsQueue, cluster, family,
		s.maxWorkers, s.maxWorkers, s.slots, idle, visibility, s.extra, strings.ReplaceAll(indent(s.tasks), "@DIR@", in.dir))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.Trim(text, "\n"), "\n", "\n  ")
}

// startRedis takes a real Redis for the sandbox's, where there is one.
func (in *installation) startRedis(t *testing.T) {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Log("no redis-server on PATH: the view is in the sandbox's Redis")
		return
	}
	port := freePort(t)
	p := in.startProgram(t, "redis", server, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", in.dir)
	in.setVariable("SPATE_REDIS_URL", "redis://127.0.0.1:"+port)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	defer client.Close()
	eventually(t, "redis-server serves", func() bool {
		p.mustRun(t)
		return client.Ping(t.Context()).Err() == nil
	})
	t.Logf("the view is in %s", server)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// variable is the value of a variable of the processes' environment.
func (in *installation) variable(name string) string {
	for _, entry := range slices.Backward(in.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func (in *installation) setVariable(name, value string) {
	in.env = slices.DeleteFunc(in.env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	in.env = append(in.env, name+"="+value)
}

// serve starts another controller.
func (in *installation) serve(t *testing.T) *process {
	t.Helper()
	in.controllers++
	return in.start(t, fmt.Sprintf("controller-%d", in.controllers), "serve")
}

// write writes a file below the installation's directory and returns its path. One that ends in .sh can be run.
func (in *installation) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(in.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// result is how a command of the command line ended.
type result struct {
	stdout, stderr string
	code           int
}

// spate runs a command of the command line to its end.
func (in *installation) spate(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = in.env, in.dir, &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("spate %s did not end\nstderr:\n%s", strings.Join(args, " "), stderr.String())
	}
	if _, ok := err.(*exec.ExitError); err != nil && !ok { //nolint:errorlint // what Run returns
		t.Fatalf("spate %s: %v", strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// runView is a run as `spate status RUN --output json` shows it: the fields that tests look at.
type runView struct {
	ID       string           `json:"id"`
	State    string           `json:"state"`
	Reason   string           `json:"reason"`
	Errors   []string         `json:"errors"`
	Image    string           `json:"image"`
	Progress planner.Progress `json:"progress"`
	Failures []failureView    `json:"failures"`
}

type failureView struct {
	Job       string   `json:"job"`
	Key       string   `json:"key"`
	Attempt   int      `json:"attempt"`
	ExitCode  *int     `json:"exit_code"`
	Cause     string   `json:"cause"`
	LastLines []string `json:"last_lines"`
	Verdict   string   `json:"verdict"`
	Retried   bool     `json:"retried"`
	Worker    string   `json:"worker"`
}

// runs a run file to its end and returns the run and the exit code of submit.
func (in *installation) submitAndWatch(t *testing.T, runFile string, args ...string) (runView, int) {
	t.Helper()
	r := in.spate(t, slices.Concat([]string{"submit", runFile, "--watch", "--output", "json"}, args)...)
	return parseRun(t, r), r.code
}

// mustSucceed runs a run file to its end, which must be success.
func (in *installation) mustSucceed(t *testing.T, runFile string, args ...string) runView {
	t.Helper()
	run, code := in.submitAndWatch(t, runFile, args...)
	if code != 0 || run.State != string(job.RunSucceeded) {
		t.Fatalf("run %s is %s (exit code %d): %s %v %+v", run.ID, run.State, code, run.Reason, run.Errors, run.Failures)
	}
	return run
}

// submit submits a run file, lets it run, and returns the run's id.
func (in *installation) submit(t *testing.T, runFile string, args ...string) string {
	t.Helper()
	r := in.spate(t, slices.Concat([]string{"submit", runFile, "--output", "json"}, args)...)
	var submitted struct {
		Run string `json:"run"`
	}
	if r.code != 0 {
		t.Fatalf("submit: exit code %d\n%s", r.code, r.stderr)
	}
	decode(t, r.stdout, &submitted)
	return submitted.Run
}

// status reads a run through the command line; it must exist.
func (in *installation) status(t *testing.T, run string) runView {
	t.Helper()
	return parseRun(t, in.spate(t, "status", run, "--output", "json"))
}

// record reads a run's record from the runs table; nil when there is none yet.
func (in *installation) record(t *testing.T, run string) *planner.Run {
	t.Helper()
	r, err := planner.ReadRun(t.Context(), in.runs, run)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ended waits until a run has ended and returns it.
func (in *installation) ended(t *testing.T, run string) runView {
	t.Helper()
	eventually(t, "run "+run+" ends", func() bool {
		r := in.record(t, run)
		return r != nil && r.State.Ended()
	})
	return in.status(t, run)
}

func parseRun(t *testing.T, r result) runView {
	t.Helper()
	var run runView
	if r.stdout == "" {
		t.Fatalf("no run on standard output; exit code %d\nstderr:\n%s", r.code, r.stderr)
	}
	decode(t, r.stdout, &run)
	return run
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

// results reads the index of an ended run, by job id.
func (in *installation) results(t *testing.T, run string) map[string]planner.Result {
	t.Helper()
	results := map[string]planner.Result{}
	for r, err := range planner.ReadResults(t.Context(), in.objects, run) {
		if err != nil {
			t.Fatal(err)
		}
		results[r.ID] = r
	}
	return results
}

// manifest reads the manifest of a key's output.
func (in *installation) manifest(t *testing.T, key job.Key) *job.Manifest {
	t.Helper()
	data, _, err := in.objects.Get(t.Context(), job.ManifestPath(key))
	if err != nil {
		t.Fatal(err)
	}
	m, err := job.ParseManifest(data, key)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// output reads the files that a key's manifest names, checking each against it.
func (in *installation) output(t *testing.T, key job.Key) map[string]string {
	t.Helper()
	dir := t.TempDir()
	m, err := planner.Download(t.Context(), in.objects, key, dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range m.Files {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			t.Fatal(err)
		}
		files[f.Path] = string(data)
	}
	return files
}

// list lists the keys of the objects below a prefix.
func (in *installation) list(t *testing.T, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range in.objects.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// queue opens one of the installation's queues.
func (in *installation) queue(t *testing.T, name string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), in.clients.SQS, name)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// depth is how many messages a queue holds, visible or not.
func (in *installation) depth(t *testing.T, name string) int {
	t.Helper()
	d, err := in.queue(t, name).Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d.Visible + d.InFlight
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	eventuallyWithin(t, patience, what, so)
}

func eventuallyWithin(t *testing.T, patience time.Duration, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

// lines counts the lines of a file; none when there is no such file.
func lines(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return bytes.Count(data, []byte("\n"))
}

// checkNothingIsLeft fails the test when a process of the installation is left, or a temporary file.
func (in *installation) checkNothingIsLeft(t *testing.T) {
	left := processesOf(in.dir)
	for pid, command := range left {
		t.Errorf("process %d is left: %s", pid, command)
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill() // a worker or a job of this test's sandbox
		}
	}
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Log("there is no /proc: not looking for processes that are left")
	}
	entries, err := os.ReadDir(in.tmp)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		t.Errorf("temporary file %s is left", e.Name())
	}
	if !t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(in.dir, "*.stderr"))
	tasks, _ := filepath.Glob(filepath.Join(in.logs(), "*"))
	for _, path := range append(logs, tasks...) {
		if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
			t.Logf("%s ends with:\n%s", path, data[max(0, len(data)-3000):])
		}
	}
}

// processesOf finds the processes whose environment names a directory, by number.
func processesOf(dir string) map[int]string {
	found := map[int]string{}
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(dir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		found[pid] = strings.ReplaceAll(string(command), "\x00", " ")
	}
	return found
}

// sorted lists a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
