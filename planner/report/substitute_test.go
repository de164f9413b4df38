package report

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// substitute lets an output stand in for a job's of a run whose manifest and record it writes anew. It returns the jobs as
// they are then.
func (p *past) substitute(run *planner.Run, jobs []job.Planned, id string, by job.Key) []job.Planned {
	p.t.Helper()
	common, err := run.Documents()
	if err != nil {
		p.t.Fatal(err)
	}
	jobs = slices.Clone(jobs)
	keys := map[string]job.Key{}
	var lines []byte
	for i := range jobs {
		planned := &jobs[i]
		if planned.ID == id {
			planned.Substituted = &job.Substitute{For: planned.Key, Reason: "the feed is late", By: "ann@desk", At: noon}
			planned.Key = by
			keys[id] = by
		}
		for name, need := range planned.Needs {
			if key, ok := keys[need.Job]; ok {
				need.Key = key
				planned.Needs[name] = need
				planned.SubstitutedBy = []string{id}
			}
		}
		if len(planned.SubstitutedBy) > 0 {
			if planned.Key, err = planned.Document(common[planned.Task]).Key(); err != nil {
				p.t.Fatal(err)
			}
			keys[planned.ID] = planned.Key
		}
		if lines, err = planned.AppendLine(lines); err != nil {
			p.t.Fatal(err)
		}
	}
	p.put(job.RunManifestPath(run.ID), string(lines))
	run.Substitutions = append(run.Substitutions, planner.Substitution{Job: id, Jobs: 1, Key: by.String(), Dependents: 1, Reason: "the feed is late"})
	p.item(run)
	return jobs
}

