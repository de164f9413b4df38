package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressLine shows how far something long has come: in one line of a terminal, and nowhere else. Its methods may be
// called concurrently.
type progressLine struct {
	out io.Writer // nil when there is no terminal

	mu    sync.Mutex
	began time.Time
	drawn time.Time
}

// The line is drawn when a person begins to wonder, and not so often that drawing takes time.
const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 200 * time.Millisecond
)

func progressOn(w io.Writer) *progressLine {
	l := &progressLine{began: time.Now()}
	if f, ok := terminal(w); ok {
		l.out = f
	}
	return l
}

// show tells that done things of so many have been done; of is 0 while it is not known.
func (l *progressLine) show(what string, done, of int) {
	if l.out == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.began) < progressAfter || now.Sub(l.drawn) < progressEvery {
		return
	}
	l.drawn = now
	text := fmt.Sprintf("%s: %d", what, done)
	if of > 0 {
		text += fmt.Sprintf(" of %d", of)
	}
	fmt.Fprint(l.out, "\r"+text+clearLine)
}

// barColumns is how wide a bar is.
const barColumns = 20

// bar tells the same with a bar, where it is known of how many; that may be fewer than there turn out to be. Of nothing
// done there is only what is waited for.
func (l *progressLine) bar(what string, done, of int64) {
	if l.out == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.began) < progressAfter || now.Sub(l.drawn) < progressEvery {
		return
	}
	l.drawn = now
	text := what
	if done > 0 || of > 0 {
		text += ": " + grouped(done)
	}
	if of > 0 {
		share := min(1, float64(done)/float64(of))
		full := int(share * barColumns)
		text += fmt.Sprintf(" of %s  %3.0f%% %s%s", grouped(max(done, of)), 100*share, strings.Repeat("█", full), strings.Repeat("░", barColumns-full))
	}
	fmt.Fprint(l.out, "\r"+text+clearLine)
}

// clear removes the line.
func (l *progressLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.drawn.IsZero() {
		fmt.Fprint(l.out, "\r"+clearLine)
	}
}
