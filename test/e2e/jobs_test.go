package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

func TestARunGoesFromSubmissionToOutputs(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: `
greet:
  command: [sh, -c, 'echo "hello from $TASK_NAME" > out/greeting.txt']
  timeout: 10s`})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: first, pool: work, jobs: [{id: a, task: greet}, {id: b, task: greet, needs: {a: a}}]}`)

	run := in.mustSucceed(t, file)
	if p := run.Progress; p.Jobs != 2 || p.Executed != 2 {
		t.Errorf("progress %+v, want 2 jobs executed", p)
	}
	for id, r := range in.results(t, run.ID) {
		if diff := cmp.Diff(map[string]string{"greeting.txt": "hello from greet\n"}, in.output(t, r.Key)); diff != "" {
			t.Errorf("output of %s (-want +got):\n%s", id, diff)
		}
	}

	again := in.mustSucceed(t, file)
	if p := again.Progress; p.Executed != 0 || p.Cached+p.Reused != 2 {
		t.Errorf("the second time: progress %+v, want nothing executed", p)
	}
}

// Each of these counts its attempts in a file that no attempt's end removes.
const failingTasks = `
flaky:
  command: [sh, -c, 'echo try >> @DIR@/flaky; n=$(wc -l < @DIR@/flaky); [ $n -ge 3 ] || { echo "not at try $n"; exit 7; }; echo $n > out/tries']
  timeout: 10s
  max_attempts: 5
always:
  command: [sh, -c, 'echo try >> @DIR@/always; echo first; echo "still broken at try $(wc -l < @DIR@/always)" >&2; exit 9']
  timeout: 10s
  max_attempts: 3
permanent:
  command: [sh, -c, 'echo try >> @DIR@/permanent; echo "bad data $$"; exit 65']
  timeout: 10s
  max_attempts: 5
  permanent_exit_codes: [65]
alike:
  command: [sh, -c, 'echo try >> @DIR@/alike; echo "some $$"; echo "division by zero"; exit 1']
  timeout: 10s
  max_attempts: 5
slow:
  command: [sh, -c, 'echo try >> @DIR@/slow; echo waiting; sleep 600']
  timeout: 1s
  max_attempts: 2
fine:
  command: [sh, -c, 'echo fine > out/fine']
  timeout: 10s
`

func TestWhatBecomesOfJobsThatFail(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: failingTasks, slots: 2})
	in.serve(t)
	run, code := in.submitAndWatch(t, in.write(t, "run.yaml", `
name: failing
pool: work
labels: {desk: property}
jobs:
  - {id: flaky, task: flaky}
  - {id: after-flaky, task: fine, needs: {in: flaky}}
  - {id: always, task: always}
  - {id: child, task: fine, needs: {in: always}}
  - {id: grandchild, task: fine, needs: {in: child}}
  - {id: permanent, task: permanent}
  - {id: alike, task: alike}
  - {id: slow, task: slow}
  - {id: fine, task: fine, params: {alone: true}}
