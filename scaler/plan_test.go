package scaler

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var planNow = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// TestPlanStories runs the stories of testdata/plan. Their commands:
//
//	pool NAME [min=] max= [slots=] [priority=] capacity=(PROVIDER:MAX, …)
//	demand NAME jobs= [age=] [revision=] [no-task-definition]     or   demand NAME unknown
//	workers NAME [running=] [pending=] [age=] [on=(PROVIDER:COUNT, …)] [of=(REVISION:COUNT, …)]   or   workers NAME unknown
//	unsettled NAME on=(PROVIDER:COUNT, …) [of=(REVISION:COUNT, …)]
//	hold NAME [provider=] limit= for=          its words in the lines below
//	tokens on=(PROVIDER:COUNT, …)
//	wait DURATION
//	plan
func TestPlanStories(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		s := story{t: t, now: planNow, o: Observation{Pools: map[string]PoolObservation{}, Tokens: map[string]int{"FARGATE": 100, "FARGATE_SPOT": 100}}}
		datadriven.RunTest(t, path, s.run)
	})
}

type story struct {
	t   *testing.T
	now time.Time
	o   Observation
	p   Policy
}

func (s *story) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "plan":
		for name, pool := range s.o.Pools {
			pool.Asked = Asked{At: s.now, Known: true}
			s.o.Pools[name] = pool
		}
		var out strings.Builder
		for _, decision := range Plan(s.now, s.o, s.p) {
			fmt.Fprintf(&out, "%s\n  limit: %s\n", decision.Reason, decision.Limit)
		}
		return out.String()
	case "wait":
		s.now = s.now.Add(duration(t, d.CmdArgs[0].Key))
		return ""
	case "tokens":
		s.o.Tokens = counts(t, d, "on")
		return ""
	}
	name := d.CmdArgs[0].Key
	pool := s.o.Pools[name]
	switch d.Cmd {
	case "pool":
		p := PoolPolicy{Name: name, Min: number(t, d, "min"), Max: number(t, d, "max"), Slots: max(1, number(t, d, "slots")), Priority: number(t, d, "priority"), StaleAfter: time.Minute}
		arg, _ := d.Arg("capacity")
		for _, v := range arg.Vals {
			provider, most, _ := strings.Cut(v, ":")
			p.Capacity = append(p.Capacity, Capacity{Provider: provider, Max: atoi(t, most)})
		}
		s.p.Pools = append(s.p.Pools, p)
	case "demand":
		pool.Demand = Demand{
			Outstanding: number(t, d, "jobs"), TaskDefinition: definition(name, max(7, number(t, d, "revision"))), At: s.now.Add(-age(t, d)), Known: !d.HasArg("unknown"),
		}
		if d.HasArg("no-task-definition") {
			pool.Demand.TaskDefinition = ""
		}
	case "workers":
		pool.Workers = Workers{
			Running: number(t, d, "running"), Pending: number(t, d, "pending"), ByProvider: counts(t, d, "on"),
			ByDefinition: byDefinition(t, d, name), At: s.now.Add(-age(t, d)), Known: !d.HasArg("unknown"),
		}
	case "unsettled":
		pool.Unsettled, pool.UnsettledByDefinition = counts(t, d, "on"), byDefinition(t, d, name)
	case "hold":
		h := Hold{Reason: strings.TrimSpace(d.Input)}
		if arg, ok := d.Arg("provider"); ok {
			h.Provider = arg.SingleVal(t)
		}
		limit, _ := d.Arg("limit")
		h.Limit = Limit(limit.SingleVal(t))
		until, _ := d.Arg("for")
		h.Until = s.now.Add(duration(t, until.SingleVal(t)))
		pool.Holds = append(pool.Holds, h)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	s.o.Pools[name] = pool
	return ""
}

func number(t *testing.T, d *datadriven.TestData, key string) int {
	arg, ok := d.Arg(key)
	if !ok {
		return 0
	}
	return atoi(t, arg.SingleVal(t))
}

func definition(pool string, revision int) string {
	return fmt.Sprintf("arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-%s:%d", pool, revision)
}

