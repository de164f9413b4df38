// Package download copies objects whose size and SHA-256 are known into a directory. It decides nothing.
//
// # What is there at any time
//
// A file appears under its name when all of it has come and its bytes are those wanted, never before: until then it lies
// below [partialDir] in the same directory. A download that ended early is resumed by another of the same files, which
// keeps each one that is there and right. It is not made sure that files outlive a crash of the machine: the next download
// would find them wrong, and fetch them again.
//
// # Failure modes
//
// A file whose object is gone, or has other bytes, is reported and the others are fetched all the same. What concerns the
// directory or S3 as a whole ends the download: a full disk, a name that is taken, a network that stays away.
//
// No file is written outside of the directory, whatever paths say and whatever symbolic links lie in it.
package download

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
)

// File is an object, and where it is to lie.
type File struct {
	Object string
	Path   string // below the directory, with slashes
	Size   int64  // bytes
	SHA256 string // 64 lower-case hexadecimal digits
}

// Tally says what became of the files.
type Tally struct {
	Fetched  int   `json:"fetched"`  // that came, those replaced among them
	Bytes    int64 `json:"bytes"`    // of those
	Replaced int   `json:"replaced"` // where something else stood
	Kept     int   `json:"kept"`     // that were there and right
	Bad      []Bad `json:"bad"`      // that S3 does not have as they should be, by path
}

// Bad is a file that S3 does not have as it should be.
type Bad struct {
	Path  string `json:"path"`
	Cause string `json:"cause"`
}

const (
	// filesAtOnce is how many files are looked at or fetched at once.
	filesAtOnce = 16
	// tries is how often a file is fetched whose bytes stop coming, firstPause how long the first pause between, which
	// doubles, and stalled after how long without a byte they count as stopped.
	tries      = 4
	firstPause = 500 * time.Millisecond
	stalled    = time.Minute
)

// To copies files into a directory, which is made if need be. It returns what was done also with an error. progress, which
// may be nil, is told of each step how many bytes of how many are in place, and may be called concurrently.
func To(ctx context.Context, dir string, store *objects.Store, files []File, progress func(done, of int64)) (*Tally, error) {
	d := &download{store: store, progress: progress, tally: Tally{Bad: []Bad{}}}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return &d.tally, fmt.Errorf("make directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return &d.tally, fmt.Errorf("open directory: %w", err)
	}
	defer root.Close()
	d.root = root
	if d.partial, err = openPartial(root, time.Now()); err != nil {
		return &d.tally, err
	}
	defer d.partial.close()
	folds, err := d.partial.foldsCase()
	if err != nil {
		return &d.tally, err
	}
	if err := checkNames(files, folds); err != nil {
		return &d.tally, err
	}
	for _, f := range files {
		d.of += f.Size
	}
	err = d.all(ctx, files)
	slices.SortFunc(d.tally.Bad, func(a, b Bad) int { return cmp.Compare(a.Path, b.Path) })
	return &d.tally, err
}

// download is one call of To.
type download struct {
	store    *objects.Store
	root     *os.Root
	partial  *partial
	progress func(done, of int64)
	of       int64

	mu    sync.Mutex
	tally Tally
	done  int64
}

func (d *download) all(ctx context.Context, files []File) error {
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, f := range files {
		if inGroup.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := d.file(inGroup, f); err != nil {
				return fmt.Errorf("download %s: %w", f.Path, err)
			}
			return nil
		})
	}
	return cmp.Or(group.Wait(), ctx.Err())
}

// advance tells how far the download has come.
func (d *download) advance(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done += n
	if d.progress != nil {
		d.progress(d.done, d.of)
	}
}

// file puts one file in place.
func (d *download) file(ctx context.Context, f File) error {
	there, right, err := d.look(ctx, f)
	if err != nil {
		return err
	}
	if right {
		d.advance(f.Size)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tally.Kept++
		return nil
	}
	err = d.fetch(ctx, f)
	d.mu.Lock()
	defer d.mu.Unlock()
	if bad, ok := errors.AsType[*badError](err); ok {
		d.tally.Bad = append(d.tally.Bad, Bad{f.Path, bad.cause})
		return nil
	}
	if err != nil {
		return err
	}
	d.tally.Fetched++
	d.tally.Bytes += f.Size
	if there {
		d.tally.Replaced++
	}
	return nil
}

