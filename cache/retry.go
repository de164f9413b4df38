package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"spate/internal/awsclient"
)

// Waits between tries double from the first to the longest, each with full jitter.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// errUnprocessed says that a service took only part of a batch, as often as it was asked.
var errUnprocessed = errors.New("part of the batch was left unprocessed")

// retry calls do until it is done, fails for good, or the tries are used up. do returns false without an error when
// part of its work is left.
func retry(ctx context.Context, tries int, do func() (done bool, err error)) error {
	for try := 0; ; try++ {
		done, err := do()
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && (final(err) || !passing(err)) {
			return err
		}
		if try == tries-1 {
			if err == nil {
				err = errUnprocessed
			}
			return err
		}
		if err := sleep(ctx, backoff(try)); err != nil {
			return err
		}
	}
}

// passing reports whether a failed call may succeed when it is sent again.
func passing(err error) bool {
	switch awsclient.Classify(err) {
	case awsclient.ClassThrottled, awsclient.ClassTransient, awsclient.ClassUnknown:
		return true
	case awsclient.ClassNone, awsclient.ClassCapacity, awsclient.ClassQuota, awsclient.ClassConfiguration, awsclient.ClassConflict:
		return false
	}
	return false
}

// backoff is how long to wait after so many failures, the first being 0.
func backoff(failures int) time.Duration {
	bound := longestWait
	if failures < 7 {
		bound = min(firstWait<<failures, longestWait)
	}
	return rand.N(bound) + time.Millisecond
}

// sleep waits, or returns ctx's error when it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
