package scaler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

var errKilled = errors.New("the process is dead")

// mortal is one process's way to the world. It dies at its n-th step outwards, before or after the step's effect, and
// nothing that it does later has any.
type mortal struct {
	world *fakeECS
	*term
	at    int // 0: never
	after bool

	mu    sync.Mutex
	steps int
	dead  bool
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// step does one thing, or dies.
func step[T any](m *mortal, do func() (T, error)) (T, error) {
	var none T
	m.mu.Lock()
	m.steps++
	dying := m.steps == m.at
	gone := m.dead
	m.dead = m.dead || dying
	m.mu.Unlock()
	if gone || (dying && !m.after) {
		return none, errKilled
	}
	out, err := do()
	if dying {
		return none, errKilled
	}
	return out, err
}

func (m *mortal) RunTask(ctx context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	return step(m, func() (*ecs.RunTaskOutput, error) { return m.world.RunTask(ctx, in) })
}

func (m *mortal) ListTasks(ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	return step(m, func() (*ecs.ListTasksOutput, error) { return m.world.ListTasks(ctx, in) })
}

func (m *mortal) DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	return step(m, func() (*ecs.DescribeTasksOutput, error) { return m.world.DescribeTasks(ctx, in) })
}

func (m *mortal) StopTask(ctx context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options)) (*ecs.StopTaskOutput, error) {
	return step(m, func() (*ecs.StopTaskOutput, error) { return m.world.StopTask(ctx, in) })
}

func (m *mortal) DescribeClusters(ctx context.Context, in *ecs.DescribeClustersInput, _ ...func(*ecs.Options)) (*ecs.DescribeClustersOutput, error) {
	return step(m, func() (*ecs.DescribeClustersOutput, error) { return m.world.DescribeClusters(ctx, in) })
}

func (m *mortal) Load(ctx context.Context, pool string) (intents []Intent, status Status, err error) {
	_, err = step(m, func() (struct{}, error) {
		var err error
		intents, status, err = m.term.Load(ctx, pool)
		return struct{}{}, err
	})
	return intents, status, err
}

func (m *mortal) LoadRates(ctx context.Context) ([]Learnt, error) {
	return step(m, func() ([]Learnt, error) { return m.term.LoadRates(ctx) })
}

func (m *mortal) Write(ctx context.Context, r Records) error {
	_, err := step(m, func() (struct{}, error) { return struct{}{}, m.term.Write(ctx, r) })
	return err
}

// live runs a process until it has died or everything is settled, and reports whether it died.
func (s *stage) live(m *mortal, workers int) (died bool) {
	s.run(m, m, m)
	s.until("death or rest", 15*time.Minute, func() bool {
		return m.died() || (s.ecs.launched() >= workers && s.settled() && s.journal.status("rollup").Running >= workers)
	})
	died = m.died()
	_ = s.stop()
	return died
}

func TestAControllerKilledAtAnyStepLaunchesNothingTwice(t *testing.T) {
	const workers = 25
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			reached := true
			t.Run(fmt.Sprintf("step %d, after=%t", at, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, workers)
					reached = s.live(&mortal{world: s.ecs, term: s.journal.lead(), at: at, after: after}, workers)
					s.successor(workers)
				})
			})
			if !reached {
				if at < 20 {
					t.Errorf("a whole life took %d steps only", at-1)
				}
				break
			}
		}
	}
}

func TestTwoControllersKilledInARowLaunchNothingTwice(t *testing.T) {
	const workers = 25
	for first := 3; first <= 9; first++ {
		for second := 1; second <= 12; second++ {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, workers)
				s.live(&mortal{world: s.ecs, term: s.journal.lead(), at: first, after: first%2 == 0}, workers)
				s.live(&mortal{world: s.ecs, term: s.journal.lead(), at: second, after: second%2 == 0}, workers)
				s.successor(workers)
			})
		}
	}
}

// successor is a process that lives on; it must end with the workers that were wanted, each launched once.
func (s *stage) successor(workers int) {
	s.t.Helper()
	s.live(&mortal{world: s.ecs, term: s.journal.lead()}, workers)
	if n := s.ecs.launched(); n != workers {
		s.t.Errorf("%d workers were launched", n)
	}
	if got := s.journal.status("rollup"); got.Launched != workers {
		s.t.Errorf("status %+v", got)
	}
}

// paused is a leader's way to ECS whose calls of RunTask come late.
type paused struct {
	*fakeECS
	release chan struct{}
}

func (p *paused) RunTask(_ context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	<-p.release
	return p.fakeECS.RunTask(context.Background(), in)
}

func TestAPausedLeadersLateCallsAreHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 30)
		late := &paused{fakeECS: s.ecs, release: make(chan struct{})}
		old := s.journal.lead()
		s.run(late, old, old)
		time.Sleep(5 * time.Second)
		stopOld := s.stop

		s.start()
		s.until("30 workers", time.Minute, s.launchedIs(30))
		close(late.release)
		time.Sleep(2 * time.Minute)
		if err := stopOld(); !errors.Is(err, ErrTermOver) {
			t.Errorf("the old leader ended with %v", err)
		}
		_ = s.stop()
		if n := s.ecs.launched(); n != 30 {
			t.Errorf("%d workers were launched", n)
		}
	})
}
