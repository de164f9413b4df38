package report

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// NotFoundError says that nothing, or no single thing, is called what somebody wrote.
type NotFoundError struct {
	Kind      string   // "run" or "job"
	Ref       string   // what was asked for
	Where     string   // in which it was looked for, such as "run nightly-1"; may be empty
	Ambiguous bool     // several are called so: Near
	Near      []string // what may have been meant, at most nearMost, the newest first
}

// Error says what was looked for and what may have been meant.
func (e *NotFoundError) Error() string {
	where := ""
	if e.Where != "" {
		where = " in " + e.Where
	}
	near := strings.Join(e.Near, ", ")
	switch {
	case e.Ambiguous:
		return fmt.Sprintf("%s %s%s may be any of %s", e.Kind, e.Ref, where, near)
	case near != "":
		return fmt.Sprintf("there is no %s %s%s; similar are %s", e.Kind, e.Ref, where, near)
	}
	return fmt.Sprintf("there is no %s %s%s", e.Kind, e.Ref, where)
}

// NotPlannedError says that a run has no jobs to look among: it was rejected, or has not been planned yet.
type NotPlannedError struct{ Run *planner.Run }

// Error says which run.
func (e *NotPlannedError) Error() string {
	return fmt.Sprintf("run %s is %s: its jobs have not been planned", e.Run.ID, e.Run.State)
}

const (
	nearMost = 5
	// RunsSearched is in how many runs, the newest, a job is looked for.
	RunsSearched = 20
	// MinKeyDigits is how many of a key's digits are needed to name it.
	MinKeyDigits = 8
)

// FindRun returns the run of that id; or the newest of that name, of which those that are what-if runs of others count
// only where there is no other; or the one whose id begins so. *NotFoundError: there is none, or several ids begin so.
func (r *Reader) FindRun(ctx context.Context, ref string) (*planner.Run, error) {
	run, err := planner.ReadRun(ctx, r.Table, ref)
	if err != nil || run != nil {
		return run, err
	}
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	return chooseRun(runs, ref)
}

// chooseRun finds what FindRun promises in a list of runs, the newest first.
func chooseRun(runs []*planner.Run, ref string) (*planner.Run, error) {
	var begin, similar []*planner.Run
	for _, run := range runs {
		switch {
		case run.ID == ref:
			return run, nil
		case strings.HasPrefix(run.ID, ref):
			begin = append(begin, run)
		case strings.Contains(run.ID, ref) || job.Nearest(ref, []string{run.ID, run.Name}) != "":
			similar = append(similar, run)
		}
	}
	for _, isMeant := range []func(*planner.Run) bool{isRegular, func(*planner.Run) bool { return true }} {
		if i := slices.IndexFunc(runs, func(run *planner.Run) bool { return run.Name == ref && isMeant(run) }); i >= 0 {
			return runs[i], nil
		}
	}
	if len(begin) == 1 && ref != "" {
		return begin[0], nil
	}
	e := &NotFoundError{Kind: "run", Ref: ref, Ambiguous: len(begin) > 1}
	if len(begin) == 0 {
		begin = similar
	}
	for _, run := range begin[:min(len(begin), nearMost)] {
		e.Near = append(e.Near, run.ID)
	}
	return nil, e
}

// RunsBeginning returns the runs whose ids begin so, the newest first: as many as it could read, which may be none.
func (r *Reader) RunsBeginning(ctx context.Context, prefix string) []*planner.Run {
	var runs []*planner.Run
	for run, err := range table.Query[planner.Run](ctx, r.Table, table.RunRecords, prefix) {
		if err != nil {
			break
		}
		runs = append(runs, &run)
	}
	slices.SortStableFunc(runs, func(a, b *planner.Run) int { return b.Received.Compare(a.Received) })
	return runs
}

// isRegular reports whether a run is one of its name, and not what somebody asked "what if" of one.
func isRegular(run *planner.Run) bool { return run.WhatIfOf() == "" }

// Previous returns the newest planned run of the same name that was received before a run, or of a what-if run the one
// that it is of; nil when there is none. What-if runs are never previous to another.
func (r *Reader) Previous(ctx context.Context, run *planner.Run) (*planner.Run, error) {
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	return previous(runs, run), nil
}

// previous is Previous in a list of runs, the newest first.
func previous(runs []*planner.Run, run *planner.Run) *planner.Run {
	var newest *planner.Run
	for _, other := range runs {
		switch {
		case other.ID == run.ID, !other.Received.Before(run.Received), !isPlanned(other):
		case other.ID == run.WhatIfOf():
			return other
		case newest == nil && other.Name == run.Name && isRegular(other):
			newest = other
		}
	}
	return newest
}

// isPlanned reports whether a run has a normalised manifest.
func isPlanned(run *planner.Run) bool {
	return run.Image != "" && !run.Planned.IsZero()
}

