package scaler

import (
	"time"

	"spate/internal/price"
)

// Observation is everything a plan looks at. Each part says whether it is known, and since when.
type Observation struct {
	Pools map[string]PoolObservation // by name; a pool that is not in it is unknown
	// Tokens is how many tasks may be launched now without being throttled, by provider; none for one not in it. Those of
	// requests that are not sent yet are among them.
	Tokens map[string]int
	// Rates is how many tasks a second each provider's tokens come back with; 0: not known. Only times are told by it.
	Rates map[string]float64
}

// PoolObservation is what is known of one pool.
type PoolObservation struct {
	Demand    Demand
	Workers   Workers
	Unsettled map[string]int // tasks asked for whose launch is neither confirmed nor denied, by provider
	// UnsettledByDefinition is the same by task definition, as in Workers.
	UnsettledByDefinition map[string]int
	Unsent                map[string]int // of the unsettled ones, those whose requests are not sent yet, by provider
	Holds                 []Hold
	Asked                 Asked
	// Still is for how long workers have run and the number of outstanding jobs has not fallen.
	Still     time.Duration
	StopError string // ECS's words when it last refused to stop a task of a killed pool; "" when it did not
}

// Demand is how much work a pool has.
type Demand struct {
	Outstanding    int    // jobs that are released and unfinished
	TaskDefinition string // family:revision or its ARN, to launch workers of; the pool's newest when there is no work
	Container      string // of the task definition; "" means "spate"
	// JobDuration is how long one of the outstanding jobs takes, in the mean; 0: not known.
	JobDuration time.Duration
	// Runs are those whose jobs are the pool's work, for sizing by deadline.
	Runs []RunWork
	// QueueEmptySince is since when the queue has shown nothing at all that the jobs should be on; zero: it shows something, or
	// is not known.
	QueueEmptySince time.Time
	// Worker is the size of a task of the definition.
	Worker WorkerSize
	At     time.Time
	Known  bool
}

// RunWork is what one run has left to do.
type RunWork struct {
	Submitted   time.Time
	Jobs        int           // that have not ended, those that wait for others included
	JobDuration time.Duration // mean of these; 0: not known
}

// WorkerSize is what one worker takes from the account.
type WorkerSize struct {
	VCPU     float64 // 0: not known
	MemoryGB float64 // 0: not known
	Arch     price.Arch
}

// Workers is what the last listing and the launches since tell of a pool's tasks.
type Workers struct {
	Running    int
	Listed     int            // of the running ones, those not described yet: they run, or are about to
	Pending    int            // launched, not running yet; those that no listing shows yet included
	Stopping   int            // told to stop: none of the others
	StoppingBy map[string]int // the same by provider: until they are gone they take what workers take of the account
	ByProvider map[string]int // running and pending
	// ByDefinition is the same by task definition (family:revision or its ARN). One that is not in it, or under "", is
	// taken for a worker of the demand's.
	ByDefinition map[string]int
	// StartUp is how long tasks take from their launch until they run, as lately seen; 0: not known.
	StartUp time.Duration
	// PendingFor is how long ago the pending ones were launched, all added up, none of them for more than StartUp.
	PendingFor time.Duration
	// Awaited is since when the description has been waited for that is waited for longest; zero: none is.
	Awaited time.Time
	At      time.Time // of the listing, or Awaited where that is earlier
	Known   bool
}

// Hold keeps a provider (or with Provider "" the whole pool) from launching until a time.
type Hold struct {
	Provider string
	Until    time.Time
	Limit    Limit
	Reason   string // ECS's own words
	Trial    int    // tasks that may be launched in spite of it, to see whether it still holds
}

// Asked is what people want of a pool, as last read.
type Asked struct {
	Control
	At    time.Time
	Known bool
}

// most is how many workers there may be of a pool with that maximum, and what says so.
func (a Asked) most(maximum int) (int, Limit) {
	if a.Known && a.Cap != nil && *a.Cap < maximum {
		return *a.Cap, LimitCap
	}
	return maximum, LimitMax
}
