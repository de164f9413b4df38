// Package limit is the token bucket by which services hold their callers to a rate.
package limit

import "time"

// Rate is how many tokens a bucket holds and how many a second it gets. The zero Rate admits nothing.
type Rate struct {
	Burst     float64 `json:"burst"`
	PerSecond float64 `json:"per_second"`
}

// Bucket is a token bucket that starts full. Its rate is given with each use, as it may change. It has no lock.
type Bucket struct {
	tokens float64
	filled time.Time // when tokens was true
}

// Has says whether n tokens are there.
func (b *Bucket) Has(now time.Time, r Rate, n float64) bool {
	if b.filled.IsZero() {
		b.tokens, b.filled = r.Burst, now
	}
	if elapsed := now.Sub(b.filled); elapsed > 0 {
		b.tokens += elapsed.Seconds() * r.PerSecond
		b.filled = now
	}
	b.tokens = min(b.tokens, r.Burst)
	// Refilling adds up fractions; a billionth short is not short.
	return b.tokens+1e-9 >= n
}

// Take uses n tokens. More than there are make a debt.
func (b *Bucket) Take(n float64) { b.tokens -= n }

// IsFull says whether the bucket is as good as new.
func (b *Bucket) IsFull(now time.Time, r Rate) bool { return b.Has(now, r, r.Burst) }
