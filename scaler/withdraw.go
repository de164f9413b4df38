package scaler

import (
	"slices"
	"time"
)

// withdraw gives up requests of a pool that are not wanted any more, the newest first: while they waited to be sent, jobs may
// have ended, or people may have wanted something else. One that has certainly launched nothing is over. Of the others
// none is repeated for as long as it is surplus: they count as launched until ECS is asked what became of them. A request of
// which a part is wanted is whole, unless there would be more workers than there may be.
func (e *Engine) withdraw(now time.Time, p *pool) error {
	d, demand := p.last, p.observed.Demand
	if !demand.Known || now.Sub(demand.At) > e.o.StaleAfter {
		return nil
	}
	top, _ := p.observed.Asked.most(p.Max)
	surplus, beyond := d.Have-d.Wanted, d.Have-top
	for _, r := range slices.Backward(p.sorted(func(r *record) bool { return r.State == IntentOpen && !r.busy })) {
		of := sameDefinition(r.definition, demand.TaskDefinition)
		r.surplus = !of || r.Count <= surplus || beyond > 0
		if !r.surplus {
			continue
		}
		if of {
			surplus, beyond = surplus-r.Count, beyond-r.Count
		}
		if r.unsure {
			continue
		}
		e.forgo(now, r)
		if err := r.step(func(i Intent) (Intent, error) { return i.Withdrawn(now) }); err != nil {
			return err
		}
		p.log.Info().Str("intent", r.ID).Int("count", r.Count).Msg("the request is not wanted any more; it is not sent")
	}
	return nil
}