// look says whether there is something in the place of a file, and whether it is right.
func (d *download) look(ctx context.Context, f File) (there, right bool, err error) {
	name := filepath.FromSlash(f.Path)
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, err
	case info.IsDir():
		return false, false, fmt.Errorf("a directory of that name is in the way")
	case !info.Mode().IsRegular() || info.Size() != f.Size:
		return true, false, nil
	}
	file, err := d.root.Open(name)
	if err != nil {
		return false, false, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, &reader{from: file, ctx: ctx})
	return true, hex.EncodeToString(sum.Sum(nil)) == f.SHA256, err
}

// badError is about a file that S3 does not have as it should be.
type badError struct{ cause string }

func (e *badError) Error() string { return e.cause }

// fetch fetches one file, more than once if its bytes stop coming.
func (d *download) fetch(ctx context.Context, f File) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := d.fetchOnce(ctx, f)
		if stopped, ok := errors.AsType[*stoppedError](err); !ok || try == tries || ctx.Err() != nil {
			return err
		} else {
			d.advance(-stopped.after)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause *= 2
	}
}

// stoppedError says that an object's bytes stopped coming.
type stoppedError struct {
	after int64 // bytes
	err   error
}

func (e *stoppedError) Error() string {
	return fmt.Sprintf("bytes stopped coming after %d: %v", e.after, e.err)
}

func (e *stoppedError) Unwrap() error { return e.err }

var errStalled = errors.New("none came for " + stalled.String())

// fetchOnce reads the object into a partial file and gives that the file's name when its bytes are right.
func (d *download) fetchOnce(ctx context.Context, f File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, info, err := d.store.Open(ctx, f.Object, objects.Condition{})
	switch {
	case errors.Is(err, objects.ErrNotFound):
		return &badError{"its object is gone from S3"}
	case err != nil:
		return err
	}
	defer body.Close()
	if info.Size != f.Size {
		return &badError{fmt.Sprintf("its object in S3 has %d bytes, and should have %d", info.Size, f.Size)}
	}
	file, name, err := d.partial.create()
	if err != nil {
		return err
	}
	stall := time.AfterFunc(stalled, func() { cancel(errStalled) })
	defer stall.Stop()
	in := &reader{from: body, ctx: ctx, came: func(n int) {
		stall.Reset(stalled)
		d.advance(int64(n))
	}}
	sum := sha256.New()
	_, err = io.Copy(file, io.TeeReader(in, sum))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = d.accept(f, name, in.n, sum)
	}
	if err == nil {
		return nil
	}
	d.partial.remove(name)
	if in.err != nil {
		return &stoppedError{in.n, in.err}
	}
	return err
}

// accept gives a partial file its name if it is right.
func (d *download) accept(f File, partial string, n int64, sum hash.Hash) error {
	if got := hex.EncodeToString(sum.Sum(nil)); n != f.Size || got != f.SHA256 {
		return &badError{fmt.Sprintf("its object in S3 has other bytes: SHA-256 %s, and should have %s", got, f.SHA256)}
	}
	if err := d.root.MkdirAll(filepath.FromSlash(path.Dir(f.Path)), 0o777); err != nil {
		return err
	}
	return d.root.Rename(partial, filepath.FromSlash(f.Path))
}

// reader reads until its context is done, counts, and remembers what was wrong.
type reader struct {
	from io.Reader
	ctx  context.Context //nolint:containedctx // of this one reading
	came func(n int)     // may be nil
	n    int64
	err  error
}

// Read reads some bytes.
func (r *reader) Read(p []byte) (int, error) {
	if r.err = context.Cause(r.ctx); r.err != nil {
		return 0, r.err
	}
	n, err := r.from.Read(p)
	r.n += int64(n)
	if n > 0 && r.came != nil {
		r.came(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = cmp.Or(context.Cause(r.ctx), err)
		return n, r.err
	}
	return n, err
}
