package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// transfersAtOnce is how many objects of one job move at a time.
const transfersAtOnce = 8

// download is one file to be staged.
type download struct {
	what     string // it is, for people
	to       string // absolute path
	store    ObjectReader
	object   string
	match    objects.Condition
	size     int64                    // -1 when not known
	sha256   string                   // "" when not known
	identity string                   // says which bytes these are, for the cache; "" when nothing does
	other    func(cause string) error // makes the error of an object that is missing or not what it should be
}

// stager puts in place what one job reads.
type stager struct {
	w    *Worker
	held *hold
	m    job.Message
	doc  job.Document
	dir  string // input directory
}

// stage reads the inputs and the parents' outputs into the input directory. A parent's manifest that promises what is
// not there is deleted, so that nobody takes it for an output again.
func (s *stager) stage(ctx context.Context) error {
	downloads, err := s.inputs()
	if err != nil {
		return err
	}
	ofParents, err := s.parents(ctx)
	if err != nil {
		return s.discard(ctx, err)
	}
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(transfersAtOnce)
	for _, d := range append(downloads, ofParents...) {
		group.Go(func() error { return s.fetch(inGroup, d) })
	}
	return s.discard(ctx, group.Wait())
}

func (s *stager) inputs() ([]download, error) {
	downloads := make([]download, 0, len(s.m.Inputs))
	for name, identity := range s.doc.Spec.Inputs {
		if !filepath.IsLocal(name) {
			return nil, jobErrorf("staged name %q leaves the input directory", name)
		}
		bucket, object, err := job.ParseObjectURL(s.m.Inputs[name])
		if err != nil {
			return nil, jobErrorf("input %q: %v", name, err)
		}
		d := download{
			what: fmt.Sprintf("input %q from %s", name, s.m.Inputs[name]),
			to:   filepath.Join(s.dir, name), store: s.w.opt.Inputs(bucket), object: object, size: -1, sha256: identity.SHA256,
			other: func(cause string) error { return &inputChangedError{Input: name, Cause: cause} },
		}
		if identity.ETag != "" {
			d.match, d.size = objects.Condition{IfMatch: identity.ETag}, identity.Size
			d.identity = fmt.Sprintf("%s/%s/%s/%d", bucket, object, identity.ETag, identity.Size)
		}
		if identity.SHA256 != "" {
			d.identity = identity.SHA256
		}
		downloads = append(downloads, d)
	}
	return downloads, nil
}

// parents reads the parents' manifests and lists the files that they name.
func (s *stager) parents(ctx context.Context) ([]download, error) {
	var mu sync.Mutex
	var downloads []download
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfersAtOnce)
	for name, parent := range s.doc.Parents {
		group.Go(func() error {
			files, err := s.parent(ctx, name, parent)
			mu.Lock()
			defer mu.Unlock()
			downloads = append(downloads, files...)
			return err
		})
	}
	return downloads, group.Wait()
}

func (s *stager) parent(ctx context.Context, name string, parent job.ParentOutputs) ([]download, error) {
	dir := filepath.Join(s.dir, name)
	if !filepath.IsLocal(name) {
		return nil, jobErrorf("staged name %q leaves the input directory", name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, onDisk(err)
	}
	data, info, err := s.w.get(ctx, s.held, job.ManifestPath(parent.Key))
	if errors.Is(err, objects.ErrNotFound) {
		return nil, &parentLostError{Parent: parent.Key, Cause: "there is no manifest"}
	}
	if err != nil {
		return nil, err
	}
	manifest, err := job.ParseManifest(data, parent.Key)
	if err != nil {
		return nil, &parentLostError{Parent: parent.Key, Cause: err.Error(), ETag: info.ETag}
	}
	files, err := manifest.Select(parent.Files)
	if err != nil {
		// The parent ran and did not write it: it would not the next time either.
		return nil, jobErrorf("need %q: %v", name, err)
	}
	downloads := make([]download, len(files))
	for i, f := range files {
		downloads[i] = download{
			what: fmt.Sprintf("file %q of need %q from %s", f.Path, name, manifest.Object(f)),
			to:   filepath.Join(dir, filepath.FromSlash(f.Path)), store: s.w.opt.Objects, object: manifest.Object(f),
			size: f.Size, sha256: f.SHA256, identity: f.SHA256,
			other: func(cause string) error {
				return &parentLostError{Parent: parent.Key, Cause: fmt.Sprintf("file %q: %s", f.Path, cause), ETag: info.ETag}
			},
		}
	}
	return downloads, nil
}

// fetch puts one file in place, from the cache when its bytes are there.
func (s *stager) fetch(ctx context.Context, d download) error {
	if err := os.MkdirAll(filepath.Dir(d.to), 0o700); err != nil {
		return onDisk(err)
	}
	n, ok, err := s.w.cache.copyTo(d.identity, d.to)
	if err != nil {
		return onDisk(err)
	}
	if ok {
		s.w.metrics.staged.WithLabelValues("cache").Add(float64(n))
		return nil
	}
	err = persistS3(ctx, s.held, "read "+d.what, func() error {
		var err error
		n, err = d.run(ctx)
		return err
	})
	if err != nil {
		return err
	}
	s.w.metrics.staged.WithLabelValues("s3").Add(float64(n))
	if err := s.w.cache.add(d.identity, d.to); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not keep a staged file for later jobs")
	}
	return nil
}

// run reads the object to its place once, checks that it is what it should be, and returns its size.
func (d download) run(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTime(d.size))
	defer cancel()
	body, info, err := d.store.Open(ctx, d.object, d.match)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		return 0, d.other("the object does not exist")
	case errors.Is(err, objects.ErrPrecondition):
		return 0, d.other("the object has changed: its ETag is no longer " + d.match.IfMatch)
	case err != nil:
		return 0, err
	}
	defer body.Close()
	if d.size >= 0 && info.Size != d.size {
		return 0, d.other(fmt.Sprintf("the object has %d bytes, not %d", info.Size, d.size))
	}
	f, err := os.Create(d.to)
	if err != nil {
		return 0, onDisk(err)
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(diskWriter{f}, hash), body)
	if closed := f.Close(); err == nil && closed != nil {
		err = onDisk(closed)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", d.object, err)
	case n != info.Size:
		return 0, fmt.Errorf("read %s: %d of %d bytes: %w", d.object, n, info.Size, io.ErrUnexpectedEOF)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); d.sha256 != "" && sum != d.sha256 {
		return 0, d.other(fmt.Sprintf("the object's SHA-256 is %s, not %s", sum, d.sha256))
	}
	return n, nil
}

// diskWriter marks the errors of writing to disk, so that they can be told from errors of reading from S3.
type diskWriter struct{ w io.Writer }

// Write writes.
func (d diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	return n, onDisk(err)
}

// discard deletes the manifest that a lost parent's error names, if it is still that one, and returns err.
func (s *stager) discard(ctx context.Context, err error) error {
	var lost *parentLostError
	if !errors.As(err, &lost) || lost.ETag == "" {
		return err
	}
	object := job.ManifestPath(lost.Parent)
	failed := persistS3(ctx, s.held, "delete "+object, func() error {
		return s.w.opt.Objects.Delete(ctx, object, objects.Condition{IfMatch: lost.ETag})
	})
	if failed == nil || errors.Is(failed, objects.ErrNotFound) || errors.Is(failed, objects.ErrPrecondition) {
		return err // gone, or replaced by somebody: as good
	}
	return failed
}
