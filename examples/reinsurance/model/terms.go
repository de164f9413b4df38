package model

import "math"

// Terms are those of an excess-of-loss contract for one contract year, which is a simulated year. Amounts are in the
// contract's currency and for the whole layer; Share comes last. They apply in this order:
//
//	subject loss ─► occurrence attachment ─► occurrence limit ─► annual deductible ─► aggregate limit ─► share
//
// The subject loss is the cedant's, less what other contracts that inure to this one's benefit pay for the same event.
type Terms struct {
	Attachment        int64   `json:"attachment"`                   // of one event's loss that the cedant bears first
	Limit             int64   `json:"limit"`                        // of one event's loss above it
	AnnualDeductible  int64   `json:"annual_deductible,omitempty"`  // of the year's losses to the layer that the cedant bears first
	Reinstatements    *int    `json:"reinstatements,omitempty"`     // 0 to 99: the year pays (1 + reinstatements) × limit; unlimited if absent
	ReinstatementRate float64 `json:"reinstatement_rate,omitempty"` // of the premium, to reinstate the whole limit, 0 to 10
	Premium           int64   `json:"premium,omitempty"`            // of the year, for the whole layer
	Share             float64 `json:"share"`                        // placed part of the layer, above 0, at most 1
}

const (
	mostReinstatements    = 99
	mostReinstatementRate = 10
)

func (t Terms) validate() error {
	switch {
	case t.Attachment < 0 || t.Attachment > MaxAmount:
		return badParam("attachment %d outside 0 to %d", t.Attachment, int64(MaxAmount))
	case t.Limit < 1 || t.Limit > MaxAmount:
		return badParam("limit %d outside 1 to %d", t.Limit, int64(MaxAmount))
	case t.AnnualDeductible < 0 || t.AnnualDeductible > MaxAmount:
		return badParam("annual_deductible %d outside 0 to %d", t.AnnualDeductible, int64(MaxAmount))
	case t.Reinstatements != nil && (*t.Reinstatements < 0 || *t.Reinstatements > mostReinstatements):
		return badParam("reinstatements %d outside 0 to %d; leave it out where they are unlimited", *t.Reinstatements, mostReinstatements)
	case !(t.ReinstatementRate >= 0 && t.ReinstatementRate <= mostReinstatementRate):
		return badParam("reinstatement_rate %v outside 0 to %d", t.ReinstatementRate, mostReinstatementRate)
	case t.Premium < 0 || t.Premium > MaxAmount:
		return badParam("premium %d outside 0 to %d", t.Premium, int64(MaxAmount))
	case t.ReinstatementRate > 0 && (t.Reinstatements == nil || *t.Reinstatements == 0):
		return badParam("reinstatement_rate %v without a number of reinstatements that it is paid for", t.ReinstatementRate)
	case t.ReinstatementRate > 0 && t.Premium == 0:
		return badParam("reinstatement_rate %v without the premium that it is a part of", t.ReinstatementRate)
	case !(t.Share > 0 && t.Share <= 1):
		return badParam("share %v outside 0 to 1", t.Share)
	}
	return nil
}

// Year returns a contract year in which nothing has happened yet.
func (t Terms) Year() Year {
	y := Year{terms: t, most: math.MaxInt64}
	if t.Reinstatements != nil {
		n := int64(*t.Reinstatements)
		y.reinstatable = n * t.Limit
		y.most = y.reinstatable + t.Limit
	}
	return y
}

// A Year is one contract year under way. Events must come in the order in which they happen: an annual deductible is
// borne by the first of them, and the aggregate limit is not there for the last.
type Year struct {
	terms        Terms
	most         int64 // aggregate limit
	reinstatable int64 // part of it that is limit reinstated
	layer        int64 // losses to the layer so far, before the annual deductible
}

// Recover returns what the contract pays for the next event, given its subject loss, and the reinstatement premium
// that becomes due to the reinsurer: premium × rate × amount reinstated ÷ limit, pro rata as to amount, in full as to
// time. Both are for the placed share, rounded to whole units of money, halves away from zero.
func (y *Year) Recover(subject int64) (loss, premium int64) {
	t := y.terms
	before := y.paid()
	y.layer += min(max(subject-t.Attachment, 0), t.Limit)
	after := y.paid()
	reinstated := min(after, y.reinstatable) - min(before, y.reinstatable)
	due := float64(t.Premium) * t.ReinstatementRate * float64(reinstated) / float64(t.Limit)
	return part(after-before, t.Share), int64(math.Round(due * t.Share))
}

// paid returns what the whole layer has paid so far.
func (y *Year) paid() int64 {
	return min(max(y.layer-y.terms.AnnualDeductible, 0), y.most)
}

// part returns a share of an amount, rounded to whole units of money, halves away from zero.
func part(amount int64, share float64) int64 {
	return int64(math.Round(float64(amount) * share))
}
