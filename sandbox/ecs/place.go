package ecs

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// The capacity providers of Fargate.
const (
	onDemandProvider = "FARGATE"
	spotProvider     = "FARGATE_SPOT"
)

// Reasons and messages, as ECS words them ("Amazon ECS API failure reasons", "Viewing Amazon ECS stopped task errors").
const (
	reasonCapacity     = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
	reasonVCPUs        = "You’ve reached the limit on the number of vCPUs you can run concurrently"
	reasonNeverStarted = "Timeout waiting for network interface provisioning to complete."
	reasonSpot         = "Your Spot Task was interrupted."
)

// use is what the tasks that have not stopped take up. It is kept, not counted: with thousands of tasks counting them for
// each request took longer than all the rest of it.
type use struct {
	interfaces int
	addresses  map[string]int // by subnet
	vcpus      map[string]float64
	tasks      map[place]int
}

// place is where capacity is counted.
type place struct{ provider, subnet string }

func newUse() use {
	return use{addresses: map[string]int{}, vcpus: map[string]float64{}, tasks: map[place]int{}}
}

func (u *use) add(provider, subnet string, vcpus float64) { u.change(provider, subnet, 1, vcpus) }

func (u *use) remove(provider, subnet string, vcpus float64) { u.change(provider, subnet, -1, -vcpus) }

func (u *use) change(provider, subnet string, n int, vcpus float64) {
	u.interfaces += n
	u.addresses[subnet] += n
	u.vcpus[provider] += vcpus
	u.tasks[place{provider, subnet}] += n
}

// vacate frees what a task took up that has stopped.
func (a *account) vacate(t *task) { a.used.remove(t.providerName(), t.subnet, t.definition.vcpus()) }

// settle takes up room for one more task of a provider in a subnet, the emptiest that has some, or says why there is none.
func (a *account) settle(provider string, subnets []string, vcpus float64) (subnet, reason string) {
	f, u := a.figures, &a.used
	if u.vcpus[provider]+vcpus > f.provider(provider).VCPUs+1e-9 {
		return "", reasonVCPUs
	}
	reason = reasonCapacity
	most, found := 0, false
	for _, candidate := range subnets {
		free := f.Addresses
		if own, named := f.SubnetAddresses[candidate]; named {
			free = own
		}
		free -= u.addresses[candidate]
		if free <= 0 {
			reason = fmt.Sprintf("RESOURCE:ENI: %s does not have enough free addresses to satisfy the request.", candidate)
			continue
		}
		if limit, named := f.provider(provider).Capacity[candidate]; named && u.tasks[place{provider, candidate}] >= limit {
			reason = reasonCapacity
			continue
		}
		if !found || free > most {
			subnet, most, found = candidate, free, true
		}
	}
	if !found {
		return "", reason
	}
	if u.interfaces >= f.Interfaces {
		return "", "RESOURCE:ENI"
	}
	u.add(provider, subnet, vcpus)
	return subnet, ""
}

// subnets are those that the request names; one without a network is in one without a name.
func (r launchRequest) subnets() ([]string, error) {
	if len(r.NetworkConfiguration) == 0 {
		return []string{""}, nil
	}
	var network struct {
		VPC struct {
			Subnets []string `json:"subnets"`
		} `json:"awsvpcConfiguration"`
	}
	if err := json.Unmarshal(r.NetworkConfiguration, &network); err != nil {
		return nil, errInvalid("networkConfiguration: %v", err)
	}
	if len(network.VPC.Subnets) == 0 {
		return nil, errInvalid("subnets can not be empty.")
	}
	return network.VPC.Subnets, nil
}

// fate is what chance has in store for a task; it is drawn when the task is launched.
type fate struct {
	provisioning, pending time.Duration
	never                 bool          // it is stopped instead of starting
	interruption          time.Duration // after it runs; 0: none
	lag                   time.Duration
}

// draw draws a task's fate. The order of draws is part of what a seed repeats.
func (f Figures) draw(random *rand.Rand, provider string) fate {
	var drawn fate
	drawn.provisioning, drawn.pending, drawn.lag = f.Provisioning.draw(random), f.Pending.draw(random), f.Lag.draw(random)
	if random.Float64() < f.NeverStart {
		drawn.never, drawn.provisioning = true, time.Duration(f.NeverAfter)
	}
	until := random.ExpFloat64()
	if provider == spotProvider && f.SpotInterruptions > 0 {
		drawn.interruption = max(1, time.Duration(until/f.SpotInterruptions*float64(time.Hour)))
	}
	return drawn
}

func (s Spread) draw(random *rand.Rand) time.Duration {
	return time.Duration(s.From) + time.Duration(random.Float64()*float64(s.To-s.From))
}

// vcpus is what a task of the definition takes; a definition that says nothing takes the least that Fargate has.
func (d *definition) vcpus() float64 {
	units, err := strconv.ParseFloat(d.CPU, 64)
	if err != nil || units <= 0 {
		return 0.25
	}
	return units / 1024
}

// providerName is the capacity provider that the task counts for.
func (t *task) providerName() string {
	if t.provider == "" {
		return onDemandProvider
	}
	return t.provider
}
