package planner

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"spate/job"
)

// Graph is a run's jobs and what is known of each: a pure state machine, told what happened and asked what is ready.
// Jobs of equal key are one node, since one output serves them all. Done is a property of nodes; counts are derived.
//
// A Graph is built by Add in the order of the normalised manifest, then Resolve for every node, then Start. It is not
// safe for concurrent use.
type Graph struct {
	byKey   *job.Index
	nodes   []node
	repeats []repeat        // in the order of the manifest; all other jobs are nodes, in that order
	weights map[int32]int32 // jobs of a node's key, where there are several

	parents  []int32 // of all nodes, in order
	children []int32 // of all nodes, in order; made by Start

	ready   []int32                // nodes that became Ready; some have left that state since
	counts  [job.Cancelled + 1]int // jobs
	byState [job.Cancelled + 1]int // nodes
	types   []Tally                // nodes, by what Type calls theirs

	cancelled bool // no node becomes Waiting, Ready, Shared or Blocked any more
}

// node has no pointer, and where its parents and children end is where the next node's begin: there may be millions, of 48
// bytes each.
type node struct {
	key         job.Key
	missing     int32 // parents without output
	firstParent int32
	firstChild  int32
	kind        uint16 // what Type calls it, and 1; 0: nothing
	state       job.State
	listed      bool // in Graph.ready
}

// repeat is a job of the manifest whose key one before it has.
type repeat struct{ job, node int32 }

// Tally counts nodes of one type.
type Tally struct {
	Left        int // on which work is to be done for this run, at once or later
	Outstanding int // of them, those that are released or about to be
}

// Type says of which type a node is. Types are numbers from 0; there should be few.
func (g *Graph) Type(n int32, kind uint16) {
	for len(g.types) <= int(kind) {
		g.types = append(g.types, Tally{})
	}
	g.tally(n, -1)
	g.nodes[n].kind = kind + 1
	g.tally(n, 1)
}

// TypeOf is the type of a node for which Type was called.
func (g *Graph) TypeOf(n int32) uint16 { return g.nodes[n].kind - 1 }

// Tallies counts the nodes of each type. It belongs to the graph.
func (g *Graph) Tallies() []Tally { return g.types }

// tally adds a node, as it is, to its type's tally, by times: 1, or -1 to take it out.
func (g *Graph) tally(n int32, by int) {
	at := &g.nodes[n]
	if at.kind == 0 {
		return
	}
	t := &g.types[at.kind-1]
	switch at.state {
	case job.Pending, job.Waiting:
		t.Left += by
	case job.Ready, job.Queued:
		t.Left += by
		t.Outstanding += by
	case job.Shared, job.Cached, job.Done, job.Failed, job.Blocked, job.Cancelled:
	}
}

// NewGraph makes an empty graph; jobs is how many are expected.
func NewGraph(jobs int) *Graph {
	return &Graph{byKey: job.NewIndex(jobs), nodes: make([]node, 0, jobs), weights: map[int32]int32{}}
}

// Add adds the next job of the manifest. Its parents must have been added before.
func (g *Graph) Add(key job.Key, parents []job.Key) error {
	if n, ok := g.Find(key); ok {
		// Equal keys have equal parents.
		g.repeats = append(g.repeats, repeat{int32(g.Jobs()), n})
		g.weights[n] = int32(g.Weight(n) + 1)
		g.counts[job.Pending]++
		return nil
	}
	n := node{key: key, firstParent: int32(len(g.parents))}
	for _, p := range parents {
		at, ok := g.Find(p)
		if !ok {
			g.parents = g.parents[:n.firstParent]
			return fmt.Errorf("add job %s: its parent %s was not added before it", key.Short(), p.Short())
		}
		if !slices.Contains(g.parents[n.firstParent:], at) {
			g.parents = append(g.parents, at)
		}
	}
	g.byKey.Add(key.Hash(), int32(len(g.nodes)), func(n int32) uint64 { return g.nodes[n].key.Hash() })
	g.nodes = append(g.nodes, n)
	g.counts[job.Pending]++
	g.byState[job.Pending]++
	return nil
}

// Jobs is the number of jobs of the manifest; Nodes that of distinct keys.
func (g *Graph) Jobs() int { return len(g.nodes) + len(g.repeats) }

// Nodes is the number of distinct keys.
func (g *Graph) Nodes() int { return len(g.nodes) }

// Key is a node's key.
func (g *Graph) Key(n int32) job.Key { return g.nodes[n].key }

// Weight is how many jobs of the manifest have the node's key.
func (g *Graph) Weight(n int32) int { return max(1, int(g.weights[n])) }

// State is a node's state.
func (g *Graph) State(n int32) job.State { return g.nodes[n].state }

// Causes are, by node, the failed nodes on whose account Blocked ones are Blocked. Of others it says nothing.
func (g *Graph) Causes() []int32 {
	causes := make([]int32, len(g.nodes))
	for n := range g.nodes { // parents stand before their children
		if g.nodes[n].state != job.Blocked {
			continue
		}
		by := g.blockedBy(int32(n))
		if g.nodes[by].state == job.Blocked {
			by = causes[by]
		}
		causes[n] = by
	}
	return causes
}

