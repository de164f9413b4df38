package lease_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/lease"
)

// election is processes that crash, pause and restart over a table that fails, and the terms that they believe to have.
type election struct {
	*memory
	t *testing.T

	mu      sync.Mutex
	chance  *rand.Rand
	calm    bool // nothing fails any more
	held    map[int]*lease.Held
	fence   int64 // highest so far
	paused  map[int]chan struct{}
	crashed map[string]bool
	terms   int
}

// fate is what becomes of one call of an incarnation of a process.
func (e *election) fate(process int, incarnation string) fate {
	e.mu.Lock()
	defer e.mu.Unlock()
	pause := e.paused[process]
	if pause != nil {
		e.mu.Unlock()
		<-pause
		e.mu.Lock()
	}
	if e.crashed[incarnation] {
		return fate{lose: true}
	}
	if e.calm {
		return fate{wait: time.Millisecond}
	}
	f := fate{wait: time.Duration(e.chance.Int64N(int64(50 * time.Millisecond)))}
	switch n := e.chance.IntN(100); {
	case n < 10:
		f.lose = true
	case n < 20:
		f.fail = true
	case n < 25:
		f.stall, f.lose = true, true
	case n < 30:
		f.stall, f.wait = true, time.Duration(e.chance.Int64N(int64(30*time.Second)))
	case n < 35:
		f.wait = time.Duration(e.chance.Int64N(int64(4 * time.Second)))
	}
	return f
}

// live is a process: it crashes, is born again, and sometimes leaves in good order, until ctx ends.
func (e *election) live(ctx context.Context, process int) {
	for n := 0; ctx.Err() == nil; n++ {
		incarnation := fmt.Sprintf("%d.%d", process, n)
		l := newLease(e.t, &store{memory: e.memory, fate: func(bool) fate { return e.fate(process, incarnation) }}, "process")
		life, end := context.WithCancel(ctx)
		crash, span := e.plan()
		timer := time.AfterFunc(span, func() {
			e.mu.Lock()
			if !e.calm {
				e.crashed[incarnation] = crash
				if crash {
					delete(e.held, process) // there is nobody who believes anything
				}
				end()
			}
			e.mu.Unlock()
		})
		for life.Err() == nil {
			_ = l.Run(life, func(ctx context.Context, held *lease.Held) error { return e.lead(ctx, process, incarnation, held) })
		}
		timer.Stop()
		end()
	}
}

// plan says how and when a life ends.
func (e *election) plan() (crash bool, span time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.chance.IntN(2) == 0, 5*time.Second + time.Duration(e.chance.Int64N(int64(80*time.Second)))
}

func (e *election) lead(ctx context.Context, process int, incarnation string, held *lease.Held) error {
	e.mu.Lock()
	if !e.crashed[incarnation] {
		if held.Fence <= e.fence {
			e.t.Errorf("fence %d after %d", held.Fence, e.fence)
		}
		e.fence = held.Fence
		e.held[process] = held
		e.terms++
	}
	e.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// pause stops all that a process does at the table for a while; its clock goes on.
func (e *election) pause(ctx context.Context) {
	for wait(ctx, 20*time.Second) == nil {
		e.mu.Lock()
		process, resume := e.chance.IntN(3), make(chan struct{})
		span := time.Duration(e.chance.Int64N(int64(30 * time.Second)))
		e.paused[process] = resume
		e.mu.Unlock()
		_ = wait(ctx, span)
		e.mu.Lock()
		delete(e.paused, process)
		close(resume)
		e.mu.Unlock()
	}
}

// leaders is how many processes believe to hold the lease.
func (e *election) leaders(now time.Time) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, held := range e.held {
		if held.Valid(now) {
			n++
		}
	}
	return n
}

func TestNoTwoTermsOverlapWhateverFails(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &election{
					memory: &memory{}, t: t, chance: rand.New(rand.NewPCG(seed, 1)),
					held: map[int]*lease.Held{}, paused: map[int]chan struct{}{}, crashed: map[string]bool{},
				}
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for process := range 3 {
					all.Go(func() { e.live(ctx, process) })
				}
				storm, over := context.WithCancel(ctx)
				all.Go(func() { e.pause(storm) })
				led := 0
				for range 20 * 600 {
					time.Sleep(50 * time.Millisecond)
					n := e.leaders(time.Now())
					if n > 1 {
						t.Fatalf("%d processes hold the lease", n)
					}
					led += n
				}
				if share := float64(led) / (20 * 600); share < 0.2 || e.terms < 10 {
					t.Errorf("%d terms, somebody led for %.0f %% of the time: the storm is too strong to show anything", e.terms, 100*share)
				}
				e.mu.Lock()
				e.calm = true
				e.mu.Unlock()
				over()
				// Late writes of the storm may come for another 30 s.
				time.Sleep(30*time.Second + 15*time.Second)
				for range 60 {
					time.Sleep(time.Second)
					if n := e.leaders(time.Now()); n != 1 {
						t.Fatalf("%d processes hold the lease after the storm", n)
					}
				}
				cancel()
				all.Wait()
			})
		})
	}
}