func byDefinition(t *testing.T, d *datadriven.TestData, pool string) map[string]int {
	m := map[string]int{}
	for revision, n := range counts(t, d, "of") {
		m[definition(pool, atoi(t, revision))] = n
	}
	return m
}

func counts(t *testing.T, d *datadriven.TestData, key string) map[string]int {
	m := map[string]int{}
	arg, _ := d.Arg(key)
	for _, v := range arg.Vals {
		provider, n, _ := strings.Cut(v, ":")
		m[provider] = atoi(t, n)
	}
	return m
}

func age(t *testing.T, d *datadriven.TestData) time.Duration {
	arg, ok := d.Arg("age")
	if !ok {
		return 0
	}
	return duration(t, arg.SingleVal(t))
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// drawPlan draws a policy of up to four pools and an observation of them.
func drawPlan(t *rapid.T) (Observation, Policy) {
	providers := []string{"FARGATE", "FARGATE_SPOT"}
	small := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5))
	perProvider := func(name string) map[string]int {
		return map[string]int{providers[0]: small.Draw(t, name), providers[1]: small.Draw(t, name)}
	}
	at := func(name string) time.Time {
		return planNow.Add(-rapid.SampledFrom([]time.Duration{0, time.Minute, time.Minute + 1}).Draw(t, name))
	}
	o := Observation{Pools: map[string]PoolObservation{}, Tokens: perProvider("tokens")}
	var p Policy
	for i := range rapid.IntRange(1, 4).Draw(t, "pools") {
		name := string(rune('a' + i))
		lowest := rapid.IntRange(0, 5).Draw(t, "min")
		policy := PoolPolicy{
			Name: name, Min: lowest, Max: lowest + rapid.IntRange(1, 60).Draw(t, "max"), Slots: rapid.IntRange(1, 4).Draw(t, "slots"),
			Priority: rapid.IntRange(0, 2).Draw(t, "priority"), StaleAfter: time.Minute,
		}
		for _, provider := range rapid.Permutation(providers).Draw(t, "providers")[:rapid.IntRange(1, 2).Draw(t, "number of providers")] {
			policy.Capacity = append(policy.Capacity, Capacity{Provider: provider, Max: rapid.IntRange(1, 60).Draw(t, "capacity")})
		}
		p.Pools = append(p.Pools, policy)
		seen := PoolObservation{
			Demand: Demand{
				Outstanding: rapid.IntRange(0, 200).Draw(t, "jobs"), TaskDefinition: rapid.SampledFrom([]string{"f:1", "f:1", "f:1", ""}).Draw(t, "definition"),
				At: at("demand at"), Known: rapid.IntRange(0, 5).Draw(t, "demand known") > 0,
			},
			Workers:   Workers{ByProvider: perProvider("have"), At: at("workers at"), Known: rapid.IntRange(0, 5).Draw(t, "workers known") > 0},
			Unsettled: perProvider("unsettled"),
			Asked:     Asked{At: planNow, Known: true},
		}
		seen.Workers.Running = rapid.IntRange(0, sum(seen.Workers.ByProvider)).Draw(t, "running")
		seen.Workers.Pending = sum(seen.Workers.ByProvider) - seen.Workers.Running
		seen.Workers.ByDefinition = drawDefinitions(t, sum(seen.Workers.ByProvider))
		seen.UnsettledByDefinition = drawDefinitions(t, sum(seen.Unsettled))
		for _, provider := range append(providers, "") {
			if rapid.IntRange(0, 5).Draw(t, "hold") == 0 {
				until := planNow.Add(rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "until"))
				seen.Holds = append(seen.Holds, Hold{Provider: provider, Until: until, Limit: LimitCapacity, Reason: "no room"})
			}
		}
		o.Pools[name] = seen
	}
	return o, p
}

