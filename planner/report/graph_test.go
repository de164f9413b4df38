package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/job"
	"spate/sandbox/s3"
)

// stated is a job of task "price" in a state, with what it took.
func stated(id string, state job.State, seconds float64, parents ...string) Stated {
	return Stated{Planned: sum(id, parents...), State: state, Seconds: seconds}
}

// webOf are jobs, parents first.
func webOf(jobs ...Stated) *web {
	w := &web{ids: job.NewInterned(), tasks: job.NewInterned()}
	for _, s := range jobs {
		w.add(s)
	}
	return w
}

func ids(path Path) string {
	var names []string
	for _, s := range path.Jobs {
		names = append(names, s.ID)
	}
	return strings.Join(names, " ")
}

func TestAGraphHasLevelsACriticalPathAndEnds(t *testing.T) {
	g := webOf(
		stated("a", job.Done, 1), stated("b", job.Cached, 0), stated("c", job.Done, 9),
		stated("d", job.Done, 2, "a", "b"), stated("e", job.Failed, 0, "b"),
		stated("f", job.Blocked, 0, "d", "e"), stated("g", job.Done, 1, "c"), stated("h", job.Blocked, 0, "f", "a"),
	).shape()
	var levels []int
	for _, l := range g.Levels {
		levels = append(levels, l.Jobs)
	}
	if !slices.Equal(levels, []int{3, 3, 1, 1}) || g.Widest != 1 || g.Levels[1].Count(job.Done, job.Failed) != 3 || g.Levels[1].Tasks["sum"] != 3 {
		t.Errorf("levels %+v, the widest is %d", g.Levels, g.Widest)
	}
	if g.Path.Measured != 10 || ids(g.Path) != "c g" {
		t.Errorf("critical path %+v", g.Path)
	}
	if g.Ends != 2 || g.Done != 1 {
		t.Errorf("%d ends, %d done", g.Ends, g.Done)
	}
	want := []End{{ID: "h", State: "blocked", WaitsFor: []Await{{"failed", 1, []string{"e"}}}}}
	if diff := cmp.Diff(want, g.Waiting); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
}

func TestWithoutTimesTheLongestChainIsTheCriticalPath(t *testing.T) {
	g := webOf(stated("a", job.Done, 0), stated("b", job.Done, 0), stated("c", job.Done, 0, "a"), stated("d", job.Done, 0, "c", "b")).shape()
	if g.Path.Seconds() != 0 || ids(g.Path) != "a c d" {
		t.Errorf("got %+v", g.Path)
	}
}

