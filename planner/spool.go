package planner

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"spate/internal/objects"
	"spate/job"
)

// spool keeps a run's normalised manifest in a local file, so that a run of a million jobs costs the controller eight
// bytes of memory for each and not its parameters.
type spool struct {
	file    *os.File
	offsets []int64 // of each line; one more than there are lines
}

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
	return &spool{file: f, offsets: []int64{0}}, nil
}

func (s *spool) close() error { return s.file.Close() }

// expect makes room for so many lines, no more.
func (s *spool) expect(lines int) { s.offsets = slices.Grow(s.offsets, lines) }

func (s *spool) len() int { return len(s.offsets) - 1 }

// writer appends lines. Flush it before line is called.
func (s *spool) writer() *spoolWriter {
	return &spoolWriter{spool: s, out: bufio.NewWriterSize(s.file, 1<<20)}
}

type spoolWriter struct {
	spool *spool
	out   *bufio.Writer
}

func (w *spoolWriter) append(line []byte) error {
	if _, err := w.out.Write(line); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	w.spool.offsets = append(w.spool.offsets, w.spool.offsets[len(w.spool.offsets)-1]+int64(len(line)))
	return nil
}

func (w *spoolWriter) flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	return nil
}

// line reads line i, from 0, with its end.
func (s *spool) line(i int) ([]byte, error) {
	buf := make([]byte, s.offsets[i+1]-s.offsets[i])
	if _, err := s.file.ReadAt(buf, s.offsets[i]); err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	return buf, nil
}

// planned reads job i of a spooled normalised manifest.
func (s *spool) planned(i int) (job.Planned, error) {
	line, err := s.line(i)
	if err != nil {
		return job.Planned{}, err
	}
	return job.ParsePlanned(line)
}

func (s *spool) upload(ctx context.Context, store *objects.Store, key string) error {
	size := s.offsets[len(s.offsets)-1]
	_, err := store.PutStream(ctx, key, io.NewSectionReader(s.file, 0, size), size)
	return err
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
