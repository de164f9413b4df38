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
	Variation float64 `json:"variation"` // coefficient of variation, above 0, at most 5
	Group     uint64  `json:"group"`     // correlation group
}

const mostSecondaryVariation = 5

func (u *Uncertainty) validate() error {
	if u != nil && !(u.Variation > 0 && u.Variation <= mostSecondaryVariation) {
		return badParam("variation %v outside 0 to %d", u.Variation, mostSecondaryVariation)
	}
	return nil
}

// A spread draws the factors of an Uncertainty; of none, the factor is 1.
type spread struct {
	u       *Uncertainty
	factors lognormal // with mean 1
}

func newSpread(u *Uncertainty) spread {
	s := spread{u: u}
	if u != nil {
		s.factors = lognormalOf(1, u.Variation)
	}
	return s
}

// factor returns what the expected loss of one occurrence is multiplied by.
func (s spread) factor(o Occurrence) float64 {
	if s.u == nil {
		return 1
	}
	return s.factors.at(draw.Normal(s.u.Seed, uint64(o.Event), uint64(o.ID), s.u.Group, drawSecondary))
}

// most returns a bound that no factor exceeds: uniform draws have 53 bits, so that their normal quantiles are finite.
func (s spread) most() float64 {
	if s.u == nil {
		return 1
	}
	const roundingErrors = 1 + 1e-9
	return s.factors.at(-draw.Quantile(math.Ldexp(1, -53))) * roundingErrors
}
