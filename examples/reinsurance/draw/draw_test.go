package draw_test

import (
	"math"
	"testing"

	"spate/examples/reinsurance/draw"
)

func relative(got, want float64) float64 {
	if want == 0 {
		return math.Abs(got)
	}
	return math.Abs(got-want) / math.Abs(want)
}

func TestExpAndLogAgreeWithTheStandardLibrary(t *testing.T) {
	for x := -60.0; x <= 60; x += 0.0137 {
		if d := relative(draw.Exp(x), math.Exp(x)); d > 5e-16 {
			t.Fatalf("Exp(%v) = %v, want %v: off by %.2g", x, draw.Exp(x), math.Exp(x), d)
		}
	}
	for x := 1e-17; x < 1e15; x *= 1.00137 {
		if d := math.Abs(draw.Log(x) - math.Log(x)); d > 5e-16*math.Max(1, math.Abs(math.Log(x))) {
			t.Fatalf("Log(%v) = %v, want %v: off by %.2g", x, draw.Log(x), math.Log(x), d)
		}
	}
	if got := draw.Log(1); got != 0 {
		t.Errorf("Log(1) = %v, want 0", got)
	}
	if got := draw.Exp(0); got != 1 {
		t.Errorf("Exp(0) = %v, want 1", got)
	}
}

func TestQuantileInvertsTheNormalDistribution(t *testing.T) {
	// The distribution function by the complementary error function, which the quantile does not use.
	cdf := func(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }
	for p := 1e-16; p < 0.5; p *= 1.01 {
		z := draw.Quantile(p)
		if d := relative(cdf(z), p); d > 5e-14 {
			t.Fatalf("Quantile(%v) = %v, whose probability is off by %.2g", p, z, d)
		}
	}
	for p := 0.001; p < 1; p += 0.001 {
		if got, mirrored := draw.Quantile(p), -draw.Quantile(1-p); math.Abs(got-mirrored) > 1e-13 {
			t.Fatalf("Quantile(%v) = %v, but its mirror image is %v", p, got, mirrored)
		}
	}
	if got := draw.Quantile(0.975); math.Abs(got-1.959963984540054) > 1e-15 {
		t.Errorf("Quantile(0.975) = %.16f, want 1.959963984540054", got)
	}
}

func TestUniformsLookIndependentAcrossNames(t *testing.T) {
	const n = 200_000
	var sum, squares, lagged float64
	var cells [100]int
	previous := 0.5
	for i := range uint64(n) {
		u := draw.Uniform(1, i/3, i%3)
		if u <= 0 || u >= 1 {
			t.Fatalf("Uniform(1, %d, %d) = %v, want a number inside (0, 1)", i/3, i%3, u)
		}
		sum += u
		squares += (u - 0.5) * (u - 0.5)
		lagged += (u - 0.5) * (previous - 0.5)
		cells[int(u*100)]++
		previous = u
	}
	if mean := sum / n; math.Abs(mean-0.5) > 4*math.Sqrt(1.0/12/n) {
		t.Errorf("mean %v, want 0.5", mean)
	}
	if variance := squares / n; math.Abs(variance-1.0/12) > 4*math.Sqrt(1.0/180/n) {
		t.Errorf("variance %v, want 1/12", variance)
	}
	if correlation := lagged / n * 12; math.Abs(correlation) > 4/math.Sqrt(n) {
		t.Errorf("neighbours are correlated: %v", correlation)
	}
	chi := 0.0
	for _, c := range cells {
		d := float64(c) - n/100
		chi += d * d / (n / 100)
	}
	if chi > 99+4*math.Sqrt(2*99) {
		t.Errorf("χ² = %.1f on 99 degrees of freedom: the numbers are not uniform", chi)
	}
}

func TestEachPartOfTheNameMatters(t *testing.T) {
	names := [][]uint64{nil, {0}, {0, 0}, {1}, {0, 1}, {1, 0}, {1, 1}}
	seen := map[uint64][]uint64{}
	for _, seed := range []uint64{0, 1} {
		for _, name := range names {
			h := draw.Hash(seed, name...)
			if other, taken := seen[h]; taken {
				t.Errorf("seed %d name %v has the hash of %v", seed, name, other)
			}
			seen[h] = name
		}
	}
}

func TestDrawsKeepTheirPublishedBits(t *testing.T) {
	// Changing any of these changes every occurrence table that was ever made.
	if got := draw.Hash(1, 2, 3); got != 0x7574593a247e1d {
		t.Errorf("Hash(1, 2, 3) = %#x", got)
	}
	if got := math.Float64bits(draw.Normal(1, 2, 3)); got != 0xc0074cfd02d544a6 {
		t.Errorf("Normal(1, 2, 3) = %#x", got)
	}
	if got := math.Float64bits(draw.Exp(1.5)); got != math.Float64bits(4.4816890703380645) {
		t.Errorf("Exp(1.5) = %#x", got)
	}
}

func TestPoissonHasItsMeanAndVariance(t *testing.T) {
	const n, rate = 100_000, 1.665
	var sum, squares float64
	for i := range uint64(n) {
		k := float64(draw.Poisson(rate, draw.Uniform(7, i), 99))
		sum += k
		squares += k * k
	}
	mean := sum / n
	variance := squares/n - mean*mean
	if math.Abs(mean-rate) > 4*math.Sqrt(rate/n) {
		t.Errorf("mean %v, want %v", mean, rate)
	}
	if math.Abs(variance-rate) > 4*math.Sqrt((rate+2*rate*rate)/n) {
		t.Errorf("variance %v, want %v", variance, rate)
	}
	if got := draw.Poisson(rate, 0.9999999999999999, 5); got != 5 {
		t.Errorf("Poisson at the far end = %d, want the bound 5", got)
	}
}

func TestBelowStaysBelow(t *testing.T) {
	var seen [7]bool
	for i := range uint64(1000) {
		seen[draw.Below(7, 3, i)] = true
	}
	for k, ok := range seen {
		if !ok {
			t.Errorf("%d never occurs", k)
		}
	}
}
