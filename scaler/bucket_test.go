package scaler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestABucketGrantsItsBurstAndThenItsRate(t *testing.T) {
	now := planNow
	b := NewBucket(now, Rate{Burst: 100, PerSecond: 20})
	if n := b.Take(now, 250); n != 100 {
		t.Fatalf("burst of %d", n)
	}
	if n := b.Take(now.Add(499*time.Millisecond), 250); n != 9 {
		t.Errorf("%d after half a second", n)
	}
	if until := b.Until(now.Add(499*time.Millisecond), 10); until != 451*time.Millisecond {
		t.Errorf("ten more in %s", until)
	}
	b.Refund(now.Add(499*time.Millisecond), 9)
	if n := b.Available(now.Add(499 * time.Millisecond)); n != 9 {
		t.Errorf("%d after a refund", n)
	}
	b.Empty(now.Add(500 * time.Millisecond))
	if n := b.Available(now.Add(time.Second)); n != 10 {
		t.Errorf("%d half a second after being emptied", n)
	}
	if n := b.Available(now.Add(time.Hour)); n != 100 {
		t.Errorf("%d after an hour", n)
	}
}

func TestABucketNeverGrantsMoreThanBurstAndRateAllow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := Rate{Burst: rapid.IntRange(1, 100).Draw(t, "burst"), PerSecond: rapid.Float64Range(0.1, 100).Draw(t, "rate")}
		now := planNow
		b := NewBucket(now, rate)
		granted := 0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(5*time.Second)).Draw(t, "later")))
			want := rapid.IntRange(-1, 200).Draw(t, "want")
			until := b.Until(now, want)
			n := b.Take(now, want)
			if n < 0 || n > max(0, want) || (until == 0) != (n >= min(want, rate.Burst)) {
				t.Fatalf("%d granted of %d, %s to wait", n, want, until)
			}
			granted += n
			latest := b.at.Sub(planNow).Seconds()
			if most := float64(rate.Burst) + latest*rate.PerSecond + 0.01; float64(granted) > most {
				t.Fatalf("%d granted, at most %.2f", granted, most)
			}
		}
	})
}
