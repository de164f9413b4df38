package scaler

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// Requests that wait while their pool is paused are sent afterwards, but none that nobody wants by then.
func TestAResumedPoolLaunchesNoMoreThanIsWantedThen(t *testing.T) {
	capAt := func(s *stage, n int) { s.levers.pull(Pull{Lever: LeverCap, Cap: &n}) }
	for name, c := range map[string]struct {
		answer    error // to each call before the pause
		meanwhile func(s *stage, revision *atomic.Int64)
		want      int
	}{
		"jobs ended":                    {errThrottled, func(s *stage, _ *atomic.Int64) { s.want(30) }, 30},
		"all jobs ended":                {errThrottled, func(s *stage, _ *atomic.Int64) { s.want(0) }, 0},
		"a cap":                         {errThrottled, func(s *stage, _ *atomic.Int64) { capAt(s, 20) }, 20},
		"a cap within a request":        {errThrottled, func(s *stage, _ *atomic.Int64) { capAt(s, 25) }, 25},
		"another revision":              {errThrottled, func(_ *stage, revision *atomic.Int64) { revision.Store(8) }, 100},
		"nothing":                       {errThrottled, func(*stage, *atomic.Int64) {}, 100},
		"jobs ended, no answers before": {errReset, func(s *stage, _ *atomic.Int64) { s.want(30) }, 30},
		"a cap, no answers before":      {errReset, func(s *stage, _ *atomic.Int64) { capAt(s, 20) }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLeverStage(t, 100)
				var revision atomic.Int64
				revision.Store(7)
				s.jobsOf = func(string) Demand {
					return Demand{Outstanding: int(s.jobs.Load()), TaskDefinition: definition("rollup", int(revision.Load())), At: time.Now(), Known: true}
				}
				failing := true
				s.ecs.refuse = func(in *ecs.RunTaskInput) (before, after error) {
					if failing {
						return c.answer, nil
					}
					if now, asked := definition("rollup", int(revision.Load())), aws.ToString(in.TaskDefinition); asked != now {
						t.Errorf("%s is launched, and %s wanted", asked, now)
					}
					return nil, nil
				}
				s.start()
				s.until("requests", time.Minute, func() bool { return s.ecs.called("RunTask") > 0 })
				s.levers.pull(Pull{Lever: LeverPause})
				s.limited(LimitPaused, "paused")
				time.Sleep(15 * time.Second) // for calls under way
				if s.journal.open() == 0 {
					t.Fatal("no request waits")
				}
				c.meanwhile(s, &revision)
				s.ecs.set(func() { failing = false })
				time.Sleep(10 * time.Second)
				s.levers.pull(Pull{Lever: LeverResume})
				if c.want > 0 {
					s.until("the workers wanted", 2*time.Minute, func() bool { return s.ecs.launched() >= c.want })
				}
				s.until("nothing open", settleable+time.Minute, s.settled)
				time.Sleep(time.Minute)
				if n := s.ecs.launched(); n != c.want {
					t.Errorf("%d launched, want %d", n, c.want)
				}
				s.end()
			})
		})
	}
}

// For some seconds ECS gives no answers, and fewer workers are wanted.
func TestRequestsWithoutAnAnswerAreRepeatedOnceTheyAreWantedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fewer int
		again int // requests of those four that are repeated meanwhile
	}{
		"as many wanted":          {40, 4},
		"a part of a request":     {39, 4},
		"a request less":          {30, 3},
		"a request and a part":    {29, 3},
		"none of the four wanted": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 40)
				failing := true
				repeated := map[string]bool{}
				s.ecs.refuse = func(in *ecs.RunTaskInput) (before, after error) {
					if failing {
						repeated[aws.ToString(in.ClientToken)] = true
						return errReset, nil
					}
					return nil, nil
				}
				s.start()
				s.until("requests", time.Minute, func() bool { return s.ecs.called("RunTask") >= 4 })
				s.want(c.fewer)
				time.Sleep(2 * time.Second) // for calls under way
				s.ecs.set(func() { clear(repeated) })
				time.Sleep(20 * time.Second)
				s.ecs.set(func() {
					if len(repeated) != c.again {
						t.Errorf("%d requests were repeated while %d workers were wanted, want %d", len(repeated), c.fewer, c.again)
					}
					failing = false
				})
				s.want(40)
				if took := s.until("40 launched", 20*time.Minute, func() bool { return s.ecs.launched() >= 40 }); took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				s.until("nothing open", time.Minute, s.settled)
				if n := s.ecs.launched(); n != 40 {
					t.Errorf("%d launched, want 40", n)
				}
				s.end()
			})
		})
	}
}
