package fault

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
)

// Injector holds the rules and the counters. Its zero value is not useful: make it with New.
type Injector struct {
	seed uint64

	mu     sync.Mutex
	rules  []*armed
	nextID int
	calls  map[callName]int
}

// armed is a rule with what it has seen.
type armed struct {
	Rule
	random  *rand.Rand
	seen    int // calls that it is about
	applied int
}

type callName struct{ service, operation, outcome string }

// New makes an injector without rules. Rules without a seed of their own get one made of this.
func New(seed uint64) *Injector { return &Injector{seed: seed, calls: map[callName]int{}} }

// Add arms a rule and returns it with its id. The error says what is wrong with it.
func (i *Injector) Add(r Rule) (Rule, error) {
	if err := r.validate(); err != nil {
		return Rule{}, fmt.Errorf("add fault: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.nextID++
	if r.ID == "" {
		r.ID = fmt.Sprintf("fault-%d", i.nextID)
	}
	if slices.ContainsFunc(i.rules, func(a *armed) bool { return a.ID == r.ID }) {
		return Rule{}, fmt.Errorf("add fault: there is a fault %q already", r.ID)
	}
	if r.Seed == 0 {
		hash := fnv.New64a()
		fmt.Fprintf(hash, "%d/%d", i.seed, i.nextID)
		r.Seed = hash.Sum64()
	}
	if r.Probability == 0 {
		r.Probability = 1
	}
	if r.Kind == Partial && r.Share == 0 {
		r.Share = 0.5
	}
	i.rules = append(i.rules, &armed{Rule: r, random: rand.New(rand.NewPCG(r.Seed, 0))})
	return r, nil
}

// Remove takes a rule away; false when there is none of that id.
func (i *Injector) Remove(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := len(i.rules)
	i.rules = slices.DeleteFunc(i.rules, func(a *armed) bool { return a.ID == id })
	return len(i.rules) < before
}

// Clear takes all rules away.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = nil
}

// Decide returns the rules that apply to a call, in the order in which they were added, and counts them as applied.
// A nil injector has none.
func (i *Injector) Decide(c Call) []Rule {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var apply []Rule
	for _, a := range i.rules {
		if !a.wants(c) {
			continue
		}
		a.seen++
		if a.seen <= a.After || a.Count > 0 && a.applied >= a.Count {
			continue
		}
		if a.Probability < 1 && a.random.Float64() >= a.Probability {
			continue
		}
		a.applied++
		apply = append(apply, a.Rule)
	}
	return apply
}

// count notes one call's outcome: "ok", an error's code, or "dropped".
func (i *Injector) count(c Call, outcome string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[callName{c.Service, c.Operation, outcome}]++
}

// Armed is a rule with how often it was tried and applied.
type Armed struct {
	Rule
	Seen    int `json:"seen"`
	Applied int `json:"applied"`
}

// Rules are the rules that are armed, in their order.
func (i *Injector) Rules() []Armed {
	i.mu.Lock()
	defer i.mu.Unlock()
	rules := []Armed{}
	for _, a := range i.rules {
		rules = append(rules, Armed{a.Rule, a.seen, a.applied})
	}
	return rules
}

// Calls are the numbers of calls by service, operation and outcome.
func (i *Injector) Calls() map[string]map[string]map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := map[string]map[string]map[string]int{}
	for name, n := range i.calls {
		if all[name.service] == nil {
			all[name.service] = map[string]map[string]int{}
		}
		if all[name.service][name.operation] == nil {
			all[name.service][name.operation] = map[string]int{}
		}
		all[name.service][name.operation][name.outcome] = n
	}
	return all
}