// results stores a run's results index: every job has an output.
func (p *past) results(run *planner.Run, jobs []job.Planned) {
	p.t.Helper()
	var lines strings.Builder
	for _, planned := range jobs {
		line, err := json.Marshal(planner.Result{
			ID: planned.ID, Task: planned.Task, Key: planned.Key, State: job.Done.String(),
			Manifest: job.ObjectURL("data", job.ManifestPath(planned.Key)), Substituted: planned.Substituted, SubstitutedBy: planned.SubstitutedBy,
		})
		if err != nil {
			p.t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	p.put(job.ResultsIndexPath(run.ID), lines.String())
}

// lateFeed is a night in which a deal failed and the output of the night before stood in, and that night before.
func lateFeed(t *testing.T) (p *past, first, second *planner.Run, before, after []job.Planned) {
	p = newPast(t)
	first = p.run("nightly-1", "nightly", job.RunSucceeded, noon.Add(-26*time.Hour))
	before = p.manifest(first, deal("deal-1", `{"limit":5}`), deal("deal-2", `{"limit":7}`), sum("all", "deal-1", "deal-2"))
	second = p.run("nightly-2", "nightly", job.RunSucceeded, noon.Add(-2*time.Hour))
	after = p.manifest(second, deal("deal-1", `{"limit":6}`), deal("deal-2", `{"limit":8}`), sum("all", "deal-1", "deal-2"))
	after = p.substitute(second, after, "deal-1", before[0].Key)
	for _, planned := range before {
		p.made(planned, first, 1, "a=1")
	}
	for _, planned := range after[1:] {
		p.made(planned, second, 1, "a=2")
	}
	p.results(first, before)
	p.results(second, after)
	return p, first, second, before, after
}

func TestEveryReportSaysWhatIsSubstituted(t *testing.T) {
	p, first, second, before, after := lateFeed(t)
	e, err := p.Why(t.Context(), noon, "deal-1", WhyOptions{Retention: retention})
	if err != nil || e.Substituted == nil || e.Substituted.Reason != "the feed is late" || e.Output == nil || e.Output.Run != first.ID {
		t.Errorf("why deal-1: %+v, %v", e, err)
	}
	e, err = p.Why(t.Context(), noon, "all", WhyOptions{Retention: retention})
	if err != nil || e.Substituted != nil || !slices.Equal(e.SubstitutedBy, []string{"deal-1"}) {
		t.Errorf("why all: %+v, %v", e, err)
	}
	if e, err = p.Why(t.Context(), noon, "deal-2", WhyOptions{Retention: retention}); err != nil || e.Substituted != nil || e.SubstitutedBy != nil {
		t.Errorf("why deal-2: %+v, %v", e, err)
	}
	failed, err := p.Failed(t.Context(), noon, second)
	if err != nil || failed.Failed != 0 || !slices.Equal(failed.Substituted, []string{"deal-1"}) {
		t.Errorf("failed: %+v, %v", failed, err)
	}
	c, err := p.Compare(t.Context(), first, second, CompareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Before.Substituted != nil || !slices.Equal(c.After.Substituted, []string{"deal-1"}) {
		t.Errorf("compared %+v with %+v", c.Before, c.After)
	}
	marked := map[string]bool{}
	for _, change := range c.Changes {
		marked[change.ID] = change.Substituted
	}
	if diff := cmp.Diff(map[string]bool{"deal-2": false, "all": true}, marked); diff != "" {
		t.Error(diff)
	}
	log, err := p.Log(t.Context(), noon, &Found{second, after[0]}, 0)
	if err != nil || !log.StandsIn || log.MadeBy != first.ID || log.Key != before[0].Key {
		t.Errorf("log: %+v, %v", log, err)
	}
}

func TestALogOfASubstitutedJobsOwnAttemptIsFound(t *testing.T) {
	p, _, second, _, after := lateFeed(t)
	code := 65
	own := after[0].Substituted.For.String()
	p.item(planner.Failure{
		Key: table.Key{PK: table.RunPrefix + second.ID, SK: "FAILURE#" + own + "#1"}, Job: "deal-1", JobKey: own, Attempt: 1,
		ExitCode: &code, Cause: "exit code 65", LastLines: []string{"too late"},
	})
	log, err := p.Log(t.Context(), noon, &Found{second, after[0]}, 1)
	if err != nil || log.StandsIn || log.Text != "too late\n" || log.Key != after[0].Substituted.For {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestRunsAreComparedWhenWhatStoodInIsGone(t *testing.T) {
	p, first, second, before, _ := lateFeed(t)
	later := p.run("nightly-3", "nightly", job.RunSucceeded, noon.Add(-time.Hour))
	p.manifest(later, deal("deal-1", `{"limit":6}`), deal("deal-2", `{"limit":8}`), sum("all", "deal-1", "deal-2"))
	if err := p.Objects.Delete(t.Context(), job.ManifestPath(before[0].Key), objects.Condition{}); err != nil {
		t.Fatal(err)
	}
	c, err := p.Compare(t.Context(), second, later, CompareOptions{})
	if err != nil || c.Jobs.Own != 1 || c.Changes[0].ID != "deal-1" || c.Changes[0].Differences[0].Field != "output" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = p.Compare(t.Context(), first, second, CompareOptions{}); err != nil || c.Jobs.Same != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAPlanAfterASubstitutionSaysThatTheJobWasNotCompleted(t *testing.T) {
	p := newPast(t)
	first := p.preview(nightlyJobs, someOutputs{})
	p.remember(first, job.RunSucceeded, nil)
	run, err := p.FindRun(t.Context(), "nightly-1")
	if err != nil {
		t.Fatal(err)
	}
	var jobs []job.Planned
	exist := map[job.Key]bool{}
	for planned, err := range Jobs(t.Context(), p.Objects, run.ID) {
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, planned)
		exist[planned.Key] = planned.ID != "a" && planned.ID != "root"
	}
	p.substitute(run, jobs, "a", job.Key{1})
	plan, err := p.PlanOf(t.Context(), p.preview(nightlyJobs, someOutputs{exist: exist}), Fleet{Slots: 1, Max: 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Reason{
		{Kind: ReasonFailed, Jobs: 1, First: "a", Example: "another output stood in for its own"},
		{Kind: ReasonParent, Jobs: 1, First: "root"},
	}
	if diff := cmp.Diff(want, plan.Reasons); diff != "" {
		t.Error(diff)
	}
}

func TestTheLastGoodOutputIsTheNewestThatIsTheJobsOwn(t *testing.T) {
	p, first, second, before, _ := lateFeed(t)
	other := p.run("elsewhere", "weekly", job.RunSucceeded, noon.Add(-90*time.Minute))
	elsewhere := p.manifest(other, deal("deal-1", `{"limit":1}`), deal("deal-9", `{"limit":2}`))
	again := p.run("again", "nightly", job.RunSucceeded, noon.Add(-80*time.Minute))
	again.Reproduction = &planner.Reproduction{Run: second.ID}
	whatIf := p.run("what-if", "nightly", job.RunSucceeded, noon.Add(-70*time.Minute))
	whatIf.Labels = map[string]string{planner.LabelWhatIfOf: second.ID}
	active := p.run("active", "nightly", job.RunActive, noon.Add(-60*time.Minute))
	p.results(other, elsewhere)
	for _, planned := range elsewhere {
		p.made(planned, other, 1, "a=1")
	}
	for i, run := range []*planner.Run{again, whatIf, active} {
		p.item(run)
		planned := p.manifest(run, deal("deal-1", `{"limit":`+string(rune('1'+i))+`00}`), deal("all", `{"limit":`+string(rune('1'+i))+`00}`))
		p.results(run, planned)
		p.made(planned[0], run, 1, "a=1")
		p.made(planned[1], run, 1, "a=1")
	}
	failed := p.run("nightly-3", "nightly", job.RunFailed, noon)
	jobs := p.manifest(failed, deal("deal-1", `{"limit":66}`), deal("deal-2", `{"limit":8}`), deal("deal-9", `{"limit":4}`), sum("all", "deal-1", "deal-2"))

	for _, test := range []struct {
		of   job.Planned
		run  string
		want job.Key
	}{
		{jobs[0], first.ID, before[0].Key},    // where another stood in for it, it is not the job's
		{jobs[2], other.ID, elsewhere[1].Key}, // no run of its name had it
	} {
		good, err := p.LastGood(t.Context(), failed, &test.of)
		if err != nil || good.Run != test.run || good.Key != test.want {
			t.Errorf("%s: %+v, %v, want that of %s", test.of.ID, good, err, test.run)
		}
	}
	total := jobs[3] // that of nightly-2 was made from an output that stood in
	if good, err := p.LastGood(t.Context(), failed, &total); err != nil || good.Run != first.ID || good.Key != before[2].Key {
		t.Errorf("all: %+v, %v", good, err)
	}
	if err := p.Objects.Delete(t.Context(), job.ManifestPath(elsewhere[1].Key), objects.Condition{}); err != nil {
		t.Fatal(err)
	}
	_, err := p.LastGood(t.Context(), failed, &jobs[2])
	if _, ok := errors.AsType[*NotFoundError](err); !ok {
		t.Errorf("an output that is gone: %v", err)
	}
}

func TestAJobIsNotTakenFromARunThatComputesItAgain(t *testing.T) {
	p, _, second, _, after := lateFeed(t)
	again := p.run("again-nightly-2", "again-nightly-2", job.RunSucceeded, noon)
	again.Reproduction = &planner.Reproduction{Run: second.ID}
	p.item(again)
	copied := p.manifest(again, deal("deal-2", `{"limit":80}`))
	found, err := p.FindJob(t.Context(), "deal-2", "")
	if err != nil || found.Run.ID != second.ID || found.Job.Key != after[1].Key {
		t.Errorf("by its id: %+v, %v", found, err)
	}
	if found, err = p.FindJob(t.Context(), copied[0].Key.String()[:12], ""); err != nil || found.Run.ID != again.ID {
		t.Errorf("by its key: %+v, %v", found, err)
	}
	if found, err = p.FindJob(t.Context(), "deal-2", again.ID); err != nil || found.Run.ID != again.ID {
		t.Errorf("in the run that was named: %+v, %v", found, err)
	}
}
