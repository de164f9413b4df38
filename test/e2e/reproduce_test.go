package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance"
)

// reproduced is what `spate reproduce --output json` prints: the fields that tests look at.
type reproduced struct {
	Run       string `json:"run"`
	State     string `json:"state"`
	Compared  int    `json:"compared"`
	Identical int    `json:"identical"`
	Different []struct {
		Job   string `json:"job"`
		Files []struct {
			Path  string `json:"path"`
			Place *struct {
				Line int `json:"line"`
			} `json:"place"`
		} `json:"files"`
	} `json:"different"`
}

func (in *installation) reproduce(t *testing.T, args ...string) (reproduced, result) {
	t.Helper()
	r := in.spate(t, append([]string{"reproduce", "--output", "json"}, args...)...)
	var found reproduced
	decode(t, r.stdout, &found)
	return found, r
}

func TestTheReinsuranceExampleGivesTheSameBytesAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// Called rollup, the program is the example's model.
	if err := os.Symlink(program, filepath.Join(dir, "rollup")); err != nil {
		t.Fatal(err)
	}
	generate := exec.CommandContext(t.Context(), "go", "run", "spate/examples/reinsurance/generate", "--deals", "12", "--periods", "500", "--out", dir)
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, out)
	}
	_, tasks, _ := strings.Cut(read(t, "../../examples/reinsurance/tasks.yaml"), "\ntasks:\n")
	tasks = strings.ReplaceAll(tasks, reinsurance.DealSchemaFile, filepath.Join(dir, reinsurance.DealSchemaFile))
	if err := reinsurance.WriteDealSchema(dir); err != nil {
		t.Fatal(err)
	}
	in := install(t, setup{tasks: strings.ReplaceAll(tasks, "\n  ", "\n")[2:], slots: 2, path: dir})
	in.serve(t)
	runFile := filepath.Join(dir, "run.yaml")
	if err := os.WriteFile(runFile, []byte(strings.Replace(read(t, runFile), "pool: rollup", "pool: "+pool, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	original := in.mustSucceed(t, runFile)

	found, r := in.reproduce(t, original.ID, "--sample", "10")
	if r.code != 0 || found.State != "succeeded" || found.Compared != 10 || found.Identical != 10 {
		t.Errorf("exit code %d, %+v\n%s", r.code, found, r.stderr)
	}
	byTask := map[string]bool{}
	for id, x := range in.results(t, found.Run) {
		byTask[x.Task] = true
		if x.Original == x.Key || in.manifest(t, x.Key) == nil {
			t.Errorf("%s was not computed again: %+v", id, x)
		}
	}
	all := map[string]bool{}
	for _, x := range in.results(t, original.ID) {
		all[x.Task] = true
	}
	if diff := cmp.Diff(all, byTask); diff != "" {
		t.Errorf("task types of the run and of the sample (-run +sample):\n%s", diff)
	}
}

func TestATaskThatWritesTheTimeIsCaughtAndRemembered(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: `
steady:
  command: [sh, -c, 'echo 1 > out/figure']
  timeout: 10s
dated:
  command: [sh, -c, 'echo figures > out/report; date +%s%N >> out/report; cat in/*/figure >> out/report; echo same > out/other']
  timeout: 10s`})
	in.serve(t)
	file := in.write(t, "run.yaml", `{name: dated, pool: work, jobs: [{id: a, task: steady}, {id: b, task: dated, needs: {a: a}}]}`)
	original := in.mustSucceed(t, file)

	found, r := in.reproduce(t, original.ID)
	if r.code != 1 || found.Compared != 2 || found.Identical != 1 || len(found.Different) != 1 {
		t.Fatalf("exit code %d, %+v\n%s", r.code, found, r.stderr)
	}
	d := found.Different[0]
	if d.Job != "b" || len(d.Files) != 1 || d.Files[0].Path != "report" || d.Files[0].Place == nil || d.Files[0].Place.Line != 2 {
		t.Errorf("different %+v, want the second line of b's report", d)
	}
	again := in.mustSucceed(t, file)
	if text := in.spate(t, "status", again.ID).stdout; !strings.Contains(text, "warning: task dated is declared deterministic, but run "+found.Run) {
		t.Errorf("the next run has no warning:\n%s", text)
	}
}
