package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/simulate"
)

// The whole way with everything real but the jobs and the time: controller, SDK clients, the sandbox's services, and as many
// workers that poll its queues. They come as fast as the account lets them, work, wait for 15 minutes, and leave.
func TestThreeThousandWorkersComeWorkAndLeave(t *testing.T) {
	workers := 3000
	if testing.Short() || raceEnabled {
		workers = 200
	}
	s := simulate.NewScenario(workers)
	s.Jobs, s.JobTime = 2*workers, simulate.Constant(2*time.Minute)
	s.Account.NeverStart = 0
	var f simulate.Figures
	synctest.Test(t, func(t *testing.T) { f, _ = newNight(t, s).pass(t) })

	floor := float64(max(0, workers-200)) / 40
	t.Logf("%d workers accepted after %.1f s, of %.1f s that the account needs; all running after %.0f s; the work done after %.0f s; none left after %.0f s",
		workers, *f.SecondsToAccepted, floor, *f.SecondsToRunning, *f.SecondsToFinished, *f.SecondsToZero)
	if *f.SecondsToAccepted > 1.02*floor+0.5 { // the pace leaves a few tokens in a full bucket
		t.Errorf("accepted after %.1f s, want at most 2 %% and half a second more than %.1f", *f.SecondsToAccepted, floor)
	}
	if f.Launched != workers || f.Overshoot != 0 || f.ThrottledShare >= 0.01 {
		t.Errorf("%d tasks launched, %d too many at once, %.1f %% of calls throttled", f.Launched, f.Overshoot, 100*f.ThrottledShare)
	}
	if left := *f.SecondsToZero - *f.SecondsToFinished; left < 15*60 || left > 20*60 {
		t.Errorf("the last worker left %.0f s after the last job", left)
	}
}
