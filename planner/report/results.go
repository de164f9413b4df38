package report

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/download"
	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Results are the outputs of some of a run's jobs.
type Results struct {
	Run     string      `json:"run"`
	State   string      `json:"state"`
	Jobs    int         `json:"jobs"`    // of the run
	Outputs []JobOutput `json:"outputs"` // of the jobs that are meant, parents before their children
}

// JobOutput is what a job wrote, or why there is nothing.
type JobOutput struct {
	Job    string            `json:"job"`
	Task   string            `json:"task"`
	Key    job.Key           `json:"key"`
	State  string            `json:"state"`
	Labels map[string]string `json:"labels,omitempty"` // the run's among them
	Named  bool              `json:"-"`                // asked for by its id

	Missing string `json:"missing,omitzero"` // why there is no output to be had
	Lost    bool   `json:"lost,omitzero"`    // there was one: it has expired, was deleted, or its manifest is damaged

	Manifest string       `json:"manifest,omitzero"` // URL
	MadeBy   string       `json:"made_by,omitzero"`  // the run that caused it
	MadeAt   time.Time    `json:"made_at,omitzero"`
	Bytes    int64        `json:"bytes"`
	Files    []OutputFile `json:"files,omitempty"`

	// Another output stands in for the job's; or for those of these jobs, which it depends on.
	Substituted   *job.Substitute `json:"substituted,omitzero"`
	SubstitutedBy []string        `json:"substituted_by,omitempty"`
}

// OutputFile is a file of an output.
type OutputFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
	URL    string `json:"url"`

	object string
}

// Results reads which outputs some of a run's jobs have. *NotFoundError: there is no job of that id or pattern;
// *NoLabelError: none has that label.
func (r *Reader) Results(ctx context.Context, now time.Time, run *planner.Run, o ResultsOptions) (*Results, error) {
	s, err := newResultsSelection(run, o)
	if err != nil {
		return nil, err
	}
	for stated, err := range r.States(ctx, now, run) {
		if err != nil {
			return nil, err
		}
		if err := job.CheckID(stated.ID); err != nil { // which is to be the name of a directory
			return nil, fmt.Errorf("read jobs of run %s: %w", run.ID, err)
		}
		s.add(&stated)
	}
	if ref := s.unmatched(); ref != "" {
		return nil, r.noJob(ctx, run, ref)
	}
	results := &Results{Run: run.ID, State: string(run.State), Jobs: s.jobs}
	if results.Outputs, err = s.result(); err != nil {
		return nil, err
	}
	return results, r.readOutputs(ctx, results.Outputs, o.Progress)
}

// readOutputs completes outputs with what their manifests say.
func (r *Reader) readOutputs(ctx context.Context, outputs []JobOutput, progress func(done, of int)) error {
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manifestReads)
	for i := range outputs {
		group.Go(func() error {
			if outputs[i].Missing == "" {
				if err := r.readOutput(ctx, &outputs[i]); err != nil {
					return fmt.Errorf("read output of job %s: %w", outputs[i].Job, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; progress != nil {
				progress(done, len(outputs))
			}
			return nil
		})
	}
	return group.Wait()
}

func (r *Reader) readOutput(ctx context.Context, o *JobOutput) error {
	data, _, err := r.Objects.Get(ctx, job.ManifestPath(o.Key))
	if errors.Is(err, objects.ErrNotFound) {
		o.Missing, o.Lost = "its output is no longer in S3: it has expired, or was deleted", true
		return nil
	}
	if err != nil {
		return err
	}
	m, err := job.ParseManifest(data, o.Key)
	if err != nil { // nothing that it says can be trusted
		o.Missing, o.Lost = err.Error(), true
		return nil //nolint:nilerr // that it is damaged is the answer
	}
	o.Manifest = job.ObjectURL(r.Objects.Bucket(), job.ManifestPath(o.Key))
	o.MadeBy, o.MadeAt, o.Bytes = m.Run, m.At, m.Bytes()
	o.Files = make([]OutputFile, len(m.Files))
	for i, f := range m.Files {
		o.Files[i] = OutputFile{f.Path, f.Size, f.SHA256, job.ObjectURL(r.Objects.Bucket(), m.Object(f)), m.Object(f)}
	}
	return nil
}

// Downloads lists the files of all outputs. Those of a job lie in a directory of its id, which holds no characters that a
// file system would not take.
func (r *Results) Downloads() []download.File {
	var files []download.File
	for i := range r.Outputs {
		o := &r.Outputs[i]
		for _, f := range o.Files {
			files = append(files, download.File{Object: f.object, Path: o.Job + "/" + f.Path, Size: f.Size, SHA256: f.SHA256})
		}
	}
	return files
}
