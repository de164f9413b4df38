package report

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"spate/job"
	"spate/planner"
)

// Graph is the shape of a run, or of the part of it that one job depends on or makes possible.
type Graph struct {
	Run     RunRef  `json:"run"`
	Job     string  `json:"job,omitzero"` // the job that is meant; empty means the whole run
	Jobs    int     `json:"jobs"`
	Levels  []Level `json:"levels"` // the first has jobs without parents
	Widest  int     `json:"widest"` // number of the level of most jobs, from 1
	Path    Path    `json:"critical_path"`
	Ends    int     `json:"ends"`      // jobs that no other needs
	Done    int     `json:"ends_done"` // of those, with output
	Waiting []End   `json:"waiting"`   // of the others, the first endsExamined

	web *web
}

// Level is the jobs of which the longest chain of ancestors is equally long.
type Level struct {
	Jobs   int            `json:"jobs"`
	Tasks  map[string]int `json:"tasks"`
	States map[string]int `json:"states"`
}

// Count is the number of the level's jobs in some states.
func (l Level) Count(states ...job.State) int {
	sum := 0
	for _, s := range states {
		sum += l.States[s.String()]
	}
	return sum
}

// Path is the chain of jobs that takes longest: no number of workers makes a run faster. A job takes what was measured, if
// this run computed it and has ended; what such jobs took lately, if it has no output; and nothing otherwise. So of a run
// under way it is the chain that is left.
type Path struct {
	Measured float64  `json:"measured_seconds"`
	Expected float64  `json:"expected_seconds"`
	Unknown  []string `json:"unknown_tasks"` // task types of jobs of the graph without output of which none was ever measured: they count for nothing
	Jobs     []Step   `json:"jobs"`          // when no time is known, the chain of most jobs
}

// Seconds is how long the path takes, as far as that is known.
func (p Path) Seconds() float64 { return p.Measured + p.Expected }

// Step is a job of a path.
type Step struct {
	ID       string  `json:"id"`
	Task     string  `json:"task"`
	State    string  `json:"state"`
	Seconds  float64 `json:"seconds"`           // 0 when it takes nothing any more, or nobody knows
	Expected bool    `json:"expected,omitzero"` // the seconds were not measured
}

// End is a job that no other needs and that has no output, and what it waits for.
type End struct {
	ID       string  `json:"id"`
	State    string  `json:"state"`
	WaitsFor []Await `json:"waits_for"` // failed ones first, and then by state
}

// Await is jobs of one state for which another waits: the nearest that failed, or of which all parents have output.
type Await struct {
	State string   `json:"state"`
	Jobs  int      `json:"jobs"`
	First []string `json:"first"` // of those, at most awaitedNamed
}

// rank puts those first that need somebody.
func (a Await) rank() int {
	if a.State == job.Failed.String() {
		return 0
	}
	return 1
}

// Most of these is looked at or named: a run may have a million ends.
const (
	endsExamined = 100
	awaitedNamed = 20
)

// Graph reads the shape of a run at now; with id, of that job, its ancestors and its descendants. *NotFoundError: the run
// has no such job.
func (r *Reader) Graph(ctx context.Context, now time.Time, run *planner.Run, id string) (*Graph, error) {
	w := &web{ids: job.NewInterned(), tasks: job.NewInterned()}
	for s, err := range r.States(ctx, now, run) {
		if err != nil {
			return nil, err
		}
		w.add(s)
	}
	whole := w
	if id != "" {
		n, ok := w.ids.Find(id)
		if !ok {
			return nil, r.noJob(ctx, run, id)
		}
		w = w.around(n)
	}
	if slices.ContainsFunc(w.things, thing.remains) {
		runs, err := planner.ReadRuns(ctx, r.Table)
		if err != nil {
			return nil, err
		}
		w.expect(Paces(runs, run.Name, run.Pool))
	}
	g := w.shape()
	g.Waiting = w.waiting(whole) // jobs outside the part may hold up its ends
	g.Run, g.Job = refOf(run), id
	return g, nil
}

// web is a run's jobs by number, parents before their children.
type web struct {
	ids     *job.Interned
	tasks   *job.Interned
	things  []thing
	unknown []string // task types of jobs that remain and that nobody has measured
}

type thing struct {
	task     int32
	state    job.State
	needed   bool // by another job
	expected bool // seconds are
	seconds  float32
	parents  []int32
}

// remains reports whether a job is still to be computed, or would have to be.
func (t thing) remains() bool { return !t.state.HasOutput() && t.seconds == 0 }

// add adds the next job of the manifest.
func (w *web) add(s Stated) {
	t := thing{task: w.tasks.Add(s.Task), state: s.State, seconds: float32(s.Seconds)}
	for _, need := range s.Needs {
		if p, ok := w.ids.Find(need.Job); ok && !slices.Contains(t.parents, p) {
			t.parents = append(t.parents, p)
			w.things[p].needed = true
		}
	}
	slices.Sort(t.parents)
	w.ids.Add(s.ID)
	w.things = append(w.things, t)
}

