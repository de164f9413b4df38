package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"spate/job"
)

// What is kept of all that a job's processes print.
const (
	logInline = 8 << 10 // bytes that a manifest holds; more become an object of their own
	logHead   = 4 << 20 // of longer output: so much of its beginning
	logTail   = 4 << 20 // and so much of its end
)

// transcript keeps what a job's processes print: short output in memory, longer output in a file, and of output that is
// longer than head and tail together, its beginning and its end. A Write never fails, and nor does a job because of it.
// It is safe for concurrent use.
type transcript struct {
	path       string // of the file, which is made when it is needed
	head, tail int64  // bytes

	mu     sync.Mutex
	short  []byte // all, until there is a file
	file   *os.File
	size   int64 // that was written
	broken error // why it does not go on
}

func newTranscript(path string) *transcript {
	return &transcript{path: path, head: logHead, tail: logTail}
}

// Write takes any part of the output.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken != nil {
		return len(p), nil
	}
	if t.file == nil {
		if len(t.short)+len(p) <= logInline {
			t.short, t.size = append(t.short, p...), t.size+int64(len(p))
			return len(p), nil
		}
		var err error
		if t.file, err = os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			t.broken = err
			return len(p), nil
		}
		t.size = 0
		t.spool(t.short)
		t.short = nil
	}
	t.spool(p)
	return len(p), nil
}

// spool writes to the file: to its head as long as there is room, then round and round in its tail.
func (t *transcript) spool(p []byte) {
	for len(p) > 0 && t.broken == nil {
		at, room := t.size, t.head-t.size
		if room <= 0 {
			place := (t.size - t.head) % t.tail
			at, room = t.head+place, t.tail-place
		}
		part := p[:min(int64(len(p)), room)]
		if _, err := t.file.WriteAt(part, at); err != nil {
			t.broken = err
		}
		t.size, p = t.size+int64(len(part)), p[len(part):]
	}
}

// isShort reports whether a manifest can hold all of it.
func (t *transcript) isShort() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.file == nil && t.broken == nil
}

// text is all of short output, as valid text.
func (t *transcript) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.short), "�")
}

// reader reads what was kept, with a mark where something is left out, and its size in bytes. Nothing may be written
// any more.
func (t *transcript) reader() (io.ReadSeeker, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.broken != nil:
		return nil, t.broken
	case t.file == nil:
		return bytes.NewReader(t.short), nil
	case t.size <= t.head+t.tail:
		return io.NewSectionReader(t.file, 0, t.size), nil
	}
	// The oldest byte of the tail is where the next one would have been written.
	place := (t.size - t.head) % t.tail
	mark := fmt.Sprintf("\n[… %d bytes are left out here …]\n", t.size-t.head-t.tail)
	whole := io.MultiReader(
		io.NewSectionReader(t.file, 0, t.head), strings.NewReader(mark),
		io.NewSectionReader(t.file, t.head+place, t.tail-place), io.NewSectionReader(t.file, t.head, place),
	)
	text, err := io.ReadAll(whole)
	return bytes.NewReader(text), err
}

// close removes the file.
func (t *transcript) close() {
	if t != nil && t.file != nil {
		_ = t.file.Close()
		_ = os.Remove(t.path)
	}
}

// keepLog gives a manifest what the job printed: the text where it is short, else the size of an object that holds it. A
// log that cannot be stored is left out.
func (w *Worker) keepLog(ctx context.Context, m *job.Manifest, t *transcript) {
	if t.isShort() {
		m.Log = t.text()
		return
	}
	m.LogBytes = w.storeLog(ctx, m.Key, m.Attempt, t)
}

// storeLog uploads what a job printed and returns its size; 0 when that failed.
func (w *Worker) storeLog(ctx context.Context, key job.Key, attempt string, t *transcript) int64 {
	size, err := w.putLog(ctx, job.LogPath(key, attempt), t)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not keep what the job printed")
		return 0
	}
	return size
}

func (w *Worker) putLog(ctx context.Context, object string, t *transcript) (int64, error) {
	body, err := t.reader()
	if err != nil {
		return 0, err
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	_, err = w.opt.Objects.PutStream(ctx, object, body, size)
	return size, err
}

// logTime bounds the upload of a log, which is tried once: nothing depends on it.
const logTime = time.Minute
