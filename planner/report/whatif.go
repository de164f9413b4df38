package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/internal/price"
	"spate/job"
	"spate/planner"
)

// Effect is what a run brought that is another one with changed parameters.
type Effect struct {
	Base     string           `json:"base"`
	Run      string           `json:"run"`
	Progress planner.Progress `json:"progress"`
	Cost     EffectCost       `json:"cost"`

	// Differing counts the jobs with other keys than before; Unexplained those of them that neither were changed nor need
	// a job that was: their inputs, image or task types are no longer those of the base run.
	Differing   int `json:"differing_jobs"`
	Unexplained int `json:"unexplained_jobs"`
	Absent      int `json:"absent_jobs"` // that were changed, and are no part of the run: it is one of some of the jobs only

	Figures []Figure `json:"figures"` // those that moved, the largest relative change first
	Same    int      `json:"same_figures"`
	Others  int      `json:"other_figures"` // that only one of the runs has
}

// EffectCost compares what a run computed with what all of its jobs took, whenever they ran.
type EffectCost struct {
	Executed float64 `json:"executed_seconds"` // that processes ran for this run
	Full     float64 `json:"full_seconds"`     // that those of all jobs ran
	Counted  int     `json:"counted_outputs"`  // that tell; where they are not those of all jobs, seconds are scaled up from them

	// What these seconds cost on the run's workers; nil where it is not known what those are.
	ExecutedUSD *price.USD `json:"executed_usd"`
	FullUSD     *price.USD `json:"full_usd"`
}

// EffectOptions say what to look at.
type EffectOptions struct {
	Base, Run *planner.Run       // both succeeded
	Changed   []string           // ids of the jobs whose parameters were changed
	Files     string             // which files of the results hold figures, as path.Match has it
	Outputs   func(read, of int) // is told how many outputs were read, one at a time; may be nil
}

// sampledOutputs is of how many outputs, that differ or do not, the seconds are read; where there are more, a sample must do.
const sampledOutputs = 20_000

// outputReads is how many manifests are read at once.
const outputReads = 32

// Effect compares two runs by the figures in the JSON files of their ends: of jobs that no other job needs.
func (r *Reader) Effect(ctx context.Context, o EffectOptions) (*Effect, error) {
	e := &Effect{Base: o.Base.ID, Run: o.Run.ID, Progress: o.Run.Progress, Figures: []Figure{}}
	if _, err := path.Match(o.Files, ""); err != nil {
		return nil, fmt.Errorf("compare runs: files %q: %w", o.Files, err)
	}
	base, err := keysByID(ctx, r.Objects, o.Base.ID)
	if err != nil {
		return nil, err
	}
	d, err := r.diverge(ctx, o, base)
	if err != nil {
		return nil, err
	}
	e.Differing, e.Unexplained, e.Absent = len(d.differ), d.unexplained, len(o.Changed)-d.changed
	for _, keys := range [][]job.Key{d.differ, d.shared} {
		cost, err := r.effectCost(ctx, o, keys)
		if err != nil {
			return nil, err
		}
		e.Cost.Executed, e.Cost.Full, e.Cost.Counted = e.Cost.Executed+cost.Executed, e.Cost.Full+cost.Full, e.Cost.Counted+cost.Counted
	}
	if executed, ok := CostOf(o.Run, e.Cost.Executed); ok {
		full, _ := CostOf(o.Run, e.Cost.Full)
		e.Cost.ExecutedUSD, e.Cost.FullUSD = &executed.USD, &full.USD
	}
	if err := r.compareEnds(ctx, e, d.ends, base, o.Files); err != nil {
		return nil, err
	}
	slices.SortFunc(e.Figures, byMovement)
	return e, nil
}

func keysByID(ctx context.Context, store *objects.Store, run string) (map[string]job.Key, error) {
	keys := map[string]job.Key{}
	for planned, err := range Jobs(ctx, store, run) {
		if err != nil {
			return nil, err
		}
		keys[planned.ID] = planned.Key
	}
	return keys, nil
}

// divergence is where a run leaves the one that it was made from.
type divergence struct {
	unexplained    int
	changed        int       // of those that were, jobs that the run has
	differ, shared []job.Key // of all jobs
	ends           []keyed   // jobs that no other job needs
}

type keyed struct {
	id  string
	key job.Key
}

