package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// ReasonKind is why a job would run.
type ReasonKind string

// The kinds, in the order in which reasons are listed.
const (
	ReasonChanged    ReasonKind = "changed"    // the job itself
	ReasonForced     ReasonKind = "forced"     // the run file, or --force, asks for it
	ReasonNew        ReasonKind = "new"        // the run before had no such job
	ReasonFailed     ReasonKind = "failed"     // it was the same in the run before, which did not complete it
	ReasonUnfinished ReasonKind = "unfinished" // the run before, which is under way, has it too
	ReasonExpired    ReasonKind = "expired"    // the run before had its output, which exists no more
	ReasonUnknown    ReasonKind = "unknown"    // nobody can tell whether its output exists
	ReasonFirst      ReasonKind = "first"      // there is no run before to compare with
	ReasonParent     ReasonKind = "parent"     // only what it depends on changed
)

// Reason is a reason for which jobs would run.
type Reason struct {
	Kind    ReasonKind `json:"kind"`
	Field   string     `json:"field,omitzero"`   // of ReasonChanged, such as params.limit
	Jobs    int        `json:"jobs"`             // each job counts once, for the first of its changes
	First   string     `json:"first"`            // the first of the jobs
	Example string     `json:"example,omitzero"` // what changed in it, such as "params.limit 5 → 6"
}

// TaskPlan is what a run would do with the jobs of one task type.
type TaskPlan struct {
	Task    string `json:"task"`
	Jobs    int    `json:"jobs"`
	Cached  int    `json:"cached"`
	ToRun   int    `json:"to_run"`  // Unknown among them
	Unknown int    `json:"unknown"` // of which it cannot be told whether their outputs exist
	Pace    *Pace  `json:"pace"`    // nil when no run of this pool has computed one
}

// Plan is what a run would do, if it were submitted now.
type Plan struct {
	Run           *planner.Run
	Jobs          int
	Cached        int
	ToRun         int // Unknown among them
	Unknown       int
	UnknownReason string     // the first of them
	Tasks         []TaskPlan // by name
	Reasons       []Reason   // by kind, and then the most jobs first
	Against       string     // the run that reasons were found by comparing with; "" when there is none

	Forecast Forecast
	// Unpaced are task types with jobs to run of which nobody knows how long they take: forecast and cost leave them out.
	Unpaced []string
	Cost    *Cost // of what would run; nil when the size of a worker is not known
	Saved   *Cost // of what is cached, as far as paces are known
}

// reasonsKept is how many different reasons are told apart; what is beyond them counts as changes without field.
const reasonsKept = 1000

// PlanOf says what a previewed run would do on a fleet. progress may be nil.
func (r *Reader) PlanOf(ctx context.Context, preview *planner.Preview, fleet Fleet, progress func(stage string, done, of int)) (*Plan, error) {
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	if err := preview.Warn(ctx, r.Table); err != nil {
		return nil, err
	}
	paces := Paces(runs, preview.Run.Name, preview.Run.Pool)
	plan := &Plan{Run: preview.Run}
	if preview.UnknownErr != nil {
		plan.UnknownReason = preview.UnknownErr.Error()
	}
	work, cachedSeconds := plan.count(preview, paces)
	plan.Forecast = Foresee(work, fleet)
	if cost, ok := CostOf(preview.Run, work.Seconds); ok {
		saved, _ := CostOf(preview.Run, cachedSeconds)
		plan.Cost, plan.Saved = &cost, &saved
	}
	e := explainer{preview: preview, progress: progress, reasons: map[Reason]*Reason{}}
	if err := e.explain(ctx, r.Objects, previous(runs, preview.Run)); err != nil {
		return nil, err
	}
	plan.Reasons, plan.Against = e.sorted(), e.against
	return plan, nil
}

