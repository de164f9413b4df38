package report

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"spate/job"
	"spate/planner"
)

// ResultsOptions say which jobs are meant: those of which all of it holds.
type ResultsOptions struct {
	Jobs     []string           // ids, or patterns of ids as path.Match has them: any of these; none means all
	Labels   map[string]string  // of the job or its run: all of these
	Roots    bool               // only jobs on which no other depends
	Progress func(done, of int) // is told how many outputs have been looked for; may be nil
}

// NoLabelError says that no job of a run has a label.
type NoLabelError struct {
	Run, Name, Value string
	Known            []string // values of that name, or where there are none the names of labels; at most nearMost
	Unknown          bool     // Known are names
}

// Error says what there is instead.
func (e *NoLabelError) Error() string {
	text := fmt.Sprintf("no job of run %s has the label %s=%s", e.Run, e.Name, e.Value)
	switch {
	case len(e.Known) == 0:
		return text + ", nor any other"
	case e.Unknown:
		return text + "; the labels there are " + strings.Join(e.Known, ", ")
	}
	return text + "; its values there are " + strings.Join(e.Known, ", ")
}

// errNoneMeant says that no job is all that was asked for.
var errNoneMeant = errors.New("there are such jobs and such labels, but no job of which all of it holds")

// resultsSelection picks jobs of a run, given parents before their children.
type resultsSelection struct {
	run      *planner.Run
	options  ResultsOptions
	patterns []string
	jobs     int
	seen     map[string]bool // of the ids and patterns, those that a job answers to
	outputs  []JobOutput     // picked; without a job, if another depends on it
	at       map[string]int  // where in outputs, by job id; of roots only

	labelled map[string]bool     // of the names of labels asked for, those that a job has with that value
	values   map[string][]string // that jobs have of labels asked for
	names    []string            // of labels
}

func newResultsSelection(run *planner.Run, o ResultsOptions) (*resultsSelection, error) {
	s := &resultsSelection{
		run: run, options: o, seen: map[string]bool{}, at: map[string]int{}, labelled: map[string]bool{}, values: map[string][]string{},
	}
	for _, ref := range o.Jobs {
		if !strings.ContainsAny(ref, `*?[\`) {
			continue
		}
		if _, err := path.Match(ref, ""); err != nil {
			return nil, fmt.Errorf("pattern %s: %w", ref, err)
		}
		s.patterns = append(s.patterns, ref)
	}
	return s, nil
}

// add looks at one more job.
func (s *resultsSelection) add(j *Stated) {
	s.jobs++
	if s.options.Roots {
		for _, need := range j.Needs {
			if i, ok := s.at[need.Job]; ok {
				s.outputs[i] = JobOutput{}
			}
		}
	}
	named, matched := s.matches(j.ID)
	if !matched && len(s.options.Labels) == 0 {
		return
	}
	labels := s.run.Labels
	if len(j.Labels) > 0 {
		labels = maps.Clone(labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, j.Labels)
	}
	if !s.hasLabels(labels) || !matched {
		return
	}
	o := JobOutput{
		Job: j.ID, Task: j.Task, Key: j.Key, State: j.State.String(), Labels: labels, Named: named, Missing: missing(j),
		Substituted: j.Substituted, SubstitutedBy: j.SubstitutedBy,
	}
	if s.options.Roots {
		s.at[j.ID] = len(s.outputs)
	}
	s.outputs = append(s.outputs, o)
}

// matches reports whether a job is among those asked for, and whether by its id.
func (s *resultsSelection) matches(id string) (named, matched bool) {
	if len(s.options.Jobs) == 0 {
		return false, true
	}
	if named = slices.Contains(s.options.Jobs, id); named {
		s.seen[id] = true
	}
	matched = named
	for _, pattern := range s.patterns {
		if ok, err := path.Match(pattern, id); err == nil && ok {
			s.seen[pattern], matched = true, true
		}
	}
	return named, matched
}

// hasLabels reports whether labels have the values asked for.
func (s *resultsSelection) hasLabels(labels map[string]string) bool {
	all := true
	for name, want := range s.options.Labels {
		value, ok := labels[name]
		switch {
		case ok && value == want:
			s.labelled[name] = true
			continue
		case ok:
			s.values[name] = remember(s.values[name], value)
		}
		all = false
	}
	if !all && len(s.names) < nearMost {
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			s.names = remember(s.names, name)
		}
	}
	return all
}

// remember adds to what an error is to name.
func remember(known []string, s string) []string {
	if len(known) < nearMost && !slices.Contains(known, s) {
		known = append(known, s)
	}
	return known
}

// missing says why a job in its state has no output; "" when it has one.
func missing(j *Stated) string {
	switch j.State {
	case job.Done, job.Cached:
		return ""
	case job.Failed, job.Blocked:
		if j.Cause != "" {
			return j.Cause
		}
	case job.Cancelled:
		return "its run was cancelled before"
	case job.Waiting:
		return "it waits for its parents"
	case job.Pending, job.Ready, job.Shared, job.Queued:
		return "it is queued or running"
	}
	return "it is " + j.State.String()
}

// unmatched is an id or pattern that no job answers to; "" when there is none.
func (s *resultsSelection) unmatched() string {
	for _, ref := range s.options.Jobs {
		if !s.seen[ref] {
			return ref
		}
	}
	return ""
}

// result is what was picked, once all jobs have been added.
func (s *resultsSelection) result() ([]JobOutput, error) {
	for _, name := range slices.Sorted(maps.Keys(s.options.Labels)) {
		if s.labelled[name] {
			continue
		}
		e := &NoLabelError{Run: s.run.ID, Name: name, Value: s.options.Labels[name], Known: s.values[name]}
		if len(e.Known) == 0 {
			e.Known, e.Unknown = s.names, true
		}
		slices.Sort(e.Known)
		return nil, e
	}
	outputs := slices.DeleteFunc(s.outputs, func(o JobOutput) bool { return o.Job == "" })
	if len(outputs) == 0 {
		return nil, errNoneMeant
	}
	return outputs, nil
}
