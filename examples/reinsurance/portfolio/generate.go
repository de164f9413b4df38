package portfolio

import (
	"crypto/sha256"
	"encoding/binary"
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
	Labels       map[string]string // of the run
	Seed         uint64            // of the simulated years
	Periods      int               // simulated years
	Nominal      int               // size that the number of buckets is chosen for
	Currency     model.Currency    // of the figures
	Rates        model.Rates       // of exchange
	Perils       []model.Peril     // that a deal may cover
	Deals        []Deal            // by ascending id
	Retrocession []model.Terms     // on the whole book, in Currency
	Melts        map[string]string // where a peril's events are read from instead, an S3 address, by the peril's name
}

// A Deal is one layer of a cedant's programme.
type Deal struct {
	ID      string
	Cedant  string
	Layer   int // from 1, within the programme
	Terms   model.DealParams
	Perils  []string // names of those covered
	Inuring []string // ids of earlier deals whose recoveries are deducted from the cedant's loss first
	ELT     string   // where the cedant's own losses by event are, an S3 address; a part of the industry's if empty
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
	p := Portfolio{
		Labels: map[string]string{}, Seed: o.Seed, Periods: o.Periods, Nominal: o.Nominal,
		Currency: "USD", Rates: rates(), Perils: model.Perils(),
		Deals: make([]Deal, 0, o.Deals), Retrocession: retrocession(),
	}
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
			market:      marketOf(o.Seed, uint64(cedant)),
		}.deals()...)
	}
	return p, nil
}

// What a draw is for; part of its name.
const (
	drawSize uint64 = iota + 1
	drawWeight
	drawInuring
	drawRetention
	drawLimit
	drawShare
	drawMarket
	drawReinstatements
	drawDeductible
	drawVariation
	drawChanged
	drawChange
	drawAnalysed
	drawAnalysedLimit
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
	market      market
}

// deals stacks the layers. Sizes are drawn as industry losses, so that the layers of small and of large cedants are hit
// equally often, and scaled by the market share. Where layers inure to the benefit of those above, each attaches where
// they end, measured on the loss net of what they pay.
func (g programme) deals() []Deal {
	cascading := g.uniform(0, drawInuring) < 0.27
	u := g.uniform(0, drawRetention)
	retention := 8 + float64(72*u*u) // most programmes start low
	attachment := round2(retention * g.market.unit * g.marketShare)
	cedant := fmt.Sprintf("cedant-%05d", g.cedant+1)
	var deals []Deal
	recovered := int64(0) // from the layers below, when they are used up
	for layer := range g.layers {
		terms := g.terms(layer, attachment)
		terms.Uncertainty.Group = groupOf(cedant)
		attachment += terms.Limit
		if cascading {
			terms.InuringPriority = layer + 1
			terms.Attachment -= recovered
			recovered += int64(math.Round(float64(terms.Limit) * terms.Share))
		}
		deals = append(deals, Deal{ID: dealID(g.firstDeal + layer), Cedant: cedant, Layer: layer + 1, Perils: g.market.perils, Terms: terms})
	}
	inure(deals)
	return deals
}

// inure lets the deals of one cedant follow those with a lower inuring priority.
func inure(deals []Deal) {
	for i := range deals {
		deals[i].Inuring = nil
		for _, other := range deals {
			if other.Terms.InuringPriority < deals[i].Terms.InuringPriority {
				deals[i].Inuring = append(deals[i].Inuring, other.ID)
			}
		}
	}
}

// groupOf returns a cedant's correlation group, so that the layers of its programme share its losses. It depends on the
// name alone: another cedant moves no draw. It has 53 bits, as many as a number in JSON.
func groupOf(cedant string) uint64 {
	sum := sha256.Sum256([]byte(cedant))
	const spare = 64 - 53
	return binary.BigEndian.Uint64(sum[:]) >> spare
}

// uniform names a draw by the programme, its purpose and the layer.
func (g programme) uniform(layer int, purpose uint64) float64 {
	return draw.Uniform(g.seed, g.cedant, purpose, uint64(layer))
}

// terms invents those of one layer. Low layers have more reinstatements and a higher premium; one in seven has any number
// of reinstatements for nothing, and one in five a deductible for the year.
func (g programme) terms(layer int, attachment int64) model.DealParams {
	width := (8 + float64(32*g.uniform(layer, drawLimit))) * (1 + float64(float64(layer)/2))
	limit := round2(width * g.market.unit * g.marketShare)
	terms := model.Terms{
		Attachment: attachment,
		Limit:      limit,
		Premium:    round2(float64(limit) * 0.2 / float64(1+layer)),
		Share:      (3 + math.Floor(18*g.uniform(layer, drawShare))) / 20, // 15 % to 100 %
	}
	if u := g.uniform(layer, drawReinstatements); u > 1.0/7 {
		count := 1
		if layer == 0 && u > 0.6 {
			count = 2
		}
		terms.Reinstatements, terms.ReinstatementRate = &count, 1
	}
	if g.uniform(layer, drawDeductible) < 0.2 {
		terms.AnnualDeductible = round2(float64(limit) / 4)
	}
	return model.DealParams{
		Terms:           terms,
		Currency:        g.market.currency,
		InuringPriority: 1,
		MarketShare:     g.marketShare,
		Uncertainty: &model.Uncertainty{
			Seed:      g.seed,
			Variation: (2 + math.Floor(4*g.uniform(0, drawVariation))) / 10, // 20 % to 50 %
		},
		Periods: g.periods,
	}
}

const dealPrefix = "deal-"

func dealID(number int) string {
	return fmt.Sprintf("%s%05d", dealPrefix, number)
}

// round2 rounds an amount to two significant digits, the way layers are quoted.
func round2(amount float64) int64 {
	unit := 1.0
	for amount/unit >= 100 {
		unit *= 10
	}
	return int64(max(math.Round(amount/unit), 1) * unit)
}
