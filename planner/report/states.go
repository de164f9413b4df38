package report

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Stated is a job and where it stands in its run.
type Stated struct {
	job.Planned
	State   job.State
	Cause   string  // why it has no output, of Failed and Blocked
	Seconds float64 // that it ran, if this run computed it and has ended
}

// lookups is how many keys are asked for at once.
const lookups = 10_000

// States yields a run's jobs, parents before their children, with their states at now. Of a run that has ended they are
// those of its results index. Of others they are derived: Done stands for Cached too, and Queued for all from Ready to
// running. An error ends it, as does an output of which it cannot be told whether it exists.
func (r *Reader) States(ctx context.Context, now time.Time, run *planner.Run) iter.Seq2[Stated, error] {
	return func(yield func(Stated, error) bool) {
		if run.State.Ended() {
			if indexed, goOn := r.indexed(ctx, run, yield); indexed || !goOn {
				return
			}
		}
		r.derived(ctx, now, run, yield)
	}
}

// indexed yields the states of a results index. It returns false and true when there is no index.
func (r *Reader) indexed(ctx context.Context, run *planner.Run, yield func(Stated, error) bool) (indexed, goOn bool) {
	next, stop := iter.Pull2(planner.ReadResults(ctx, r.Objects, run.ID))
	defer stop()
	first, err, ok := next()
	if errors.Is(err, objects.ErrNotFound) {
		return false, true
	}
	for planned, e := range Jobs(ctx, r.Objects, run.ID) {
		if e != nil {
			yield(Stated{}, e)
			return true, false
		}
		if err == nil && (!ok || first.ID != planned.ID) {
			err = fmt.Errorf("read results of run %s: job %s is not where its manifest has it", run.ID, planned.ID)
		}
		var state job.State
		if err == nil {
			state, err = job.ParseState(first.State)
		}
		if err != nil {
			yield(Stated{}, err)
			return true, false
		}
		if !yield(Stated{planned, state, first.Cause, first.Seconds}, nil) {
			return true, false
		}
		first, err, ok = next()
	}
	return true, true
}

// derived yields states that follow from the manifest, the failures and the outputs that exist.
func (r *Reader) derived(ctx context.Context, now time.Time, run *planner.Run, yield func(Stated, error) bool) {
	failures, err := planner.ReadFailures(ctx, r.Table, run.ID)
	if err != nil {
		yield(Stated{}, err)
		return
	}
	d := derivation{failed: map[job.Key]string{}, without: map[job.Key]standing{}}
	for _, f := range failures {
		if key, err := job.ParseKey(f.JobKey); err == nil && !f.Retried && !f.Forgiven {
			d.failed[key] = f.Cause + "; " + f.Verdict
		}
	}
	batch := make([]job.Planned, 0, lookups)
	flush := func() bool {
		keys := make([]job.Key, len(batch))
		for i := range batch {
			keys[i] = batch[i].Key
		}
		presence, err := r.Outputs.Lookup(ctx, now, keys)
		if err == nil {
			err = r.leaveOutReplaced(ctx, batch, presence)
		}
		if err != nil {
			yield(Stated{}, fmt.Errorf("look for outputs of run %s: %w", run.ID, err))
			return false
		}
		for i := range batch {
			if !yield(d.state(batch[i], presence[i]), nil) {
				return false
			}
		}
		batch = batch[:0]
		return true
	}
	for planned, err := range Jobs(ctx, r.Objects, run.ID) {
		if err != nil {
			yield(Stated{}, err)
			return
		}
		if batch = append(batch, planned); len(batch) == lookups && !flush() {
			return
		}
	}
	flush()
}

// leaveOutReplaced makes misses of the outputs that a run was told to compute again and that still stand as they were.
func (r *Reader) leaveOutReplaced(ctx context.Context, batch []job.Planned, presence []job.Presence) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestReads)
	for i := range batch {
		if !batch[i].Forced || presence[i] != job.Hit {
			continue
		}
		group.Go(func() error {
			data, info, err := r.Objects.Get(ctx, job.ManifestPath(batch[i].Key))
			if err != nil && !errors.Is(err, objects.ErrNotFound) {
				return err
			}
			if err != nil || batch[i].Replaces.Is(job.Standing(batch[i].Key, info.ETag, data)) {
				presence[i] = job.Miss
			}
			return nil
		})
	}
	return group.Wait()
}

// derivation is what the states of jobs follow from, parents first.
type derivation struct {
	failed  map[job.Key]string   // causes
	without map[job.Key]standing // jobs without output
}

type standing struct {
	state job.State
	cause string
}

func (d *derivation) state(planned job.Planned, p job.Presence) Stated {
	if p == job.Hit {
		return Stated{Planned: planned, State: job.Done}
	}
	at := standing{state: job.Queued}
	for _, need := range planned.Needs {
		switch parent, missing := d.without[need.Key]; {
		case !missing:
		case parent.state == job.Failed:
			at = standing{job.Blocked, fmt.Sprintf("job %s failed: %s", need.Job, parent.cause)}
		case parent.state == job.Blocked:
			at = parent
		case at.state != job.Blocked:
			at.state = job.Waiting
		}
	}
	if cause, ok := d.failed[planned.Key]; ok {
		at = standing{job.Failed, cause}
	}
	d.without[planned.Key] = at
	return Stated{Planned: planned, State: at.state, Cause: at.cause}
}
