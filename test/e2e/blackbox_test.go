package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

func TestTheBlackBoxExampleRunsAsItsReadmeSays(t *testing.T) {
	t.Parallel()
	example, err := filepath.Abs("../../examples/blackbox")
	if err != nil {
		t.Fatal(err)
	}
	in := install(t, setup{config: filepath.Join(example, "spate.yaml"), path: filepath.Join(example, "bin")})
	in.env = append(in.env, "SPATE_HTTP_LISTEN=127.0.0.1:0", "SPATE_POOLS_WORK_IDLE_TIMEOUT="+idle.String())
	in.serve(t)
	run := in.mustSucceed(t, filepath.Join(example, "run.yaml"))
	if run.Progress.Executed != 6 {
		t.Errorf("progress %+v, want 6 jobs executed", run.Progress)
	}
	results := in.results(t, run.ID)
	if diff := cmp.Diff(map[string]string{"pi.txt": "3.1366\n"}, in.output(t, results["pi"].Key)); diff != "" {
		t.Errorf("estimate (-want +got):\n%s", diff)
	}

	file := read(t, filepath.Join(example, "run.yaml"))
	other := in.mustSucceed(t, in.write(t, "seed.yaml", strings.Replace(file, "seed: 4", "seed: 5", 1)))
	if p := other.Progress; p.Executed != 3 || p.Cached+p.Reused != 3 {
		t.Errorf("another seed: progress %+v, want one job and what depends on it executed", p)
	}

	strict, code := in.submitAndWatch(t, in.write(t, "strict.yaml", strings.Replace(file, "0.02", "0.00001", 1)))
	if code != 1 || strict.State != string(job.RunFailed) || len(strict.Failures) != 1 {
		t.Fatalf("a strict check: exit code %d, %+v", code, strict)
	}
	if f := strict.Failures[0]; f.Retried || exitCode(f) != 65 || !cmp.Equal(f.LastLines, []string{"3.1366 is 0.005 off 3.1416"}) {
		t.Errorf("failure %+v, want the number that it was off by, and no retry", f)
	}
}
