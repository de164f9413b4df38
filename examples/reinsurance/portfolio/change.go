package portfolio

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"spate/examples/reinsurance/draw"
)

// Change returns a portfolio in which a fraction of the deals, rounded up, have another limit, and the ids of these
// deals, ascending. The seed chooses the deals and the limits. A fraction is read as at least 0 and at most 1.
func (p Portfolio) Change(fraction float64, seed uint64) (Portfolio, []string) {
	const noise = 1e-9 // 0.07 × 100 is a little above 7
	count := int(math.Ceil(float64(min(max(fraction, 0), 1)*float64(len(p.Deals))) - noise))
	order := make([]int, len(p.Deals))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(draw.Hash(seed, drawChanged, uint64(a)), draw.Hash(seed, drawChanged, uint64(b)))
	})
	order = order[:count]
	slices.Sort(order)

	changed := make([]string, 0, count)
	p.Deals = slices.Clone(p.Deals)
	for _, i := range order {
		terms := &p.Deals[i].Terms
		factor := 1.1 + float64(0.4*draw.Uniform(seed, drawChange, uint64(i)))
		terms.Limit = max(round2(float64(terms.Limit)*factor), terms.Limit+1)
		changed = append(changed, p.Deals[i].ID)
	}
	return p, changed
}

// Relabel returns the portfolio with these labels added to the run's, or replacing them. Labels are for people: no
// result depends on them.
func (p Portfolio) Relabel(labels map[string]string) Portfolio {
	merged := maps.Clone(p.Labels)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, labels)
	p.Labels = merged
	return p
}

// ExpectedExecuted returns how many jobs must run again after these jobs changed, the results of all others being
// known: the changed ones and all that depend on them, directly or through others. It looks at the dependency graph
// alone. Ids that the portfolio does not have count for nothing.
func ExpectedExecuted(p Portfolio, changed []string) int {
	stale := make(map[string]bool, len(changed))
	for _, id := range changed {
		stale[id] = true
	}
	// Jobs come after those they need, so that one pass is enough.
	count := 0
	for _, job := range p.Jobs() {
		again := stale[job.ID]
		for _, n := range job.Needs {
			again = again || stale[n.Job]
		}
		if again {
			stale[job.ID] = true
			count++
		}
	}
	return count
}
