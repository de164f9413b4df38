package report

import (
	"context"
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
	Ends    int     `json:"ends"`    // jobs that no other needs
	Done    int     `json:"done"`    // of those, with output
	Waiting []End   `json:"waiting"` // of the others, at most endsExamined

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

// Path is the chain of jobs that takes longest: no number of workers makes a run faster.
type Path struct {
	// Seconds is what its jobs took in this run; 0 when none of the run's was measured, and the longest chain is shown.
	Seconds float64 `json:"seconds"`
	Jobs    []Step  `json:"jobs"`
}

// Step is a job of a path.
type Step struct {
	ID      string  `json:"id"`
	Task    string  `json:"task"`
	State   string  `json:"state"`
	Seconds float64 `json:"seconds"` // 0 when this run did not compute it, or has not told
}

// End is a job that no other needs and that has no output, and what it waits for: the nearest jobs without output whose
// own parents have theirs, or that failed.
type End struct {
	ID       string         `json:"id"`
	State    string         `json:"state"`
	WaitsFor map[string]int `json:"waits_for"` // jobs by state
	Jobs     []string       `json:"jobs"`      // of those, failed ones first, at most blockersNamed
}

// Most of these is looked at or named: a run may have a million ends.
const (
	endsExamined  = 100
	blockersNamed = 20
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
	if id != "" {
		n, ok := w.ids.Find(id)
		if !ok {
			return nil, r.noJob(ctx, run, id)
		}
		w = w.around(n)
	}
	g := w.shape()
	g.Run, g.Job = refOf(run), id
	return g, nil
}

// web is a run's jobs by number, parents before their children.
type web struct {
	ids    *job.Interned
	tasks  *job.Interned
	things []thing
}

type thing struct {
	task    int32
	state   job.State
	needed  bool // by another job
	seconds float32
	parents []int32
}

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
	g.Path = w.criticalPath()
	for i, t := range w.things {
		if len(g.Waiting) == endsExamined {
			break
		}
		if !t.needed && !t.state.HasOutput() {
			g.Waiting = append(g.Waiting, w.waits(int32(i)))
		}
	}
	return g
}

// criticalPath is the chain whose seconds add up to most, of equal ones the one of most jobs.
func (w *web) criticalPath() Path {
	if len(w.things) == 0 {
		return Path{}
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
	path := Path{Seconds: lengths[last].seconds}
	for n := last; n >= 0; n = before[n] {
		t := w.things[n]
		path.Jobs = append(path.Jobs, Step{w.ids.At(n), w.tasks.At(t.task), t.state.String(), float64(t.seconds)})
	}
	slices.Reverse(path.Jobs)
	return path
}

// waits says what a job without output waits for.
func (w *web) waits(n int32) End {
	end := End{ID: w.ids.At(n), State: w.things[n].state.String(), WaitsFor: map[string]int{}}
	seen := map[int32]bool{n: true}
	var failed, others []string
	for queue := []int32{n}; len(queue) > 0; queue = queue[1:] {
		t := &w.things[queue[0]]
		nearest := true
		for _, p := range t.parents {
			if w.things[p].state.HasOutput() || t.state == job.Failed {
				continue
			}
			nearest = false
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
		if !nearest {
			continue
		}
		end.WaitsFor[t.state.String()]++
		if t.state == job.Failed {
			failed = append(failed, w.ids.At(queue[0]))
		} else {
			others = append(others, w.ids.At(queue[0]))
		}
	}
	end.Jobs = slices.Concat(failed, others)
	end.Jobs = end.Jobs[:min(len(end.Jobs), blockersNamed)]
	return end
}
