package report

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"spate/internal/price"
	"spate/job"
	"spate/planner"
)

// output stores an output that a run made, of one JSON file.
func (p *past) output(run string, planned job.Planned, seconds float64, figures string) {
	p.t.Helper()
	m := job.Manifest{
		V: job.MessageVersion, Key: planned.Key, Attempt: "one", Run: run, Seconds: seconds, At: noon, Document: jsontext.Value("{}"),
		Files: []job.File{{Path: "figures.json", Size: int64(len(figures))}, {Path: "table.csv"}},
	}
	data, err := m.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(m.Object(m.Files[0]), figures)
	p.put(job.ManifestPath(planned.Key), string(data))
}

// usd is what seconds of jobs cost on a run's workers.
func usd(run *planner.Run, seconds float64) *price.USD {
	w := run.Worker
	cost := price.TaskPerHour(w.VCPU, w.MemoryGB, price.X86, false) * price.USD(seconds/float64(w.Slots)/3600)
	return &cost
}

func TestTheEffectOfAChangeIsWhatMovedAndWhatItCost(t *testing.T) {
	p := newPast(t)
	base := p.run("base", "nightly", job.RunSucceeded, noon.Add(-time.Hour))
	before := p.manifest(base, deal("a", `{"limit":5}`), deal("b", `{}`), deal("c", `{"v":1}`), sum("all", "a", "b"), sum("other", "b"), sum("late", "c"))
	for i, planned := range before {
		p.output("base", planned, 10, fmt.Sprintf(`{"aal":%d,"n":1}`, 100+i))
	}
	run := p.run("what-if", "nightly", job.RunSucceeded, noon)
	// The input of c has changed meanwhile, which nobody asked for.
	after := p.manifest(run, deal("a", `{"limit":6}`), deal("b", `{}`), deal("c", `{"v":2}`), sum("all", "a", "b"), sum("other", "b"), sum("late", "c"))
	for i, figures := range map[int]string{0: `{}`, 2: `{}`, 3: `{"aal":206,"n":1}`, 5: `{"aal":84,"n":1,"m":1}`} {
		p.output("what-if", after[i], 3, figures)
	}
	run.Progress.Executed = 4
	run.Worker = planner.WorkerSize{VCPU: 1, MemoryGB: 2, Slots: 2, Providers: []string{"FARGATE"}}
	read := 0
	e, err := p.Effect(t.Context(), EffectOptions{
		Base: base, Run: run, Changed: []string{"a", "elsewhere"}, Files: "*.json", Outputs: func(int, int) { read++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &Effect{
		Base: "base", Run: "what-if", Progress: run.Progress, Cost: EffectCost{Executed: 12, Full: 32, Counted: 6, ExecutedUSD: usd(run, 12), FullUSD: usd(run, 32)},
		Differing: 4, Unexplained: 2, Absent: 1, Same: 2, Others: 1,
		Figures: []Figure{
			{Job: "all", File: "figures.json", Path: "aal", Before: 103, After: 206},
			{Job: "late", File: "figures.json", Path: "aal", Before: 105, After: 84},
		},
	}
	if diff := cmp.Diff(want, e); diff != "" || read != 6 {
		t.Errorf("%d outputs were read (-want +got):\n%s", read, diff)
	}
	if e, err = p.Effect(t.Context(), EffectOptions{Base: base, Run: run, Files: "*.csv"}); err == nil {
		t.Errorf("a file that is not there was read: %+v", e)
	}
	if e, err = p.Effect(t.Context(), EffectOptions{Base: base, Run: run, Files: "portfolio.*"}); err != nil || len(e.Figures) > 0 {
		t.Errorf("other files: %+v, %v", e, err)
	}
	if _, err = p.Effect(t.Context(), EffectOptions{Base: base, Run: run, Files: "["}); err == nil {
		t.Error("a bad pattern was taken")
	}
}

// Of an output that has expired meanwhile nobody knows the seconds: those of the others stand for it.
func TestOutputsThatAreGoneCountLikeTheOthers(t *testing.T) {
	p := newPast(t)
	base := p.run("base", "nightly", job.RunSucceeded, noon)
	for i, planned := range p.manifest(base, deal("a", `{}`), deal("b", `{"x":1}`), deal("c", `{"x":2}`), deal("d", `{"x":3}`)) {
		if i > 0 {
			p.output("base", planned, 4, "{}")
		}
	}
	e, err := p.Effect(t.Context(), EffectOptions{Base: base, Run: base, Files: "*"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(EffectCost{Executed: 16, Full: 16, Counted: 3}, e.Cost); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
