package report

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/planner"
)

func TestTheModelOfARunsDuration(t *testing.T) {
	fleet := Fleet{Slots: 1, Max: 3000, Providers: []int{3000, 3000}}
	for _, test := range []struct {
		name  string
		work  Work
		fleet Fleet
		want  Forecast
	}{
		{"nothing", Work{}, fleet, Forecast{}},
		{"one job", Work{Jobs: 1, Seconds: 60, Critical: 60, Widest: 1}, fleet, Forecast{StartUp: StartUp, Workers: 1, Busy: time.Minute, Total: 105 * time.Second}},
		{"a hundred jobs at once", Work{Jobs: 100, Seconds: 1000, Critical: 10, Widest: 100}, fleet, Forecast{StartUp: StartUp, Workers: 100, Busy: 10 * time.Second, Total: 55 * time.Second}},
		{"more jobs than workers", Work{Jobs: 100, Seconds: 1000, Critical: 10, Widest: 100}, Fleet{Slots: 1, Max: 10, Providers: []int{10}}, Forecast{StartUp: StartUp, Workers: 10, Busy: 100 * time.Second, Total: 145 * time.Second}},
		{"slots", Work{Jobs: 100, Seconds: 1000, Critical: 10, Widest: 100}, Fleet{Slots: 4, Max: 10, Providers: []int{10}}, Forecast{StartUp: StartUp, Workers: 10, Busy: 25 * time.Second, Total: 70 * time.Second}},
		{"fewer jobs than slots", Work{Jobs: 2, Seconds: 20, Critical: 10, Widest: 2}, Fleet{Slots: 4, Max: 10, Providers: []int{10}}, Forecast{StartUp: StartUp, Workers: 1, Busy: 10 * time.Second, Total: 55 * time.Second}},
		{"a long chain", Work{Jobs: 20, Seconds: 200, Critical: 110, Widest: 10}, fleet, Forecast{StartUp: StartUp, Workers: 10, Busy: 110 * time.Second, Total: 155 * time.Second, Chain: true}},
		// 3,000 workers: 100 at once, 20 a second, so 145 s of launching; by then they have worked 223,300 s together.
		{"launching", Work{Jobs: 3000, Seconds: 523_300, Critical: 1, Widest: 3000}, fleet, Forecast{StartUp: StartUp, Workers: 3000, Launched: 145 * time.Second, Busy: 245 * time.Second, Total: 290 * time.Second}},
		// The work is done before they are all there: 100 + 120 + 140.
		{"done while launching", Work{Jobs: 3000, Seconds: 360, Critical: 1, Widest: 3000}, fleet, Forecast{StartUp: StartUp, Workers: 3000, Launched: 2 * time.Second, Busy: 3 * time.Second, Total: 48 * time.Second}},
		// Two providers fill beside one another, each at its own rate: 100 + 50 at once.
		{"two providers", Work{Jobs: 150, Seconds: 1500, Critical: 1, Widest: 150}, Fleet{Slots: 1, Max: 150, Providers: []int{100, 50}}, Forecast{StartUp: StartUp, Workers: 150, Busy: 10 * time.Second, Total: 55 * time.Second}},
		{"on idle workers", Work{Jobs: 100, Seconds: 1000, Critical: 10, Widest: 100}, Fleet{Slots: 1, Max: 10, Providers: []int{10}, Idle: 10}, Forecast{Workers: 10, Busy: 100 * time.Second, Total: 100 * time.Second}},
		{"on too few idle workers", Work{Jobs: 100, Seconds: 1000, Critical: 10, Widest: 100}, Fleet{Slots: 1, Max: 10, Providers: []int{10}, Idle: 9}, Forecast{StartUp: StartUp, Workers: 10, Busy: 100 * time.Second, Total: 145 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Foresee(test.work, test.fleet)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPacesAreOfTheNewestRunsOfTheNameAndElseOfThePool(t *testing.T) {
	run := func(id, name, pool string, tasks map[string]planner.TaskFigures) *planner.Run {
		return &planner.Run{ID: id, Name: name, Pool: pool, Tasks: tasks}
	}
	took := func(executed int, seconds float64) planner.TaskFigures {
		return planner.TaskFigures{Executed: executed, Seconds: seconds}
	}
	runs := []*planner.Run{
		{
			ID: "what-if", Name: "nightly", Pool: "rollup", Labels: map[string]string{planner.LabelWhatIfOf: "nightly-6"},
			Tasks: map[string]planner.TaskFigures{"price": took(1, 1000)},
		},
		run("cached", "nightly", "rollup", map[string]planner.TaskFigures{"price": {Cached: 7}}),
		run("other-2", "other", "rollup", map[string]planner.TaskFigures{"price": took(1, 1000), "sum": took(2, 10)}),
		run("elsewhere", "nightly", "deals", map[string]planner.TaskFigures{"price": took(1, 1000), "plot": took(1, 3)}),
		run("nightly-6", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(3, 30)}),
		run("nightly-5", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(1, 50)}),
		run("nightly-4", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(0, 0)}),
		run("nightly-3", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(1, 20)}),
		run("nightly-2", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(1, 20)}),
		run("nightly-1", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(1, 21)}),
		run("nightly-0", "nightly", "rollup", map[string]planner.TaskFigures{"price": took(1, 9999)}), // too long ago
	}
	want := map[string]Pace{
		"price": {Seconds: 141.0 / 7, Executed: 7, From: "nightly-6"},
		"sum":   {Seconds: 5, Executed: 2, From: "other-2"},
	}
	if diff := cmp.Diff(want, Paces(runs, "nightly", "rollup")); diff != "" {
		t.Error(diff)
	}
}

