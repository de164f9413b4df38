package planner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json"

	"spate/internal/download"
	"spate/internal/objects"
	"spate/job"
)

// ReadResults yields the lines of a run's results index, in the order of its manifest. An error ends it.
func ReadResults(ctx context.Context, store *objects.Store, run string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		body, _, err := store.Open(ctx, job.ResultsIndexPath(run), objects.Condition{})
		if err != nil {
			yield(Result{}, fmt.Errorf("read results of run %s: %w", run, err))
			return
		}
		defer body.Close()
		in := bufio.NewReaderSize(body, 1<<20)
		for {
			line, err := in.ReadBytes('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return
			}
			var r Result
			if err == nil || errors.Is(err, io.EOF) {
				err = json.Unmarshal(line, &r)
			}
			if err != nil {
				yield(Result{}, fmt.Errorf("read results of run %s: %w", run, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Download writes the files of an output below dir, checking each against its manifest.
func Download(ctx context.Context, store *objects.Store, key job.Key, dir string) (*job.Manifest, error) {
	data, _, err := store.Get(ctx, job.ManifestPath(key))
	if err != nil {
		return nil, fmt.Errorf("download output %s: %w", key.Short(), err)
	}
	manifest, err := job.ParseManifest(data, key)
	if err != nil {
		return nil, err
	}
	files := make([]download.File, len(manifest.Files))
	for i, f := range manifest.Files {
		files[i] = download.File{Object: manifest.Object(f), Path: f.Path, Size: f.Size, SHA256: f.SHA256}
	}
	tally, err := download.To(ctx, dir, store, files, nil)
	if err != nil {
		return nil, fmt.Errorf("download output %s: %w", key.Short(), err)
	}
	for _, bad := range tally.Bad {
		return nil, fmt.Errorf("download output %s: file %s: %s", key.Short(), bad.Path, bad.Cause)
	}
	return manifest, nil
}