`))
	if code != 1 || run.State != string(job.RunFailed) {
		t.Errorf("run %s, exit code %d; want %s and 1", run.State, code, job.RunFailed)
	}
	if p := run.Progress; p.Jobs != 9 || p.Executed != 3 || p.Failed != 4 || p.Blocked != 2 || p.Retried != 6 {
		t.Errorf("progress %+v; want 9 jobs, 3 executed, 4 failed, 2 blocked, 6 attempts beyond the first", p)
	}
	failures := map[string][]failureView{}
	for _, f := range run.Failures {
		failures[f.Job] = append(failures[f.Job], f)
	}
	results := in.results(t, run.ID)
	for _, test := range []struct {
		job      string
		attempts int    // processes started
		failed   int    // attempts
		exitCode int    // of the last failure; -1: none
		cause    string // of the last failure
		verdict  string // of the last failure
		last     string // line of the last failure
	}{
		{"flaky", 3, 2, 7, "exit code 7", "attempt 2 of 5 failed", "not at try 2"},
		{"always", 3, 3, 9, "exit code 9", "attempt 3 was the last of 3", "still broken at try 3"},
		{"permanent", 1, 1, 65, "exit code 65", "exit code 65 is permanent for task permanent", "bad data "},
		{"alike", 2, 2, 1, "exit code 1", "attempts 1 and 2 ended alike", "division by zero"},
		{"slow", 2, 2, -1, "timed out after 1s", "attempt 2 was the last of 2", "waiting"},
	} {
		if n := lines(filepath.Join(in.dir, test.job)); n != test.attempts {
			t.Errorf("%s ran %d times, want %d", test.job, n, test.attempts)
		}
		fs := failures[test.job]
		if len(fs) != test.failed {
			t.Errorf("%s has %d failures, want %d: %+v", test.job, len(fs), test.failed, fs)
			continue
		}
		for i, f := range fs {
			if lastOne := i == len(fs)-1; f.Attempt != i+1 || f.Worker == "" || f.Retried != (!lastOne || test.job == "flaky") {
				t.Errorf("failure %d of %s: %+v", i, test.job, f)
			}
		}
		f := fs[len(fs)-1]
		if got := exitCode(f); got != test.exitCode || f.Cause != test.cause || f.Verdict != test.verdict {
			t.Errorf("%s failed with exit code %d, cause %q, verdict %q; want %d, %q, %q", test.job, got, f.Cause, f.Verdict, test.exitCode, test.cause, test.verdict)
		}
		if len(f.LastLines) == 0 || !strings.HasPrefix(f.LastLines[len(f.LastLines)-1], test.last) {
			t.Errorf("%s printed %q last, want %q", test.job, f.LastLines, test.last)
		}
	}
	for id, want := range map[string]struct{ state, cause string }{
		"flaky": {"done", ""}, "after-flaky": {"done", ""}, "fine": {"done", ""},
		"always":     {"failed", "exit code 9; attempt 3 was the last of 3"},
		"permanent":  {"failed", "exit code 65; exit code 65 is permanent for task permanent"},
		"child":      {"blocked", "job always failed: exit code 9; attempt 3 was the last of 3"},
		"grandchild": {"blocked", "job always failed: exit code 9; attempt 3 was the last of 3"},
	} {
		r := results[id]
		if !strings.EqualFold(r.State, want.state) || r.Cause != want.cause || (r.Manifest != "") != (want.cause == "") {
			t.Errorf("result of %s: %+v; want %+v and a manifest unless it failed", id, r, want)
		}
		if r.Labels["desk"] != "property" {
			t.Errorf("labels of %s: %v", id, r.Labels)
		}
	}
	if diff := cmp.Diff(map[string]string{"tries": "3\n"}, in.output(t, results["flaky"].Key)); diff != "" {
		t.Errorf("output of flaky (-want +got):\n%s", diff)
	}
	// For people: the last lines are in the text, too.
	text := in.spate(t, "status", run.ID)
	for _, want := range []string{"always failed at attempt 3: exit code 9 (attempt 3 was the last of 3)", "    | still broken at try 3", "2 blocked"} {
		if !strings.Contains(text.stdout, want) {
			t.Errorf("status lacks %q:\n%s", want, text.stdout)
		}
	}
}

func exitCode(f failureView) int {
	if f.ExitCode == nil {
		return -1
	}
	return *f.ExitCode
}

const contractTasks = `
contract:
  command: [sh, -c, 'env > out/env; cat "$SPATE_PARAMS" > out/params; cp -R "$SPATE_INPUT_DIR" out/in; ls -A . > "$SPATE_OUTPUT_DIR/work"; pwd > out/pwd']
  input_dir: in
  output_dirs: [out]
  timeout: 10s
  env: {MODEL: "2026 beta"}
hooked:
  command: [sh, -c, 'cat prepared > main/command; echo kept > side/file']
  output_dirs: [main, side]
  timeout: 10s
  before: [sh, -c, 'echo from before > prepared']
  after: [sh, -c, 'echo from after > main/after']
failing:
  command: [sh, -c, 'echo broken > state; exit 65']
  timeout: 10s
  permanent_exit_codes: [65]
  before: [sh, -c, 'exit 0']
  after: [sh, -c, 'touch @DIR@/after-of-failing']
  on_failure: [sh, -c, 'echo "the state was $(cat state)"']
unprepared:
  command: [sh, -c, 'touch @DIR@/unprepared-ran']
  timeout: 10s
  max_attempts: 1
  before: [sh, -c, 'echo no licence; exit 3']
dice:
  command: [sh, -c, 'echo "$SPATE_RUN_ID" > out/run; head -c 8 /dev/urandom > out/random']
  deterministic: false
  timeout: 10s
