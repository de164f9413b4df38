package model

import (
	"math"
	"slices"
)

// years holds each simulated year's loss, in one currency, years without an event included.
type years struct {
	aggregate  []int64 // all events of the year together
	occurrence []int64 // the year's largest event
}

// meanOf returns the mean and its standard error, which is 0 for fewer than two years.
func meanOf(sample []int64) (mean, se float64) {
	mean, sd := meanAndDeviation(sample)
	return mean, sd / math.Sqrt(float64(len(sample)))
}

// meanAndDeviation returns the mean and the standard deviation, which is 0 for fewer than two years.
func meanAndDeviation(sample []int64) (mean, sd float64) {
	n := float64(len(sample))
	for _, x := range sample {
		mean += float64(x)
	}
	mean /= n
	if len(sample) < 2 {
		return mean, 0
	}
	squares := 0.0
	for _, x := range sample {
		d := float64(x) - mean
		squares += float64(d * d)
	}
	return mean, math.Sqrt(squares / (n - 1))
}

// descending returns the sample, largest first.
func descending(sample []int64) []int64 {
	sorted := slices.Clone(sample)
	slices.SortFunc(sorted, func(a, b int64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return sorted
}

// A Point is the loss reached or exceeded once in ReturnPeriod years, with a 90 % confidence interval from order
// statistics: the sampling error of the simulation, not of the hazard. Amounts are in one currency.
type Point struct {
	ReturnPeriod int   `json:"return_period"`
	Loss         int64 `json:"loss"`
	Low          int64 `json:"low"`
	High         int64 `json:"high"`
}

// pointAt returns the smallest loss that at most one year in returnPeriod exceeds.
func pointAt(sorted []int64, returnPeriod int) Point {
	exceeding := len(sorted) / returnPeriod
	low, high := confidence(sorted, exceeding)
	return Point{ReturnPeriod: returnPeriod, Loss: sorted[min(exceeding, len(sorted)-1)], Low: low, High: high}
}

// confidence returns the 90 % confidence interval of the loss that so many of the years, sorted largest first, exceed:
// the order statistics 1.64 binomial standard deviations away. It is clamped to the simulated losses, so that high is too
// low where fewer than about four years exceed the loss.
func confidence(sorted []int64, exceeding int) (low, high int64) {
	n := len(sorted)
	const z = 1.6448536269514722 // 95 % quantile of the normal distribution
	k := float64(exceeding)
	spread := float64(z * math.Sqrt(k*(1-k/float64(n))))
	rank := func(r float64) int64 {
		return sorted[min(max(int(r), 0), n-1)]
	}
	return rank(math.Ceil(k + spread)), rank(math.Floor(k - spread))
}

// tailValueAtRisk returns the mean of the worst one-in-returnPeriod part of the years (99 % TVaR for 100) and its
// standard error. Where that part is not a whole number of years, the last one counts in proportion.
func tailValueAtRisk(sorted []int64, returnPeriod int) (tvar, se float64) {
	n := len(sorted)
	whole, rest := n/returnPeriod, n%returnPeriod
	size := float64(n) / float64(returnPeriod)
	weight := float64(rest) / float64(returnPeriod)
	quantile := float64(sorted[min(whole, n-1)])
	sum := float64(weight * quantile)
	for _, x := range sorted[:whole] {
		sum += float64(x)
	}
	tvar = sum / size
	squares := float64(weight*(quantile-tvar)) * (quantile - tvar)
	for _, x := range sorted[:whole] {
		d := float64(x) - tvar
		squares += float64(d * d)
	}
	// The variance of the estimator has a part from the tail's spread and a part from not knowing where the tail starts.
	excess := tvar - quantile
	start := float64((1 - 1/float64(returnPeriod)) * float64(excess*excess))
	return tvar, math.Sqrt((squares/size + start) / size)
}

// cents rounds an amount to hundredths.
func cents(amount float64) float64 {
	return math.Round(amount*100) / 100
}
