package scaler

import (
	"math"
	"time"
)

// Rate is the size and the speed of a token bucket.
type Rate struct {
	Burst     int
	PerSecond float64
}

// launchRate is how fast Fargate launches the tasks of one capacity provider ("Amazon ECS service quotas": tasks
// launched on demand and on Spot, each with a bucket of its own).
func launchRate() Rate { return Rate{Burst: 100, PerSecond: 20} }

// callRate is how often RunTask may be called: the bucket is shared with StopTask, and calls for Fargate tasks are
// limited to 20 a second ("Amazon ECS service quotas").
func callRate() Rate { return Rate{Burst: 100, PerSecond: 20} }

// lookRate is half of what ListTasks and DescribeTasks share in an account (burst 100, then 20 a second): the other
// half is for people and their tools.
func lookRate() Rate { return Rate{Burst: 50, PerSecond: 10} }

// Bucket is a token bucket. It starts full. A time before an earlier one counts as that one. It is not safe for
// concurrent use.
type Bucket struct {
	rate   Rate
	tokens float64
	at     time.Time
}

// NewBucket makes a full bucket.
func NewBucket(now time.Time, rate Rate) *Bucket {
	return &Bucket{rate: rate, tokens: float64(rate.Burst), at: now}
}

// tokenDust is what rounding may take from a whole token.
const tokenDust = 1e-6

// Available is how many tokens may be taken.
func (b *Bucket) Available(now time.Time) int {
	b.refill(now)
	return int(math.Floor(b.tokens + tokenDust))
}

// Take takes up to want tokens and returns how many it took.
func (b *Bucket) Take(now time.Time, want int) (granted int) {
	granted = max(0, min(want, b.Available(now)))
	b.tokens -= float64(granted)
	return granted
}

// Refund gives back tokens that were taken and not used.
func (b *Bucket) Refund(now time.Time, n int) {
	b.refill(now)
	b.tokens = min(float64(b.rate.Burst), b.tokens+float64(max(0, n)))
}

// Empty takes everything: whoever keeps the real bucket has just said that there is nothing in it.
func (b *Bucket) Empty(now time.Time) {
	b.refill(now)
	b.tokens = 0
}

// Until is how long it takes until n tokens (at most the burst) may be taken.
func (b *Bucket) Until(now time.Time, n int) time.Duration {
	b.refill(now)
	lacking := float64(min(n, b.rate.Burst)) - b.tokens
	if lacking <= tokenDust {
		return 0
	}
	return time.Duration(math.Ceil(lacking / b.rate.PerSecond * float64(time.Second)))
}

func (b *Bucket) refill(now time.Time) {
	if now.After(b.at) {
		b.tokens = min(float64(b.rate.Burst), b.tokens+now.Sub(b.at).Seconds()*b.rate.PerSecond)
		b.at = now
	}
}
