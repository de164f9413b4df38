package draw

import "math"

// The natural logarithm of 2 in two parts: high has 32 significant bits, so that its product with a binary exponent is exact.
const (
	ln2High = 6.93147180369123816490e-01
	ln2Low  = 1.90821492927058770002e-10
)

// Exp returns e to the power of x, within two units in the last place, for |x| up to 700.
func Exp(x float64) float64 {
	k := math.Floor(float64(x/math.Ln2) + 0.5)
	r := x - float64(k*ln2High) - float64(k*ln2Low) // |r| ≤ ln 2 / 2
	const terms = 14                                // r¹⁵/15! is below 2⁻⁶⁰
	sum := 1.0
	for n := float64(terms); n >= 1; n-- {
		sum = float64(sum*r/n) + 1
	}
	return math.Ldexp(sum, int(k))
}

// Log returns the natural logarithm of x, which must be positive and finite, within about two units in the last place.
func Log(x float64) float64 {
	mantissa, exponent := math.Frexp(x)
	if mantissa < math.Sqrt2/2 {
		mantissa *= 2
		exponent--
	}
	// ln m = 2 artanh s with s = (m−1)/(m+1), |s| ≤ 0.172.
	s := (mantissa - 1) / (mantissa + 1)
	square := float64(s * s)
	const lastPower = 23 // s²⁴/25 is below 2⁻⁶⁰
	sum := 0.0
	for power := float64(lastPower); power >= 3; power -= 2 {
		sum = float64((sum + 1/power) * square)
	}
	k := float64(exponent)
	tail := float64(2*float64(s*sum)) + float64(k*ln2Low)
	return float64(k*ln2High) + (float64(2*s) + tail)
}
