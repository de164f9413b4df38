package model

import (
	"math"

	"spate/examples/reinsurance/draw"
)

// An Uncertainty says how much a cedant's part of an event's loss varies around its expectation: secondary uncertainty,
// lognormal. The draw is named by (seed, event, occurrence, group): deals of one group, such as the layers of one
// programme, see the same loss wherever they are computed; groups are independent of each other.
type Uncertainty struct {
	Seed      uint64  `json:"seed"`
	Variation float64 `json:"variation,omitempty"` // coefficient of variation, above 0, at most 5; absent where the cedant has an event loss table
	Group     uint64  `json:"group"`               // correlation group
}

const mostSecondaryVariation = 5

// A spread draws the factors of an Uncertainty; of none, the factor is 1.
type spread struct {
	u       *Uncertainty
	factors lognormal      // with mean 1
	most    [steps]float64 // bounds of the factors of uniform draws in each step of [0, 1)
}

// steps is how finely draws are told apart before their factor is computed.
const steps = 64

func newSpread(u *Uncertainty) *spread {
	s := &spread{u: u}
	if u == nil {
		return s
	}
	s.factors = lognormalOf(1, u.Variation)
	const roundingErrors = 1 + 1e-9
	for i := range steps - 1 {
		s.most[i] = s.factors.at(draw.Quantile(float64(i+1)/steps)) * roundingErrors
	}
	// Uniform draws have 53 bits, so that the largest factor is finite.
	s.most[steps-1] = s.factors.at(-draw.Quantile(math.Ldexp(1, -53))) * roundingErrors
	return s
}

// loss returns what an occurrence costs that is expected to cost so much, or 0 where that is at most floor. Most losses
// are far below it: for these, the factor need not be known exactly.
func (s *spread) loss(o Occurrence, expected, floor float64) int64 {
	if s.u == nil {
		return int64(math.Round(expected))
	}
	u := draw.Uniform(s.u.Seed, uint64(o.Event), uint64(o.ID), s.u.Group, drawSecondary)
	if expected*s.most[int(u*steps)] <= floor {
		return 0
	}
	return int64(math.Round(min(expected*s.factors.at(draw.Quantile(u)), MaxAmount)))
}
