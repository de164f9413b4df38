package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"spate/job"
)

// TestGraphStories plays testdata/graph: each file is a run's story, told in what happens (a command with the jobs it
// happens to) and where all jobs stand after it. "go test -rewrite" writes what the code says.
func TestGraphStories(t *testing.T) {
	datadriven.Walk(t, "testdata/graph", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if err := s.play(d); err != nil {
				d.Fatalf(t, "%v", err)
			}
			return s.tell()
		})
	})
}

type story struct {
	graph *Graph
	names []string       // of jobs, by number
	jobs  map[string]int // numbers, by name
}

func (s *story) play(d *datadriven.TestData) error {
	if d.Cmd == "jobs" {
		return s.begin(d)
	}
	if d.Cmd == "take" {
		s.graph.TakeReady(len(s.names))
		return nil
	}
	if d.Cmd == "cancel" {
		s.graph.Cancel()
		return nil
	}
	acts := map[string]func(int32){
		"release": s.graph.Release, "share": s.graph.Share, "requeue": s.graph.Requeue,
		"done": s.graph.Done, "fail": s.graph.Fail, "lose": s.graph.Lose, "retry": s.graph.Retry,
	}
	act := acts[d.Cmd]
	if act == nil {
		return fmt.Errorf("nothing is called %q", d.Cmd)
	}
	for _, arg := range d.CmdArgs {
		number, ok := s.jobs[arg.Key]
		if !ok {
			return fmt.Errorf("no job is called %q", arg.Key)
		}
		act(s.graph.NodeOf(number))
	}
	return nil
}

// begin reads jobs, one a line: "job: its needs", and "twin = job" for one that does the same as another. Arguments
// name jobs whose output exists: cached ones of others, done ones of this run before its planner was started again.
func (s *story) begin(d *datadriven.TestData) error {
	*s = story{graph: NewGraph(0), jobs: map[string]int{}}
	keys, needs := map[string]job.Key{}, map[string][]job.Key{}
	for line := range strings.Lines(d.Input) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, original, isTwin := strings.Cut(name, " = ")
		keys[name] = keyNamed(name)
		if isTwin {
			keys[name], needs[name] = keys[original], needs[original]
		}
		for parent := range strings.FieldsSeq(rest) {
			needs[name] = append(needs[name], keys[parent])
		}
		if err := s.graph.Add(keys[name], needs[name]); err != nil {
			return err
		}
		s.jobs[name] = len(s.names)
		s.names = append(s.names, name)
	}
	for _, arg := range d.CmdArgs {
		for _, name := range arg.Vals {
			s.graph.Resolve(s.graph.NodeOf(s.jobs[name]), job.Hit, arg.Key == "done")
		}
	}
	s.graph.Start()
	return nil
}

// tell says where all jobs stand.
func (s *story) tell() string {
	in, causes := map[job.State][]string{}, s.graph.Causes()
	for number, name := range s.names {
		n := s.graph.NodeOf(number)
		state := s.graph.State(n)
		if state == job.Blocked {
			cause := slices.IndexFunc(s.names, func(name string) bool { return s.graph.NodeOf(s.jobs[name]) == causes[n] })
			name += "(by " + s.names[cause] + ")"
		}
		in[state] = append(in[state], name)
	}
	var b strings.Builder
	for _, state := range job.States() {
		if len(in[state]) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", state, strings.Join(in[state], " "))
		}
	}
	if s.graph.Settled() {
		b.WriteString("settled\n")
	}
	return b.String()
}