// count fills in the figures, and returns what there is to compute, and the seconds of what there is not.
func (p *Plan) count(preview *planner.Preview, paces map[string]Pace) (work Work, cachedSeconds float64) {
	tasks := map[string]*TaskPlan{}
	nodes := int32(preview.Nodes())
	finish, level := make([]float32, nodes), make([]int32, nodes) // of the nodes to run
	var levels []int
	for n := range nodes {
		task := tasks[preview.Task(n)]
		if task == nil {
			task = &TaskPlan{Task: preview.Task(n)}
			if pace, ok := paces[task.Task]; ok {
				task.Pace = &pace
			}
			tasks[task.Task] = task
		}
		jobs, each := preview.Jobs(n), 0.0
		if task.Pace != nil {
			each = task.Pace.Seconds
		}
		task.Jobs += jobs
		presence := preview.Presence(n)
		if presence == job.Hit {
			task.Cached += jobs
			cachedSeconds += each
			continue
		}
		task.ToRun += jobs
		if presence == job.Unknown {
			task.Unknown += jobs
		}
		for _, parent := range preview.Parents(n) {
			finish[n] = max(finish[n], finish[parent])
			if preview.Presence(parent) != job.Hit {
				level[n] = max(level[n], level[parent]+1)
			}
		}
		finish[n] += float32(each)
		if int(level[n]) == len(levels) {
			levels = append(levels, 0)
		}
		levels[level[n]]++
		work.Jobs++
		work.Seconds += each
		work.Critical = max(work.Critical, float64(finish[n]))
	}
	if len(levels) > 0 {
		work.Widest = slices.Max(levels)
	}
	for _, task := range tasks {
		p.Jobs, p.Cached, p.ToRun, p.Unknown = p.Jobs+task.Jobs, p.Cached+task.Cached, p.ToRun+task.ToRun, p.Unknown+task.Unknown
		if task.Pace == nil && task.ToRun > 0 {
			p.Unpaced = append(p.Unpaced, task.Task)
		}
		p.Tasks = append(p.Tasks, *task)
	}
	slices.Sort(p.Unpaced)
	slices.SortFunc(p.Tasks, func(a, b TaskPlan) int { return cmp.Compare(a.Task, b.Task) })
	return work, cachedSeconds
}

// explainer finds out why jobs would run.
type explainer struct {
	preview  *planner.Preview
	progress func(stage string, done, of int)
	against  string
	reasons  map[Reason]*Reason // by kind and field
}

// explain compares the jobs to run with those of the run before.
func (e *explainer) explain(ctx context.Context, store *objects.Store, before *planner.Run) error {
	ids, err := e.index()
	if err != nil {
		return err
	}
	pending := make([]bool, e.preview.Nodes()) // to run, and not explained
	for _, entry := range ids.entries {
		pending[entry.node] = true
	}
	rest := ReasonFirst
	if before != nil && len(ids.entries) > 0 {
		switch err := e.compare(ctx, store, before, ids, pending); {
		case errors.Is(err, objects.ErrNotFound): // a lifecycle rule may have made an end of its manifest
		case err != nil:
			return err
		default:
			rest, e.against = ReasonNew, before.ID
		}
	}
	for n, left := range pending {
		if left {
			if err := e.add(int32(n), Reason{Kind: rest}); err != nil {
				return err
			}
		}
	}
	return nil
}

// add counts a reason of a node.
func (e *explainer) add(n int32, c Reason) error {
	kind := Reason{Kind: c.Kind, Field: c.Field}
	if e.reasons[kind] == nil && len(e.reasons) >= reasonsKept {
		kind.Field = ""
	}
	have := e.reasons[kind]
	if have == nil {
		planned, err := e.preview.Job(n)
		if err != nil {
			return err
		}
		have = &Reason{Kind: kind.Kind, Field: kind.Field, First: planned.ID, Example: c.Example}
		e.reasons[kind] = have
	}
	have.Jobs += e.preview.Jobs(n)
	return nil
}

func (e *explainer) sorted() []Reason {
	order := []ReasonKind{
		ReasonForced, ReasonChanged, ReasonNew, ReasonFailed, ReasonUnfinished, ReasonExpired, ReasonUnknown, ReasonFirst, ReasonParent,
	}
	reasons := make([]Reason, 0, len(e.reasons))
	for _, c := range e.reasons {
		reasons = append(reasons, *c)
	}
	slices.SortFunc(reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind)), cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Field, b.Field))
	})
	return reasons
}

// nodesByID finds the nodes to run by the ids of their jobs: 16 bytes for each.
type nodesByID struct {
	seed    maphash.Seed
	entries []nodeEntry // by hash
}

type nodeEntry struct {
	hash uint64
	node int32
}