// blockedBy is the first of a node's parents that is Failed or Blocked; -1 when none is.
func (g *Graph) blockedBy(n int32) int32 {
	for _, p := range g.parentsOf(n) {
		if s := g.nodes[p].state; s == job.Failed || s == job.Blocked {
			return p
		}
	}
	return -1
}

// NodeOf is the node of a job of the manifest; jobs are numbered from 0.
func (g *Graph) NodeOf(jobNumber int) int32 {
	before, repeated := slices.BinarySearchFunc(g.repeats, int32(jobNumber), func(r repeat, number int32) int { return cmp.Compare(r.job, number) })
	if repeated {
		return g.repeats[before].node
	}
	return int32(jobNumber - before)
}

// FirstJob is the number of the first job of the manifest that has the node's key.
func (g *Graph) FirstJob(n int32) int32 {
	before := sort.Search(len(g.repeats), func(i int) bool { return g.repeats[i].job-int32(i) > n })
	return n + int32(before)
}

// Find returns the node of a key.
func (g *Graph) Find(key job.Key) (int32, bool) {
	return g.byKey.Find(key.Hash(), func(n int32) bool { return g.nodes[n].key == key })
}

// Counts is the number of jobs (not nodes) in each state.
func (g *Graph) Counts() map[job.State]int {
	counts := make(map[job.State]int, len(g.counts))
	for state, n := range g.counts {
		counts[job.State(state)] = n
	}
	return counts
}

// Outstanding is the number of distinct keys that are released or about to be, and unfinished.
func (g *Graph) Outstanding() int { return g.byState[job.Ready] + g.byState[job.Queued] }

// Count is the number of jobs (not nodes) in one state.
func (g *Graph) Count(s job.State) int { return g.counts[s] }

// Settled reports whether nothing more will happen by itself.
func (g *Graph) Settled() bool {
	settled := 0
	for state, n := range g.byState {
		if job.State(state).Settled() {
			settled += n
		}
	}
	return settled == len(g.nodes)
}

// Resolve says what is known of a node before the graph starts. Anything but a hit is a miss: the worker looks again.
// released says that this run has sent the job out before, so that a hit is its own work.
func (g *Graph) Resolve(n int32, p job.Presence, released bool) {
	switch {
	case g.nodes[n].state != job.Pending || p != job.Hit:
	case released:
		g.set(n, job.Done)
	default:
		g.set(n, job.Cached)
	}
}

// Start moves every unresolved node to Waiting or Ready. No job may be added after it.
func (g *Graph) Start() {
	for _, p := range g.parents {
		g.nodes[p].firstChild++
	}
	end := int32(0)
	for i := range g.nodes {
		end += g.nodes[i].firstChild
		g.nodes[i].firstChild = end
	}
	g.children = make([]int32, len(g.parents))
	for i := range slices.Backward(g.nodes) { // a node's children are filled in from their end, so that it ends as their beginning
		for _, p := range g.parentsOf(int32(i)) {
			g.nodes[p].firstChild--
			g.children[g.nodes[p].firstChild] = int32(i)
			if !g.nodes[p].state.HasOutput() {
				g.nodes[i].missing++
			}
		}
	}
	for i := range g.nodes {
		switch {
		case g.nodes[i].state != job.Pending:
		case g.nodes[i].missing > 0:
			g.set(int32(i), job.Waiting)
		default:
			g.set(int32(i), job.Ready)
		}
	}
}

func (g *Graph) parentsOf(n int32) []int32 {
	if int(n)+1 < len(g.nodes) {
		return g.parents[g.nodes[n].firstParent:g.nodes[n+1].firstParent]
	}
	return g.parents[g.nodes[n].firstParent:]
}

func (g *Graph) childrenOf(n int32) []int32 {
	if int(n)+1 < len(g.nodes) {
		return g.children[g.nodes[n].firstChild:g.nodes[n+1].firstChild]
	}
	return g.children[g.nodes[n].firstChild:]
}

func (g *Graph) set(n int32, to job.State) {
	at, weight := &g.nodes[n], g.Weight(n)
	g.counts[at.state] -= weight
	g.counts[to] += weight
	g.byState[at.state]--
	g.byState[to]++
	g.tally(n, -1)
	at.state = to
	g.tally(n, 1)
	if to == job.Ready {
		g.list(n)
	}
}

func (g *Graph) list(n int32) {
	if !g.nodes[n].listed {
		g.nodes[n].listed = true
		g.ready = append(g.ready, n)
	}
}

