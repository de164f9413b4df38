package model

import (
	"math"

	"spate/examples/reinsurance/draw"
)

// A Category is one row of the hazard: hurricanes of one strength, how often they strike and what they cost the
// industry. Severity is lognormal, given by the mean and the standard deviation of the loss itself.
type Category struct {
	Category int     `json:"category"` // Saffir–Simpson, 1 to 9
	Rate     float64 `json:"rate"`     // events a year, above 0, at most 20
	Mean     float64 `json:"mean"`     // mean loss of an event, USD billions
	SD       float64 `json:"sd"`       // standard deviation of the loss of an event, USD billions
}

// maxEventsPerCategory bounds the events of one category in one year; event ids have two digits for them.
const maxEventsPerCategory = 100

// USHurricanes returns the losses of US hurricanes by category as fitted by S. Jewson (2022) to the normalised damages of
// Weinkle et al. (2018): 1.665 events and USD 16.69 billion a year.
func USHurricanes() []Category {
	return []Category{
		{Category: 1, Rate: 0.71, Mean: 2.28, SD: 8.63},
		{Category: 2, Rate: 0.40, Mean: 4.46, SD: 6.17},
		{Category: 3, Rate: 0.36, Mean: 13.0, SD: 21.9},
		{Category: 4, Rate: 0.17, Mean: 43.8, SD: 50.9},
		{Category: 5, Rate: 0.025, Mean: 46.5, SD: 51.5},
	}
}

func (c Category) validate() error {
	switch {
	case c.Category < 1 || c.Category > 9:
		return badParam("category %d outside 1 to 9", c.Category)
	case !(c.Rate > 0 && c.Rate <= 20):
		return badParam("category %d: rate %v outside 0 to 20 events a year", c.Category, c.Rate)
	case !(c.Mean > 0 && c.Mean <= 1000):
		return badParam("category %d: mean %v outside 0 to 1,000 USD billions", c.Category, c.Mean)
	case !(c.SD > 0 && c.SD <= 10*c.Mean):
		return badParam("category %d: sd %v outside 0 to ten times the mean", c.Category, c.SD)
	}
	return nil
}

// lognormal returns the parameters of the logarithm of the loss in USD billions.
func (c Category) lognormal() (mu, sigma float64) {
	variation := c.SD / c.Mean
	variance := draw.Log(1 + float64(variation*variation))
	return draw.Log(c.Mean) - float64(variance/2), math.Sqrt(variance)
}
