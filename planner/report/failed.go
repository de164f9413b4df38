package report

import (
	"cmp"
	"context"
	"encoding/binary"
	"regexp"
	"slices"
	"strconv"
	"time"

	"spate/job"
	"spate/planner"
)

// Failed is what failed in a run.
type Failed struct {
	Failed  int            `json:"failed"`  // jobs
	Blocked int            `json:"blocked"` // jobs that have no output because of them
	Groups  []FailureGroup `json:"groups"`  // the one of most jobs first

	Substituted []string `json:"substituted,omitempty"` // ids of jobs that failed or were blocked, for which other outputs stand in
}

// FailureGroup is the jobs of a run that failed alike: same task type, same exit code, and cause and last line that are
// the same but for numbers and paths. Texts are those of its first job.
type FailureGroup struct {
	Task      string   `json:"task"`
	Cause     string   `json:"cause"`
	ExitCode  *int     `json:"exit_code"`
	Verdict   string   `json:"verdict"` // why there was no further attempt
	LastLines []string `json:"last_lines"`
	Attempts  int      `json:"attempts"` // of the job that had most
	Jobs      []string `json:"jobs"`     // ids, in the order of the run's manifest
	Blocks    int      `json:"blocks"`   // jobs, each counted once; one that several groups block counts in each
}

// Failed groups the failed jobs of a planned run by what they failed of. Of a run under way it is what has failed so far.
func (r *Reader) Failed(ctx context.Context, now time.Time, run *planner.Run) (*Failed, error) {
	failures, err := planner.ReadFailures(ctx, r.Table, run.ID)
	if err != nil {
		return nil, err
	}
	last := make(map[string]planner.Failure, len(failures)) // by key
	for _, f := range failures {
		if !f.Retried && f.Attempt >= last[f.JobKey].Attempt {
			last[f.JobKey] = f
		}
	}
	g := newGrouping()
	for stated, err := range r.States(ctx, now, run) {
		if err != nil {
			return nil, err
		}
		if stated.Substituted != nil && stated.State.HasOutput() {
			g.Substituted = append(g.Substituted, stated.ID)
		}
		switch stated.State { //nolint:exhaustive // of the others there is nothing to say
		case job.Failed:
			f, ok := last[stated.Key.String()]
			if !ok {
				f = planner.Failure{Cause: stated.Cause}
			}
			g.fail(stated.Planned, f)
		case job.Blocked:
			g.block(stated.Planned)
		}
	}
	return g.result(), nil
}

// grouping groups failed jobs, and counts what they block. Jobs come parents first.
type grouping struct {
	Failed
	index map[signature]int32
	sets  [][]int32         // of groups, sorted, each once
	known map[string]int32  // in sets, by its bytes
	of    map[job.Key]int32 // what a job without output fails of: in sets
}

// signature is what the jobs of a group have in common.
type signature struct{ task, exit, cause, line string }

func newGrouping() *grouping {
	return &grouping{
		Failed: Failed{Groups: []FailureGroup{}}, index: map[signature]int32{}, known: map[string]int32{}, of: map[job.Key]int32{},
	}
}

func (g *grouping) fail(planned job.Planned, f planner.Failure) {
	s := signature{task: planned.Task, cause: alike(f.Cause)}
	if f.ExitCode != nil {
		s.exit = strconv.Itoa(*f.ExitCode)
	}
	if n := len(f.LastLines); n > 0 {
		s.line = alike(f.LastLines[n-1])
	}
	i, ok := g.index[s]
	if !ok {
		i = int32(len(g.Groups))
		g.index[s] = i
		g.Groups = append(g.Groups, FailureGroup{
			Task: planned.Task, Cause: f.Cause, ExitCode: f.ExitCode, Verdict: f.Verdict, LastLines: f.LastLines,
		})
	}
	group := &g.Groups[i]
	group.Jobs = append(group.Jobs, planned.ID)
	group.Attempts = max(group.Attempts, f.Attempt)
	g.Failed.Failed++
	g.of[planned.Key] = g.intern([]int32{i})
}

func (g *grouping) block(planned job.Planned) {
	var by []int32
	for _, need := range planned.Needs {
		if set, ok := g.of[need.Key]; ok {
			by = append(by, g.sets[set]...)
		}
	}
	slices.Sort(by)
	by = slices.Compact(by)
	for _, i := range by {
		g.Groups[i].Blocks++
	}
	g.Blocked++
	g.of[planned.Key] = g.intern(by)
}

// intern is the number of a set of groups. Jobs that are blocked by the same groups share one.
func (g *grouping) intern(set []int32) int32 {
	name := make([]byte, 0, 4*len(set))
	for _, i := range set {
		name = binary.BigEndian.AppendUint32(name, uint32(i))
	}
	n, ok := g.known[string(name)]
	if !ok {
		n = int32(len(g.sets))
		g.sets, g.known[string(name)] = append(g.sets, set), n
	}
	return n
}

func (g *grouping) result() *Failed {
	slices.SortStableFunc(g.Groups, func(a, b FailureGroup) int {
		return cmp.Or(cmp.Compare(len(b.Jobs), len(a.Jobs)), cmp.Compare(b.Blocks, a.Blocks))
	})
	return &g.Failed
}

// particular is what differs between texts that say the same: paths, long hexadecimal numbers, numbers.
var particular = regexp.MustCompile(`[^\s"'=(]*/[^\s"'),:;]*|\b[0-9a-fA-F]{8,}\b|[0-9]+([.,:][0-9]+)*`)

// alike takes out of a text what differs between jobs that fail of the same.
func alike(text string) string { return particular.ReplaceAllString(text, "…") }