// place puts nodes where their parents let them be, and after them the descendants to whom that makes a difference.
// Nodes on their way to a worker, and those with an outcome, stay as they are.
func (g *Graph) place(queue []int32) {
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		before := g.nodes[n].state
		switch before {
		case job.Pending, job.Cached, job.Queued, job.Done, job.Failed, job.Cancelled:
			continue
		case job.Waiting, job.Ready, job.Shared, job.Blocked:
		}
		to := g.placeOf(n)
		if to != before {
			g.set(n, to)
		}
		if (to == job.Blocked) != (before == job.Blocked) {
			queue = append(queue, g.childrenOf(n)...)
		}
	}
}

// placeOf is where a node belongs that has neither an outcome nor a message on its way.
func (g *Graph) placeOf(n int32) job.State {
	at := &g.nodes[n]
	switch {
	case g.cancelled:
		return job.Cancelled
	case g.blockedBy(n) >= 0:
		return job.Blocked
	case at.state == job.Shared:
		return job.Shared
	case at.missing > 0:
		return job.Waiting
	}
	return job.Ready
}

// TakeReady returns up to limit nodes that are Ready, in the order they became so, none of them twice. The caller
// releases or shares each; one that it does neither with must be given back by Requeue.
func (g *Graph) TakeReady(limit int) []int32 {
	var taken []int32
	for len(g.ready) > 0 && len(taken) < limit {
		n := g.ready[0]
		g.ready = g.ready[1:]
		g.nodes[n].listed = false
		if g.nodes[n].state == job.Ready {
			taken = append(taken, n)
		}
	}
	if len(g.ready) == 0 {
		g.ready = nil // it may have been a million long
	}
	return taken
}

// Release says that a ready node is on its way to a worker.
func (g *Graph) Release(n int32) {
	if g.nodes[n].state == job.Ready {
		g.set(n, job.Queued)
	}
}

// Share says that a ready node's key is in flight for another run.
func (g *Graph) Share(n int32) {
	if g.nodes[n].state == job.Ready {
		g.set(n, job.Shared)
	}
}

// Requeue takes a node back that was queued or shared (or taken and not released), so that it is released again once
// its parents' outputs exist. When a parent has failed meanwhile, it is blocked; after Cancel it is cancelled.
func (g *Graph) Requeue(n int32) {
	switch g.nodes[n].state {
	case job.Ready:
		g.list(n)
	case job.Queued, job.Shared:
		g.set(n, job.Waiting)
		g.place([]int32{n})
	case job.Pending, job.Cached, job.Waiting, job.Done, job.Failed, job.Blocked, job.Cancelled:
	}
}

// Done says that a node's output exists. It frees the children, also of a node that had counted as failed: outputs are
// the truth.
func (g *Graph) Done(n int32) {
	before := g.nodes[n].state
	if before.HasOutput() {
		return
	}
	g.set(n, job.Done)
	for _, c := range g.childrenOf(n) {
		g.nodes[c].missing--
		// A waiting node has no failed or blocked parent, so there is no need to look at all of them each time.
		if g.nodes[c].missing == 0 && g.nodes[c].state == job.Waiting {
			g.set(c, job.Ready)
		}
	}
	if before == job.Failed || before == job.Blocked {
		g.place(g.childrenIn(n, job.Blocked))
	}
}

// Fail says that no further attempt at a node will be made. Its descendants are blocked, except those whose output
// exists and those on their way.
func (g *Graph) Fail(n int32) {
	if g.nodes[n].state.Settled() {
		return
	}
	g.set(n, job.Failed)
	g.place(g.childrenIn(n, job.Waiting, job.Ready, job.Shared))
}

// Retry says that a failed node gets further attempts. Descendants that it alone blocked wait for it again.
func (g *Graph) Retry(n int32) {
	if g.nodes[n].state != job.Failed {
		return
	}
	g.set(n, job.Waiting)
	g.place(append([]int32{n}, g.childrenIn(n, job.Blocked)...))
}

// Cancel says that no node will be released any more. Those without outcome are cancelled at once, except those on their
// way to a worker, which end as they end, or are cancelled when Requeue takes them back.
func (g *Graph) Cancel() {
	g.cancelled = true
	for n := range g.nodes {
		switch g.nodes[n].state {
		case job.Waiting, job.Ready, job.Shared, job.Blocked:
			g.set(int32(n), job.Cancelled)
		case job.Pending, job.Cached, job.Queued, job.Done, job.Failed, job.Cancelled:
		}
	}
}

// Lose says that a node's output proved gone: it is made again, and children that have not been released wait for it.
func (g *Graph) Lose(n int32) {
	if !g.nodes[n].state.HasOutput() {
		return
	}
	for _, c := range g.childrenOf(n) {
		g.nodes[c].missing++
		if g.nodes[c].state == job.Ready {
			g.set(c, job.Waiting)
		}
	}
	g.set(n, job.Waiting)
	g.place([]int32{n})
}

// childrenIn are a node's children in one of the states.
func (g *Graph) childrenIn(n int32, states ...job.State) []int32 {
	var found []int32
	for _, c := range g.childrenOf(n) {
		if slices.Contains(states, g.nodes[c].state) {
			found = append(found, c)
		}
	}
	return found
}
