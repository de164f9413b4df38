package planner

import (
	"context"
	"maps"
	"math"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// TaskFigures is what the jobs of one task type took in a run. Of jobs of equal key, which are computed once, one counts.
type TaskFigures struct {
	Cached        int     `dynamodbav:"cached" json:"cached"`     // whose output existed, or was made for somebody else meanwhile
	Executed      int     `dynamodbav:"executed" json:"executed"` // computed for this run; again when an output was lost
	Seconds       float64 `dynamodbav:"seconds" json:"seconds"`   // that the executed ones ran, together
	MaxSeconds    float64 `dynamodbav:"max_seconds" json:"max_seconds"`
	Bytes         int64   `dynamodbav:"bytes" json:"bytes"`                   // of the executed ones' outputs, together
	FailedSeconds float64 `dynamodbav:"failed_seconds" json:"failed_seconds"` // that attempts ran which failed
	SavedKnown    int     `dynamodbav:"saved_known" json:"saved_known"`       // cached outputs of which it was read, as the run ended, how long they took
	SavedSeconds  float64 `dynamodbav:"saved_seconds" json:"saved_seconds"`   // that these had taken to compute, together
}

// figures keeps what each node's job took.
type figures struct {
	names   []string // of the task types, as Graph.Type numbers them
	seconds sparse[float32]
	bytes   sparse[int64] // of its output, where seconds is more than 0
}

// What figures.seconds says where it is not a time.
const (
	secondsUnknown    = 0  // nobody has told
	secondsOfAnother  = -1 // this run did not compute it
	secondsFromBefore = -2 // an earlier planner was told, and has counted it in the run's record
)

// taskNumber is a task type's place in names, at whose end a new one is put. known is by name the place of all.
func (f *figures) taskNumber(task string, known map[string]uint16) uint16 {
	i, ok := known[task]
	if !ok {
		i = uint16(len(f.names))
		known[task] = i
		f.names = append(f.names, task)
	}
	return i
}

// taskOf is a node's task type.
func (a *activeRun) taskOf(n int32) string { return a.figures.names[a.graph.TypeOf(n)] }

// of is what a node's job took for this run, where that is known.
func (f *figures) of(n int32) (seconds float64, bytes int64, ok bool) {
	taken := f.seconds.get(n)
	if taken <= 0 {
		return 0, 0, false
	}
	return math.Round(float64(taken)*1e6) / 1e6, f.bytes.get(n), true // 32 bits hold about seven digits
}

// remember notes what a node's job took.
func (f *figures) remember(n int32, seconds float64, bytes int64) {
	f.seconds.set(n, max(float32(seconds), math.SmallestNonzeroFloat32))
	f.bytes.set(n, bytes)
}

// count changes a task type's figures in the run's record.
func (a *activeRun) count(n int32, change func(*TaskFigures)) {
	if a.Tasks == nil {
		a.Tasks = map[string]TaskFigures{}
	}
	task := a.taskOf(n)
	f := a.Tasks[task]
	change(&f)
	a.Tasks[task] = f
}

// executed counts a job that was computed for this run.
func (a *activeRun) executed(n int32, seconds float64, bytes int64) {
	a.figures.remember(n, seconds, bytes)
	a.count(n, func(f *TaskFigures) {
		f.Executed++
		f.Seconds += seconds
		f.MaxSeconds = max(f.MaxSeconds, seconds)
		f.Bytes += bytes
	})
}

// spared counts a job that this run had not to compute.
func (a *activeRun) spared(n int32) {
	a.figures.seconds.set(n, secondsOfAnother)
	a.count(n, func(f *TaskFigures) { f.Cached++ })
}

// forgetFigures is for an output that proved gone. What was computed stays counted.
func (a *activeRun) forgetFigures(n int32) {
	if a.figures.seconds.get(n) == secondsOfAnother {
		a.count(n, func(f *TaskFigures) { f.Cached-- })
	}
	a.figures.seconds.set(n, secondsUnknown)
}

// countCached counts the outputs that existed when the run was planned.
func (a *activeRun) countCached() {
	a.Tasks = nil
	for n := range int32(a.graph.Nodes()) {
		if a.graph.State(n) == job.Cached {
			a.spared(n)
		}
	}
}

// carryOn takes over what an earlier planner has counted.
func (a *activeRun) carryOn(counted map[string]TaskFigures) {
	a.Tasks = maps.Clone(counted)
	for n := range int32(a.graph.Nodes()) {
		if s := a.graph.State(n); s == job.Cached {
			a.figures.seconds.set(n, secondsOfAnother)
		} else if s == job.Done {
			a.figures.seconds.set(n, secondsFromBefore)
		}
	}
}

// learnMost is how many manifests are read before a run ends, for what jobs took of which no event told this planner:
// those that finished under an earlier one. What is beyond it stands in the results index without figures.
const learnMost = 20_000

// learn reads from manifests what jobs took of which no event told. What cannot be read stays unknown.
func (p *Planner) learn(ctx context.Context, a *activeRun) error {
	var nodes []int32
	for n := range int32(a.graph.Nodes()) {
		s := a.figures.seconds.get(n)
		if a.graph.State(n) == job.Done && (s == secondsUnknown || s == secondsFromBefore) && len(nodes) < learnMost {
			nodes = append(nodes, n)
		}
	}
	manifests := make([]*job.Manifest, len(nodes))
	var group errgroup.Group
	group.SetLimit(headLookups)
	for i, n := range nodes {
		group.Go(func() error {
			data, _, err := p.Objects.Get(ctx, job.ManifestPath(a.graph.Key(n)))
			if err == nil {
				manifests[i], err = job.ParseManifest(data, a.graph.Key(n))
			}
			if err != nil && ctx.Err() == nil {
				p.Log.Warn().Err(err).Str("run", a.ID).Msg("cannot read what a job took; leaving it out")
			}
			return nil
		})
	}
	_ = group.Wait() // what went wrong is logged
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, n := range nodes {
		m, before := manifests[i], a.figures.seconds.get(n) == secondsFromBefore
		switch {
		case m == nil:
		case before && m.Run == a.ID:
			a.figures.remember(n, m.Seconds, m.Bytes())
		case before:
			a.figures.seconds.set(n, secondsOfAnother)
		case m.Run == a.ID:
			a.executed(n, m.Seconds, m.Bytes())
		default:
			a.spared(n)
		}
	}
	return nil
}
