package draw

import (
	"math"
	"slices"
)

// Uniform returns the number in the open interval (0, 1) named by seed and name: a multiple of 2⁻⁵² plus half of that,
// so that neither end occurs and its normal quantile is finite.
func Uniform(seed uint64, name ...uint64) float64 {
	const bits = 52
	return (float64(Hash(seed, name...)>>(64-bits)) + 0.5) / (1 << bits)
}

// Normal returns the standard normal number named by seed and name.
func Normal(seed uint64, name ...uint64) float64 {
	return Quantile(Uniform(seed, name...))
}

// Below returns the integer in [0, n) named by seed and name. n must be positive. The bias is below n/2⁶⁴.
func Below(n int, seed uint64, name ...uint64) int {
	return int(Hash(seed, name...) % uint64(n))
}

// Hash mixes seed and name into 64 bits. Names of different lengths are different names.
func Hash(seed uint64, name ...uint64) uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio, the step of SplitMix64
	h := mix(seed + golden)
	for _, part := range name {
		h = mix((h + golden) ^ mix(part+golden))
	}
	return mix(h + uint64(len(name)))
}

// mix is the finaliser of SplitMix64: a bijection in which each input bit moves about half of the output bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Poisson returns the number of events in a year that occur rate times a year on average, for the uniform number u,
// by inverting the distribution. The answer never exceeds most.
func Poisson(rate, u float64, most int) int {
	probability := Exp(-rate)
	below := probability
	n := 0
	for u >= below && n < most {
		n++
		probability = probability * rate / float64(n)
		below += probability
	}
	return n
}

// Quantile returns the standard normal quantile of p, which must lie in (0, 1): Wichura's algorithm AS 241
// (PPND16, Applied Statistics 37, 1988), good to about 1 part in 10¹⁶.
func Quantile(p float64) float64 {
	q := p - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return q * horner(
			r,
			3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
			4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
		) / horner(
			r,
			1, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
			2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
		)
	}
	tail := p
	if q > 0 {
		tail = 1 - p
	}
	r := math.Sqrt(-Log(tail))
	var z float64
	if r <= 5 {
		r -= 1.6
		z = horner(
			r,
			1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
			1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
		) / horner(
			r,
			1, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
			1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
		)
	} else {
		r -= 5
		z = horner(
			r,
			6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
			2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
		) / horner(
			r,
			1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
			7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
		)
	}
	if q < 0 {
		return -z
	}
	return z
}

// horner evaluates the polynomial whose coefficients, lowest power first, are given, without fusing.
func horner(x float64, coefficients ...float64) float64 {
	sum := 0.0
	for _, coefficient := range slices.Backward(coefficients) {
		sum = float64(sum*x) + coefficient
	}
	return sum
}
