package scaler

import (
	"slices"
	"time"
)

const (
	// depthWindow is how long a queue must have shown less before less is believed: its attributes may say what was so a
	// minute ago ("GetQueueAttributes" in the Amazon SQS API reference).
	depthWindow = time.Minute
	// depthGap is the longest time between two answers that counts as having watched.
	depthGap = 5 * time.Second
)

// depth is how many jobs a queue is taken to hold that others fill: the most that it has shown in a minute of watching.
// More counts at once; less only when nothing has contradicted it for that long, so that no single answer empties a
// queue. Time without answers is no watching.
type depth struct {
	watched time.Duration
	at      time.Time // of the last answer; zero before the first
	peaks   []peak    // the highest since each time, falling; the first is the depth
}

type peak struct {
	watched time.Duration
	jobs    int
}

// saw takes an answer over. Answers come in the order of their times.
func (d *depth) saw(at time.Time, jobs int) {
	if !d.at.IsZero() {
		d.watched += min(depthGap, max(0, at.Sub(d.at)))
	}
	d.at = at
	d.peaks = slices.DeleteFunc(d.peaks, func(p peak) bool { return p.jobs <= jobs || d.watched-p.watched >= depthWindow })
	d.peaks = append(d.peaks, peak{d.watched, jobs})
}

// jobs is the depth, and when the queue last answered. known is false before the first answer.
func (d *depth) jobs() (jobs int, at time.Time, known bool) {
	if len(d.peaks) == 0 {
		return 0, time.Time{}, false
	}
	return d.peaks[0].jobs, d.at, true
}
