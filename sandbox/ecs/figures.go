package ecs

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"spate/sandbox/fault"
	"spate/sandbox/limit"
)

// Figures are an account's limits in one Region, and how it behaves. Each counts as it stands: 0 tasks a second are none.
// [Fargate] has the documented ones.
type Figures struct {
	// OnDemand and Spot are the capacity providers FARGATE and FARGATE_SPOT. A launch type is FARGATE's.
	OnDemand Provider `json:"on_demand"`
	Spot     Provider `json:"spot"`
	// Calls that change tasks (RunTask, StopTask), that look at them (ListTasks, DescribeTasks) and DescribeClusters draw on
	// a bucket of their kind; RunTask also on one for Fargate.
	ChangeCalls  Rate `json:"change_calls"`
	RunTaskCalls Rate `json:"run_task_calls"`
	LookCalls    Rate `json:"look_calls"`
	ClusterCalls Rate `json:"cluster_calls"`
	// Addresses is how many tasks a subnet has addresses for; SubnetAddresses are those of the subnets that it names.
	Addresses       int            `json:"addresses"`
	SubnetAddresses map[string]int `json:"subnet_addresses,omitempty"`
	// Interfaces is how many network interfaces, and so tasks, the Region has.
	Interfaces int `json:"interfaces"`
	// Provisioning and Pending are how long a task stays so. NeverStart is the share of tasks that stay PROVISIONING for
	// NeverAfter and are stopped then.
	Provisioning Spread         `json:"provisioning"`
	Pending      Spread         `json:"pending"`
	NeverStart   float64        `json:"never_start"`
	NeverAfter   fault.Duration `json:"never_after"`
	// NoImages are images, or parts of their names, that cannot be pulled.
	NoImages []string `json:"no_images,omitempty"`
	// Lag is how long a new task is missing from ListTasks and DescribeTasks.
	Lag Spread `json:"lag"`
	// SpotInterruptions is how often an hour a Spot task is interrupted.
	SpotInterruptions float64 `json:"spot_interruptions_per_hour"`
	// Events is the name of the queue that is told of each task's changes; empty: none. It takes what an EventBridge rule
	// for "ECS Task State Change" with that queue as its target would deliver.
	Events string `json:"events,omitempty"`
}

// Provider is one capacity provider.
type Provider struct {
	// Launches is the bucket of tasks that RunTask draws on.
	Launches Rate `json:"launches"`
	// VCPUs is the quota of those that run at once.
	VCPUs float64 `json:"vcpus"`
	// Capacity is how many tasks may run at once in the subnets that it names; others have room.
	Capacity map[string]int `json:"capacity,omitempty"`
}

// Rate is a token bucket's.
type Rate = limit.Rate

// Spread is a duration drawn evenly from From to To.
type Spread struct {
	From fault.Duration `json:"from"`
	To   fault.Duration `json:"to"`
}

// Fargate is an account with the documented figures, except for the vCPU quotas: those of a new account (6) would not let
// anything be seen. Sources: "Amazon ECS service quotas", "AWS Fargate throttling quotas", "Request throttling for the
// Amazon ECS API", "Amazon VPC quotas" (a /20 subnet less the five addresses that AWS keeps). The shares and durations
// of starting are observed ones, and promised by nobody.
func Fargate() Figures {
	provider := Provider{Launches: Rate{Burst: 100, PerSecond: 20}, VCPUs: 6000}
	return Figures{
		OnDemand: provider, Spot: provider,
		ChangeCalls: Rate{Burst: 100, PerSecond: 40}, RunTaskCalls: Rate{Burst: 20, PerSecond: 20}, LookCalls: Rate{Burst: 100, PerSecond: 20}, ClusterCalls: Rate{Burst: 50, PerSecond: 20},
		Addresses: 4091, Interfaces: 5000,
		Provisioning: seconds(10, 20), Pending: seconds(20, 40), NeverStart: 0.01, NeverAfter: fault.Duration(3 * time.Minute),
		Lag: seconds(0, 3),
	}
}

// Instant is Fargate without what takes time: tasks start at once and all of them, and are seen at once.
func Instant() Figures {
	f := Fargate()
	f.Provisioning, f.Pending, f.Lag, f.NeverStart = Spread{}, Spread{}, Spread{}, 0
	return f
}

func seconds(from, to float64) Spread {
	return Spread{fault.Duration(from * float64(time.Second)), fault.Duration(to * float64(time.Second))}
}

func (f Figures) validate() error {
	rates := map[string]Rate{
		"on_demand.launches": f.OnDemand.Launches, "spot.launches": f.Spot.Launches, "change_calls": f.ChangeCalls,
		"run_task_calls": f.RunTaskCalls, "look_calls": f.LookCalls, "cluster_calls": f.ClusterCalls,
	}
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		if r := rates[name]; r.Burst < 0 || r.PerSecond < 0 {
			return fmt.Errorf("%s: burst %v and %v a second must not be negative", name, r.Burst, r.PerSecond)
		}
	}
	spreads := map[string]Spread{"provisioning": f.Provisioning, "pending": f.Pending, "lag": f.Lag}
	for _, name := range slices.Sorted(maps.Keys(spreads)) {
		if s := spreads[name]; s.From < 0 || s.To < s.From {
			return fmt.Errorf("%s: from %s to %s: want 0 or more, and to no less than from", name, time.Duration(s.From), time.Duration(s.To))
		}
	}
	switch {
	case f.OnDemand.VCPUs < 0 || f.Spot.VCPUs < 0 || f.Addresses < 0 || f.Interfaces < 0:
		return fmt.Errorf("vcpus, addresses and interfaces must not be negative")
	case f.NeverStart < 0 || f.NeverStart > 1:
		return fmt.Errorf("never_start %v: want a share from 0 to 1", f.NeverStart)
	case f.SpotInterruptions < 0 || f.NeverAfter < 0:
		return fmt.Errorf("spot_interruptions_per_hour and never_after must not be negative")
	}
	return nil
}

// clone shares nothing with f.
func (f Figures) clone() Figures {
	f.OnDemand.Capacity, f.Spot.Capacity = maps.Clone(f.OnDemand.Capacity), maps.Clone(f.Spot.Capacity)
	f.SubnetAddresses, f.NoImages = maps.Clone(f.SubnetAddresses), slices.Clone(f.NoImages)
	return f
}

// provider is a capacity provider's figures, by its name.
func (f Figures) provider(name string) Provider {
	if name == spotProvider {
		return f.Spot
	}
	return f.OnDemand
}
