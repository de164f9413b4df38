package scaler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// idleHands write everything and ask ECS for nothing; RunTask's calls are kept, to be answered by the test.
type idleHands struct {
	Hands
	calls []func(now time.Time, out *ecs.RunTaskOutput, err error) error
}

func (h *idleHands) RunTask(_ *ecs.RunTaskInput, _ func(time.Time) bool, done func(time.Time, *ecs.RunTaskOutput, error) error) {
	h.calls = append(h.calls, done)
}

func (h *idleHands) ListTasks(*ecs.ListTasksInput, func(time.Time, *ecs.ListTasksOutput, error) error) {
}
func (h *idleHands) Write(Records) error { return nil }

// answer has all calls under way answered.
func (h *idleHands) answer(t *testing.T, now time.Time, err error) {
	t.Helper()
	calls := h.calls
	h.calls = nil
	for _, done := range calls {
		if err := done(now, &ecs.RunTaskOutput{}, err); err != nil {
			t.Fatal(err)
		}
	}
}

type endless struct{}

func (endless) Valid(time.Time) bool { return true }

func idleEngine(t *testing.T, h Hands, pools ...Pool) *Engine {
	t.Helper()
	e, err := NewEngine(planNow, Options{Term: endless{}, Pools: pools, Demand: func(string) Demand { return Demand{} }}, h)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAProbeWithoutAnAnswerDoesNotEndProbing(t *testing.T) {
	h := &idleHands{}
	pool := newStage(t, 0).pool
	e := idleEngine(t, h, pool)
	p, pace := e.pools[0], e.paces["FARGATE"]
	if err := p.decided(planNow, Decision{Pool: pool.Name, Launch: []Launch{{Provider: "FARGATE", Count: 10}}}, 10); err != nil {
		t.Fatal(err)
	}
	pace.tokens, pace.wanted, pace.probe.calls = 0, 3000, probeEvery
	if err := e.settle(planNow); err != nil {
		t.Fatal(err)
	}
	if len(h.calls) != 1 || !pace.probe.underWay {
		t.Fatalf("%d calls, a probe under way %t", len(h.calls), pace.probe.underWay)
	}
	h.answer(t, planNow.Add(time.Second), errReset)
	e.age(planNow.Add(repeatable+time.Second), p)
	if pace.probe.underWay || pace.asked != 0 {
		t.Errorf("nobody answers any more: a probe is under way %t, calls for %v tasks", pace.probe.underWay, pace.asked)
	}
}

func TestARequestThatMayNotBeSentIsNotTriedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10)
		refused := 0
		s.ecs.refuse = func(*ecs.RunTaskInput) (before, after error) {
			refused++
			return ErrNotSent, nil // as when the time that it was signed with is not this machine's
		}
		s.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if refused < 2 || refused > 120 {
			t.Errorf("tried %d times in a minute", refused)
		}
	})
}
