package scaler

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Ten workers are busy with jobs of an hour, although jobs took ten seconds so far: the ten jobs that wait must not wait
// for them.
func TestJobsThatTakeLongerThanTheyDidDoNotKeepOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 0)
		var jobs atomic.Int64
		jobs.Store(10)
		s.jobsOf = func(pool string) Demand {
			return Demand{Outstanding: int(jobs.Load()), JobDuration: 10 * time.Second, TaskDefinition: "spate-" + pool + ":7", At: time.Now(), Known: true}
		}
		s.start()
		s.until("ten run", 2*time.Minute, func() bool { return s.journal.status("rollup").Running == 10 })
		jobs.Store(20)
		took := s.until("the others have workers", 5*time.Minute, s.launchedIs(20))
		if took < 10*time.Second {
			t.Errorf("launched after %s, before anything spoke against the short jobs", took)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Three of four calls are throttled, as somebody else lists tasks all the time.
func TestListingsAreReadInSpiteOfThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 300)
		calls := 0
		s.ecs.look = func() error {
			if calls++; calls%4 > 0 {
				return errThrottled
			}
			return nil
		}
		s.start()
		held := 0
		for range 300 {
			time.Sleep(time.Second)
			synctest.Wait()
			if s.journal.status("rollup").Limit == LimitObservation {
				held++
			}
		}
		if held > 10 {
			t.Errorf("held for %d s for want of an observation", held)
		}
		if n := s.ecs.called("ListTasks") + s.ecs.called("DescribeTasks"); n > 300*10 {
			t.Errorf("%d calls", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}
