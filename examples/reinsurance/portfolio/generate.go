package portfolio

import (
	"fmt"
	"math"

	"spate/examples/reinsurance/draw"
	"spate/examples/reinsurance/model"
)

// Options say what Generate invents.
type Options struct {
	Deals   int    // 1 to 1,000,000
	Seed    uint64 // of the deals and of the simulated years
	Periods int    // simulated years, 250 to model.MaxPeriods; 10,000 if zero
	Nominal int    // size that the number of buckets is chosen for; Deals if zero
}

// DefaultPeriods is the usual number of simulated years.
const DefaultPeriods = 10_000

func (o Options) validate() error {
	const mostDeals = 1_000_000
	switch {
	case o.Deals < 1 || o.Deals > mostDeals:
		return fmt.Errorf("deals %d outside 1 to %d", o.Deals, mostDeals)
	case o.Periods < 250 || o.Periods > model.MaxPeriods:
		return fmt.Errorf("periods %d outside 250 to %d", o.Periods, model.MaxPeriods)
	case o.Nominal < 1:
		return fmt.Errorf("nominal size %d below 1", o.Nominal)
	}
	return nil
}

// A Portfolio is all that a run of the rollup needs to know. Values are not changed in place: methods return copies.
type Portfolio struct {
	Labels  map[string]string // of the run
	Seed    uint64            // of the simulated years
	Periods int               // simulated years
	Nominal int               // size that the number of buckets is chosen for
	Deals   []Deal            // by ascending id
}

// A Deal is one layer of a cedant's programme.
type Deal struct {
	ID      string
	Cedant  string
	Layer   int // from 1, within the programme
	Terms   model.DealParams
	Inuring []string // ids of earlier deals whose recoveries are deducted from the cedant's loss first
}

// Generate invents a portfolio. The cedants together bear 55 % of the industry's loss, whatever the number of deals.
func Generate(o Options) (Portfolio, error) {
	if o.Periods == 0 {
		o.Periods = DefaultPeriods
	}
	if o.Nominal == 0 {
		o.Nominal = o.Deals
	}
	if err := o.validate(); err != nil {
		return Portfolio{}, fmt.Errorf("generate portfolio: %w", err)
	}
	var layers []int // of each cedant's programme
	var weights []float64
	total := 0.0
	for left := o.Deals; left > 0; {
		cedant := uint64(len(layers))
		size := min(programmeSize(o.Seed, cedant), left)
		weight := draw.Exp(1.2 * draw.Normal(o.Seed, cedant, drawWeight))
		layers, weights = append(layers, size), append(weights, weight)
		total += weight
		left -= size
	}
	p := Portfolio{Labels: map[string]string{}, Seed: o.Seed, Periods: o.Periods, Nominal: o.Nominal, Deals: make([]Deal, 0, o.Deals)}
	const insured = 0.55
	for cedant, size := range layers {
		marketShare := max(math.Round(insured*weights[cedant]/total*1e6), 10) / 1e6
		p.Deals = append(p.Deals, programme{
			seed:        o.Seed,
			cedant:      uint64(cedant),
			firstDeal:   len(p.Deals) + 1,
			layers:      size,
			marketShare: marketShare,
			periods:     o.Periods,
		}.deals()...)
	}
	return p, nil
}

// What a draw is for; part of its name.
const (
	drawSize uint64 = iota + 1
	drawWeight
	drawInuring
	drawSecondInuring
	drawRetention
	drawLimit
	drawShare
	drawChanged
	drawChange
)

func programmeSize(seed, cedant uint64) int {
	u := draw.Uniform(seed, cedant, drawSize)
	for size, upTo := range []float64{0.15, 0.40, 0.70, 0.90} {
		if u < upTo {
			return size + 1
		}
	}
	return 5
}

// A programme is one cedant's tower of layers.
type programme struct {
	seed        uint64
	cedant      uint64
	firstDeal   int // number in its id
	layers      int
	marketShare float64
	periods     int
}

// deals stacks the layers. Sizes are drawn as industry losses in USD billions, so that the layers of small and of large
// cedants are hit equally often, and scaled by the market share. A layer that others inure to the benefit of attaches
// where they end, measured on the loss net of what they pay.
func (g programme) deals() []Deal {
	const billion = 1e9
	uniform := func(layer int, purpose uint64) float64 {
		return draw.Uniform(g.seed, g.cedant, purpose, uint64(layer))
	}
	cascading := uniform(0, drawInuring) < 0.27
	u := uniform(0, drawRetention)
	retention := 8 + float64(72*u*u)                          // most programmes start low
	attachment := round2(retention * billion * g.marketShare) // on the loss before inuring recoveries
	var deals []Deal
	for layer := range g.layers {
		width := (8 + float64(32*uniform(layer, drawLimit))) * (1 + float64(float64(layer)/2))
		deal := Deal{
			ID:     dealID(g.firstDeal + layer),
			Cedant: fmt.Sprintf("cedant-%05d", g.cedant+1),
			Layer:  layer + 1,
			Terms: model.DealParams{
				Attachment:  attachment,
				Limit:       round2(width * billion * g.marketShare),
				Share:       (3 + math.Floor(18*uniform(layer, drawShare))) / 20, // 15 % to 100 %
				MarketShare: g.marketShare,
				Periods:     g.periods,
			},
		}
		attachment += deal.Terms.Limit
		if cascading && layer > 0 {
			first := layer - 1
			if layer > 1 && uniform(layer, drawSecondInuring) < 0.4 {
				first--
			}
			for _, below := range deals[first:layer] {
				deal.Inuring = append(deal.Inuring, below.ID)
				deal.Terms.Attachment -= int64(math.Round(float64(below.Terms.Limit) * below.Terms.Share))
			}
		}
		deals = append(deals, deal)
	}
	return deals
}

func dealID(number int) string {
	return fmt.Sprintf("deal-%05d", number)
}

// round2 rounds US dollars to two significant digits, the way layers are quoted.
func round2(dollars float64) int64 {
	unit := 1.0
	for dollars/unit >= 100 {
		unit *= 10
	}
	return int64(max(math.Round(dollars/unit), 1) * unit)
}
