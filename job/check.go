package job

import (
	"fmt"
	"slices"
	"strings"
)

// Checker checks what the jobs of one run need of one another, and of the catalogue. Jobs are added one at a time, in
// any order: a job may stand before its parents. Of each it keeps the id and the parents only, some 130 bytes
// (BenchmarkCheckAMillionJobs).
type Checker struct {
	file      string
	catalogue Catalogue // nil: task types are not known here
	errs      *Errors
	index     map[string]int32 // by id
	jobs      []checked
	parents   []checkedParent // of all jobs, in order
}

type checked struct {
	id    string
	line  int32
	first int32 // of its parents in Checker.parents
	after int32
}

type checkedParent struct {
	id string
	at position
}

// NewChecker checks against a catalogue; nil leaves task types unchecked, for places where it is not known. errs
// receives what is found.
func NewChecker(file string, catalogue Catalogue, errs *Errors) *Checker {
	return &Checker{file: file, catalogue: catalogue, errs: errs, index: map[string]int32{}}
}

// Add checks one job and remembers it. params are the job's, merged with the run's.
func (c *Checker) Add(s Spec, params []byte) {
	if s.ID == "" {
		return // already reported
	}
	if first, ok := c.index[s.ID]; ok {
		c.errorf(s.place.id, "job id %q is taken by the job of line %d", s.ID, c.jobs[first].line)
		return
	}
	c.checkTask(s, params)
	c.index[s.ID] = int32(len(c.jobs))
	first := int32(len(c.parents))
	for _, name := range s.NeedNames() {
		at := s.place.needs[name]
		parent := s.Needs[name].Job
		if parent == s.ID {
			c.errorf(at, "job %q needs itself", s.ID)
			continue
		}
		c.parents = append(c.parents, checkedParent{parent, at})
	}
	c.jobs = append(c.jobs, checked{s.ID, int32(s.place.line), first, int32(len(c.parents))})
}

func (c *Checker) checkTask(s Spec, params []byte) {
	if c.catalogue == nil || s.Task == "" {
		return
	}
	task, ok := c.catalogue[s.Task]
	if !ok {
		hint := "the catalogue has " + strings.Join(c.catalogue.Names(), ", ")
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
		c.errorf(at, "params of job %q: %v", s.ID, err)
	}
}

func (c *Checker) errorf(at position, format string, args ...any) {
	c.errs.Add(&Error{File: c.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// Len is the number of jobs remembered.
func (c *Checker) Len() int { return len(c.jobs) }

// Finish checks what can be known only at the end: that parents exist and that no job waits for itself. It returns the
// jobs' positions (in the order of Add) so that parents come before children and ties stand as they were added; the
// order is of use only when there were no errors.
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
	next := make([]int32, len(c.jobs))                   // how many parents were visited
	order := make([]int32, 0, len(c.jobs))
	var path []int32 // each job needs the one behind it
	for root := range c.jobs {
		if place[root] != unseen {
			continue
		}
		path = append(path[:0], int32(root))
		place[root] = 0
		for len(path) > 0 {
			at := path[len(path)-1]
			j := &c.jobs[at]
			if j.first+next[at] == j.after {
				place[at] = closed
				order = append(order, at)
				path = path[:len(path)-1]
				continue
			}
			need := c.parents[j.first+next[at]]
			next[at]++
			parent, ok := c.index[need.id]
			if !ok {
				if need.id != "" {
					c.errorf(need.at, "job %q needs %q, which no job of this run is called", j.id, need.id)
				}
				continue
			}
			switch place[parent] {
			case unseen:
				place[parent] = int32(len(path))
				path = append(path, parent)
			case closed:
			default:
				c.errorf(need.at, "jobs wait for each other: %s", c.cycle(path[place[parent]:]))
			}
		}
	}
	return order
}

// cycle names the jobs of a circle, each of which needs the next, and the last the first.
func (c *Checker) cycle(circle []int32) string {
	const most = 20
	names := make([]string, 0, most+2)
	for k, at := range circle {
		if k == most {
			names = append(names, fmt.Sprintf("… %d more …", len(circle)-most))
			break
		}
		names = append(names, c.jobs[at].id)
	}
	return strings.Join(append(names, c.jobs[circle[0]].id), " → ")
}
