package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// held tells that it was started, and waits; mend fails for good until it is mended.
const requestTasks = `
held:
  command: [sh, -c, 'echo started >> @DIR@/started; until [ -e @DIR@/open ]; do sleep 0.1; done; cp "$SPATE_PARAMS" out/']
  timeout: 5m
mend:
  command: [sh, -c, 'echo try >> @DIR@/tries; [ -e @DIR@/mended ] || exit 65; echo 1 > out/value']
  timeout: 30s
  permanent_exit_codes: [65]`

// Two requests, and a controller that dies right before and right after each of its steps for them. One worker, whose job
// ends last of all, leaves the rest of the cancelled run on the queue.
func TestWhatWasAskedForIsDoneOnceByControllersThatDieOverIt(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: requestTasks, maxWorkers: 1})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	p := in.serveThrough(t, g)
	failed, _ := in.submitAndWatch(t, in.write(t, "failed.yaml", `
{name: failed, pool: work, jobs: [{id: bad, task: mend}, {id: after, task: mend, needs: {in: bad}}]}`))
	if failed.State != string(job.RunFailed) {
		t.Fatalf("run %s is %s", failed.ID, failed.State)
	}
	cancelled := in.submit(t, in.write(t, "cancelled.yaml", `
name: cancelled
pool: work
jobs:
  - {id: a, task: held, params: {n: 1}}
  - {id: b, task: held, params: {n: 2}}
  - {id: c, task: held, params: {n: 3}}
  - {id: last, task: held, needs: {a: a}}`))
	eventually(t, "a job runs and the others are on the queue", func() bool {
		r := in.record(t, cancelled)
		return lines(filepath.Join(in.dir, "started")) == 1 && r != nil && r.Progress.Queued == 3
	})
	p.kill(t)
	in.bury(t, g, p)

	in.askNobody(t, "cancel", cancelled)
	in.dieAt(t, g, cancelled, []step{
		{"the run is being cancelled", record(job.RunCancelling)},
		{"workers can see it", object(job.CancelledPath)},
		{"the request is answered", item("AUDIT#")},
	})
	in.write(t, "mended", "")
	in.askNobody(t, "retry", failed.ID)
	in.dieAt(t, g, failed.ID, []step{
		{"failures are forgiven", item("FORGIVEN#")},
		{"the run is active again", record(job.RunActive)},
		{"the request is answered", item("AUDIT#")},
	})
	in.serve(t)
	in.write(t, "open", "")

	v := in.ended(t, cancelled)
	if p := v.Progress; v.State != string(job.RunCancelled) || p.Executed != 1 || p.Cancelled != 3 {
		t.Errorf("the cancelled run is %s: %+v", v.State, p)
	}
	v = in.ended(t, failed.ID)
	if p := v.Progress; v.State != string(job.RunSucceeded) || p.Done != 2 {
		t.Errorf("the failed run is %s: %s %+v", v.State, v.Reason, p)
	}
	if started, tries := lines(filepath.Join(in.dir, "started")), lines(filepath.Join(in.dir, "tries")); started != 1 || tries != 3 {
		t.Errorf("%d jobs of the cancelled run were started, want 1; %d of the failed one, want 3", started, tries)
	}
	eventually(t, "nothing is left on the queue", func() bool { return in.depth(t, jobsQueue) == 0 })
	for _, run := range []string{cancelled, failed.ID} {
		audits, err := planner.ReadAudits(t.Context(), in.runs, run)
		if err != nil || len(audits) != 1 || audits[0].Refused || audits[0].Request.Reason != "it is time" {
			t.Errorf("asked about run %s: %+v, %v; want one request, fulfilled", run, audits, err)
		}
	}
	for request, err := range table.Query[planner.Request](t.Context(), in.runs, table.ControlInbox, "") {
		t.Errorf("a request is left: %+v, %v", request, err)
	}
}

// askNobody asks for something about a run while no controller is there.
func (in *installation) askNobody(t *testing.T, what, run string) {
	t.Helper()
	r := in.spate(t, what, run, "--reason", "it is time", "--wait", "100ms")
	if r.code != 1 || !strings.Contains(r.stderr, "the request stays") {
		t.Fatalf("%s without a controller: exit code %d, %s", what, r.code, r.stderr)
	}
	if r := in.spate(t, "status", run); !strings.Contains(r.stdout, "(it is time): no controller has answered yet") {
		t.Errorf("the run's status does not tell that a request waits:\n%s", r.stdout)
	}
}
