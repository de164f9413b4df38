package scaler

import (
	"fmt"
	"testing"
	"time"
)

// busyPools are pools in the middle of a ramp, with all bounds configured: each wants more workers than it may have now.
func busyPools(n int) (Observation, Policy) {
	o := Observation{
		Pools: map[string]PoolObservation{}, Tokens: map[string]int{providerOnDemand: 20, providerSpot: 20},
		Rates: map[string]float64{providerOnDemand: 20, providerSpot: 20},
	}
	p := Policy{Account: Account{VCPUs: map[string]float64{providerOnDemand: 1e5, providerSpot: 1e5}, NetworkInterfaces: 1e5, PerHour: 1e5}}
	for i := range n {
		name := fmt.Sprintf("pool-%03d", i)
		p.Pools = append(p.Pools, PoolPolicy{
			Name: name, Max: 3000, Slots: 1, Priority: i % 7, StaleAfter: time.Minute, Within: time.Duration(i%2) * 6 * time.Hour,
			Capacity: []Capacity{{Provider: providerSpot, Max: 3000}, {Provider: providerOnDemand, Min: 20, Max: 3000}},
		})
		o.Pools[name] = PoolObservation{
			Demand: Demand{
				Outstanding: 60000, JobDuration: time.Minute, TaskDefinition: "spate:7", Worker: WorkerSize{VCPU: 1, MemoryGB: 2}, At: planNow, Known: true,
				Runs: []RunWork{{Submitted: planNow, Jobs: 60000, JobDuration: time.Minute}},
			},
			Workers: Workers{
				Running: 40, Pending: 10, ByProvider: map[string]int{providerSpot: 45, providerOnDemand: 5},
				ByDefinition: map[string]int{"spate:7": 50}, PendingFor: 3 * time.Minute, At: planNow, Known: true,
			},
			Unsettled: map[string]int{providerSpot: 10}, UnsettledByDefinition: map[string]int{"spate:7": 10},
			Asked: Asked{At: planNow, Known: true},
		}
	}
	return o, p
}

func BenchmarkPlanOfPools(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			o, p := busyPools(n)
			b.ReportAllocs()
			for b.Loop() {
				Plan(planNow, o, p)
			}
		})
	}
}

func TestPlanOfAHundredPoolsTakesAFewAllocationsEach(t *testing.T) {
	o, p := busyPools(100)
	if n := testing.AllocsPerRun(10, func() { Plan(planNow, o, p) }); n > 100*6 {
		t.Errorf("%.0f allocations for 100 pools", n)
	}
}
