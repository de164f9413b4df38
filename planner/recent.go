package planner

import (
	"sync"
	"time"

	"spate/job"
)

// Bounds of what recent remembers.
const (
	recentFor  = 5 * time.Minute
	recentMost = 1_000_000 // keys: about 100 MB
)

// recent remembers which outputs were finished in the last minutes. It bridges the seconds that an output needs from
// S3 into the cache, so that a run submitted right behind another finds all of its outputs. Like every hit, what it says
// is checked in S3 before a run ends. It is safe for concurrent use.
type recent struct {
	mu   sync.Mutex
	done map[job.Key]time.Time
}

func (r *recent) add(key job.Key, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = map[job.Key]time.Time{}
	}
	if len(r.done) < recentMost {
		r.done[key] = now
	}
}

func (r *recent) remove(key job.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.done, key)
}

func (r *recent) has(key job.Key, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.done[key]
	return ok && now.Sub(at) < recentFor
}

func (r *recent) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, at := range r.done {
		if now.Sub(at) >= recentFor {
			delete(r.done, key)
		}
	}
}
