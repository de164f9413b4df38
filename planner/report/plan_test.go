package report

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// newest is the image that a preview of this test is pinned to.
type newest struct{}

func (newest) Resolve(context.Context, string) (planner.Image, error) {
	return planner.Image{TaskDefinition: "arn:family:1", Container: "spate", Digest: "sha256:11aa", Platform: "linux/amd64", VCPU: 1, MemoryGB: 2}, nil
}

// someOutputs are the outputs that exist; of the keys in doubt nobody can tell.
type someOutputs struct{ exist, doubt map[job.Key]bool }

func (s someOutputs) Lookup(_ context.Context, _ time.Time, keys []job.Key) ([]job.Presence, error) {
	presence, err := make([]job.Presence, len(keys)), error(nil)
	for i, key := range keys {
		switch {
		case s.doubt[key]:
			err = errors.New("throttled")
		case s.exist[key]:
			presence[i] = job.Hit
		default:
			presence[i] = job.Miss
		}
	}
	return presence, err
}

// preview previews jobs of a run called nightly.
func (p *past) preview(jobs string, outputs someOutputs) *planner.Preview {
	p.t.Helper()
	dir := p.t.TempDir()
	file := filepath.Join(dir, "run.yaml")
	for name, content := range map[string]string{"run.yaml": "name: nightly\npool: rollup\njobs_from: jobs.jsonl\n", "jobs.jsonl": jobs} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	prepared, err := planner.Prepare(file, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { prepared.Close() })
	task := func(name string) job.TaskType {
		return job.TaskType{Name: name, Command: []string{name}, InputDir: "in", OutputDirs: []string{"out"}, Timeout: job.Duration(time.Hour), MaxAttempts: 3, Deterministic: true}
	}
	preview, err := planner.PreviewRun(p.t.Context(), planner.PreviewOptions{
		Objects: p.Objects, Images: newest{}, Outputs: outputs, Namespace: "default",
		Pools:     []planner.Pool{{Name: "rollup", TaskDefinition: "family", Slots: 1, Providers: []string{"FARGATE_SPOT", "FARGATE"}}},
		Catalogue: job.Catalogue{"price": task("price"), "sum": task("sum")},
	}, prepared)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { preview.Close() })
	return preview
}

