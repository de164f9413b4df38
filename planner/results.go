package planner

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

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
	for _, f := range manifest.Files {
		if err := download(ctx, store, manifest.Object(f), f, filepath.Join(dir, filepath.FromSlash(f.Path))); err != nil {
			return nil, fmt.Errorf("download output %s: %w", key.Short(), err)
		}
	}
	return manifest, nil
}

func download(ctx context.Context, store *objects.Store, object string, want job.File, path string) (err error) {
	body, _, err := store.Open(ctx, object, objects.Condition{})
	if err != nil {
		return err
	}
	defer body.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), body)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != want.Size || got != want.SHA256 {
		return fmt.Errorf("file %s has %d bytes and SHA-256 %s, its manifest says %d and %s", want.Path, n, got, want.Size, want.SHA256)
	}
	return nil
}
