package ecs

import (
	"errors"
	"time"
)

// Limits are the account's, as far as they are kept. The zero value means those
// of a new account.
type Limits struct {
	// LaunchBurst is how many tasks may be launched at once on one capacity
	// provider; 0 means 100 ("AWS Fargate throttling quotas").
	LaunchBurst int
	// LaunchesPerSecond is how fast the bucket refills; 0 means 20.
	LaunchesPerSecond float64
}

func (l Limits) withDefaults() Limits {
	if l.LaunchBurst == 0 {
		l.LaunchBurst = 100
	}
	if l.LaunchesPerSecond == 0 {
		l.LaunchesPerSecond = 20
	}
	return l
}

func (l Limits) validate() error {
	if l.LaunchBurst < 1 || l.LaunchesPerSecond <= 0 {
		return errors.New("launch burst and launches per second must be positive")
	}
	return nil
}

// bucket is a token bucket that starts full.
type bucket struct {
	burst     float64
	perSecond float64
	tokens    float64
	filled    time.Time // when tokens was true
}

func newBucket(limits Limits, now time.Time) *bucket {
	burst := float64(limits.LaunchBurst)
	return &bucket{burst: burst, perSecond: limits.LaunchesPerSecond, tokens: burst, filled: now}
}

// has says whether n tokens are there.
func (b *bucket) has(now time.Time, n int) bool {
	if elapsed := now.Sub(b.filled); elapsed > 0 {
		b.tokens = min(b.burst, b.tokens+elapsed.Seconds()*b.perSecond)
		b.filled = now
	}
	// Refilling adds up fractions; a billionth short is not short.
	return b.tokens+1e-9 >= float64(n)
}

// take uses n tokens, which must be there.
func (b *bucket) take(n int) { b.tokens -= float64(n) }
