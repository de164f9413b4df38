package report

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// listing is a copy of a run's normalised manifest in a local file, with the place of each job: what a million jobs are
// made of need not be in memory to be compared. Jobs have numbers, from 0, in the manifest's order.
type listing struct {
	run    *planner.Run
	common map[string]job.SpecDocument // by task type
	file   *os.File
	ids    *job.Interned // a job's number is its id's
	keys   []job.Key
	ends   []int64 // where each line ends
}

// list copies a run's manifest. The caller closes it.
func (r *Reader) list(ctx context.Context, run *planner.Run) (_ *listing, err error) {
	if !isPlanned(run) {
		return nil, fmt.Errorf("run %s has no jobs that were planned: it is %s", run.ID, run.State)
	}
	l := &listing{run: run, ids: job.NewInterned()}
	if l.common, err = run.Documents(); err != nil {
		return nil, err
	}
	body, _, err := r.Objects.Open(ctx, job.RunManifestPath(run.ID), objects.Condition{})
	if err != nil {
		return nil, fmt.Errorf("read jobs of run %s: %w", run.ID, err)
	}
	defer body.Close()
	if l.file, err = os.CreateTemp("", "spate-jobs-*.jsonl"); err != nil {
		return nil, fmt.Errorf("copy jobs of run %s: %w", run.ID, err)
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	// Without its name the file cannot be left behind.
	if err := os.Remove(l.file.Name()); err != nil {
		return nil, fmt.Errorf("copy jobs of run %s: %w", run.ID, err)
	}
	out := bufio.NewWriterSize(l.file, 1<<20)
	for planned, e := range jobsOf(io.TeeReader(body, out), func([]byte) bool { return true }) {
		if e.err != nil {
			return nil, fmt.Errorf("read jobs of run %s: %w", run.ID, e.err)
		}
		if int(l.ids.Add(planned.ID)) != len(l.keys) {
			return nil, fmt.Errorf("read jobs of run %s: two are called %s", run.ID, planned.ID)
		}
		l.keys, l.ends = append(l.keys, planned.Key), append(l.ends, e.end)
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("copy jobs of run %s: %w", run.ID, err)
	}
	return l, nil
}

func (l *listing) close() { _ = l.file.Close() }

func (l *listing) len() int { return len(l.keys) }

// job reads a job by its number.
func (l *listing) job(n int32) (job.Planned, error) {
	var begin int64
	if n > 0 {
		begin = l.ends[n-1]
	}
	line := make([]byte, l.ends[n]-begin)
	if _, err := l.file.ReadAt(line, begin); err != nil && !errors.Is(err, io.EOF) {
		return job.Planned{}, fmt.Errorf("read jobs of run %s: %w", l.run.ID, err)
	}
	return job.ParsePlanned(line)
}

// document is what a job's key was derived from, as far as the run tells: see [Reader.Document].
func (l *listing) document(planned *job.Planned) job.Document {
	doc := planned.Document(l.common[planned.Task])
	if !planned.Original.IsZero() {
		doc.Spec.Again = l.run.ID
	}
	return doc
}
