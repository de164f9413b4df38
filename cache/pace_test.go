package cache

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// offer lets a pace write for some seconds to a table that takes a share of each second's items, and returns the mean
// rate over the last half.
func offer(seconds int, limit float64, take func(offered int) int) (mean float64) {
	now := start
	p := newPace(limit, now)
	for s := range seconds {
		const calls = 20 // a second
		offered := int(p.at(now))
		taken := take(offered)
		for range calls {
			now = now.Add(time.Second / calls)
			p.report(now.Add(-1), taken/calls, (offered-taken)/calls)
		}
		if s >= seconds/2 {
			mean += p.rate / float64(seconds-seconds/2)
		}
	}
	return mean
}

func TestTheWriteRateFollowsWhatTheTableTakes(t *testing.T) {
	const limit = 2000
	random := rand.New(rand.NewPCG(1, 2))
	for _, row := range []struct {
		name     string
		take     func(offered int) int
		from, to float64 // of the mean rate, once it has settled
	}{
		{"everything", func(n int) int { return n }, limit - 1, limit + 1},
		{"half of what is configured", func(n int) int { return min(n, limit/2) }, 1000, 1150},
		{"a tenth of what is configured", func(n int) int { return min(n, limit/10) }, 200, 320},
		{"seven of ten, whatever is offered", func(n int) int {
			taken := 0
			for range n {
				if random.IntN(10) < 7 {
					taken++
				}
			}
			return taken
		}, 280, 400},
		{"nothing", func(int) int { return 0 }, 90, 110},
	} {
		t.Run(row.name, func(t *testing.T) {
			if mean := offer(240, limit, row.take); mean < row.from || mean > row.to {
				t.Errorf("the rate settles at %.0f, want %.0f to %.0f", mean, row.from, row.to)
			}
		})
	}
}

func TestTheWriteRateComesBackAndNeverExceedsItsLimit(t *testing.T) {
	const limit = 2000
	p := newPace(limit, start)
	p.report(start, 0, 500)
	if rate := p.at(start.Add(time.Second)); rate != limit/2+limit/40 {
		t.Fatalf("after a second of nothing but refusals the rate is %.0f", rate)
	}
	before := p.rate
	for s := 2; s < 60; s++ {
		rate := p.report(start.Add(time.Duration(s)*time.Second), 100, 0)
		if rate > limit || rate < before {
			t.Fatalf("after %d s the rate is %.0f, it was %.0f", s, rate, before)
		}
		if s == 21 && rate != limit {
			t.Errorf("after 21 s the rate is %.0f still", rate)
		}
		before = rate
	}
	p.report(start.Add(time.Minute), 0, 1)
	if rate := p.at(start.Add(time.Hour)); math.Abs(rate-limit) > 1e-9 {
		t.Errorf("after an hour without writes the rate is %.0f", rate)
	}
}