`

func TestAJobsProcessGetsWhatIsPromisedAndNothingElse(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: contractTasks})
	in.env = append(in.env, "SECRET_OF_THE_CONTROLLER=1")
	in.serve(t)
	put(t, in, "elts/17.csv", "event,loss\n1,2.5\n")
	run := in.mustSucceed(t, in.write(t, "run.yaml", `
name: contract
pool: work
params: {as_of: "2026-11-21", layers: 1}
jobs:
  - {id: parent, task: hooked}
  - id: child
    task: contract
    params: {layers: 3, "café": [1, 2.50, "x"]}
    inputs: {loss/melt.csv: s3://spate-data/elts/17.csv}
    needs: {all: parent, some: {job: parent, files: [main/after]}}
`))
	results := in.results(t, run.ID)
	parent, child := results["parent"], results["child"]

	if diff := cmp.Diff(map[string]string{"main/command": "from before\n", "main/after": "from after\n", "side/file": "kept\n"}, in.output(t, parent.Key)); diff != "" {
		t.Errorf("output of the parent, whose hooks run before and after (-want +got):\n%s", diff)
	}
	got := in.output(t, child.Key)
	work := strings.TrimSpace(got["pwd"])
	if !strings.HasPrefix(work, in.tmp+"/") {
		t.Errorf("the job worked in %s, want below %s, which is removed with its worker, however that ends", work, in.tmp)
	}
	wantEnv := map[string]string{
		"TASK_NAME": "contract", "SPATE_JOB_KEY": child.Key.String(), "SPATE_PARAMS": work + "/params.json",
		"SPATE_INPUT_DIR": work + "/in", "SPATE_OUTPUT_DIR": work + "/out", "MODEL": "2026 beta", "LANG": "C.UTF-8", "PWD": work,
	}
	env := map[string]string{}
	for line := range strings.Lines(got["env"]) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if env[name] == "" {
			t.Errorf("%s is not set", name)
		}
		delete(env, name)
	}
	for _, shells := range []string{"_", "SHLVL", "OLDPWD"} { // set by some shells themselves
		delete(env, shells)
	}
	if diff := cmp.Diff(wantEnv, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	delete(got, "env")
	if diff := cmp.Diff(map[string]string{
		"params": `{"as_of":"2026-11-21","café":[1,2.5,"x"],"layers":3}`, "pwd": work + "\n", "work": "in\nout\nparams.json\n",
		"in/loss/melt.csv": "event,loss\n1,2.5\n", "in/some/main/after": "from after\n",
		"in/all/main/after": "from after\n", "in/all/main/command": "from before\n", "in/all/side/file": "kept\n",
	}, got); diff != "" {
		t.Errorf("what the job found (-want +got):\n%s", diff)
	}

	// Every object of an output is one that its manifest names, or the manifest.
	for _, r := range results {
		m := in.manifest(t, r.Key)
		if want := "s3://" + bucket + "/" + job.ManifestPath(r.Key); r.Manifest != want {
			t.Errorf("the index says %s, want %s", r.Manifest, want)
		}
		if m.Run != run.ID || m.Image != run.Image || m.Worker == "" || !strings.HasPrefix(m.Image, "sha256:") {
			t.Errorf("manifest of %s: run %q, image %q, worker %q", r.ID, m.Run, m.Image, m.Worker)
		}
		if got := len(in.list(t, job.OutputPrefix(r.Key))); got != len(m.Files)+1 {
			t.Errorf("%d objects below the output of %s, want %d files and the manifest", got, r.ID, len(m.Files))
		}
	}
}

func TestHooksOfJobsThatFail(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: contractTasks})
	in.serve(t)
	run, code := in.submitAndWatch(t, in.write(t, "run.yaml", `{name: hooks, pool: work, jobs: [{id: failing, task: failing}, {id: unprepared, task: unprepared}]}`))
	if code != 1 || run.Progress.Failed != 2 {
		t.Fatalf("exit code %d, progress %+v; want 1 and two failed jobs", code, run.Progress)
	}
	for _, f := range run.Failures {
		want := failureView{Cause: "exit code 65", LastLines: []string{"the state was broken"}}
		if f.Job == "unprepared" {
			want = failureView{Cause: "before: exit code 3", LastLines: []string{"no licence"}}
		}
		if f.Cause != want.Cause || !cmp.Equal(f.LastLines, want.LastLines) {
			t.Errorf("%s: %q, %q; want %q, %q", f.Job, f.Cause, f.LastLines, want.Cause, want.LastLines)
		}
	}
	for _, never := range []string{"after-of-failing", "unprepared-ran"} {
		if _, err := os.Stat(filepath.Join(in.dir, never)); err == nil {
			t.Errorf("%s: a step ran after one that failed", never)
		}
	}
}

func TestAJobThatIsNotDeterministicRunsAgainInAnotherRun(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: contractTasks})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: dice, pool: work, jobs: [{id: dice, task: dice}, {id: fixed, task: hooked}]}`)
	seen := map[string]bool{}
	for i := range 2 {
		run := in.mustSucceed(t, file)
		if want := 2 - i; run.Progress.Executed != want {
			t.Errorf("run %d: progress %+v, want %d executed", i, run.Progress, want)
		}
		out := in.output(t, in.results(t, run.ID)["dice"].Key)
		if out["run"] != run.ID+"\n" {
			t.Errorf("SPATE_RUN_ID was %q, want %s", out["run"], run.ID)
		}
		seen[out["random"]] = true
	}
	if len(seen) != 2 {
		t.Error("both runs have the same output")
	}
}

