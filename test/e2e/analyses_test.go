package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spate/examples/reinsurance"
	"spate/examples/reinsurance/portfolio"
	"spate/internal/demo"
	"spate/internal/queue"
	"spate/job"
	"spate/planner"
)

// analyses is how many there are; a thousand is what docs/benchmarks.md shows.
var analyses = flag.Int("analyses", 30, "how many deal analyses to run over one portfolio, at least 11")

// analysesAlone is how many of them are submitted one after another.
const analysesAlone = 10

// By day, many ask what one deal would be on other terms. Each asks for the simulated years, the rates and the deals that
// inure to its benefit as well, and runs its deal alone.
func TestAnalysesOfSingleDealsReuseThePortfolio(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.Symlink(program, filepath.Join(path, demo.ModelProgram)); err != nil {
		t.Fatal(err)
	}
	_, tasks, _ := strings.Cut(reinsurance.Tasks(), "tasks:")
	tasks = strings.ReplaceAll(tasks, "\n  ", "\n") // the harness indents them
	tasks = strings.ReplaceAll(tasks, reinsurance.DealSchemaFile, filepath.Join(path, reinsurance.DealSchemaFile))
	if err := reinsurance.WriteDealSchema(path); err != nil {
		t.Fatal(err)
	}
	in := install(t, setup{path: path, tasks: tasks, maxWorkers: 2, slots: 2, extra: `  - name: deals
    queue: spate-deals
    cluster: hpc
    task_definition: spate-deals
    subnets: [subnet-a]
    capacity: [{provider: FARGATE, max: 2}]
    max: 2
    slots: 2
    idle_timeout: 3s
    visibility_timeout: 3s
    priority: 100`})
	in.serve(t)
	p, err := portfolio.Generate(portfolio.Options{Deals: 60, Seed: 3, Periods: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var jobs, runFile bytes.Buffer
	if err := p.WriteJSONL(&jobs); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteRunFile(&runFile, "jobs.jsonl"); err != nil {
		t.Fatal(err)
	}
	in.write(t, "jobs.jsonl", jobs.String())
	in.mustSucceed(t, in.write(t, "run.yaml", string(bytes.ReplaceAll(runFile.Bytes(), []byte("pool: rollup"), []byte("pool: "+pool)))))

	a := &analysing{installation: in, submitted: map[string]time.Time{}}
	if a.submissions, err = queue.Open(t.Context(), in.clients.SQS, submissionsQueue); err != nil {
		t.Fatal(err)
	}
	all := p.Analyses(max(*analyses, analysesAlone+1), 7)
	for _, one := range all[:analysesAlone] {
		a.submit(t, one)
		a.await(t)
	}
	t.Logf("one after another, submit to result: %s", a.latencies())

	a.submitted = map[string]time.Time{}
	begun := time.Now()
	for _, one := range all[analysesAlone:] {
		a.submit(t, one)
	}
	sent := time.Since(begun)
	a.await(t)
	took := time.Since(begun)
	t.Logf("%d at once: submitted in %s, done in %s, %.0f runs a minute; submit to result: %s", len(a.submitted), sent.Round(10*time.Millisecond),
		took.Round(10*time.Millisecond), float64(len(a.submitted))/took.Minutes(), a.latencies())
}

// analysing submits analyses and waits for them.
type analysing struct {
	*installation
	submissions *queue.Queue
	submitted   map[string]time.Time // by run
	took        []time.Duration      // from submit to the end of the run
}

func (a *analysing) submit(t *testing.T, one portfolio.Analysis) {
	t.Helper()
	id := fmt.Sprintf("analysis-%04d", one.Number)
	var text bytes.Buffer
	if err := one.Write(&text); err != nil {
		t.Fatal(err)
	}
	prepared, err := planner.Prepare(a.write(t, "analyses/"+id+".json", text.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close()
	a.submitted[id] = time.Now()
	if _, err := planner.Submit(t.Context(), a.objects, a.submissions, id, prepared); err != nil {
		t.Fatal(err)
	}
}

// await waits until all runs that were submitted have succeeded, and checks that each has run its deal alone.
func (a *analysing) await(t *testing.T) {
	t.Helper()
	const deadline = 10 * time.Minute
	a.took = a.took[:0]
	waiting := map[string]bool{}
	for id := range a.submitted {
		waiting[id] = true
	}
	const look = 50 * time.Millisecond // longer where many runs are read
	ticker := time.NewTicker(look + time.Duration(len(waiting))*time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); len(waiting) > 0; <-ticker.C {
		runs, err := planner.ReadRuns(t.Context(), a.runs)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if !waiting[r.ID] || !r.State.Ended() {
				continue
			}
			delete(waiting, r.ID)
			a.took = append(a.took, r.Ended.Sub(a.submitted[r.ID]))
			if p := r.Progress; r.State != job.RunSucceeded || p.Executed != 1 || p.Cached != p.Jobs-1 || p.Jobs < 2 {
				t.Errorf("run %s %s: %s %+v, want one job executed and the others cached", r.ID, r.State, r.Reason, p)
			}
		}
		if time.Since(begun) > deadline {
			t.Fatalf("%d runs have not ended", len(waiting))
		}
	}
}

// latencies says how long runs took.
func (a *analysing) latencies() string {
	slices.Sort(a.took)
	at := func(part int) time.Duration { return a.took[(len(a.took)-1)*part/100].Round(time.Millisecond) }
	return fmt.Sprintf("median %s, 95 %% within %s", at(50), at(95))
}
