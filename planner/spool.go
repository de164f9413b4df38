package planner

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"spate/internal/objects"
	"spate/job"
)

// spool keeps a run's normalised manifest in a local file, so that a run of a million jobs costs the controller half a
// byte of memory for each and not its parameters.
type spool struct {
	file  *os.File
	marks []int64 // where each block of lines begins
	lines int
	size  int64
}

// blockLines is how many lines are found by one mark, and read at once.
const blockLines = 16

func newSpool() (*spool, error) {
	f, err := os.CreateTemp("", "spate-manifest-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	// The name is not needed again, and an unnamed file cannot be left behind.
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make spool: %w", err)
	}
	return &spool{file: f}, nil
}

func (s *spool) close() error { return s.file.Close() }

func (s *spool) len() int { return s.lines }

// writer appends lines. Flush it before line is called.
func (s *spool) writer() *spoolWriter {
	return &spoolWriter{spool: s, out: bufio.NewWriterSize(s.file, 1<<20)}
}

type spoolWriter struct {
	spool *spool
	out   *bufio.Writer
}

// append writes a line, which has its end.
func (w *spoolWriter) append(line []byte) error {
	if _, err := w.out.Write(line); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	s := w.spool
	if s.lines%blockLines == 0 {
		s.marks = append(s.marks, s.size)
	}
	s.lines++
	s.size += int64(len(line))
	return nil
}

func (w *spoolWriter) flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	return nil
}

// planned reads job i of a spooled normalised manifest.
func (s *spool) planned(i int) (job.Planned, error) { return s.reader().planned(i) }

// reader reads lines, best in order. A spool may have several readers; none is safe for concurrent use.
func (s *spool) reader() *spoolReader { return &spoolReader{spool: s, block: -1} }

type spoolReader struct {
	spool *spool
	block int // that is in buf
	buf   []byte
}

// line reads line i, from 0, with its end. It is valid until the next call.
func (r *spoolReader) line(i int) ([]byte, error) {
	if block := i / blockLines; block != r.block {
		if err := r.read(block); err != nil {
			r.block = -1
			return nil, fmt.Errorf("read spool: %w", err)
		}
		r.block = block
	}
	rest := r.buf
	for range i % blockLines {
		rest = rest[bytes.IndexByte(rest, '\n')+1:]
	}
	return rest[:bytes.IndexByte(rest, '\n')+1], nil
}

func (r *spoolReader) read(block int) error {
	first, after := r.spool.marks[block], r.spool.size
	if block+1 < len(r.spool.marks) {
		after = r.spool.marks[block+1]
	}
	r.buf = slices.Grow(r.buf[:0], int(after-first))[:after-first]
	_, err := r.spool.file.ReadAt(r.buf, first)
	return err
}

// planned reads job i of a spooled normalised manifest.
func (r *spoolReader) planned(i int) (job.Planned, error) {
	line, err := r.line(i)
	if err != nil {
		return job.Planned{}, err
	}
	return job.ParsePlanned(line)
}

func (s *spool) upload(ctx context.Context, store *objects.Store, key string) error {
	_, err := store.PutStream(ctx, key, io.NewSectionReader(s.file, 0, s.size), s.size)
	return err
}

// replace uploads in the place of an object with the ETag.
func (s *spool) replace(ctx context.Context, store *objects.Store, key, etag string) error {
	return store.ReplaceStream(ctx, key, etag, io.NewSectionReader(s.file, 0, s.size), s.size)
}

// spoolFrom copies lines from in.
func spoolFrom(in io.Reader) (*spool, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	w, r := s.writer(), bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			if err == io.EOF {
				line = append(line, '\n')
			}
			if err := w.append(line); err != nil {
				s.close()
				return nil, err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("fill spool: %w", err)
		}
	}
	return s, w.flush()
}
