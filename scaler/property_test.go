package scaler

import (
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// checkPlans checks a property of many drawn plans: of so many times 100, as rapid does unless it is told otherwise.
func checkPlans(t *testing.T, times int, property func(t *rapid.T, o Observation, p Policy)) {
	for range times {
		rapid.Check(t, func(t *rapid.T) {
			o, p := drawPlan(t)
			property(t, o, p)
		})
	}
}

func launchesOf(decisions []Decision) map[string]map[string]int {
	got := map[string]map[string]int{}
	for _, d := range decisions {
		got[d.Pool] = map[string]int{}
		for _, l := range d.Launch {
			got[d.Pool][l.Provider] += l.Count
		}
	}
	return got
}

func TestPlanLaunchesWhatTheSlowWayDoes(t *testing.T) {
	checkPlans(t, 20, func(t *rapid.T, o Observation, p Policy) {
		if diff := cmp.Diff(planOneByOne(o, p), launchesOf(Plan(planNow, o, p))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPlanKeepsEveryBound(t *testing.T) {
	checkPlans(t, 20, func(t *rapid.T, o Observation, p Policy) {
		launched := map[string]int{}
		for _, d := range Plan(planNow, o, p) {
			pool := policyOf(p, d.Pool)
			n := d.Launches()
			launched["all"] += n
			if n > 0 && (d.Have+n > d.Useful || d.Useful > d.Wanted || d.Wanted > pool.Max || d.Have+d.Other+n > pool.Max) {
				t.Fatalf("%s: %d, %d others and %d more for %d wanted, %d useful, of at most %d", d.Pool, d.Have, d.Other, n, d.Wanted, d.Useful, pool.Max)
			}
			seen := o.Pools[d.Pool]
			if n > 0 && (!seen.Demand.Known || !seen.Workers.Known || !seen.Asked.Known) {
				t.Fatalf("%s launches without knowing: %s", d.Pool, d.Reason)
			}
			if c := seen.Asked.Cap; n > 0 && c != nil && d.Have+d.Other+n > *c {
				t.Fatalf("%s has more than its cap of %d", d.Pool, *c)
			}
			for _, l := range d.Launch {
				launched[l.Provider] += l.Count
				if launched[l.Provider] > o.Tokens[l.Provider] {
					t.Fatalf("%d launches on %s with %d tokens", launched[l.Provider], l.Provider, o.Tokens[l.Provider])
				}
				for _, c := range pool.Capacity {
					if c.Provider == l.Provider && seen.Workers.ByProvider[c.Provider]+seen.Unsettled[c.Provider]+l.Count > c.Max {
						t.Fatalf("%s has more than %d on %s", d.Pool, c.Max, c.Provider)
					}
				}
				after := grown(o, map[string]map[string]int{d.Pool: {l.Provider: l.Count}})
				o = after
			}
		}
		// What is launched must not lead beyond a bound. What was beyond it before is not launched's fault.
		s := &slow{o: o, p: p}
		for provider, quota := range p.Account.VCPUs {
			if used, known := s.vcpus(provider); launched[provider] > 0 && (!known || used > quota+1e-6) {
				t.Fatalf("%v vCPUs on %s of %v", used, provider, quota)
			}
		}
		if most := p.Account.NetworkInterfaces; launched["all"] > 0 && most > 0 && s.interfaces() > most {
			t.Fatalf("%d network interfaces of %d", s.interfaces(), most)
		}
		if most := float64(p.Account.PerHour); launched["all"] > 0 && most > 0 {
			if spent, known := s.usd(); !known || spent > most+1e-6 {
				t.Fatalf("$%v an hour of $%v", spent, most)
			}
		}
	})
}

func policyOf(p Policy, pool string) PoolPolicy {
	for _, x := range p.Pools {
		if x.Name == pool {
			return x
		}
	}
	return PoolPolicy{}
}

// grown is an observation a moment after launches.
func grown(o Observation, launches map[string]map[string]int) Observation {
	o.Pools = maps.Clone(o.Pools)
	for pool, by := range launches {
		seen := o.Pools[pool]
		seen.Workers.ByProvider = maps.Clone(seen.Workers.ByProvider)
		for provider, n := range by {
			seen.Workers.ByProvider[provider] += n
			seen.Workers.Pending += n
		}
		o.Pools[pool] = seen
	}
	return o
}

func TestEveryDecisionNamesWhatHoldsItBack(t *testing.T) {
	checkPlans(t, 20, func(t *rapid.T, o Observation, p Policy) {
		decisions := Plan(planNow, o, p)
		if len(decisions) != len(p.Pools) {
			t.Fatalf("%d decisions for %d pools", len(decisions), len(p.Pools))
		}
		for i, d := range decisions {
			if i > 0 && policyOf(p, d.Pool).Priority > policyOf(p, decisions[i-1].Pool).Priority {
				t.Fatalf("%s comes after %s", d.Pool, decisions[i-1].Pool)
			}
			if !strings.HasPrefix(d.Reason, d.Pool+": ") || d.Limit == "" || strings.Contains(d.Reason, "  ") {
				t.Fatalf("no reason or limit: %+v", d)
			}
			if d.Have+d.Launches() < d.Wanted && d.Limit == LimitNone {
				t.Fatalf("less than wanted without a limit: %+v", d)
			}
			if d.Target < d.Have+d.Launches() || d.Launches() > 0 && d.Target > d.Wanted {
				t.Fatalf("a target that makes no sense: %+v", d)
			}
			if paced := d.Target > d.Have+d.Launches(); paced != (d.Limit == LimitPacing) {
				t.Fatalf("the pace leads to %d, the limit is %s: %+v", d.Target, d.Limit, d)
			}
		}
	})
}

func TestAPoolWithWorkAndRoomMakesProgressAndWithTokensReachesItsTarget(t *testing.T) {
	checkPlans(t, 6, func(t *rapid.T, o Observation, p Policy) {
		before := Plan(planNow, o, p)
		for range 60 {
			o.Tokens = map[string]int{providerOnDemand: 3, providerSpot: 3}
			o = grown(o, launchesOf(Plan(planNow, o, p)))
		}
		o.Tokens = map[string]int{providerOnDemand: math.MaxInt32, providerSpot: math.MaxInt32}
		for i, d := range Plan(planNow, o, p) {
			// Within a budget the target is that of the cheapest mix, and for a deadline a twentieth may be missing.
			reached := float64(d.Have) >= (1-deadlineSlack)*float64(before[i].Target) || p.Account.PerHour > 0
			if policyOf(p, d.Pool).Within == 0 && p.Account.PerHour == 0 {
				reached = d.Have >= before[i].Target
			}
			if i == 0 && (d.Launches() > 0 || !reached) {
				t.Fatalf("%s first wanted %d to be reached, and then made no use of its tokens: %s", d.Pool, before[i].Target, d.Reason)
			}
		}
	})
}

func TestNoPoolEverWaitsForOneAfterIt(t *testing.T) {
	checkPlans(t, 20, func(t *rapid.T, o Observation, p Policy) {
		for _, seen := range o.Pools {
			for i := range seen.Holds {
				seen.Holds[i].Trial = 0 // which is not once for all here, but in each second anew
			}
		}
		order := Plan(planNow, o, p)
		last := rapid.IntRange(0, len(order)-1).Draw(t, "the last that matters")
		alone, quiet := o, p
		alone.Pools = maps.Clone(o.Pools)
		quiet.Pools = append([]PoolPolicy(nil), p.Pools...)
		for _, d := range order[last+1:] {
			seen := alone.Pools[d.Pool]
			seen.Demand.Outstanding = 0
			alone.Pools[d.Pool] = seen
			for i := range quiet.Pools {
				if quiet.Pools[i].Name == d.Pool {
					quiet.Pools[i].Min = 0
				}
			}
		}
		for second := range 6 {
			o.Tokens = drawCounts(t, "tokens", 10)
			alone.Tokens = o.Tokens
			with, without := Plan(planNow, o, p), Plan(planNow, alone, quiet)
			for i := range last + 1 {
				if diff := cmp.Diff(without[i].Launch, with[i].Launch); diff != "" {
					t.Fatalf("second %d: %s launches otherwise for the sake of later pools: %s", second, with[i].Pool, diff)
				}
			}
			o, alone = grown(o, launchesOf(with)), grown(alone, launchesOf(without))
		}
	})
}
