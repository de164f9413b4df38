package cache

import (
	"sync"

	"spate/job"
)

// keyLocks locks keys: callers that have a key in common wait for one another. Locks are held while services are called.
// The zero value is unlocked.
type keyLocks struct {
	mu    sync.Mutex // held for moments only
	freed sync.Cond
	held  map[job.Key]struct{}
}

// lock locks all keys at once, so that two callers cannot wait for each other.
func (l *keyLocks) lock(keys []job.Key) (unlock func()) {
	keys = distinct(keys)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held, l.freed.L = map[job.Key]struct{}{}, &l.mu
	}
	for l.heldAny(keys) {
		l.freed.Wait()
	}
	for _, k := range keys {
		l.held[k] = struct{}{}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, k := range keys {
			delete(l.held, k)
		}
		l.freed.Broadcast()
	}
}

func (l *keyLocks) heldAny(keys []job.Key) bool {
	for _, k := range keys {
		if _, held := l.held[k]; held {
			return true
		}
	}
	return false
}

// slowLock is a lock that is held while services are called: one slot, taken while it is full.
type slowLock chan struct{}

func newSlowLock() slowLock { return make(slowLock, 1) }

// Lock waits for its turn.
func (l slowLock) Lock() { l <- struct{}{} }

// Unlock is the next one's turn.
func (l slowLock) Unlock() { <-l }
