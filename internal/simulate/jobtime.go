package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// JobTime is how long jobs take: always the same, evenly between two durations, lognormally, or as measured ones did.
// The zero value is 0.
type JobTime struct {
	text     string
	from, to time.Duration // evenly between them
	mean     time.Duration // lognormal, if sigma > 0
	sigma    float64       // of the logarithm
	measured []time.Duration
}

// Constant is the same for all jobs.
func Constant(d time.Duration) JobTime { return JobTime{text: d.String(), from: d, to: d} }

// Measured draws from durations that jobs once took; from says where they come from.
func Measured(from string, durations []time.Duration) JobTime {
	return JobTime{text: from, measured: durations}
}

// ParseJobTime reads "60s", "30s..2m" (evenly between them) or "lognormal:60s,1.2" (the mean, and the standard deviation of
// the natural logarithm).
func ParseJobTime(text string) (JobTime, error) {
	wrong := func(what string) (JobTime, error) {
		return JobTime{}, fmt.Errorf("job time %q: %s: want a duration such as 60s, a range such as 30s..2m, or lognormal:60s,1.2", text, what)
	}
	if rest, ok := strings.CutPrefix(text, "lognormal:"); ok {
		meanText, sigmaText, _ := strings.Cut(rest, ",")
		mean, err := time.ParseDuration(strings.TrimSpace(meanText))
		if err != nil || mean <= 0 {
			return wrong("the mean must be a duration above 0")
		}
		sigma, err := strconv.ParseFloat(strings.TrimSpace(sigmaText), 64)
		if err != nil || sigma <= 0 || sigma > maxSigma {
			return wrong(fmt.Sprintf("sigma must be a number above 0 and at most %d", maxSigma))
		}
		return JobTime{text: text, mean: mean, sigma: sigma}, nil
	}
	from, to, err := ParseRange(text)
	if err != nil || to == 0 {
		return wrong("it must be above 0, and a range must not end before it begins")
	}
	return JobTime{text: text, from: from, to: to}, nil
}

// ParseRange reads a duration, "40s", or two, "30s..60s": 0 or more, the second no less than the first.
func ParseRange(text string) (from, to time.Duration, err error) {
	fromText, toText, isRange := strings.Cut(text, "..")
	if !isRange {
		toText = fromText
	}
	from, err = time.ParseDuration(fromText)
	if err == nil {
		to, err = time.ParseDuration(toText)
	}
	if err != nil || from < 0 || to < from {
		return 0, 0, fmt.Errorf("%q is neither a duration such as 40s nor a range such as 30s..60s", text)
	}
	return from, to, nil
}

// maxSigma is where a lognormal distribution stops to describe jobs: at 3 the longest of ten thousand takes a thousand
// times the mean.
const maxSigma = 3

// String is the distribution as it was asked for.
func (j JobTime) String() string { return j.text }

// Mean is how long jobs take on average.
func (j JobTime) Mean() time.Duration {
	switch {
	case len(j.measured) > 0:
		var sum float64
		for _, d := range j.measured {
			sum += d.Seconds()
		}
		return time.Duration(sum / float64(len(j.measured)) * float64(time.Second))
	case j.sigma > 0:
		return j.mean
	default:
		return (j.from + j.to) / 2
	}
}

// draw is how long one job takes.
func (j JobTime) draw(random *rand.Rand) time.Duration {
	switch {
	case len(j.measured) > 0:
		return j.measured[random.IntN(len(j.measured))]
	case j.sigma > 0:
		median := j.mean.Seconds() * math.Exp(-j.sigma*j.sigma/2)
		return time.Duration(median * math.Exp(j.sigma*random.NormFloat64()) * float64(time.Second))
	case j.from == j.to:
		return j.from
	default:
		return j.from + time.Duration(random.Float64()*float64(j.to-j.from))
	}
}
