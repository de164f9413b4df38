package scaler

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/price"
)

func TestAPoolsStatusSaysWhatItsWorkersCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		s.pool.Capacity = []Capacity{{Provider: "FARGATE_SPOT", Max: 6}, {Provider: "FARGATE", Max: 4}}
		var known atomic.Bool
		s.jobsOf = func(string) Demand {
			d := Demand{Outstanding: 10, TaskDefinition: "spate-rollup:7", At: time.Now(), Known: true}
			if known.Load() {
				d.Worker = WorkerSize{VCPU: 1, MemoryGB: 2, Arch: price.X86}
			}
			return d
		}
		s.start()
		s.until("10 workers", time.Minute, func() bool { return s.journal.status("rollup").Running == 10 })
		if cost := s.journal.status("rollup").PerHour; cost != nil {
			t.Errorf("workers of unknown size cost %v an hour", *cost)
		}
		known.Store(true)
		var cost *price.USD
		s.until("a price", time.Minute, func() bool { cost = s.journal.status("rollup").PerHour; return cost != nil })
		onDemand := 0.04048 + 2*0.004445 // AWS Fargate pricing, us-east-1
		if want := onDemand * (4 + 6*0.3); math.Abs(float64(*cost)-want) > 1e-9 {
			t.Errorf("4 workers and 6 on Spot cost %v an hour, want %.6f", *cost, want)
		}
		s.end()
	})
}