// Found is a job, and the run in which it was found.
type Found struct {
	Run *planner.Run
	Job job.Planned
}

// FindJob finds a job by its id, its key or at least MinKeyDigits of the key's first digits. With run, a reference as for
// FindRun, it looks there; else in the RunsSearched newest runs, and the newest that has it counts. A run that computes
// another's jobs again has them under the same ids: without run it is looked into for a key only. *NotFoundError: it is not
// there, or several keys begin so; *NotPlannedError: the run has no jobs.
func (r *Reader) FindJob(ctx context.Context, ref, run string) (*Found, error) {
	if run != "" {
		in, err := r.FindRun(ctx, run)
		if err != nil {
			return nil, err
		}
		if !isPlanned(in) {
			return nil, &NotPlannedError{in}
		}
		planned, err := r.jobIn(ctx, in, ref)
		if err != nil {
			return nil, err
		}
		if planned == nil {
			return nil, r.noJob(ctx, in, ref)
		}
		return &Found{in, *planned}, nil
	}
	return r.search(ctx, ref, func(run *planner.Run, planned *job.Planned) bool { return run.Reproduction == nil || planned.ID != ref })
}

// FindKey finds a job by its key, or at least MinKeyDigits of its first digits, as FindJob does. *NotFoundError: no recent
// run has such an output, or several keys begin so.
func (r *Reader) FindKey(ctx context.Context, digits string) (*Found, error) {
	found, err := r.search(ctx, digits, func(_ *planner.Run, planned *job.Planned) bool {
		return strings.HasPrefix(planned.Key.String(), digits)
	})
	if missing, ok := errors.AsType[*NotFoundError](err); ok && !missing.Ambiguous {
		missing.Kind, missing.Near = "output", nil
	}
	return found, err
}

// search finds a job that passes in the newest runs, the newest first.
func (r *Reader) search(ctx context.Context, ref string, pass func(*planner.Run, *job.Planned) bool) (*Found, error) {
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(run *planner.Run) bool { return !isPlanned(run) || run.Reproduction != nil && !IsKey(ref) })
	runs = runs[:min(len(runs), RunsSearched)]
	for _, run := range runs {
		planned, err := r.jobIn(ctx, run, ref)
		if _, ok := errors.AsType[*objects.NoBucketError](err); !ok && errors.Is(err, objects.ErrNotFound) {
			continue // of some older run's manifest, a lifecycle rule may have made an end
		}
		if err != nil {
			return nil, err
		}
		if planned != nil && pass(run, planned) {
			return &Found{run, *planned}, nil
		}
	}
	e := &NotFoundError{Kind: "job", Ref: ref, Where: fmt.Sprintf("the %d newest runs", len(runs))}
	switch len(runs) {
	case 0:
		e.Where = "any run: none has been planned"
	case 1:
		return nil, r.noJob(ctx, runs[0], ref)
	}
	return nil, e
}

// jobIn finds a job in one run; nil when it has none of that id or key.
func (r *Reader) jobIn(ctx context.Context, run *planner.Run, ref string) (*job.Planned, error) {
	byID, byKey := []byte(`"id":"`+ref+`"`), []byte(`"key":"`+ref)
	isKey := IsKey(ref)
	var found *job.Planned
	var keys []string
	for planned, err := range jobsWith(ctx, r.Objects, run.ID, func(line []byte) bool {
		return bytes.Contains(line, byID) || isKey && bytes.Contains(line, byKey)
	}) {
		switch {
		case err != nil:
			return nil, err
		case planned.ID == ref:
			return &planned, nil
		case isKey && strings.HasPrefix(planned.Key.String(), ref) && !slices.Contains(keys, planned.Key.String()):
			keys = append(keys, planned.Key.String())
			found = cmp.Or(found, &planned)
		}
	}
	if len(keys) > 1 {
		return nil, &NotFoundError{
			Kind: "key", Ref: ref, Where: "run " + run.ID, Ambiguous: true, Near: keys[:min(len(keys), nearMost)],
		}
	}
	return found, nil
}

// IsKey reports whether a reference may name a key: it is one, or at least MinKeyDigits of its first digits.
func IsKey(ref string) bool {
	if len(ref) < MinKeyDigits || len(ref) > 2*job.KeySize {
		return false
	}
	return strings.Trim(ref, "0123456789abcdef") == ""
}

// noJob is the error about a job that a run does not have, with those of similar ids.
func (r *Reader) noJob(ctx context.Context, run *planner.Run, ref string) error {
	e := &NotFoundError{Kind: "job", Ref: ref, Where: "run " + run.ID}
	for planned, err := range Jobs(ctx, r.Objects, run.ID) {
		if err != nil {
			return err
		}
		if strings.Contains(planned.ID, ref) || job.Nearest(ref, []string{planned.ID}) != "" {
			if e.Near = append(e.Near, planned.ID); len(e.Near) == nearMost {
				break
			}
		}
	}
	return e
}
