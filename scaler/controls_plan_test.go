package scaler

import (
	"testing"
	"time"
)

func TestADecisionSaysWhoKeepsThePoolFromLaunching(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration, reason string) Mark {
		return Mark{By: "anna@host", At: planNow.Add(-d), Reason: reason}
	}
	five, many := 5, 5000
	for name, test := range map[string]struct {
		asked     Asked
		stopError string
		limit     Limit
		launch    int
		reason    string
	}{
		"nobody wants anything": {
			Asked{At: planNow, Known: true},
			"", LimitNone, 7,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching 7 on FARGATE",
		},
		"paused": {
			Asked{Control: Control{Mode: ModePaused, Set: at(time.Hour, "waiting for the new image")}, At: planNow, Known: true},
			"", LimitPaused, 0,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching none: paused by anna@host at 02:00 UTC: waiting for the new image",
		},
		"drained the day before": {
			Asked{Control: Control{Mode: ModeDrained, Set: at(24*time.Hour, "")}, At: planNow, Known: true},
			"", LimitDrained, 0,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching none; workers finish their jobs and leave: drained by anna@host at 2026-11-20 03:00 UTC",
		},
		"killed, which ECS refuses": {
			Asked{Control: Control{Mode: ModeKilled, Set: at(0, "bad release")}, At: planNow, Known: true},
			"not authorized", LimitKilled, 0,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching none; all are being stopped: killed by anna@host at 03:00 UTC: bad release; ECS refuses to stop tasks: not authorized",
		},
		"capped": {
			Asked{Control: Control{Cap: &five, CapSet: at(0, "licences")}, At: planNow, Known: true},
			"", LimitCap, 2,
			"rollup: 5 workers wanted for 10 jobs (capped at 5 by anna@host at 03:00 UTC: licences); 3 running, 2 stopping; launching 2 on FARGATE",
		},
		"capped above the maximum": {
			Asked{Control: Control{Cap: &many, CapSet: at(0, "")}, At: planNow, Known: true},
			"", LimitNone, 7,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching 7 on FARGATE",
		},
		"not known": {Asked{}, "", LimitControl, 0, "rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching none: whether people want the pool to run is not known"},
		"known too long ago": {
			Asked{At: planNow.Add(-61 * time.Second), Known: true},
			"", LimitControl, 0,
			"rollup: 10 workers wanted for 10 jobs; 3 running, 2 stopping; launching none: whether people want the pool to run was last known 1m1s ago, more than 1m",
		},
	} {
		o := Observation{Tokens: map[string]int{"FARGATE": 100}, Pools: map[string]PoolObservation{"rollup": {
			Demand:  Demand{Outstanding: 10, TaskDefinition: "spate-rollup:7", At: planNow, Known: true},
			Workers: Workers{Running: 3, Stopping: 2, ByProvider: map[string]int{"FARGATE": 3}, At: planNow, Known: true},
			Asked:   test.asked, StopError: test.stopError,
		}}}
		p := Policy{Pools: []PoolPolicy{{
			Name: "rollup", Max: 3000, Slots: 1, StaleAfter: time.Minute, Capacity: []Capacity{{Provider: "FARGATE", Max: 3000}},
		}}}
		d := Plan(planNow, o, p)[0]
		if d.Limit != test.limit || d.Launches() != test.launch || d.Reason != test.reason {
			t.Errorf("%s: limit %s, %d launched, reason\n%s, want %s, %d\n%s", name, d.Limit, d.Launches(), d.Reason, test.limit, test.launch, test.reason)
		}
	}
}

func TestADecisionSaysThatNobodyIsLeftOfADrainedOrKilledPool(t *testing.T) {
	t.Parallel()
	for mode, want := range map[Mode]string{
		ModePaused:  "rollup: 10 workers wanted for 10 jobs; none there; launching none: paused by anna@host at 03:00 UTC",
		ModeDrained: "rollup: 10 workers wanted for 10 jobs; none there; launching none; all workers have left: drained by anna@host at 03:00 UTC",
		ModeKilled:  "rollup: 10 workers wanted for 10 jobs; none there; launching none; all workers are stopped: killed by anna@host at 03:00 UTC",
	} {
		o := Observation{Pools: map[string]PoolObservation{"rollup": {
			Demand:  Demand{Outstanding: 10, TaskDefinition: "spate-rollup:7", At: planNow, Known: true},
			Workers: Workers{At: planNow, Known: true},
			Asked:   Asked{Control: Control{Mode: mode, Set: Mark{By: "anna@host", At: planNow}}, At: planNow, Known: true},
		}}}
		p := Policy{Pools: []PoolPolicy{{Name: "rollup", Max: 10, Slots: 1, StaleAfter: time.Minute, Capacity: []Capacity{{Provider: "FARGATE", Max: 10}}}}}
		if got := Plan(planNow, o, p)[0].Reason; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
