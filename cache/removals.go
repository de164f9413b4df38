package cache

import (
	"errors"
	"math"
	"slices"

	"spate/job"
)

// removals are what was removed while an epoch is being built, until no scan can put it back any more. A scan puts back
// what it had read before the removal and writes after it: only the page that it has under way. So once each segment's scan
// has ended that page, the removals of before are applied again, and forgotten. What is remembered is what the stream
// brings in about two pages, not in a whole build.
type removals struct {
	young keySet    // removed since old was closed
	old   []job.Key // waits for the scans
	after []int64   // pages that each segment's scan had ended when old was closed
	most  int       // to be remembered
}

// Bounds of what a build remembers and applies again.
const (
	maxRemoved     = 1_000_000 // removals, about 60 MB: as many come only while a scan hangs that the stream does not
	maxRemovedOnce = 10_000    // that are applied again at once: the follower does nothing else meanwhile
)

// segmentDone stands for the number of pages of a segment that was scanned to its end.
const segmentDone = math.MaxInt64

// errRestlessBuild says that more was removed during a build than it may remember.
var errRestlessBuild = errors.New("more outputs were removed while a scan hung than a build may remember")

// note remembers removals. It fails when they are too many.
func (r *removals) note(keys []job.Key) error {
	if r.young == nil {
		r.young = keySet{}
	}
	r.young.add(keys...)
	if r.len() > r.most {
		return errRestlessBuild
	}
	return nil
}

func (r *removals) len() int { return len(r.young) + len(r.old) }

// ripe are some removals that no scan can put back any more, given how many pages each segment's has ended: the first few,
// to be forgotten once they have been applied again.
func (r *removals) ripe(ended []int64) []job.Key {
	if len(r.old) == 0 {
		if len(r.young) == 0 {
			return nil
		}
		r.old, r.young, r.after = r.young.slice(), nil, slices.Clone(ended)
	}
	for i, pages := range ended {
		if pages != segmentDone && pages <= r.after[i] {
			return nil
		}
	}
	return r.old[:min(len(r.old), maxRemovedOnce)]
}

// forget drops the first few, which ripe returned.
func (r *removals) forget(n int) {
	if r.old = r.old[n:]; len(r.old) == 0 {
		r.old = nil // its memory is as large as it ever was
	}
}
