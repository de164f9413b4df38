package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"spate/job"
)

// DotMost is how many jobs Dot draws one by one; of more it draws the task types.
const DotMost = 2000

// Dot writes the graph in Graphviz's language: a node for each job, coloured by its state, with edges from parents to their
// children; or of more than DotMost jobs a node for each task type, and edges that say how many jobs need how many.
func (g *Graph) Dot(out io.Writer) error {
	d := &dot{out: out}
	d.line("digraph %q {", g.Run.ID)
	d.line("  rankdir=LR; node [shape=box, style=filled, fontname=Helvetica];")
	if g.Jobs <= DotMost {
		g.web.dotJobs(d)
	} else {
		g.web.dotTasks(d)
	}
	d.line("}")
	return d.err
}

// dot writes lines until one cannot be written.
type dot struct {
	out io.Writer
	err error
}

func (d *dot) line(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.out, format+"\n", args...)
	}
}

func (w *web) dotJobs(d *dot) {
	for i, t := range w.things {
		id := w.ids.At(int32(i))
		d.line("  %q [fillcolor=%q, tooltip=%q];", id, colour(t.state), w.tasks.At(t.task)+", "+t.state.String())
		for _, p := range t.parents {
			d.line("  %q -> %q;", w.ids.At(p), id)
		}
	}
}

func (w *web) dotTasks(d *dot) {
	jobs, done := map[int32]int{}, map[int32]int{}
	edges := map[[2]int32]int{}
	for _, t := range w.things {
		jobs[t.task]++
		if t.state.HasOutput() {
			done[t.task]++
		}
		for _, p := range t.parents {
			edges[[2]int32{w.things[p].task, t.task}]++
		}
	}
	for _, task := range slices.Sorted(maps.Keys(jobs)) {
		name := w.tasks.At(task)
		d.line("  %q [fillcolor=white, label=%q];", name, fmt.Sprintf("%s\n%d of %d done", name, done[task], jobs[task]))
	}
	for _, e := range slices.SortedFunc(maps.Keys(edges), func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		d.line("  %q -> %q [label=\"%d\"];", w.tasks.At(e[0]), w.tasks.At(e[1]), edges[e])
	}
}

// colour is a Graphviz colour for a state.
func colour(s job.State) string {
	switch s {
	case job.Cached:
		return "lightblue"
	case job.Done:
		return "palegreen"
	case job.Failed:
		return "tomato"
	case job.Blocked:
		return "orange"
	case job.Cancelled:
		return "lightgrey"
	case job.Pending, job.Waiting, job.Ready, job.Shared, job.Queued:
	}
	return "white"
}
