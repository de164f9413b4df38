package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// rekey rewrites a run's manifest so that the output of key stands in for that of the job that the request names. It
// checks all that only S3 and the manifest can tell; a *rejection says what is wrong. Done again for the same request it
// finds its own work.
func (p *Planner) rekey(ctx context.Context, r *Run, req Request, key job.Key) (Substitution, error) {
	body, info, err := p.Objects.Open(ctx, job.RunManifestPath(r.ID), objects.Condition{})
	if errors.Is(err, objects.ErrNotFound) {
		return Substitution{}, reject("the run's manifest is gone")
	}
	if err != nil {
		return Substitution{}, fmt.Errorf("read jobs of run %s: %w", r.ID, err)
	}
	defer body.Close()
	before, err := spoolFrom(body)
	if err != nil {
		return Substitution{}, fmt.Errorf("read jobs of run %s: %w", r.ID, err)
	}
	defer before.close()
	target, err := p.replaceable(ctx, r, req, before, key)
	if err != nil {
		return Substitution{}, err
	}
	output, err := p.standIn(ctx, r, target, key)
	if err != nil {
		return Substitution{}, err
	}
	w := rewriting{
		planner: p, run: r, request: req, from: target.Key, to: key, output: output, generation: r.Generation + 1,
		keys: map[string]job.Key{}, by: map[string][]string{},
	}
	if w.common, err = r.Documents(); err != nil {
		return Substitution{}, err
	}
	after, err := w.rewrite(ctx, before)
	if err != nil {
		return Substitution{}, err
	}
	defer after.close()
	if target.Substituted == nil || target.Substituted.Request != req.ID() {
		if err := after.replace(ctx, p.Objects, job.RunManifestPath(r.ID), info.ETag); err != nil {
			return Substitution{}, fmt.Errorf("store manifest of run %s: %w", r.ID, err)
		}
	}
	return w.substitution(target), nil
}

// replaceable finds the job that a request names, for which another output may stand in: it has none, and has failed or is
// blocked.
func (p *Planner) replaceable(ctx context.Context, r *Run, req Request, manifest *spool, key job.Key) (*job.Planned, error) {
	failures, err := ReadFailures(ctx, p.Table, r.ID)
	if err != nil {
		return nil, err
	}
	failed := map[string]bool{} // keys
	for _, f := range failures {
		failed[f.JobKey] = !f.Retried && !f.Forgiven
	}
	var target *job.Planned
	var twin string
	stuck := map[string]bool{} // ids of what failed or is blocked
	in := manifest.reader()
	for i := range manifest.len() {
		planned, err := in.planned(i)
		if err != nil {
			return nil, fmt.Errorf("read jobs of run %s, line %d: %w", r.ID, i+1, err)
		}
		if planned.Substituted == nil {
			isStuck := failed[planned.Key.String()]
			for _, need := range planned.Needs {
				isStuck = isStuck || stuck[need.Job]
			}
			if isStuck {
				stuck[planned.ID] = true
			}
			if planned.Key == key {
				twin = planned.ID
			}
		}
		if planned.ID == req.Jobs[0] {
			target = &planned
		}
	}
	if target == nil {
		return nil, reject("the run has no job %s", req.Jobs[0])
	}
	if target.Substituted != nil && target.Substituted.Request == req.ID() {
		return target, nil
	}
	exists, err := p.exists(ctx, target.Key, target.Replaces)
	switch {
	case err != nil:
		return nil, err
	case target.Key == key && target.Substituted == nil:
		return nil, reject("%s is the job's own key", key.Short())
	case exists && target.Substituted != nil:
		return nil, reject("output %s stands in for job %s already", target.Key.Short(), target.ID)
	case exists:
		return nil, reject("job %s has an output", target.ID)
	case !stuck[target.ID] && target.Substituted == nil:
		return nil, reject("job %s has neither failed nor is it blocked: wait what becomes of it", target.ID)
	case twin != "":
		return nil, reject("%s is the key of job %s of this run", key.Short(), twin)
	}
	return target, nil
}

