package cache

import "time"

// How the pace follows what the table takes, once a window.
const (
	paceWindow = time.Second
	paceLoss   = 0.5      // of the share that was refused is taken off the rate
	paceGain   = 1.0 / 40 // of the limit is added to the rate
	burstShare = 1.0 / 20 // of a second's items may be written at once
)

// pace is how many items a second the ledger writes: never more than its limit, and less where the table refuses some.
// After each window the rate loses half of the share that was refused, and gains a fortieth of the limit. So a table
// that takes less than the limit is offered what it takes and that fortieth twice; one that refuses three of ten,
// whatever is offered, a sixth of the limit; one that refuses everything a twentieth; and a rate that was halved is back
// after 20 s. It is pure; the zero value is of no use.
type pace struct {
	limit          float64 // items a second
	rate           float64 // items a second; above 0, at most limit
	began          time.Time
	taken, refused int // items, since then
}

// newPace begins at the limit.
func newPace(limit float64, now time.Time) pace { return pace{limit: limit, rate: limit, began: now} }

// report counts what became of a call's items, and returns the rate from now on.
func (p *pace) report(now time.Time, taken, refused int) float64 {
	p.at(now)
	p.taken += taken
	p.refused += refused
	return p.rate
}

// at returns the rate at a time, which is not before that of an earlier call.
func (p *pace) at(now time.Time) float64 {
	passed := now.Sub(p.began)
	if passed < paceWindow {
		return p.rate
	}
	if p.refused > 0 {
		p.rate *= 1 - paceLoss*float64(p.refused)/float64(p.taken+p.refused)
	}
	p.rate = min(p.limit, p.rate+float64(passed/paceWindow)*paceGain*p.limit)
	p.began, p.taken, p.refused = now.Add(-(passed % paceWindow)), 0, 0
	return p.rate
}