func TestJobsWithoutOutputAreExpectedToTakeWhatSuchJobsTook(t *testing.T) {
	run := stated("run", job.Failed, 0, "known")
	run.Task = "unheard"
	w := webOf(stated("known", job.Done, 4), run, stated("rest", job.Blocked, 0, "run"), stated("cached", job.Cached, 0), stated("done", job.Done, 0))
	w.expect(map[string]Pace{"sum": {Seconds: 3}})
	want := Path{Measured: 4, Expected: 3, Unknown: []string{"unheard"}, Jobs: []Step{
		{ID: "known", Task: "sum", State: "done", Seconds: 4},
		{ID: "run", Task: "unheard", State: "failed"},
		{ID: "rest", Task: "sum", State: "blocked", Seconds: 3, Expected: true},
	}}
	if diff := cmp.Diff(want, w.criticalPath()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEndWaitsForTheNearestJobsThatCanRunOrFailed(t *testing.T) {
	g := webOf(
		stated("done", job.Done, 0), stated("running", job.Queued, 0, "done"), stated("early", job.Queued, 0), stated("failed", job.Failed, 0, "early"),
		stated("middle", job.Waiting, 0, "running", "done"), stated("end", job.Blocked, 0, "middle", "failed", "running"), stated("alone", job.Queued, 0),
	).shape()
	want := []End{
		{ID: "end", State: "blocked", WaitsFor: []Await{{"failed", 1, []string{"failed"}}, {"queued", 1, []string{"running"}}}},
		{ID: "alone", State: "queued", WaitsFor: []Await{}},
	}
	if diff := cmp.Diff(want, g.Waiting); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEndOfAPartWaitsForJobsOutsideOfIt(t *testing.T) {
	whole := webOf(stated("a", job.Done, 0), stated("b", job.Failed, 0), stated("end", job.Blocked, 0, "a", "b"))
	want := []End{{ID: "end", State: "blocked", WaitsFor: []Await{{"failed", 1, []string{"b"}}}}}
	if diff := cmp.Diff(want, whole.around(0).waiting(whole)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAroundAJobAreItsAncestorsAndDescendants(t *testing.T) {
	part := webOf(
		stated("a", job.Done, 0), stated("x", job.Done, 0), stated("b", job.Done, 0, "a"), stated("y", job.Done, 0, "a"),
		stated("c", job.Done, 0, "b", "x"), stated("z", job.Done, 0, "y"),
	).around(2)
	var got []string
	for i, thing := range part.things {
		text := part.ids.At(int32(i))
		for _, p := range thing.parents {
			text += "<" + part.ids.At(p)
		}
		got = append(got, text)
	}
	if want := []string{"a", "b<a", "c<b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if g := part.shape(); g.Ends != 1 || g.Jobs != 3 {
		t.Errorf("%d jobs with %d ends", g.Jobs, g.Ends)
	}
}

// The slow way to a critical path is to walk every chain.
func TestNoChainTakesLongerThanTheCriticalPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "jobs")
		jobs := make([]Stated, n)
		for i := range jobs {
			var parents []string
			for p := range i {
				if rapid.Bool().Draw(t, "needs") {
					parents = append(parents, jobs[p].ID)
				}
			}
			jobs[i] = stated(fmt.Sprint("j", i), job.Done, float64(rapid.IntRange(0, 4).Draw(t, "seconds")), parents...)
		}
		w := webOf(jobs...)
		longest := 0.0
		var walk func(i int32, seconds float64)
		walk = func(i int32, seconds float64) {
			seconds += jobs[i].Seconds
			longest = max(longest, seconds)
			for _, p := range w.things[i].parents {
				walk(p, seconds)
			}
		}
		for i := range jobs {
			walk(int32(i), 0)
		}
		path := w.criticalPath()
		sum := 0.0
		for _, s := range path.Jobs {
			sum += s.Seconds
		}
		if path.Seconds() != longest || sum != longest {
			t.Fatalf("path %+v takes %v, the longest %v", path, sum, longest)
		}
	})
}

func TestARunsGraphIsReadFromItsManifestAndIndex(t *testing.T) {
	p, _, second := twoNights(t)
	g, err := p.Graph(t.Context(), noon, second, "")
	if err != nil {
		t.Fatal(err)
	}
	if g.Jobs != 11 || len(g.Levels) != 4 || g.Ends != 3 || g.Done != 2 || len(g.Waiting) != 1 || g.Waiting[0].ID != "book-4" {
		t.Errorf("got %+v", g)
	}
	if g, err = p.Graph(t.Context(), noon, second, "deal-5"); err != nil || g.Jobs != 2 {
		t.Errorf("around deal-5: %+v, %v", g, err)
	}
	_, err = p.Graph(t.Context(), noon, second, "deal-99")
	if _, ok := errors.AsType[*NotFoundError](err); !ok {
		t.Errorf("around nobody: %v", err)
	}
}

func TestAForcedJobWaitsUntilItsOutputWasReplaced(t *testing.T) {
	p := newPast(t)
	if err := p.bucket.SetHabits(s3.Habits{KMS: true}); err != nil {
		t.Fatal(err)
	}
	run := p.run("nightly-1", "nightly", job.RunActive, noon.Add(-time.Hour))
	jobs := p.manifest(run, deal("deal-1", `{}`))
	p.made(jobs[0], run, 1, "a=1")
	data, info, err := p.Objects.Get(t.Context(), job.ManifestPath(jobs[0].Key))
	if err != nil {
		t.Fatal(err)
	}
	p.outputs.presence[jobs[0].Key] = job.Hit
	jobs[0].Forced, jobs[0].Replaces = true, job.Standing(jobs[0].Key, info.ETag, data)
	p.manifest(run, jobs...)
	if got, err := p.states(run); err != nil || got["deal-1"] != "queued" {
		t.Errorf("before: %v, %v", got, err)
	}
	p.put(job.ManifestPath(jobs[0].Key), string(data)) // as a refresh does
	if again, err := p.Objects.Head(t.Context(), info.Key); err != nil || again.ETag == info.ETag {
		t.Errorf("the manifest has the ETag %s, had %s: %v", again.ETag, info.ETag, err)
	}
	if got, err := p.states(run); err != nil || got["deal-1"] != "queued" {
		t.Errorf("refreshed: %v, %v", got, err)
	}
	p.made(jobs[0], run, 2, "a=1")
	if got, err := p.states(run); err != nil || got["deal-1"] != "done" {
		t.Errorf("after: %v, %v", got, err)
	}
}

func TestGraphvizGetsJobsOrTheTaskTypesOfTooMany(t *testing.T) {
	few := webOf(stated("a", job.Done, 0), stated("b", job.Failed, 0, "a"), stated("c", job.Blocked, 0, "b")).shape()
	few.Run.ID = "few"
	var jobs []Stated
	for i := range DotMost {
		s := stated(fmt.Sprint("deal-", i), job.Done, 0)
		s.Task = "price"
		jobs = append(jobs, s)
	}
	many := webOf(append(jobs, stated("all", job.Waiting, 0, "deal-0", "deal-1", "deal-2"))...).shape()
	many.Run.ID = "many"
	var b strings.Builder
	for _, g := range []*Graph{few, many} {
		if err := g.Dot(&b); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "graph.dot", b.String())
}
