package planner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"spate/internal/objects"
	"spate/job"
)

// LabelWhatIfOf is the label of a run that names the run that it was made from, with changed parameters.
const LabelWhatIfOf = "what_if_of"

// WhatIfOf is the id of the run that this one is a change of; "" when it is none. What such a run computed is not what
// was meant to happen: nothing may take it for a run of its name.
func (r *Run) WhatIfOf() string { return r.Labels[LabelWhatIfOf] }

// PrepareAgain prepares what a run was submitted as, to be changed and submitted as another one, which is labelled as a
// change of it. Its jobs stay in S3. What the run was told to compute again although it existed has been: that is left out.
func PrepareAgain(ctx context.Context, store *objects.Store, r *Run) (*Prepared, error) {
	object := job.SubmissionPath(r.ID)
	data, _, err := store.Get(ctx, object)
	if err != nil {
		return nil, fmt.Errorf("read submission of run %s: %w", r.ID, err)
	}
	run, err := job.ParseRunFile(job.ObjectURL(store.Bucket(), object), data)
	if err != nil {
		return nil, err
	}
	run.JobsSHA256, run.Force = cmp.Or(run.JobsSHA256, r.JobsSHA256), ""
	if run.Labels == nil {
		run.Labels = map[string]string{}
	}
	run.Labels[LabelWhatIfOf] = r.ID
	return &Prepared{RunFile: run}, nil
}

// ChangeOptions say how the jobs of a submission change.
type ChangeOptions struct {
	Changes   []job.Change
	AllowNew  bool          // parameters may be added, and their kind may change
	Catalogue job.Catalogue // that checks the changed jobs; nil leaves that to the controller
}

// Change lays changes of parameters over the jobs, fetching those that lie in S3, and returns the ids of the jobs that it
// changed. Its error names every change that cannot be made, or what the task types say of the changed parameters; then
// nothing has changed.
func (p *Prepared) Change(ctx context.Context, store *objects.Store, o ChangeOptions) ([]string, error) {
	if p.RunFile.Reproduce != nil {
		return nil, errors.New("a reproduction has the parameters of the run that it is of: they cannot be changed")
	}
	if err := p.fetch(ctx, store); err != nil {
		return nil, err
	}
	overlay, err := job.NewOverlay(job.OverlayOptions{Changes: o.Changes, Params: p.RunFile.Params, AllowNew: o.AllowNew}, p.specs())
	if err != nil {
		return nil, err
	}
	source := p.reread()
	read := source.next
	source.next = func() (job.Spec, error) {
		spec, err := read()
		overlay.Apply(&spec)
		return spec, err
	}
	return slices.Sorted(maps.Keys(overlay)), p.replace(source, o.Catalogue)
}

// fetch copies jobs that lie in S3 into the local file, if they are not there yet.
func (p *Prepared) fetch(ctx context.Context, store *objects.Store) error {
	if p.file != nil {
		return nil
	}
	source, err := (&keying{Objects: store}).jobSource(ctx, p.RunFile)
	if err != nil {
		return err
	}
	want := p.RunFile.JobsSHA256
	if err := p.replace(source, nil); err != nil {
		return err
	}
	if got := source.sha256(); want != "" && got != want && p.RunFile.JobsFrom != "" {
		return fmt.Errorf("%s has SHA-256 %s, the submission says %s: it was changed since", p.RunFile.JobsFrom, got, want)
	}
	return nil
}

// replace copies the jobs of a source into a new local file, in the place of the one that there may be.
func (p *Prepared) replace(source *jobSource, catalogue job.Catalogue) error {
	file := *p.RunFile
	changed, err := prepared(&file)
	if err != nil {
		source.close()
		return err
	}
	if err := changed.copy(source, catalogue, &job.Errors{}); err != nil {
		changed.Close()
		return err
	}
	err = p.Close()
	changed.places = changed.places.or(p.places)
	*p = *changed
	return err
}

// reread yields the jobs of the local file. What is wrong with them has no place there that a person would know.
func (p *Prepared) reread() *jobSource {
	const whole = 1<<63 - 1
	return &jobSource{
		next: job.NewReader("", io.NewSectionReader(p.file, 0, whole)).Next, sha256: func() string { return p.RunFile.JobsSHA256 }, close: func() {},
	}
}

// specs yields the jobs of the local file.
func (p *Prepared) specs() iter.Seq2[job.Spec, error] {
	return func(yield func(job.Spec, error) bool) {
		for source := p.reread(); ; {
			spec, err := source.next()
			if errors.Is(err, io.EOF) || !yield(spec, err) {
				return
			}
		}
	}
}
