package simulate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestJobTimesAreReadAndDrawn(t *testing.T) {
	const draws = 100_000
	for text, want := range map[string]struct {
		mean     time.Duration
		from, to time.Duration
	}{
		"60s":               {time.Minute, time.Minute, time.Minute},
		"30s..2m":           {75 * time.Second, 30 * time.Second, 2 * time.Minute},
		"lognormal:60s,0.8": {time.Minute, 0, time.Hour},
	} {
		j, err := ParseJobTime(text)
		if err != nil {
			t.Fatal(err)
		}
		if j.Mean() != want.mean || j.String() != text {
			t.Errorf("%s: mean %s, shown as %q", text, j.Mean(), j)
		}
		random := rand.New(rand.NewPCG(1, 1))
		sum := 0.0
		for range draws {
			d := j.draw(random)
			if d < want.from || d > want.to {
				t.Fatalf("%s: drew %s", text, d)
			}
			sum += d.Seconds()
		}
		if mean := sum / draws; math.Abs(mean/want.mean.Seconds()-1) > 0.02 {
			t.Errorf("%s: drew %.2f s on average, want %s", text, mean, want.mean)
		}
	}
}

func TestMeasuredJobTimesAreDrawnFrom(t *testing.T) {
	j := Measured("run x", []time.Duration{time.Second, 3 * time.Second})
	seen := map[time.Duration]bool{}
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		seen[j.draw(random)] = true
	}
	if len(seen) != 2 || j.Mean() != 2*time.Second {
		t.Errorf("drew %v, mean %s", seen, j.Mean())
	}
}

func TestWrongJobTimesAreRefused(t *testing.T) {
	for _, text := range []string{"", "60", "0s", "-1s", "2m..1m", "1m..x", "lognormal:", "lognormal:60s", "lognormal:60s,0", "lognormal:60s,9"} {
		if j, err := ParseJobTime(text); err == nil {
			t.Errorf("%q was read as %s", text, j.Mean())
		}
	}
}