// standIn reads the manifest of the output that is to stand in, and checks that it may: it is live, of the same task
// type, and on this side of the namespace's barrier.
func (p *Planner) standIn(ctx context.Context, r *Run, target *job.Planned, key job.Key) (*job.Manifest, error) {
	data, info, err := p.Objects.Get(ctx, job.ManifestPath(key))
	if errors.Is(err, objects.ErrNotFound) {
		return nil, reject("there is no output %s", key.Short())
	}
	if err != nil {
		return nil, fmt.Errorf("read output %s: %w", key.Short(), err)
	}
	output, err := job.ParseManifest(data, key)
	if err != nil {
		return nil, reject("output %s cannot be read: %v", key.Short(), err)
	}
	doc, err := job.ParseDocument(output.Document)
	switch {
	case err != nil:
		return nil, reject("output %s cannot be read: %v", key.Short(), err)
	case time.Since(info.LastModified) >= p.Retention:
		return nil, reject("output %s is older than the retention and counts as absent", key.Short())
	case doc.Spec.Task.Name != target.Task:
		return nil, reject("output %s is one of task %s, job %s is of task %s", key.Short(), doc.Spec.Task.Name, target.ID, target.Task)
	case doc.Spec.Namespace != r.Namespace:
		return nil, reject("output %s is of namespace %s, the run is of %s", key.Short(), doc.Spec.Namespace, r.Namespace)
	}
	return output, nil
}

// rewriting is a manifest on its way to the next generation.
type rewriting struct {
	planner    *Planner
	run        *Run
	request    Request
	from, to   job.Key
	output     *job.Manifest // of to
	generation int
	common     map[string]job.SpecDocument

	keys       map[string]job.Key  // new ones, by job id
	by         map[string][]string // by job id: the substituted jobs that it depends on, or itself
	own        []string            // ids of the jobs for which the output stands in
	dependents int                 // on these
	affected   int                 // jobs that depend on any substituted one
}

// rewrite writes the next generation of a manifest.
func (w *rewriting) rewrite(ctx context.Context, before *spool) (_ *spool, err error) {
	after, err := newSpool()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			after.close()
		}
	}()
	out := after.writer()
	in := before.reader()
	for i := range before.len() {
		planned, err := in.planned(i)
		if err != nil {
			return nil, fmt.Errorf("read jobs of run %s, line %d: %w", w.run.ID, i+1, err)
		}
		if err := w.job(ctx, &planned); err != nil {
			return nil, err
		}
		line, err := planned.AppendLine(nil)
		if err != nil {
			return nil, err
		}
		if err := out.append(line); err != nil {
			return nil, err
		}
	}
	return after, out.flush()
}

// job keys one job anew, where that is due. Its parents came before it.
func (w *rewriting) job(ctx context.Context, planned *job.Planned) error {
	if planned.Key == w.from {
		if w.from != w.to { // else it was done before
			own := planned.Key
			if planned.Substituted != nil {
				own = planned.Substituted.For
			}
			planned.Substituted = &job.Substitute{For: own, Reason: w.request.Reason, By: w.request.By, At: w.request.At, Request: w.request.ID()}
			planned.Key, planned.Rekeyed, planned.Replaces = w.to, w.generation, job.Replaced{}
			w.keys[planned.ID] = w.to
		}
		w.own = append(w.own, planned.ID)
	}
	if planned.Substituted != nil {
		w.by[planned.ID] = []string{planned.ID}
		return nil
	}
	isNew := false
	var by []string
	for name, need := range planned.Needs {
		by = append(by, w.by[need.Job]...)
		if slices.Contains(w.own, need.Job) {
			if _, err := w.output.Select(need.Files); err != nil {
				return reject("job %s, which depends on %s, could not be computed: %v", planned.ID, need.Job, err)
			}
		}
		if key, ok := w.keys[need.Job]; ok {
			need.Key, isNew = key, true
			planned.Needs[name] = need
		}
	}
	if len(by) == 0 {
		return nil
	}
	slices.Sort(by)
	planned.SubstitutedBy = slices.Compact(by)
	w.by[planned.ID] = planned.SubstitutedBy
	w.affected++
	if slices.ContainsFunc(w.own, func(id string) bool { return slices.Contains(planned.SubstitutedBy, id) }) {
		w.dependents++
	}
	if !isNew {
		return nil
	}
	key, err := planned.Document(w.common[planned.Task]).Key()
	if err != nil {
		return fmt.Errorf("key job %s: %w", planned.ID, err)
	}
	planned.Key, planned.Rekeyed, planned.Replaces = key, w.generation, job.Replaced{}
	w.keys[planned.ID] = key
	if !planned.Forced {
		return nil
	}
	planned.Replaces, err = standing(ctx, w.planner.Objects, key)
	return err
}

// substitution is what the run's record says of it.
func (w *rewriting) substitution(target *job.Planned) Substitution {
	own := target.Key
	if target.Substituted != nil {
		own = target.Substituted.For
	}
	return Substitution{
		Request: w.request.ID(), Job: target.ID, Jobs: len(w.own), For: own.String(), Key: w.to.String(), Run: w.output.Run,
		Dependents: w.dependents, Reason: w.request.Reason, By: w.request.By, At: w.request.At,
		Generation: w.generation, Affected: w.affected,
	}
}
