package cache

import (
	"sync"
	"time"

	"spate/internal/queue"
	"spate/job"
)

// UpdaterStatus is how the updater does. Its counts begin with the process.
type UpdaterStatus struct {
	LagSeconds      float64   `dynamodbav:"lag_seconds" json:"lag_seconds"`                      // age of the oldest change in the last batch that had one, one that failed included; 0 when the queue was found empty since and nothing fails
	LastHandled     time.Time `dynamodbav:"last_handled,omitempty" json:"last_handled,omitzero"` // when a change was last handled
	Handled         int64     `dynamodbav:"handled" json:"handled"`                              // changes that the ledger has the effect of, those that were stale included
	Stale           int64     `dynamodbav:"stale" json:"stale"`                                  // changes that needed no look at S3, because there had been one after them
	Foreign         int64     `dynamodbav:"foreign" json:"foreign"`                              // changes of objects that are no manifests
	Parked          int64     `dynamodbav:"parked" json:"parked"`                                // messages that could not be handled and were taken off the queue
	Failed          int64     `dynamodbav:"failed" json:"failed"`                                // times that S3 or the ledger failed for a change, which then came again
	Receivers       int       `dynamodbav:"receivers" json:"receivers"`                          // that take messages now
	WritesPerSecond float64   `dynamodbav:"writes_per_second" json:"writes_per_second"`          // that the ledger may make now
	WritesLimit     float64   `dynamodbav:"writes_limit" json:"writes_limit"`                    // that it may make at most, as configured
}

// Status is how the updater does now. It may be called at any time.
func (u *Updater) Status() UpdaterStatus {
	u.progress.mu.Lock()
	s := u.progress.status
	u.progress.mu.Unlock()
	s.WritesPerSecond, s.WritesLimit = u.Ledger.Pace(time.Now())
	return s
}

// fates are what became of one batch of messages.
type fates struct {
	now     time.Time
	oldest  time.Time // of the changes, those that failed included; zero when there was none
	results map[string]int
}

func newFates(now time.Time) fates { return fates{now: now, results: map[string]int{}} }

func (f *fates) lag() time.Duration { return max(0, f.now.Sub(f.oldest)) }

// add counts a message: its changes by what was seen, and itself when it has a fault.
func (f *fates) add(d delivery, seen map[job.Key]seenOutput, again bool, fault error) {
	if d.Foreign > 0 {
		f.results[resultForeign] += d.Foreign
	}
	switch {
	case fault != nil && again:
		f.results[resultPoison]++
	case fault != nil:
		f.results[resultParked]++
	}
	for _, c := range d.Changes {
		result := seen[c.Key].result
		if result == resultPoison {
			continue // counted with its message
		}
		f.results[result]++
		if !c.At.IsZero() && (f.oldest.IsZero() || c.At.Before(f.oldest)) {
			f.oldest = c.At
		}
	}
}

// progress adds fates up. It is safe for concurrent use.
type progress struct {
	mu     sync.Mutex
	status UpdaterStatus
	failed time.Time // when a change failed the last time
}

func (p *progress) add(f fates) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	handled := f.results[resultPresent] + f.results[resultAbsent] + f.results[resultExpired] + f.results[resultStale]
	s.Handled += int64(handled)
	s.Stale += int64(f.results[resultStale])
	s.Foreign += int64(f.results[resultForeign])
	s.Parked += int64(f.results[resultParked])
	s.Failed += int64(f.results[resultFailed])
	if f.results[resultFailed] > 0 {
		p.failed = f.now
	}
	if handled > 0 {
		s.LastHandled = f.now
	}
	if !f.oldest.IsZero() {
		s.LagSeconds = f.lag().Seconds()
	}
}

// failedFor is for how long an empty queue proves nothing after a change failed: its message is hidden until it comes again.
const failedFor = updateVisibility + queue.MaxWait

// caughtUp says that the queue had nothing to give, and reports whether that is because everything was handled.
func (p *progress) caughtUp(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.failed) < failedFor {
		return false
	}
	p.status.LagSeconds = 0
	return true
}

// receivers says how many there are more or fewer, unless that were more than a limit, and whether that is so now.
func (p *progress) receivers(change, limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status.Receivers+change > limit {
		return false
	}
	p.status.Receivers += change
	return true
}
