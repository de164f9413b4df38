package scaler

import (
	"slices"
	"time"
)

// withdraw gives up requests of a pool that are not wanted any more, the newest first: while they waited to be sent, jobs may
// have ended, or people may have wanted something else. One that has certainly launched nothing is over. Of the others
// none is repeated: they count as launched until ECS is asked what became of them.
func (e *Engine) withdraw(now time.Time, p *pool) error {
	d, demand := p.last, p.observed.Demand
	if !demand.Known || now.Sub(demand.At) > e.o.StaleAfter {
		return nil
	}
	surplus := d.Have - d.Wanted
	for _, r := range slices.Backward(p.sorted(func(r *record) bool { return r.State == IntentOpen && !r.busy })) {
		of := sameDefinition(r.definition, demand.TaskDefinition)
		if of && surplus <= 0 {
			continue
		}
		if of {
			surplus -= r.Count
		}
		if r.unsure {
			r.due = later(r.due, r.CreatedAt.Add(repeatable))
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
