package planner

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/job"
)

// demanding makes a planner with one run, whose tasks are given by job, one after another: each job needs the one before.
func demanding(t *testing.T, tasks ...string) (*Planner, *activeRun) {
	t.Helper()
	p, runs := flying(t, "one")
	a := runs[0]
	a.graph, a.figures = NewGraph(len(tasks)), figures{}
	known := map[string]uint16{}
	for i, task := range tasks {
		var parents []job.Key
		if i > 0 {
			parents = []job.Key{a.graph.Key(int32(i - 1))}
		}
		if err := a.graph.Add(keyNamed(strconv.Itoa(i)), parents); err != nil {
			t.Fatal(err)
		}
		a.graph.Type(int32(i), a.figures.taskNumber(task, known))
	}
	a.graph.Start()
	p.Wake = func() {}
	return p, a
}

func TestDemandTellsHowLongJobsTakeAndWhatEachRunHasLeft(t *testing.T) {
	p, a := demanding(t, "price", "price", "sum")
	submitted := a.Received
	demandIs := func(when string, outstanding int, each time.Duration, left RunWork) {
		t.Helper()
		p.publishDemand(time.Unix(9, 0))
		d, _ := p.Demand("pool")
		left.Submitted = submitted
		if d.Outstanding != outstanding || d.JobDuration != each || cmp.Diff([]RunWork{left}, d.Runs) != "" {
			t.Errorf("%s: %d outstanding of %s, runs %+v; want %d of %s, and %+v", when, d.Outstanding, d.JobDuration, d.Runs, outstanding, each, left)
		}
	}
	demandIs("nothing is known of the durations", 1, 0, RunWork{Jobs: 3})
	p.durations.saw("another pool", "price", 1)
	demandIs("nor of this pool's", 1, 0, RunWork{Jobs: 3})
	p.durations.saw("pool", "sum", 5)
	demandIs("a third of them is no measure for all", 1, 0, RunWork{Jobs: 3})
	p.durations.saw("pool", "price", 20)
	p.durations.saw("pool", "price", 40)
	demandIs("both task types are known", 1, 30*time.Second, RunWork{Jobs: 3, JobDuration: 65 * time.Second / 3})
	a.graph.Done(0)
	demandIs("one is done", 1, 30*time.Second, RunWork{Jobs: 2, JobDuration: 35 * time.Second / 2})
	a.graph.Done(1)
	demandIs("the last, of another type, is released", 1, 5*time.Second, RunWork{Jobs: 1, JobDuration: 5 * time.Second})
}

func TestDurationsFollowWhatJobsTakeLatelyAndBeginWithWhatARecordSays(t *testing.T) {
	d := durations{}
	d.recall(&Run{Pool: "pool", Tasks: map[string]TaskFigures{"price": {Executed: 4, Seconds: 40}, "sum": {Cached: 9}}})
	if got := *d[durationOf{"pool", "price"}]; got != (lately{4, 10}) || len(d) != 1 {
		t.Errorf("recalled %+v of %d", got, len(d))
	}
	d.recall(&Run{Pool: "pool", Tasks: map[string]TaskFigures{"price": {Executed: 1, Seconds: 99}}})
	d.saw("pool", "price", 20)
	if got := *d[durationOf{"pool", "price"}]; got != (lately{5, 12}) {
		t.Errorf("after one of 20 s: %+v", got)
	}
	for range 5000 {
		d.saw("pool", "price", 60)
	}
	if got := d[durationOf{"pool", "price"}].seconds; got < 59 || got > 60 {
		t.Errorf("after 5,000 of a minute: %v", got)
	}
}

func TestTalliesAreWhatCountingTheNodesGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGraph(0)
		nodes := rapid.IntRange(1, 20).Draw(t, "nodes")
		kinds := make([]uint16, nodes)
		for i := range nodes {
			var parents []job.Key
			for range rapid.IntRange(0, min(i, 2)).Draw(t, "parents") {
				parents = append(parents, g.Key(int32(rapid.IntRange(0, i-1).Draw(t, "parent"))))
			}
			if err := g.Add(keyNamed(strconv.Itoa(i)), parents); err != nil {
				t.Fatal(err)
			}
			kinds[i] = uint16(rapid.IntRange(0, 2).Draw(t, "kind"))
			g.Type(int32(i), kinds[i])
		}
		for i := range nodes {
			if rapid.Bool().Draw(t, "hit") {
				g.Resolve(int32(i), job.Hit, rapid.Bool().Draw(t, "released"))
			}
		}
		g.Start()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			n := int32(rapid.IntRange(0, nodes-1).Draw(t, "node"))
			rapid.SampledFrom([]func(int32){g.Release, g.Share, g.Requeue, g.Done, g.Fail, g.Retry}).Draw(t, "step")(n)
			if rapid.IntRange(0, 60).Draw(t, "cancel") == 0 {
				g.Cancel()
			}
			want := make([]Tally, len(g.Tallies()))
			for i := range nodes {
				switch g.State(int32(i)) {
				case job.Ready, job.Queued:
					want[kinds[i]].Outstanding++
					want[kinds[i]].Left++
				case job.Pending, job.Waiting:
					want[kinds[i]].Left++
				case job.Shared, job.Cached, job.Done, job.Failed, job.Blocked, job.Cancelled:
				}
			}
			if diff := cmp.Diff(want, g.Tallies()); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
