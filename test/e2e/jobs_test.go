package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
