package scaler

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/price"
	"spate/job"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
)

// brokenRamp is a ramp of 3,000 whose task definition nobody has seen to work, and does not.
type brokenRamp struct {
	name    string
	figures func(f *ecs.Figures)
	exits   bool          // workers begin, and exit before they receive anything
	after   time.Duration // of running
	within  time.Duration // of the ramp's beginning the breaker must be open
	atMost  int           // tasks launched by then
}

// startsWithin makes each task take so long until it runs, or fails to.
func startsWithin(d time.Duration) func(f *ecs.Figures) {
	return func(f *ecs.Figures) {
		f.Provisioning, f.Pending = ecs.Spread{From: fault.Duration(d / 2), To: fault.Duration(d / 2)}, ecs.Spread{From: fault.Duration(d / 2), To: fault.Duration(d / 2)}
	}
}

func TestABrokenRevisionIsFoundOutWithinSecondsOfItsFirstFailures(t *testing.T) {
	jobs := 3000
	if raceEnabled {
		jobs = 1000
	}
	usual := func(*ecs.Figures) {}
	for _, r := range []brokenRamp{
		{"no image, known after 5 s", startsWithin(5 * time.Second), false, 0, 8 * time.Second, 240},
		{"no image, known after 15 s", startsWithin(15 * time.Second), false, 0, 18 * time.Second, 440},
		{"no image, known after 30 s", startsWithin(30 * time.Second), false, 0, 33 * time.Second, 740},
		{"no image, known after 30 to 60 s", usual, false, 0, 45 * time.Second, 980},
		{"no image, known after 3 min", startsWithin(3 * time.Minute), false, 0, 183 * time.Second, 3010},
		{"exits at once, started after 30 s", startsWithin(30 * time.Second), true, 0, 33 * time.Second, 740},
		{"exits at once, started after 30 to 60 s", usual, true, 0, 45 * time.Second, 980},
		{"exits after 30 s without a queue, started after 30 to 60 s", usual, true, 30 * time.Second, 75 * time.Second, 1580},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, jobs, func(f *ecs.Figures) {
					r.figures(f)
					if !r.exits {
						f.NoImages = []string{"sha256:7"}
					}
				})
				b.work = func(ctx context.Context, _ ecs.FunctionTask) int {
					select {
					case <-time.After(r.after):
						return job.ExitNothingReceived
					case <-ctx.Done():
						return 143
					}
				}
				b.begin()
				took := b.awaits("the breaker is open", 5*time.Minute, heldBy(LimitCrashLoop))
				time.Sleep(5 * time.Second) // for what was on its way
				launched := b.launchedTasks()
				minute := float64(price.TaskPerHour(1, 2, price.X86, false)) / 60 // the least that is billed ("AWS Fargate pricing")
				t.Logf("stopped after %s, %d launched, $%.2f for a minute of each", took.Round(time.Second), launched, float64(launched)*minute)
				if took > r.within || launched > r.atMost {
					t.Errorf("stopped after %s, %d launched", took, launched)
				}
				_ = b.stop()
			})
		})
	}
}