// drawDefinitions divides tasks between another task definition than the demand's ("f:1") and three names for that.
func drawDefinitions(t *rapid.T, tasks int) map[string]int {
	m := map[string]int{}
	for _, name := range []string{"arn:task-definition/f:2", "arn:task-definition/f:1", "f:1"} {
		m[name] = rapid.IntRange(0, tasks).Draw(t, name)
		tasks -= m[name]
	}
	m[""] = tasks
	return m
}

// launchOneByOne is the slow way: give every missing worker, one after the other, to the first provider that may have it.
func launchOneByOne(o Observation, p Policy) map[string]map[string]int {
	launched := map[string]map[string]int{}
	tokens := map[string]int{"FARGATE": o.Tokens["FARGATE"], "FARGATE_SPOT": o.Tokens["FARGATE_SPOT"]}
	for priority := 2; priority >= 0; priority-- {
		for _, pool := range p.Pools {
			seen := o.Pools[pool.Name]
			launched[pool.Name] = orEmpty(launched[pool.Name])
			fresh := func(at time.Time) bool { return !at.Add(pool.StaleAfter).Before(planNow) }
			if pool.Priority != priority || !seen.Demand.Known || !seen.Workers.Known || !fresh(seen.Demand.At) || !fresh(seen.Workers.At) || seen.Demand.TaskDefinition == "" {
				continue
			}
			held := map[string]bool{}
			for _, h := range seen.Holds {
				held[h.Provider] = held[h.Provider] || h.Until.After(planNow)
			}
			have := seen.Workers.Running + seen.Workers.Pending + seen.Unsettled["FARGATE"] + seen.Unsettled["FARGATE_SPOT"]
			other := seen.Workers.ByDefinition["arn:task-definition/f:2"] + seen.UnsettledByDefinition["arn:task-definition/f:2"]
			for have < pool.Max && (have-other < pool.Min || (have-other)*pool.Slots < seen.Demand.Outstanding) && !held[""] {
				provider := ""
				for _, c := range pool.Capacity {
					used := seen.Workers.ByProvider[c.Provider] + seen.Unsettled[c.Provider] + launched[pool.Name][c.Provider]
					if provider == "" && !held[c.Provider] && used < c.Max && tokens[c.Provider] > 0 {
						provider = c.Provider
					}
				}
				if provider == "" {
					break
				}
				launched[pool.Name][provider]++
				tokens[provider]--
				have++
			}
		}
	}
	return launched
}

func orEmpty(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}

func TestPlanLaunchesWhatTheSlowWayDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, p := drawPlan(t)
		got := map[string]map[string]int{}
		for _, d := range Plan(planNow, o, p) {
			got[d.Pool] = map[string]int{}
			for _, l := range d.Launch {
				got[d.Pool][l.Provider] += l.Count
			}
		}
		if diff := cmp.Diff(launchOneByOne(o, p), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPlanSaysWhatItDoesAndKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, p := drawPlan(t)
		decisions := Plan(planNow, o, p)
		if len(decisions) != len(p.Pools) {
			t.Fatalf("%d decisions for %d pools", len(decisions), len(p.Pools))
		}
		priorities := map[string]PoolPolicy{}
		for _, pool := range p.Pools {
			priorities[pool.Name] = pool
		}
		for i, d := range decisions {
			pool := priorities[d.Pool]
			if i > 0 && pool.Priority > priorities[decisions[i-1].Pool].Priority {
				t.Fatalf("%s comes after %s", d.Pool, decisions[i-1].Pool)
			}
			if n := d.Launches(); n > 0 && (d.Have+n > d.Wanted || d.Wanted > pool.Max || d.Have+d.Other+n > pool.Max) {
				t.Fatalf("%s: %d, %d others and %d more for %d wanted of at most %d", d.Pool, d.Have, d.Other, n, d.Wanted, pool.Max)
			}
			if d.Reason == "" || !strings.HasPrefix(d.Reason, d.Pool+": ") || d.Limit == "" {
				t.Fatalf("no reason or limit: %+v", d)
			}
			if d.Have+d.Launches() < d.Wanted && d.Limit == LimitNone {
				t.Fatalf("less than wanted without a limit: %+v", d)
			}
		}
	})
}
