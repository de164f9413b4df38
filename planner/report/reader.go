package report

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

// Outputs says which outputs exist.
type Outputs interface {
	// Lookup answers for each key, in order. Keys that could not be asked for are unknown; the error is the first reason.
	Lookup(ctx context.Context, now time.Time, keys []job.Key) ([]job.Presence, error)
}

// Reader reads what runs left behind. It is safe for concurrent use.
type Reader struct {
	Table   *table.Table   // of runs
	Objects *objects.Store // the bucket
	Outputs Outputs        // asked about runs under way only
}

// Jobs yields the jobs of a run's normalised manifest, parents before their children. An error ends it:
// objects.ErrNotFound when the run has none, as it was not planned.
func Jobs(ctx context.Context, store *objects.Store, run string) iter.Seq2[job.Planned, error] {
	return jobsWith(ctx, store, run, func([]byte) bool { return true })
}

// jobsWith are the jobs of the lines that pass a filter: parsing takes far longer than looking.
func jobsWith(ctx context.Context, store *objects.Store, run string, pass func(line []byte) bool) iter.Seq2[job.Planned, error] {
	return func(yield func(job.Planned, error) bool) {
		body, _, err := store.Open(ctx, job.RunManifestPath(run), objects.Condition{})
		if err != nil {
			yield(job.Planned{}, fmt.Errorf("read jobs of run %s: %w", run, err))
			return
		}
		defer body.Close()
		for planned, at := range jobsOf(body, pass) {
			if at.err != nil {
				yield(job.Planned{}, fmt.Errorf("read jobs of run %s: %w", run, at.err))
				return
			}
			if !yield(planned, nil) {
				return
			}
		}
	}
}

// lineEnd is where the line of a job ends, in bytes from the beginning; or why there is no job.
type lineEnd struct {
	end int64
	err error
}

// jobsOf are the jobs of a manifest's lines that pass a filter.
func jobsOf(manifest io.Reader, pass func(line []byte) bool) iter.Seq2[job.Planned, lineEnd] {
	return func(yield func(job.Planned, lineEnd) bool) {
		at := lineEnd{}
		for in := bufio.NewReaderSize(manifest, 1<<20); ; {
			line, err := in.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				yield(job.Planned{}, lineEnd{err: err})
				return
			}
			at.end += int64(len(line))
			last := err != nil
			if len(bytes.TrimSpace(line)) > 0 && pass(line) {
				planned, err := job.ParsePlanned(line)
				if err != nil {
					yield(job.Planned{}, lineEnd{err: err})
					return
				}
				if !yield(planned, at) {
					return
				}
			}
			if last {
				return
			}
		}
	}
}
