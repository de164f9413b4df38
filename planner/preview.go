package planner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

// Ledger says which outputs exist.
type Ledger interface {
	// Lookup answers for each key, in order. Keys that could not be asked for are unknown; the error is the first reason.
	Lookup(ctx context.Context, now time.Time, keys []job.Key) ([]job.Presence, error)
}

// PreviewOptions are what a preview needs. All but Progress are required.
type PreviewOptions struct {
	Objects   *objects.Store
	Images    Images
	Outputs   Ledger
	Pools     []Pool
	Catalogue job.Catalogue
	Namespace string
	Progress  func(stage string, done, of int) // is called concurrently; of is 0 while it is not known
}

func (o PreviewOptions) validate() error {
	switch {
	case o.Objects == nil, o.Images == nil, o.Outputs == nil:
		return errors.New("preview: objects, images and outputs are required")
	case o.Namespace == "":
		return errors.New("preview: no namespace")
	}
	return nil
}

// Preview is a run as a controller would plan it now, of which nothing is written anywhere. Its jobs are known by nodes:
// jobs of equal key are one, and parents come before their children. Close it.
type Preview struct {
	Run        *Run  // as it would be recorded; its id is made up
	UnknownErr error // why Unknown nodes are

	active  *activeRun
	unknown map[int32]bool
}

// PreviewRun keys a prepared run and asks which of its outputs exist, with the code that plans it in a controller.
// *job.Errors: the run would be rejected.
func PreviewRun(ctx context.Context, o PreviewOptions, prepared *Prepared) (*Preview, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	k := &keying{
		Objects: o.Objects, Images: o.Images, Pools: poolsByName(o.Pools), Catalogue: o.Catalogue, Namespace: o.Namespace, Progress: o.Progress,
	}
	var source *jobSource
	if prepared.file != nil {
		var err error
		if source, err = prepared.submitted(); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	// The id is part of the keys of task types that are not deterministic: made up, it finds nothing, as a new run would.
	r := &Run{ID: NewSubmissionID(prepared.RunFile.Name, now), State: job.RunPlanning, Received: now}
	a, err := k.run(ctx, r, prepared.RunFile, source)
	if rejected, ok := errors.AsType[*rejection](err); ok && rejected.errs != nil {
		prepared.places.localise(rejected.errs)
		return nil, rejected.errs
	}
	if err != nil {
		return nil, err
	}
	p := &Preview{Run: r, active: a, unknown: map[int32]bool{}}
	if err := p.resolve(ctx, k, o.Outputs); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Warn reads from the runs table what the run's owner should know of its task types, as a controller will when it plans the
// run, and writes it into the run.
func (p *Preview) Warn(ctx context.Context, t *table.Table) (err error) {
	p.Run.Warnings, err = doubtsAbout(ctx, t, p.active)
	return err
}

// asSubmitted stands for the file of the jobs in errors that are found in them.
const asSubmitted = "jobs as submitted"

// submitted yields the jobs as the controller will read them.
func (p *Prepared) submitted() (*jobSource, error) {
	size, err := p.file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read prepared jobs: %w", err)
	}
	sum := sha256.New()
	return &jobSource{
		name: asSubmitted, next: job.NewReader(asSubmitted, io.TeeReader(io.NewSectionReader(p.file, 0, size), sum)).Next,
		sha256: func() string { return hex.EncodeToString(sum.Sum(nil)) }, close: func() {},
	}, nil
}

// resolve asks which outputs exist.
func (p *Preview) resolve(ctx context.Context, k *keying, outputs Ledger) error {
	g := p.active.graph
	for start := 0; start < g.Nodes(); start += lookupChunk {
		keys := make([]job.Key, 0, lookupChunk)
		for n := start; n < min(start+lookupChunk, g.Nodes()); n++ {
			keys = append(keys, g.Key(int32(n)))
		}
		presence, err := outputs.Lookup(ctx, time.Now(), keys)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.UnknownErr == nil {
			p.UnknownErr = err
		}
		for i, answer := range presence {
			n := int32(start + i)
			switch {
			case p.active.isReplacing(n): // computed again, though there is an output
			case answer == job.Unknown:
				p.unknown[n] = true
			default:
				g.Resolve(n, answer, false)
			}
		}
		if k.Progress != nil {
			k.Progress("looking for outputs", start+len(keys), g.Nodes())
		}
	}
	g.Start()
	p.active.countCached()
	p.Run.Planned, p.Run.Progress = time.Now(), p.active.progress(0)
	return nil
}

// Close frees the local file.
func (p *Preview) Close() error { return p.active.spool.close() }

// Nodes is the number of distinct keys.
func (p *Preview) Nodes() int { return p.active.graph.Nodes() }

// Key is a node's key.
func (p *Preview) Key(n int32) job.Key { return p.active.graph.Key(n) }

// Jobs is how many jobs have the node's key.
func (p *Preview) Jobs(n int32) int { return p.active.graph.Weight(n) }

// Task is a node's task type.
func (p *Preview) Task(n int32) string { return p.active.taskOf(n) }

// Presence says whether a node's output exists. Jobs run unless it is Hit.
func (p *Preview) Presence(n int32) job.Presence {
	switch {
	case p.active.graph.State(n) == job.Cached:
		return job.Hit
	case p.unknown[n]:
		return job.Unknown
	}
	return job.Miss
}

// Parents are a node's parents, each once.
func (p *Preview) Parents(n int32) []int32 { return p.active.graph.parentsOf(n) }

// Find returns the node of a key.
func (p *Preview) Find(key job.Key) (int32, bool) { return p.active.graph.Find(key) }

// Job reads the first job of a node.
func (p *Preview) Job(n int32) (job.Planned, error) { return p.active.planned(n) }
