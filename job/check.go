package job

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Checker checks what the jobs of one run need of one another, and of the catalogue. Jobs are added one at a time, in
// any order: a job may stand before its parents. Of each it keeps the id and the parents only, some 60 bytes
// (BenchmarkCheckAMillionJobs). Jobs are numbered from 0 in the order of Add.
type Checker struct {
	file      string
	catalogue Catalogue // nil: task types are not known here
	errs      *Errors
	ids       *Interned // of jobs and of those that they need
	byID      []int32   // by number of the id: the job's number, or none
	jobs      []checked
	parents   []checkedParent // of all jobs, in order
}

// none is the number of a job or an id that there is not.
const none = -1

type checked struct {
	id    int32
	line  int32
	first int32 // of its parents in Checker.parents
}

type checkedParent struct {
	id           int32 // none when it was bad
	line, column int32
}

// NewChecker checks against a catalogue; nil leaves task types unchecked, for places where it is not known. errs
// receives what is found.
func NewChecker(file string, catalogue Catalogue, errs *Errors) *Checker {
	return &Checker{file: file, catalogue: catalogue, errs: errs, ids: NewInterned()}
}

// Add checks one job and remembers it. params are the job's, merged with the run's.
func (c *Checker) Add(s Spec, params []byte) {
	id := c.id(s.ID)
	switch first := c.byID[id]; {
	case s.ID == "": // already reported
	case first != none:
		c.errorf(s.place.id, "job id %q is taken by the job of line %d", s.ID, c.jobs[first].line)
	default:
		c.byID[id] = int32(len(c.jobs))
	}
	c.checkTask(s, params) // of a job without an id of its own, too: all errors are to be found at once
	c.jobs = append(c.jobs, checked{id, int32(s.place.line), int32(len(c.parents))})
	for _, name := range s.NeedNames() {
		at := s.place.needs[name]
		parent := s.Needs[name].Job
		if parent == s.ID && parent != "" {
			c.errorf(at, "job %q needs itself", s.ID)
			continue
		}
		need := checkedParent{none, int32(at.line), int32(at.column)}
		if parent != "" {
			need.id = c.id(parent)
		}
		c.parents = append(c.parents, need)
	}
}

func (c *Checker) id(s string) int32 {
	n := c.ids.Add(s)
	if int(n) == len(c.byID) {
		c.byID = append(c.byID, none)
	}
	return n
}

// Find is the number of the job of an id.
func (c *Checker) Find(id string) (int32, bool) {
	n, ok := c.ids.Find(id)
	if !ok || c.byID[n] == none {
		return 0, false
	}
	return c.byID[n], true
}

// ID is a job's id.
func (c *Checker) ID(n int32) string { return c.ids.At(c.jobs[n].id) }

// Line is where a job stood in its file.
func (c *Checker) Line(n int32) int { return int(c.jobs[n].line) }

func (c *Checker) checkTask(s Spec, params []byte) {
	if c.catalogue == nil || s.Task == "" {
		return
	}
	task, ok := c.catalogue[s.Task]
	if !ok {
		hint := "the configuration has " + strings.Join(c.catalogue.Names(), ", ")
		if near := Nearest(s.Task, c.catalogue.Names()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		c.errorf(s.place.task, "unknown task %q; %s", s.Task, hint)
		return
	}
	if task.Params == nil {
		return
	}
	if len(params) == 0 {
		params = []byte("{}")
	}
	if err := task.Params.CheckParams(params); err != nil {
		at := s.place.params
		if at.line == 0 { // they are the run's, or none
			at.line = s.place.line
		}
		for _, violation := range each(err) {
			c.errorf(at, "params of job %s: %v", named(s.ID), violation)
		}
	}
}

// named is a job's id as messages quote it.
func named(id string) string {
	if id == "" {
		return orUnnamed(id)
	}
	return strconv.Quote(id)
}

// each returns the errors that an error joins, or the one.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}

func (c *Checker) errorf(at position, format string, args ...any) {
	c.errs.Add(&Error{File: c.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// Len is the number of jobs remembered.
func (c *Checker) Len() int { return len(c.jobs) }

// step is a job on the path from a root of the search: its parents from next to after are to be visited.
type step struct{ job, next, after int32 }

// Finish checks what can be known only at the end: that parents exist and that no job waits for itself. It returns the
// jobs' numbers so that parents come before children and ties stand as they were added; the order is of use only when
// there were no errors. No job may be added after it: who needs whom is forgotten.
func (c *Checker) Finish() []int32 {
	if len(c.jobs) == 0 && c.errs.Len() == 0 {
		c.errorf(position{}, "no jobs: a run needs at least one")
	}
	// A depth-first search without recursion, for a chain may be as long as the run.
	const (
		unseen = -1
		closed = -2
	)
	place := slices.Repeat([]int32{unseen}, len(c.jobs)) // on the path, from 0
	order := make([]int32, 0, len(c.jobs))
	var path []step // each job needs the one behind it
	enter := func(n int32) {
		after := int32(len(c.parents))
		if int(n)+1 < len(c.jobs) {
			after = c.jobs[n+1].first
		}
		place[n] = int32(len(path))
		path = append(path, step{n, c.jobs[n].first, after})
	}
	for root := range int32(len(c.jobs)) {
		if place[root] == unseen {
			enter(root)
		}
		for len(path) > 0 {
			at := &path[len(path)-1]
			if at.next == at.after {
				place[at.job] = closed
				order = append(order, at.job)
				path = path[:len(path)-1]
				continue
			}
			need := c.parents[at.next]
			at.next++
			if need.id == none {
				continue
			}
			where := position{int(need.line), int(need.column)}
			parent := c.byID[need.id]
			if parent == none {
				c.errorf(where, "job %s needs %q, which no job of this run is called", named(c.ID(at.job)), c.ids.At(need.id))
				continue
			}
			switch place[parent] {
			case unseen:
				enter(parent)
			case closed:
			default:
				c.errorf(where, "jobs wait for each other: %s", c.cycle(path[place[parent]:]))
			}
		}
	}
	c.parents, c.jobs, c.byID = nil, slices.Clone(c.jobs), slices.Clone(c.byID) // without room for more
	return order
}

// cycle names the jobs of a circle, each of which needs the next, and the last the first.
func (c *Checker) cycle(circle []step) string {
	const most = 20
	names := make([]string, 0, most+2)
	for k, s := range circle {
		if k == most {
			names = append(names, fmt.Sprintf("… %d more …", len(circle)-most))
			break
		}
		names = append(names, c.ID(s.job))
	}
	return strings.Join(append(names, c.ID(circle[0].job)), " → ")
}