// remember makes what a preview found the run before, in a state, with the results of its jobs by id.
func (p *past) remember(preview *planner.Preview, state job.RunState, results map[string]string) {
	p.t.Helper()
	run := *preview.Run
	run.Key = table.Key{PK: table.RunRecords, SK: "nightly-1"}
	run.ID, run.State, run.Received, run.Planned = "nightly-1", state, noon.Add(-time.Hour), noon.Add(-time.Hour)
	run.Tasks = map[string]planner.TaskFigures{"price": {Executed: 4, Seconds: 40}}
	p.item(&run)
	var manifest, index []byte
	for n := range int32(preview.Nodes()) {
		planned, err := preview.Job(n)
		if err == nil {
			manifest, err = planned.AppendLine(manifest)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		result := `"state":"done","manifest":"s3://data/x"}`
		if cause, failed := results[planned.ID]; failed {
			result = `"state":"failed","cause":"` + cause + `"}`
		}
		index = append(index, `{"id":"`+planned.ID+`","task":"`+planned.Task+`","key":"`+planned.Key.String()+`",`+result+"\n"...)
	}
	p.put(job.RunManifestPath("nightly-1"), string(manifest))
	if state.Ended() {
		p.put(job.ResultsIndexPath("nightly-1"), string(index))
	}
}

func previewedKeys(t *testing.T, preview *planner.Preview) map[string]job.Key {
	t.Helper()
	keys := map[string]job.Key{}
	for n := range int32(preview.Nodes()) {
		planned, err := preview.Job(n)
		if err != nil {
			t.Fatal(err)
		}
		keys[planned.ID] = planned.Key
	}
	return keys
}

const nightlyJobs = `{"id":"a","task":"price","params":{"limit":5}}
{"id":"b","task":"price","params":{"limit":5,"share":1}}
{"id":"c","task":"price","params":{"limit":7}}
{"id":"d","task":"price","params":{"limit":8}}
{"id":"e","task":"price","params":{"limit":9}}
{"id":"f","task":"price","params":{"limit":10}}
{"id":"root","task":"sum","needs":{"a":"a","b":"b"}}
`

func TestAPlanSaysWhyJobsWouldRun(t *testing.T) {
	p := newPast(t)
	first := p.preview(nightlyJobs, someOutputs{})
	plan, err := p.PlanOf(t.Context(), first, Fleet{Slots: 1, Max: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Reason{{Kind: ReasonFirst, Jobs: 7, First: "a"}}, plan.Reasons); diff != "" || plan.Against != "" {
		t.Errorf("against %q:\n%s", plan.Against, diff)
	}
	if diff := cmp.Diff([]string{"price", "sum"}, plan.Unpaced); diff != "" {
		t.Error(diff)
	}

	was := previewedKeys(t, first)
	p.remember(first, job.RunFailed, map[string]string{"d": "exit code 9"})
	second := p.preview(`{"id":"a","task":"price","params":{"limit":6}}
{"id":"b","task":"price","params":{"limit":6,"share":0.5}}
{"id":"c","task":"price","params":{"limit":7}}
{"id":"d","task":"price","params":{"limit":8}}
{"id":"e","task":"price","params":{"limit":9}}
{"id":"f","task":"price","params":{"limit":10}}
{"id":"g","task":"price","params":{"limit":11}}
{"id":"root","task":"sum","needs":{"a":"a","b":"b"}}
`, someOutputs{exist: map[job.Key]bool{was["c"]: true}, doubt: map[job.Key]bool{was["f"]: true}})
	plan, err = p.PlanOf(t.Context(), second, Fleet{Slots: 1, Max: 10, Providers: []int{10}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Reason{
		{Kind: ReasonChanged, Field: "params.limit", Jobs: 2, First: "a", Example: "params.limit 5 → 6"},
		{Kind: ReasonNew, Jobs: 1, First: "g"},
		{Kind: ReasonFailed, Jobs: 1, First: "d", Example: "exit code 9"},
		{Kind: ReasonExpired, Jobs: 1, First: "e"},
		{Kind: ReasonUnknown, Jobs: 1, First: "f"},
		{Kind: ReasonParent, Jobs: 1, First: "root"},
	}
	if diff := cmp.Diff(want, plan.Reasons); diff != "" || plan.Against != "nightly-1" {
		t.Errorf("against %q:\n%s", plan.Against, diff)
	}
	pace := &Pace{Seconds: 10, Executed: 4, From: "nightly-1"}
	if diff := cmp.Diff([]TaskPlan{
		{Task: "price", Jobs: 7, Cached: 1, ToRun: 6, Unknown: 1, Pace: pace}, {Task: "sum", Jobs: 1, ToRun: 1},
	}, plan.Tasks); diff != "" {
		t.Error(diff)
	}
	if plan.UnknownReason != "throttled" || plan.Unknown != 1 || plan.Cached != 1 || plan.ToRun != 7 {
		t.Errorf("%+v", plan)
	}
	if plan.Forecast.Workers != 6 || plan.Forecast.Busy != 10*time.Second || plan.Cost.JobSeconds != 60 || plan.Saved.JobSeconds != 10 {
		t.Errorf("forecast %+v, cost %+v, saved %+v", plan.Forecast, plan.Cost, plan.Saved)
	}
}

func TestAPlanBesideARunUnderWaySaysThatItHasTheJobsToo(t *testing.T) {
	p := newPast(t)
	first := p.preview(nightlyJobs, someOutputs{})
	p.remember(first, job.RunActive, nil)
	plan, err := p.PlanOf(t.Context(), p.preview(nightlyJobs, someOutputs{}), Fleet{Slots: 1, Max: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Reason{{Kind: ReasonUnfinished, Jobs: 7, First: "a"}}, plan.Reasons); diff != "" {
		t.Error(diff)
	}
}