func put(t *testing.T, in *installation, key, content string) {
	t.Helper()
	if _, err := in.objects.Put(t.Context(), key, []byte(content), objects.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameSubmissionTwiceIsOneRun(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: `
count:
  command: [sh, -c, 'echo started >> @DIR@/started; echo 1 > out/count']
  deterministic: false
  timeout: 10s`})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: nightly, pool: work, jobs: [{id: a, task: count}, {id: b, task: count, params: {b: 1}}]}`)
	for range 3 {
		if id := in.submit(t, file, "--id", "nightly-21"); id != "nightly-21" {
			t.Errorf("the run is called %q", id)
		}
	}
	if run := in.ended(t, "nightly-21"); run.State != string(job.RunSucceeded) {
		t.Errorf("run %s: %s", run.State, run.Reason)
	}
	again := in.mustSucceed(t, file, "--id", "nightly-21")
	if again.Progress.Executed != 2 {
		t.Errorf("progress %+v, want that of the one run", again.Progress)
	}
	eventually(t, "all submissions are taken", func() bool { return in.depth(t, submissionsQueue) == 0 })

	other := in.write(t, "other.yaml", `{name: nightly, pool: work, jobs: [{id: a, task: count}]}`)
	r := in.spate(t, "submit", other, "--id", "nightly-21")
	if r.code != 1 || !strings.Contains(r.stderr, "nightly-21: this submission id was used for another run") {
		t.Errorf("another run under the same id: exit code %d, %s", r.code, r.stderr)
	}
	var all struct {
		Runs []runView `json:"runs"`
	}
	decode(t, in.spate(t, "runs", "--output", "json").stdout, &all)
	if len(all.Runs) != 1 {
		t.Errorf("%d runs, want one", len(all.Runs))
	}
	if n := lines(filepath.Join(in.dir, "started")); n != 2 {
		t.Errorf("%d processes were started for two jobs", n)
	}
}

// A job that says that it has started, and ends once it is let go.
const patientTasks = `
patient:
  command: [sh, -c, 'echo $PPID >> @DIR@/started; while [ ! -e @DIR@/go ]; do sleep 0.1; done; echo done > out/x']
  timeout: 60s
