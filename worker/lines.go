package worker

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// What is kept of a process's output.
const (
	keptLines    = 20
	maxLineBytes = 1000 // of one line; the rest of it is dropped
)

// tail takes a process's output, passes each line on and keeps the last ones. It is safe for concurrent use.
type tail struct {
	emit func(line string) // may be nil

	mu      sync.Mutex
	kept    []string
	line    []byte // the line being written, at most maxLineBytes+1
	started bool   // whether there is such a line, be it empty
	cut     bool   // something was not kept
}

// Write takes any part of the output.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		room := maxLineBytes + 1 - len(t.line)
		t.line = append(t.line, part[:min(len(part), room)]...)
		t.started = true
		if ended {
			t.end()
		}
		rest = after
	}
	return len(p), nil
}

// lines ends the line being written and returns the last lines, oldest first.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		t.end()
	}
	return slices.Clone(t.kept)
}

// isCut reports whether lines returns less than was printed.
func (t *tail) isCut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cut
}

func (t *tail) end() {
	t.cut = t.cut || len(t.line) > maxLineBytes
	line := readable(t.line)
	t.line, t.started = t.line[:0], false
	if len(t.kept) == keptLines {
		t.cut = true
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, line)
	if t.emit != nil {
		t.emit(line)
	}
}

// readable makes valid text of at most maxLineBytes bytes (and an ellipsis) of a line.
func readable(line []byte) string {
	if len(line) > maxLineBytes {
		line = line[:maxLineBytes]
		// The cut may have gone through a character.
		for i := 1; i < utf8.UTFMax && i <= len(line); i++ {
			if start := line[len(line)-i:]; utf8.RuneStart(start[0]) {
				if !utf8.FullRune(start) {
					line = line[:len(line)-i]
				}
				break
			}
		}
		return strings.ToValidUTF8(string(line), "�") + "…"
	}
	return strings.ToValidUTF8(string(bytes.TrimSuffix(line, []byte{'\r'})), "�")
}
