package planner

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"spate/job"
)

// activeRun is a run that is being worked on: its record, its graph and what is remembered of each job on its way. The
// planner's loop owns it.
type activeRun struct {
	*Run
	graph     *Graph
	figures   figures
	spool     *spool
	replaces  map[int32]job.Replaced // by node that is computed again: the output that counts as absent
	catalogue job.Catalogue

	generation int            // of the manifest
	rekeyed    map[int32]int  // by node that was keyed anew: the generation since which it has its key
	standsIn   map[int32]bool // nodes that cannot be computed: outputs that stand in for others

	tasks map[string]int // jobs, by task type

	attempts map[int32]int       // by node, where it is not 1
	failures map[int32][]Failure // by node, in order of attempts
	sent     sparse[uint32]      // of queued ones: when it was last sent or looked for, as a Unix time in seconds; else 0
	swept    int                 // the node that the next sweep begins with
	flying   sparse[bool]        // by node: its job is on its way, and other runs may share that
	unsent   []*outgoing         // written and not known to be sent
	releases int                 // written so far
	retried  int
	reused   int
	lost     int // outputs that proved gone

	// confirmed tells, by node, whose output a worker or S3 itself has told of since this planner took the run up. What
	// only the cache knows is looked for in S3 before the run ends.
	confirmed sparse[bool]

	cancelled string    // the request that it is being cancelled for; "" when another planner began to
	heard     time.Time // when a word of its jobs last came; kept while it is being cancelled

	closing  bool      // its outcome is being written
	closeAt  time.Time // not before
	rekeying bool      // its manifest is being written anew; its outcome is not

	saved       Progress // as last written, with the reason
	savedReason string
	savedAt     time.Time
}

// newActiveRun builds the graph from a spooled normalised manifest.
func newActiveRun(r *Run, s *spool) (*activeRun, error) {
	a := &activeRun{
		Run: r, graph: NewGraph(s.len()), spool: s,
		replaces: map[int32]job.Replaced{}, attempts: map[int32]int{}, failures: map[int32][]Failure{},
		generation: r.Generation, rekeyed: map[int32]int{}, standsIn: map[int32]bool{}, tasks: map[string]int{},
	}
	if err := json.Unmarshal([]byte(r.Catalogue), &a.catalogue); err != nil {
		return nil, fmt.Errorf("read pinned catalogue of run %s: %w", r.ID, err)
	}
	in := s.reader()
	var parents []job.Key
	tasks := map[string]uint16{}
	for i := range s.len() {
		planned, err := in.planned(i)
		if err != nil {
			return nil, fmt.Errorf("read manifest of run %s, line %d: %w", r.ID, i+1, err)
		}
		a.tasks[planned.Task]++
		parents = parents[:0]
		for _, need := range planned.Needs {
			if need.Job != "" && planned.Substituted == nil { // an output that stands in needs nothing
				parents = append(parents, need.Key)
			}
		}
		nodes := a.graph.Nodes()
		if err := a.graph.Add(planned.Key, parents); err != nil {
			return nil, fmt.Errorf("read manifest of run %s, line %d: %w", r.ID, i+1, err)
		}
		if a.graph.Nodes() > nodes {
			a.graph.Type(int32(nodes), a.figures.taskNumber(planned.Task, tasks))
			a.note(planned, int32(nodes))
		}
	}
	return a, nil
}

// note keeps what is particular about a node, of which planned is the first job.
func (a *activeRun) note(planned job.Planned, n int32) {
	if planned.Replaces != (job.Replaced{}) {
		a.replaces[n] = planned.Replaces
	}
	if planned.Substituted != nil {
		a.standsIn[n] = true
	}
	if planned.Rekeyed > 0 {
		a.rekeyed[n] = planned.Rekeyed
		a.generation = max(a.generation, planned.Rekeyed)
	}
}

// isReplacing reports whether a node is computed again although it had an output when the run was planned.
func (a *activeRun) isReplacing(n int32) bool {
	_, ok := a.replaces[n]
	return ok
}

// planned reads the first job of a node.
func (a *activeRun) planned(n int32) (job.Planned, error) {
	return a.spool.planned(int(a.graph.FirstJob(n)))
}

func (a *activeRun) attempt(n int32) int { return max(1, a.attempts[n]) }

// progress is the run's figures now.
func (a *activeRun) progress(running int) Progress {
	p := progress(a.graph)
	p.Running = min(running, p.Queued)
	p.Retried, p.Reused = a.retried, min(a.reused, p.Done)
	p.Executed = p.Done - p.Reused
	return p
}