func (r *Reader) diverge(ctx context.Context, o EffectOptions, base map[string]job.Key) (*divergence, error) {
	d := &divergence{}
	reached := map[string]bool{} // by the changes
	for _, id := range o.Changed {
		reached[id] = true
	}
	needed := map[string]bool{}
	var all []keyed
	for planned, err := range Jobs(ctx, r.Objects, o.Run.ID) {
		if err != nil {
			return nil, err
		}
		if reached[planned.ID] {
			d.changed++ // its parents, which come before it, have not reached it yet
		}
		for _, need := range planned.Needs {
			needed[need.Job] = true
			if reached[need.Job] {
				reached[planned.ID] = true
			}
		}
		if base[planned.ID] != planned.Key {
			d.differ = append(d.differ, planned.Key)
			if !reached[planned.ID] {
				d.unexplained++
			}
		}
		if base[planned.ID] == planned.Key {
			d.shared = append(d.shared, planned.Key)
		}
		all = append(all, keyed{planned.ID, planned.Key})
	}
	for _, k := range all {
		if !needed[k.id] {
			d.ends = append(d.ends, k)
		}
	}
	return d, nil
}

// effectCost adds up the seconds in the manifests of outputs, or of an even sample of them.
func (r *Reader) effectCost(ctx context.Context, o EffectOptions, keys []job.Key) (EffectCost, error) {
	slices.SortFunc(keys, func(a, b job.Key) int { return bytes.Compare(a[:], b[:]) })
	keys = slices.Compact(keys) // of which any part is a sample, as they are hashes
	sample := keys[:min(len(keys), sampledOutputs)]
	var mu sync.Mutex
	var cost EffectCost
	read := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(outputReads)
	for _, key := range sample {
		group.Go(func() error {
			m, err := r.manifest(ctx, key)
			if err != nil && !errors.Is(err, objects.ErrNotFound) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if read++; o.Outputs != nil {
				o.Outputs(read, len(sample))
			}
			if err == nil {
				cost.Counted++
				cost.Full += m.Seconds
				if m.Run == o.Run.ID {
					cost.Executed += m.Seconds
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return EffectCost{}, err
	}
	if cost.Counted > 0 {
		scale := float64(len(keys)) / float64(cost.Counted)
		cost.Full, cost.Executed = cost.Full*scale, cost.Executed*scale
	}
	return cost, nil
}

func (r *Reader) manifest(ctx context.Context, key job.Key) (*job.Manifest, error) {
	data, _, err := r.Objects.Get(ctx, job.ManifestPath(key))
	if err != nil {
		return nil, fmt.Errorf("read output %s: %w", key.Short(), err)
	}
	return job.ParseManifest(data, key)
}

// compareEnds adds the figures of all ends that differ to the effect.
func (r *Reader) compareEnds(ctx context.Context, e *Effect, ends []keyed, base map[string]job.Key, files string) error {
	parts := make([]Effect, len(ends))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(outputReads)
	for i, end := range ends {
		before, ok := base[end.id]
		if !ok || before == end.key {
			continue
		}
		group.Go(func() error {
			if err := r.compareEnd(ctx, &parts[i], end, before, files); err != nil {
				return fmt.Errorf("compare results of job %s: %w", end.id, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, part := range parts {
		e.Same, e.Others, e.Figures = e.Same+part.Same, e.Others+part.Others, append(e.Figures, part.Figures...)
	}
	return nil
}

// compareEnd adds the figures of one job's files to the effect.
func (r *Reader) compareEnd(ctx context.Context, e *Effect, end keyed, before job.Key, files string) error {
	was, err := r.manifest(ctx, before)
	if err != nil {
		return err
	}
	is, err := r.manifest(ctx, end.key)
	if err != nil {
		return err
	}
	for _, f := range is.Files {
		if ok, err := path.Match(files, f.Path); err != nil || !ok {
			continue
		}
		i := slices.IndexFunc(was.Files, func(old job.File) bool { return old.Path == f.Path })
		if i < 0 {
			continue
		}
		old, _, err := r.Objects.Get(ctx, was.Object(was.Files[i]))
		if err != nil {
			return err
		}
		now, _, err := r.Objects.Get(ctx, is.Object(f))
		if err != nil {
			return err
		}
		d, err := compareFigures(old, now)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		e.Same, e.Others = e.Same+d.same, e.Others+d.others
		for _, figure := range d.moved {
			figure.Job, figure.File = end.id, f.Path
			e.Figures = append(e.Figures, figure)
		}
	}
	return nil
}
