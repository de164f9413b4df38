package planner

import (
	"crypto/sha256"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spate/job"
)

func keyNamed(name string) job.Key { return sha256.Sum256([]byte(name)) }

// oracle knows what happened to each node and derives all states from that anew each time: slow and obvious.
type oracle struct {
	parents   [][]int // by node, distinct
	facts     []fact
	cancelled bool
	ready     []bool // Ready, and not taken since it became so
	before    []job.State
}

type fact struct {
	output bool
	cached bool // the output was there before
	failed bool // for good
	queued bool
	shared bool
}

func (o *oracle) states() []job.State {
	states := make([]job.State, len(o.facts))
	for n := range o.facts {
		f := &o.facts[n]
		stopped, complete := false, true
		for _, p := range o.parents[n] { // parents have smaller numbers
			stopped = stopped || states[p] == job.Failed || states[p] == job.Blocked
			complete = complete && states[p].HasOutput()
		}
		switch {
		case f.output && f.cached:
			states[n] = job.Cached
		case f.output:
			states[n] = job.Done
		case f.failed:
			states[n] = job.Failed
		case f.queued:
			states[n] = job.Queued
		case o.cancelled:
			states[n] = job.Cancelled
			f.shared = false
		case stopped:
			states[n] = job.Blocked
			f.shared = false // it does not join the flight again by itself
		case f.shared:
			states[n] = job.Shared
		case complete:
			states[n] = job.Ready
		default:
			states[n] = job.Waiting
		}
	}
	return states
}

// settle derives the states after something happened, and which nodes may be taken.
func (o *oracle) settle() []job.State {
	states := o.states()
	for n := range states {
		o.ready[n] = states[n] == job.Ready && (o.ready[n] || o.before[n] != job.Ready)
	}
	o.before = states
	return states
}

// graphMachine drives a Graph and the oracle through the same random history.
type graphMachine struct {
	graph  *Graph
	oracle *oracle
	weight []int
	jobs   []int32 // the node of each
	states []job.State
}

func newGraphMachine(t *rapid.T) *graphMachine {
	nodes := rapid.IntRange(1, 14).Draw(t, "nodes")
	m := &graphMachine{graph: NewGraph(0), oracle: &oracle{
		parents: make([][]int, nodes), facts: make([]fact, nodes), ready: make([]bool, nodes), before: make([]job.State, nodes),
	}, weight: make([]int, nodes)}
	key := func(n int) job.Key { return keyNamed(string(rune('a' + n))) }
	for n := range nodes {
		var parents []job.Key
		if n > 0 {
			for range rapid.IntRange(0, 3).Draw(t, "needs") { // the same parent twice, under two staged names, is allowed
				p := rapid.IntRange(0, n-1).Draw(t, "parent")
				parents = append(parents, key(p))
				if !slices.Contains(m.oracle.parents[n], p) {
					m.oracle.parents[n] = append(m.oracle.parents[n], p)
				}
			}
		}
		add := func(n int, parents []job.Key) {
			if err := m.graph.Add(key(n), parents); err != nil {
				t.Fatal(err)
			}
			m.weight[n]++
			m.jobs = append(m.jobs, int32(n))
		}
		add(n, parents)
		if twin := rapid.IntRange(0, 2*n+1).Draw(t, "twin"); twin <= n { // of this job, or of one that came long before
			add(twin, nil) // its parents are those of the first
		}
	}
	m.checkNumbers(t)
	for n := range nodes {
		presence := rapid.SampledFrom([]job.Presence{job.Unknown, job.Miss, job.Miss, job.Hit}).Draw(t, "presence")
		released := rapid.Bool().Draw(t, "released")
		m.graph.Resolve(int32(n), presence, released)
		m.oracle.facts[n].output = presence == job.Hit
		m.oracle.facts[n].cached = presence == job.Hit && !released
	}
	m.graph.Start()
	m.states = m.oracle.settle()
	return m
}

// take takes what is ready and does with each node one of the three things that are allowed.
func (m *graphMachine) take(t *rapid.T) {
	limit := rapid.IntRange(1, 5).Draw(t, "limit")
	taken := m.graph.TakeReady(limit)
	ready := 0
	for _, is := range m.oracle.ready {
		if is {
			ready++
		}
	}
	if want := min(limit, ready); len(taken) != want {
		t.Fatalf("took %d of %d ready nodes, limit %d", len(taken), ready, limit)
	}
	for _, n := range taken {
		if !m.oracle.ready[n] {
			t.Fatalf("took node %d, which is %s or taken already", n, m.states[n])
		}
		m.oracle.ready[n] = false
		switch rapid.SampledFrom([]string{"release", "release", "share", "requeue"}).Draw(t, "then") {
		case "release":
			m.graph.Release(n)
			m.oracle.facts[n].queued = true
		case "share":
			m.graph.Share(n)
			m.oracle.facts[n].shared = true
		case "requeue":
			m.graph.Requeue(n)
			m.oracle.ready[n] = true
		}
	}
}