// around is the part of a web that a job depends on or makes possible.
func (w *web) around(n int32) *web {
	keep := make([]bool, len(w.things))
	keep[n] = true
	for i := n; i >= 0; i-- {
		if keep[i] {
			for _, p := range w.things[i].parents {
				keep[p] = true
			}
		}
	}
	below := make([]bool, len(w.things))
	below[n] = true
	for i := int(n) + 1; i < len(w.things); i++ {
		below[i] = slices.ContainsFunc(w.things[i].parents, func(p int32) bool { return below[p] })
	}
	part := &web{ids: job.NewInterned(), tasks: w.tasks}
	numbers := make([]int32, len(w.things))
	for i, t := range w.things {
		if !keep[i] && !below[i] {
			continue
		}
		numbers[i] = part.ids.Add(w.ids.At(int32(i)))
		now := t
		now.needed, now.parents = false, nil
		for _, p := range t.parents {
			if keep[p] || below[p] {
				now.parents = append(now.parents, numbers[p])
				part.things[numbers[p]].needed = true
			}
		}
		part.things = append(part.things, now)
	}
	return part
}

// shape says what follows from a web.
func (w *web) shape() *Graph {
	g := &Graph{Jobs: len(w.things), web: w}
	levels := make([]int32, len(w.things))
	for i, t := range w.things {
		for _, p := range t.parents {
			levels[i] = max(levels[i], levels[p]+1)
		}
		if int(levels[i]) == len(g.Levels) {
			g.Levels = append(g.Levels, Level{Tasks: map[string]int{}, States: map[string]int{}})
		}
		level := &g.Levels[levels[i]]
		level.Jobs++
		level.Tasks[w.tasks.At(t.task)]++
		level.States[t.state.String()]++
		if level.Jobs > g.Levels[max(g.Widest, 1)-1].Jobs || g.Widest == 0 {
			g.Widest = int(levels[i]) + 1
		}
		switch {
		case t.needed:
		case t.state.HasOutput():
			g.Ends++
			g.Done++
		default:
			g.Ends++
		}
	}
	g.Path, g.Waiting = w.criticalPath(), w.waiting(w)
	return g
}

// expect gives the jobs that remain the time that such jobs took.
func (w *web) expect(paces map[string]Pace) {
	unknown := map[string]bool{}
	for i := range w.things {
		t := &w.things[i]
		if !t.remains() {
			continue
		}
		task := w.tasks.At(t.task)
		if pace, ok := paces[task]; ok {
			t.seconds, t.expected = float32(pace.Seconds), true
		} else {
			unknown[task] = true
		}
	}
	w.unknown = slices.Sorted(maps.Keys(unknown))
}

// criticalPath is the chain whose seconds add up to most, of equal ones the one of most jobs.
func (w *web) criticalPath() Path {
	path := Path{Unknown: w.unknown}
	if len(w.things) == 0 {
		return path
	}
	type length struct {
		seconds float64
		jobs    int32
	}
	longer := func(a, b length) bool { return a.seconds > b.seconds || a.seconds == b.seconds && a.jobs > b.jobs }
	lengths, before := make([]length, len(w.things)), make([]int32, len(w.things))
	last := int32(0)
	for i, t := range w.things {
		before[i] = -1
		var best length
		for _, p := range t.parents {
			if longer(lengths[p], best) {
				best, before[i] = lengths[p], p
			}
		}
		lengths[i] = length{best.seconds + float64(t.seconds), best.jobs + 1}
		if longer(lengths[i], lengths[last]) {
			last = int32(i)
		}
	}
	for n := last; n >= 0; n = before[n] {
		t := w.things[n]
		if t.expected {
			path.Expected += float64(t.seconds)
		} else {
			path.Measured += float64(t.seconds)
		}
		path.Jobs = append(path.Jobs, Step{w.ids.At(n), w.tasks.At(t.task), t.state.String(), float64(t.seconds), t.expected})
	}
	slices.Reverse(path.Jobs)
	return path
}

// waiting says what the first ends without output wait for in the whole that the web is a part of, or is.
func (w *web) waiting(whole *web) []End {
	ends := []End{}
	seen := make([]int32, len(whole.things)) // for which end, from 1, a job was looked at
	for i, t := range w.things {
		if t.needed || t.state.HasOutput() {
			continue
		}
		if len(ends) == endsExamined {
			break
		}
		if n, ok := whole.ids.Find(w.ids.At(int32(i))); ok {
			ends = append(ends, whole.waits(n, seen, int32(len(ends)+1)))
		}
	}
	return ends
}

// waits says what a job without output waits for.
func (w *web) waits(n int32, seen []int32, mark int32) End {
	awaited := map[job.State]*Await{}
	for queue := []int32{n}; len(queue) > 0; queue = queue[1:] {
		t := &w.things[queue[0]]
		nearest := true
		for _, p := range t.parents {
			if w.things[p].state.HasOutput() || t.state == job.Failed {
				continue
			}
			nearest = false
			if seen[p] != mark {
				seen[p] = mark
				queue = append(queue, p)
			}
		}
		if !nearest || queue[0] == n { // an end does not wait for itself
			continue
		}
		a := awaited[t.state]
		if a == nil {
			a = &Await{State: t.state.String()}
			awaited[t.state] = a
		}
		if a.Jobs++; len(a.First) < awaitedNamed {
			a.First = append(a.First, w.ids.At(queue[0]))
		}
	}
	end := End{ID: w.ids.At(n), State: w.things[n].state.String(), WaitsFor: []Await{}}
	for state := range job.Cancelled + 1 {
		if a := awaited[state]; a != nil {
			end.WaitsFor = append(end.WaitsFor, *a)
		}
	}
	slices.SortStableFunc(end.WaitsFor, func(a, b Await) int { return cmp.Compare(a.rank(), b.rank()) })
	return end
}