quick:
  command: [sh, -c, 'echo done > out/x']
  timeout: 10s`

func TestAJobWhoseWorkerIsKilledRunsAgainOnAnother(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: patientTasks, maxWorkers: 1})
	in.serve(t)
	id := in.submit(t, in.write(t, "run.yaml", `{name: kill, pool: work, jobs: [{id: a, task: patient}, {id: b, task: quick, needs: {a: a}}]}`))
	started := filepath.Join(in.dir, "started")
	eventually(t, "the job has started", func() bool { return lines(started) == 1 })
	first := in.tasks(t)
	if len(first) != 1 {
		t.Fatalf("%d tasks, want one", len(first))
	}
	var worker int
	if _, err := fmt.Sscan(read(t, started), &worker); err != nil {
		t.Fatal(err)
	}
	if command := processesOf(in.dir)[worker]; !strings.HasPrefix(command, "spate worker") {
		t.Fatalf("process %d is no worker of this installation but %q", worker, command)
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job has started again", func() bool { return lines(started) == 2 })
	in.write(t, "go", "")

	run := in.ended(t, id)
	if run.State != string(job.RunSucceeded) || run.Progress.Executed != 2 || len(run.Failures) != 0 {
		t.Errorf("run %s: %s %+v %+v; want success without a failed attempt: the worker failed, not the job", run.State, run.Reason, run.Progress, run.Failures)
	}
	if m := in.manifest(t, in.results(t, id)["a"].Key); m.Worker == *first[0].TaskArn {
		t.Error("the output is the killed worker's")
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAWorkerOfAnOlderImageReturnsTheJobAndLeaves(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: patientTasks, maxWorkers: 1})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: quick, pool: work, jobs: [{id: a, task: quick}]}`)
	before := in.mustSucceed(t, file)
	digest := in.newImage(t)

	// The old worker still waits for work, and there may be one worker only: it gets the job first.
	old := in.tasks(t)
	after := in.mustSucceed(t, file)
	if after.Image != digest || after.Image == before.Image || after.Progress.Executed != 1 {
		t.Errorf("image %s, progress %+v; want %s and one job executed: another image is another key", after.Image, after.Progress, digest)
	}
	if m := in.manifest(t, in.results(t, after.ID)["a"].Key); m.Image != digest || m.Worker == *old[0].TaskArn {
		t.Errorf("the output is of image %s, worker %s", m.Image, m.Worker)
	}
	for _, task := range in.tasks(t) {
		if *task.TaskArn == *old[0].TaskArn && (aws.ToString(task.LastStatus) != "STOPPED" || aws.ToInt32(task.Containers[0].ExitCode) != 0) {
			t.Errorf("the old worker is %s, exit code %v; want that it has left with 0", aws.ToString(task.LastStatus), task.Containers[0].ExitCode)
		}
	}
	arn := *old[0].TaskArn
	if log := read(t, filepath.Join(in.logs(), arn[strings.LastIndex(arn, "/")+1:]+".log")); !strings.Contains(log, "other_image") {
		t.Errorf("the old worker's log does not say why it left:\n%s", log)
	}
}

// newImage registers another revision of the task definition, with another image, and returns its digest.
func (in *installation) newImage(t *testing.T) string {
	t.Helper()
	described, err := in.clients.ECS.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(family)})
	if err != nil {
		t.Fatal(err)
	}
	d := described.TaskDefinition
	digest := "sha256:" + strings.Repeat("5", 64)
	d.ContainerDefinitions[0].Image = aws.String("spate@" + digest)
	_, err = in.clients.ECS.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: d.Family, RequiresCompatibilities: d.RequiresCompatibilities, NetworkMode: d.NetworkMode, Cpu: d.Cpu, Memory: d.Memory,
		RuntimePlatform: d.RuntimePlatform, ContainerDefinitions: d.ContainerDefinitions,
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestAMessageOfAnotherImageStopsNoRunAndIsKept(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: patientTasks, maxWorkers: 2})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: quick, pool: work, jobs: [{id: a, task: quick}, {id: b, task: quick, needs: {a: a}}, {id: c, task: quick, needs: {b: b}}]}`)
	before := in.mustSucceed(t, file)
	m := in.manifest(t, in.results(t, before.ID)["a"].Key)
	message, err := job.Message{
		V: job.MessageVersion, Run: before.ID, Job: "a", Key: m.Key, Document: m.Document, Attempt: 1, Timeout: job.Duration(time.Minute),
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the workers of that image, who could take it, have left", func() bool {
		return !slices.ContainsFunc(in.tasks(t), func(task ecstypes.Task) bool { return aws.ToString(task.LastStatus) != "STOPPED" })
	})
	digest := in.newImage(t)
	if err := in.queue(t, jobsQueue).Send(t.Context(), string(message)); err != nil {
		t.Fatal(err)
	}

	after := in.mustSucceed(t, file)
	if after.Image != digest || after.Progress.Executed != 3 {
		t.Errorf("image %s, progress %+v; want %s and 3 jobs executed", after.Image, after.Progress, digest)
	}
	// While a worker passes it on, a copy and the original are both there.
	eventually(t, "the one message that nobody could take is on the queue or its dead-letter queue", func() bool {
		return in.depth(t, jobsQueue)+in.depth(t, jobsQueue+"-dlq") == 1
	})
	for _, task := range in.tasks(t) {
		if code := task.Containers[0].ExitCode; code != nil && *code != 0 {
			t.Errorf("worker %s has exit code %d: meeting another image is no failure", *task.TaskArn, *code)
		}
	}
}
