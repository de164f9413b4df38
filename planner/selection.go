package planner

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// choice says of each job of a run, by number, what a selection makes of it.
type choice struct {
	kept   []bool // it is part of the run
	forced []bool // it is computed again
}

// choose applies a selection to jobs of which those of lower numbers are parents of those of higher ones. The ancestors
// of what was selected come along, as their outputs are needed, but are never forced.
func choose(parents [][]int32, only []int32, s job.Selection) choice {
	selected := make([]bool, len(parents))
	if len(s.Only) == 0 {
		for n := range selected {
			selected[n] = true
		}
	}
	for _, n := range only {
		selected[n] = true
	}
	if s.WithDependents {
		for n := range parents {
			selected[n] = selected[n] || slices.ContainsFunc(parents[n], func(p int32) bool { return selected[p] })
		}
	}
	c := choice{kept: slices.Clone(selected), forced: make([]bool, len(parents))}
	if s.Force != "" {
		c.forced = selected
	}
	for n := range slices.Backward(parents) {
		if !c.kept[n] {
			continue
		}
		for _, p := range parents[n] {
			c.kept[p] = true
		}
	}
	return c
}

// restrict makes the manifest of what a run file selects from that of the whole run, and notes it in the run's record.
func (k *keying) restrict(ctx context.Context, r *Run, s job.Selection, whole *spool) (_ *spool, err error) {
	c, err := selectFrom(whole, s)
	if err != nil {
		return nil, err
	}
	standing, err := k.standing(ctx, whole, c)
	if err != nil {
		return nil, err
	}
	out, err := newSpool()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	r.Force, r.Forced, r.Whole = s.Force, 0, whole.len()
	w, lines := out.writer(), whole.reader()
	for i := range whole.len() {
		if !c.kept[i] {
			continue
		}
		planned, err := lines.planned(i)
		if err != nil {
			return nil, err
		}
		// By key: jobs of equal key are one piece of work.
		if planned.Replaces, planned.Forced = standing[planned.Key]; planned.Forced {
			r.Forced++
		}
		line, err := planned.AppendLine(nil)
		if err != nil {
			return nil, err
		}
		if err := w.append(line); err != nil {
			return nil, err
		}
	}
	return out, w.flush()
}

// selectFrom reads who depends on whom from a whole run's manifest, and chooses.
func selectFrom(whole *spool, s job.Selection) (choice, error) {
	numbers := make(map[string]int32, whole.len())
	parents := make([][]int32, whole.len())
	lines := whole.reader()
	for i := range whole.len() {
		planned, err := lines.planned(i)
		if err != nil {
			return choice{}, err
		}
		numbers[planned.ID] = int32(i)
		for _, need := range planned.Needs {
			parents[i] = append(parents[i], numbers[need.Job])
		}
	}
	only := make([]int32, len(s.Only))
	for i, id := range s.Only {
		n, ok := numbers[id]
		if !ok {
			return choice{}, reject("only: no job of this run is called %q", id)
		}
		only[i] = n
	}
	return choose(parents, only, s), nil
}

// standing is, by key of the forced jobs, the output that stands in S3 now.
func (k *keying) standing(ctx context.Context, whole *spool, c choice) (map[job.Key]job.Replaced, error) {
	outputs := map[job.Key]job.Replaced{}
	lines := whole.reader()
	for i, forced := range c.forced {
		if !forced {
			continue
		}
		planned, err := lines.planned(i)
		if err != nil {
			return nil, err
		}
		outputs[planned.Key] = job.Replaced{}
	}
	keys := make([]job.Key, 0, len(outputs))
	for key := range outputs {
		keys = append(keys, key)
	}
	found := make([]job.Replaced, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headLookups)
	for i, key := range keys {
		group.Go(func() (err error) {
			found[i], err = standing(ctx, k.Objects, key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, key := range keys {
		outputs[key] = found[i]
	}
	return outputs, nil
}
