package scaler

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"spate/internal/price"
)

var planNow = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// TestPlanStories runs the stories of testdata/plan. Their commands:
//
//	account [vcpus=(PROVIDER:COUNT, …)] [interfaces=] [usd=]
//	pool NAME [min=] max= [slots=] [priority=] [within=] capacity=(PROVIDER:[MIN-]MAX, …)
//	demand NAME jobs= [takes=] [vcpu= gb=] [age=] [revision=] [empty-for=] [no-task-definition]     or   demand NAME unknown
//	run NAME jobs= [submitted=] [takes=]       how long ago; no-runs NAME forgets them
//	workers NAME [running=] [pending=] [pending-for=] [start-up=] [age=] [on=(PROVIDER:COUNT, …)] [of=(REVISION:COUNT, …)] [stopping=(PROVIDER:COUNT, …)]
//	workers NAME unknown
//	unsettled NAME on=(PROVIDER:COUNT, …) [of=(REVISION:COUNT, …)]
//	hold NAME [provider=] limit= for= [trial=] its words in the lines below
//	ask NAME [mode=] [cap=] [age=]             or   ask NAME unknown
//	tokens on=(PROVIDER:COUNT, …)
//	wait DURATION
//	plan
//
// What people ask of a pool is as fresh as can be until a story says something else.
func TestPlanStories(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		s := story{t: t, now: planNow, o: Observation{
			Pools: map[string]PoolObservation{}, Tokens: map[string]int{"FARGATE": 100, "FARGATE_SPOT": 100},
			Rates: map[string]float64{"FARGATE": 20, "FARGATE_SPOT": 20},
		}}
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
		var out strings.Builder
		for _, decision := range Plan(s.now, s.o, s.p) {
			fmt.Fprintf(&out, "%s\n  limit: %s\n", decision.Reason, decision.Limit)
		}
		return out.String()
	case "wait":
		s.now = s.now.Add(duration(t, d.CmdArgs[0].Key))
		for name, pool := range s.o.Pools {
			pool.Asked.At = s.now
			s.o.Pools[name] = pool
		}
		return ""
	case "tokens":
		s.o.Tokens = counts(t, d, "on")
		return ""
	case "account":
		s.p.Account = Account{VCPUs: map[string]float64{}, NetworkInterfaces: number(t, d, "interfaces"), PerHour: price.USD(number(t, d, "usd"))}
		for provider, n := range counts(t, d, "vcpus") {
			s.p.Account.VCPUs[provider] = float64(n)
		}
		return ""
	}
	name := d.CmdArgs[0].Key
	pool := s.o.Pools[name]
	s.tell(t, d, name, &pool)
	s.o.Pools[name] = pool
	return ""
}

// tell changes what is known of a pool.
func (s *story) tell(t *testing.T, d *datadriven.TestData, name string, pool *PoolObservation) {
	switch d.Cmd {
	case "pool":
		p := PoolPolicy{
			Name: name, Min: number(t, d, "min"), Max: number(t, d, "max"), Slots: max(1, number(t, d, "slots")), Priority: number(t, d, "priority"),
			Within: durationArg(t, d, "within"), StaleAfter: time.Minute,
		}
		arg, _ := d.Arg("capacity")
		for _, v := range arg.Vals {
			provider, bounds, _ := strings.Cut(v, ":")
			c := Capacity{Provider: provider}
			if least, most, both := strings.Cut(bounds, "-"); both {
				c.Min, c.Max = atoi(t, least), atoi(t, most)
			} else {
				c.Max = atoi(t, bounds)
			}
			p.Capacity = append(p.Capacity, c)
		}
		s.p.Pools = append(s.p.Pools, p)
		pool.Asked = Asked{At: s.now, Known: true}
	case "demand":
		pool.Demand = Demand{
			Outstanding: number(t, d, "jobs"), TaskDefinition: definition(name, max(7, number(t, d, "revision"))), JobDuration: durationArg(t, d, "takes"),
			Runs:   pool.Demand.Runs,
			Worker: WorkerSize{VCPU: float64(number(t, d, "vcpu")), MemoryGB: float64(number(t, d, "gb"))},
			At:     s.now.Add(-durationArg(t, d, "age")), Known: !d.HasArg("unknown"),
		}
		if d.HasArg("empty-for") {
			pool.Demand.QueueEmptySince = s.now.Add(-durationArg(t, d, "empty-for"))
		}
		if d.HasArg("no-task-definition") {
			pool.Demand.TaskDefinition = ""
		}
	case "run":
		pool.Demand.Runs = append(pool.Demand.Runs, RunWork{
			Submitted: s.now.Add(-durationArg(t, d, "submitted")), Jobs: number(t, d, "jobs"), JobDuration: durationArg(t, d, "takes"),
		})
	case "no-runs":
		pool.Demand.Runs = nil
	case "workers":
		pool.Workers = Workers{
			Running: number(t, d, "running"), Pending: number(t, d, "pending"), ByProvider: counts(t, d, "on"),
			Stopping: sum(counts(t, d, "stopping")), StoppingBy: counts(t, d, "stopping"), ByDefinition: byDefinition(t, d, name), StartUp: durationArg(t, d, "start-up"), PendingFor: durationArg(t, d, "pending-for"),
			At: s.now.Add(-durationArg(t, d, "age")), Known: !d.HasArg("unknown"),
		}
	case "unsettled":
		pool.Unsettled, pool.UnsettledByDefinition = counts(t, d, "on"), byDefinition(t, d, name)
	case "hold":
		h := Hold{Reason: strings.TrimSpace(d.Input), Trial: number(t, d, "trial"), Until: s.now.Add(durationArg(t, d, "for"))}
		if arg, ok := d.Arg("provider"); ok {
			h.Provider = arg.SingleVal(t)
		}
		limit, _ := d.Arg("limit")
		h.Limit = Limit(limit.SingleVal(t))
		pool.Holds = append(pool.Holds, h)
	case "ask":
		mark := Mark{By: "anna@host", Reason: strings.TrimSpace(d.Input), At: s.now}
		pool.Asked = Asked{At: s.now.Add(-durationArg(t, d, "age")), Known: !d.HasArg("unknown")}
		if arg, ok := d.Arg("mode"); ok {
			pool.Asked.Mode, pool.Asked.Set = Mode(arg.SingleVal(t)), mark
		}
		if d.HasArg("cap") {
			most := number(t, d, "cap")
			pool.Asked.Cap, pool.Asked.CapSet = &most, mark
		}
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
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

// durationArg is 0 where there is none.
func durationArg(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	arg, ok := d.Arg(key)
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
