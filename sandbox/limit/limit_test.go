package limit

import (
	"testing"
	"time"
)

// takeAll takes single tokens until there is none, and returns how many there were: a thousand at most.
func takeAll(b *Bucket, now time.Time, r Rate) (n int) {
	for ; n < 1000 && b.Has(now, r, 1); n++ {
		b.Take(1)
	}
	return n
}

func TestABucketHoldsItsBurstAndNoMore(t *testing.T) {
	start, rate := time.Unix(1_700_000_000, 0), Rate{Burst: 7, PerSecond: 3}
	var b Bucket
	if first, later := takeAll(&b, start, rate), takeAll(&b, start.Add(time.Hour), rate); first != 7 || later != 7 {
		t.Errorf("%d tokens at first, %d after an hour, want 7 each", first, later)
	}
	if b.IsFull(start.Add(time.Hour), rate) || !b.IsFull(start.Add(2*time.Hour), rate) {
		t.Error("want it full an hour after the last use, and not before")
	}
}

func TestABucketFillsAtItsRate(t *testing.T) {
	start, rate := time.Unix(1_700_000_000, 0), Rate{Burst: 100, PerSecond: 20}
	var b Bucket
	takeAll(&b, start, rate)
	taken := 0
	for i := 1; i <= 30; i++ { // tenths of a second
		taken += takeAll(&b, start.Add(time.Duration(i)*100*time.Millisecond), rate)
	}
	if taken != 60 {
		t.Errorf("%d tokens in three seconds, want 60", taken)
	}
}

func TestADebtIsPaidBackFirst(t *testing.T) {
	start, rate := time.Unix(1_700_000_000, 0), Rate{Burst: 10, PerSecond: 10}
	var b Bucket
	if !b.Has(start, rate, 1) {
		t.Fatal("a new bucket is not full")
	}
	b.Take(25)
	if b.Has(start.Add(1500*time.Millisecond), rate, 1) || !b.Has(start.Add(1600*time.Millisecond), rate, 1) {
		t.Error("want a token 1.6 s after a debt of 15 at 10 a second, and none before")
	}
}