func TestTheCostOfARunIsItsJobsSecondsAtThePriceOfASlot(t *testing.T) {
	run := &planner.Run{
		Platform: "linux/amd64",
		Worker:   planner.WorkerSize{VCPU: 1, MemoryGB: 2, Slots: 2, Providers: []string{"FARGATE_SPOT", "FARGATE"}},
		Tasks: map[string]planner.TaskFigures{
			"price": {Executed: 10, Seconds: 7000, FailedSeconds: 200, Cached: 20},
			"sum":   {Cached: 3},
			"plot":  {Cached: 4},
			"melt":  {Cached: 50, SavedKnown: 40, SavedSeconds: 80, Executed: 1},
			"merge": {Cached: 2, SavedKnown: 2, SavedSeconds: 9},
		},
	}
	cost, ok := CostOfRun(run, map[string]Pace{"price": {Seconds: 1}, "sum": {Seconds: 10}})
	if !ok {
		t.Fatal("nothing is known of the cost")
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("seconds", cost.JobSeconds, 7200)
	near("on demand", float64(cost.MaxUSD), 0.04937) // 7,200 s in two slots are one hour
	near("on Spot", float64(cost.USD), 0.3*0.04937)
	near("at least", float64(cost.LowUSD), 0.3*0.04937)
	// By what the outputs took, else by what others of the type that were read took, else this run's own, else other runs'.
	near("saved", cost.Saved.JobSeconds, 9+80+10*2+20*700+3*10)
	if cost.SavedEstimated != 10+20+3 {
		t.Errorf("%d outputs are estimated", cost.SavedEstimated)
	}
	if cost.SavedUnknown != 4 || cost.Provider != "FARGATE_SPOT" {
		t.Errorf("%d outputs of unknown worth, on %s", cost.SavedUnknown, cost.Provider)
	}
	for what, change := range map[string]func(*planner.Run){
		"the size of a worker": func(r *planner.Run) { r.Worker.VCPU = 0 },
		"the providers":        func(r *planner.Run) { r.Worker.Providers = nil },
		"what jobs took":       func(r *planner.Run) { r.Tasks = nil },
	} {
		unknown := *run
		change(&unknown)
		if cost, ok := CostOfRun(&unknown, nil); ok {
			t.Errorf("without %s the cost is %+v", what, cost)
		}
	}
}