func (m *graphMachine) step(t *rapid.T) {
	n := rapid.IntRange(0, len(m.weight)-1).Draw(t, "node")
	f := &m.oracle.facts[n]
	switch rapid.SampledFrom([]string{"take", "take", "done", "done", "fail", "requeue", "lose", "retry", "retry", "cancel"}).Draw(t, "step") {
	case "take":
		m.take(t)
	case "done": // in any state: outputs are the truth
		m.graph.Done(int32(n))
		if !f.output {
			*f = fact{output: true}
		}
	case "fail":
		m.graph.Fail(int32(n))
		if !m.states[n].Settled() {
			*f = fact{failed: true}
		}
	case "requeue":
		m.graph.Requeue(int32(n))
		if m.states[n] == job.Ready {
			m.oracle.ready[n] = true
		}
		f.queued, f.shared = false, false
	case "retry":
		m.graph.Retry(int32(n))
		f.failed = false
	case "cancel":
		if rapid.IntRange(0, 9).Draw(t, "cancel") == 0 {
			m.graph.Cancel()
			m.oracle.cancelled = true
		}
	case "lose":
		m.graph.Lose(int32(n))
		if f.output {
			*f = fact{}
		}
	}
	m.states = m.oracle.settle()
}

func (m *graphMachine) check(t *rapid.T) {
	counts, outstanding, settled, moving := map[job.State]int{}, 0, true, false
	for n, want := range m.states {
		if got := m.graph.State(int32(n)); got != want {
			t.Fatalf("node %d is %s, want %s; all: %v", n, got, want, m.states)
		}
		counts[want] += m.weight[n]
		settled = settled && want.Settled()
		switch want {
		case job.Ready, job.Queued:
			outstanding++
			moving = true
		case job.Shared:
			moving = true
		case job.Blocked:
			m.checkCause(t, n)
		case job.Pending, job.Cached, job.Waiting, job.Done, job.Failed, job.Cancelled:
		}
	}
	sum := 0
	for state, got := range m.graph.Counts() {
		sum += got
		if got != counts[state] {
			t.Fatalf("%d jobs are %s, want %d", got, state, counts[state])
		}
	}
	if sum != len(m.jobs) || m.graph.Jobs() != len(m.jobs) {
		t.Fatalf("counts add up to %d, Jobs is %d, want %d", sum, m.graph.Jobs(), len(m.jobs))
	}
	if m.graph.Outstanding() != outstanding {
		t.Fatalf("%d outstanding, want %d", m.graph.Outstanding(), outstanding)
	}
	if m.graph.Settled() != settled {
		t.Fatalf("settled is %t; states: %v", m.graph.Settled(), m.states)
	}
	if settled == moving {
		t.Fatalf("settled is %t, and something moving is %t: nothing would ever happen; states: %v", settled, moving, m.states)
	}
}

// checkNumbers wants each job to be of its node, and each node to know its first job and how many it has.
func (m *graphMachine) checkNumbers(t *rapid.T) {
	for number, want := range m.jobs {
		if got := m.graph.NodeOf(number); got != want {
			t.Fatalf("job %d is of node %d, want %d; nodes of all: %v", number, got, want, m.jobs)
		}
	}
	for n, want := range m.weight {
		if got, first := m.graph.FirstJob(int32(n)), slices.Index(m.jobs, int32(n)); int(got) != first {
			t.Fatalf("the first job of node %d is %d, want %d; nodes of all: %v", n, got, first, m.jobs)
		}
		if got := m.graph.Weight(int32(n)); got != want {
			t.Fatalf("node %d has %d jobs, want %d", n, got, want)
		}
	}
}

// checkCause wants a blocked node's cause to be a failed ancestor, by way of blocked ones.
func (m *graphMachine) checkCause(t *rapid.T, n int) {
	causes := m.graph.Causes()
	cause := causes[n]
	for _, p := range m.oracle.parents[n] {
		if m.states[p] == job.Failed && int(cause) == p || m.states[p] == job.Blocked && causes[p] == cause {
			return
		}
	}
	t.Fatalf("node %d is blocked by %d, which is %s", n, cause, m.states[cause])
}

func TestGraphAgreesWithAnOracleThatDerivesEverythingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newGraphMachine(t)
		m.check(t)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			m.step(t)
			m.check(t)
		}
	})
}

func TestGraphRefusesAJobBeforeItsParent(t *testing.T) {
	g := NewGraph(2)
	if err := g.Add(keyNamed("child"), []job.Key{keyNamed("parent")}); err == nil {
		t.Fatal("the child was added")
	}
	if err := g.Add(keyNamed("parent"), nil); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(keyNamed("child"), []job.Key{keyNamed("parent")}); err != nil {
		t.Fatal(err)
	}
	if g.Nodes() != 2 || g.Jobs() != 2 {
		t.Errorf("%d nodes and %d jobs, want 2 and 2", g.Nodes(), g.Jobs())
	}
}
