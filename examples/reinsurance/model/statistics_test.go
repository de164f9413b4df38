package model

import (
	"math"
	"testing"
)

// hundred returns 100 years with losses 100, 99, …, 1.
func hundred() []int64 {
	sample := make([]int64, 100)
	for i := range sample {
		sample[i] = int64(100 - i)
	}
	return sample
}

func TestAReturnPeriodIsExceededOnAverageOnceInIt(t *testing.T) {
	// One year in ten, ten of a hundred, exceeds the loss 90: 91 to 100.
	for returnPeriod, want := range map[int]int64{2: 50, 10: 90, 50: 98, 100: 99} {
		if got := pointAt(hundred(), returnPeriod).Loss; got != want {
			t.Errorf("loss at %d years = %d, want %d", returnPeriod, got, want)
		}
	}
}

func TestConfidenceIntervalIsOfOrderStatistics(t *testing.T) {
	// Ten of a hundred: 1.645·√(10·0.9) = 4.93 ranks either side, so ranks 5 and 15 from the top, counted from 0.
	low, high := confidence(hundred(), 10)
	if low != 85 || high != 95 {
		t.Errorf("interval %d to %d, want 85 to 95", low, high)
	}
	// At the very end it is clamped to what was simulated.
	if _, high := confidence(hundred(), 1); high != 100 {
		t.Errorf("upper end %d, want 100", high)
	}
}

func TestTailValueAtRiskIsTheMeanOfTheWorstYears(t *testing.T) {
	sample := hundred()
	tvar, se := tailValueAtRisk(sample, 10)
	if tvar != 95.5 { // 91 to 100
		t.Errorf("mean of the worst ten = %v, want 95.5", tvar)
	}
	// Spread within the tail 8.25, start of the tail 0.9·(95.5−90)²; over ten years.
	if want := math.Sqrt((8.25 + 0.9*5.5*5.5) / 10); math.Abs(se-want) > 1e-12 {
		t.Errorf("standard error %v, want %v", se, want)
	}
	// A third of 100 years is 33 and a third: the 34th counts a third.
	tvar, _ = tailValueAtRisk(sample, 3)
	if want := (33*84.0 + 67.0/3) / (100.0 / 3); math.Abs(tvar-want) > 1e-12 {
		t.Errorf("mean of the worst third = %v, want %v", tvar, want)
	}
}

func TestMeanHasItsStandardError(t *testing.T) {
	mean, se := meanOf([]int64{0, 0, 0, 8})
	if mean != 2 || se != 2 { // variance (4+4+4+36)/3 = 16, over 4 years
		t.Errorf("mean %v ± %v, want 2 ± 2", mean, se)
	}
	if mean, se := meanOf([]int64{5}); mean != 5 || se != 0 {
		t.Errorf("one year: %v ± %v", mean, se)
	}
}

func TestYearsWithoutEventsCount(t *testing.T) {
	y := newYears(3, []PeriodLoss{{Period: 1, Loss: 4}, {Period: 1, Loss: 5}, {Period: 3, Loss: 1}})
	for i, want := range []struct{ aggregate, occurrence int64 }{{9, 5}, {0, 0}, {1, 1}} {
		if y.aggregate[i] != want.aggregate || y.occurrence[i] != want.occurrence {
			t.Errorf("period %d: year %d, largest event %d, want %v", i+1, y.aggregate[i], y.occurrence[i], want)
		}
	}
}

func TestGridLinesFallOnRoundAmounts(t *testing.T) {
	for most, want := range map[int64]int64{0: 1, 7: 1, 8: 2, 35: 5, 36: 10, 32e9: 5e9, 383e9: 100e9} {
		if got := niceStep(most); got != want {
			t.Errorf("step for %d = %d, want %d", most, got, want)
		}
	}
}
