package scaler

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestStartingIsLearntFromTasksThatStarted(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE", "spate-rollup:7", []string{"a", "b", "c"})
	var w Workers
	f.starting(planNow.Add(20*time.Second), &w)
	if w.StartUp != 0 || w.PendingFor != time.Minute {
		t.Errorf("before any has started: %s, %s", w.StartUp, w.PendingFor)
	}

	running := task("a", "RUNNING", "RUNNING")
	created, started := planNow.Add(-time.Second), planNow.Add(29*time.Second)
	running.CreatedAt, running.StartedAt = &created, &started
	at := planNow.Add(40 * time.Second)
	f.descriptions(at, at, []types.Task{running}, nil)
	f.descriptions(at, at, []types.Task{running}, nil) // told twice, counted once
	w = Workers{}
	f.starting(at, &w)
	if w.StartUp != 30*time.Second || w.PendingFor != time.Minute || f.startUps.seen != 1 {
		t.Errorf("after one of 30 seconds: %s, %s for two pending, of %d seen", w.StartUp, w.PendingFor, f.startUps.seen)
	}
}

func TestTheLastTasksCountMostAndAccidentsNot(t *testing.T) {
	var s startUps
	took := func(d time.Duration) {
		end := planNow.Add(d)
		s.saw(types.Task{CreatedAt: &planNow, StartedAt: &end})
	}
	for range 1000 {
		took(time.Minute)
	}
	took(-time.Second)
	took(3 * time.Hour)
	s.saw(types.Task{StartedAt: &planNow})
	if s.mean != time.Minute {
		t.Errorf("mean of minutes: %s", s.mean)
	}
	for range 200 {
		took(20 * time.Second)
	}
	if s.mean > 21*time.Second {
		t.Errorf("after 200 of 20 seconds still %s", s.mean)
	}
}
