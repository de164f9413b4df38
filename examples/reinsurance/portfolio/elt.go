package portfolio

import (
	"fmt"
	"slices"
	"strings"

	"spate/examples/reinsurance/model"
)

// WithELT returns the portfolio with a deal whose cedant's losses come from its own event loss table, an S3 address of a
// table that rollup import wrote, in the deal's currency.
func (p Portfolio) WithELT(id, address string) (Portfolio, error) {
	if !isAddress(address) {
		return Portfolio{}, fmt.Errorf("event losses of %s: %s is not an address in S3, s3://bucket/key", id, address)
	}
	i := slices.IndexFunc(p.Deals, func(d Deal) bool { return d.ID == id })
	if i < 0 {
		return Portfolio{}, fmt.Errorf("event losses of %s: there is no such deal", id)
	}
	p.Deals = slices.Clone(p.Deals)
	d := &p.Deals[i]
	d.ELT = address
	d.Terms.MarketShare, d.Terms.Uncertainty = 0, p.ownUncertainty(d.Cedant)
	return p, nil
}

// ownUncertainty says how losses around the means of a cedant's event loss table are drawn.
func (p Portfolio) ownUncertainty(cedant string) *model.Uncertainty {
	return &model.Uncertainty{Seed: p.Seed, Group: groupOf(cedant)}
}

func isAddress(s string) bool {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	return strings.HasPrefix(s, "s3://") && bucket != "" && key != ""
}