// index reads the ids of the jobs to run. Those of which nobody can tell whether their output exists are explained by that.
func (e *explainer) index() (*nodesByID, error) {
	ids := &nodesByID{seed: maphash.MakeSeed()}
	for n := range int32(e.preview.Nodes()) {
		presence := e.preview.Presence(n)
		if presence == job.Hit {
			continue
		}
		if presence == job.Unknown {
			if err := e.add(n, Reason{Kind: ReasonUnknown}); err != nil {
				return nil, err
			}
			continue
		}
		planned, err := e.preview.Job(n)
		if err != nil {
			return nil, err
		}
		if planned.Forced {
			if err := e.add(n, Reason{Kind: ReasonForced, Example: e.preview.Run.Force}); err != nil {
				return nil, err
			}
			continue
		}
		ids.entries = append(ids.entries, nodeEntry{maphash.String(ids.seed, planned.ID), n})
	}
	slices.SortFunc(ids.entries, func(a, b nodeEntry) int { return cmp.Compare(a.hash, b.hash) })
	return ids, nil
}

// candidates are the nodes whose first job may have an id.
func (ids *nodesByID) candidates(id string) []nodeEntry {
	hash := maphash.String(ids.seed, id)
	at, _ := slices.BinarySearchFunc(ids.entries, hash, func(entry nodeEntry, h uint64) int { return cmp.Compare(entry.hash, h) })
	end := at
	for end < len(ids.entries) && ids.entries[end].hash == hash {
		end++
	}
	return ids.entries[at:end]
}

// compare explains the jobs that the run before had, too.
func (e *explainer) compare(ctx context.Context, store *objects.Store, before *planner.Run, ids *nodesByID, pending []bool) error {
	was, err := before.Documents()
	if err != nil {
		return err
	}
	is, err := e.preview.Run.Documents()
	if err != nil {
		return err
	}
	same := make([]bool, len(pending))
	seen := 0
	for old, err := range Jobs(ctx, store, before.ID) {
		if err != nil {
			return err
		}
		if seen++; e.progress != nil && seen%10_000 == 0 {
			e.progress("comparing with "+before.ID, seen, before.Progress.Jobs)
		}
		for _, entry := range ids.candidates(old.ID) {
			planned, err := e.preview.Job(entry.node)
			if err != nil {
				return err
			}
			if planned.ID != old.ID || !pending[entry.node] {
				continue
			}
			if planned.Key == old.Key {
				same[entry.node] = true
				continue
			}
			differences, err := DiffDocuments(old.Document(was[old.Task]), planned.Document(is[planned.Task]))
			if err != nil {
				return err
			}
			if err := e.add(entry.node, changeOf(differences)); err != nil {
				return err
			}
			pending[entry.node] = false
		}
	}
	return e.explainSame(ctx, store, before, same, pending)
}

// changeOf is the reason that stands for all differences of a job: the first that is its own.
func changeOf(differences []Difference) Reason {
	if len(differences) == 0 { // under its own key it had no output
		return Reason{Kind: ReasonFailed, Example: "another output stood in for its own"}
	}
	own := 0
	for _, d := range differences {
		if d.IsOwn() {
			own++
		}
	}
	switch first := differences[0]; {
	case !first.IsOwn():
		return Reason{Kind: ReasonParent}
	case own > 1:
		return Reason{Kind: ReasonChanged, Field: first.Field, Example: fmt.Sprintf("%s; and %d more", first, own-1)}
	default:
		return Reason{Kind: ReasonChanged, Field: first.Field, Example: first.String()}
	}
}

// explainSame explains jobs that are what they were in the run before, and have no output all the same.
func (e *explainer) explainSame(ctx context.Context, store *objects.Store, before *planner.Run, same, pending []bool) error {
	kind := ReasonExpired
	if !before.State.Ended() {
		kind = ReasonUnfinished
	} else if slices.Contains(same, true) {
		for result, err := range planner.ReadResults(ctx, store, before.ID) {
			if errors.Is(err, objects.ErrNotFound) { // it ended without an index
				kind = ReasonFailed
				break
			}
			if err != nil {
				return err
			}
			n, ok := e.preview.Find(result.Key)
			if !ok || !same[n] || !pending[n] || result.Manifest != "" {
				continue
			}
			if err := e.add(n, Reason{Kind: ReasonFailed, Example: result.Cause}); err != nil {
				return err
			}
			pending[n] = false
		}
	}
	for n := range pending {
		if same[n] && pending[n] {
			if err := e.add(int32(n), Reason{Kind: kind}); err != nil {
				return err
			}
			pending[n] = false
		}
	}
	return nil
}
