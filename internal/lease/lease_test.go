package lease_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/lease"
)

// The defaults.
const (
	duration = 10 * time.Second
	renew    = 2 * time.Second
)

func newLease(t *testing.T, s lease.Store, holder string) *lease.Lease {
	t.Helper()
	l, err := lease.New(lease.Options{Store: s, Name: "controller", Holder: holder, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// process is a part in the election that runs beside the test.
type process struct {
	leads chan *lease.Held // each term, when it begins
	ended chan error       // what Run returned
	leave func()           // ends it in good order
	done  chan error       // what lead is to return
	last  error
}

func start(t *testing.T, l *lease.Lease) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{leads: make(chan *lease.Held, 1), ended: make(chan error, 1), leave: cancel, done: make(chan error, 1)}
	go func() {
		p.ended <- l.Run(ctx, func(ctx context.Context, held *lease.Held) error {
			p.leads <- held
			select {
			case <-ctx.Done():
				return ctx.Err()
			case err := <-p.done:
				return err
			}
		})
	}()
	return p
}

// term waits for the next term. Virtual time would let a test wait for ever.
func (p *process) term(t *testing.T) *lease.Held {
	t.Helper()
	select {
	case held := <-p.leads:
		return held
	case <-time.After(5 * time.Minute):
		t.Fatal("never led")
		return nil
	}
}

// stop ends the part in good order and waits.
func (p *process) stop() {
	p.leave()
	p.last = <-p.ended
}

func TestALeaseThatIsFreeIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		begin := time.Now()
		p := start(t, newLease(t, &store{memory: m}, "one"))
		held := p.term(t)
		if time.Since(begin) != 0 || held.Fence != 1 || !held.Valid(time.Now()) || held.Valid(begin.Add(duration)) {
			t.Errorf("after %s, fence %d", time.Since(begin), held.Fence)
		}
		if r := m.read(); r.Holder != "one" || r.PK != "LEASE" || r.SK != "controller" {
			t.Errorf("the record is %+v", r)
		}
		// Kept for as long as it is wanted.
		for range 1000 {
			time.Sleep(time.Second)
			if !held.Valid(time.Now()) {
				t.Fatalf("not valid after %s", time.Since(begin))
			}
		}
		p.done <- errors.New("all done")
		if err := <-p.ended; err == nil || err.Error() != "all done" {
			t.Errorf("error is %v", err)
		}
		if held.Valid(time.Now()) {
			t.Error("still valid after the end")
		}
	})
}

func TestAKilledHolderIsReplacedWithinFifteenSecondsAndNotTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var dead atomic.Bool
		one := start(t, newLease(t, &store{memory: m, fate: func(bool) fate { return fate{lose: dead.Load()} }}, "one"))
		first := one.term(t)
		two := start(t, newLease(t, &store{memory: m}, "two"))
		time.Sleep(7500 * time.Millisecond)
		dead.Store(true)
		killed := time.Now()
		second := two.term(t)
		if first.Valid(time.Now()) {
			t.Error("both are valid")
		}
		if d := time.Since(killed); d < duration-renew || d > 15*time.Second {
			t.Errorf("replaced after %s", d)
		}
		if second.Fence != first.Fence+1 {
			t.Errorf("fence %d follows %d", second.Fence, first.Fence)
		}
		if err := <-one.ended; !errors.Is(err, lease.ErrLost) {
			t.Errorf("error is %v", err)
		}
		two.stop()
	})
}

func TestAHolderThatLeavesIsReplacedAtTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		one := start(t, newLease(t, &store{memory: m}, "one"))
		one.term(t)
		two := start(t, newLease(t, &store{memory: m}, "two"))
		time.Sleep(5 * time.Second)
		one.leave()
		left := time.Now()
		if held := two.term(t); held.Fence != 2 || time.Since(left) > renew/2 {
			t.Errorf("fence %d after %s", held.Fence, time.Since(left))
		}
		if err := <-one.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		two.stop()
	})
}

func TestAHolderThatLeavesWhileARenewalIsOnItsWayStillGivesTheLeaseBack(t *testing.T) {
	for name, f := range map[string]fate{
		"the renewal comes before the release": {stall: true, wait: time.Millisecond},
		"the renewal comes after the release":  {stall: true, wait: time.Second},
		"the renewal never comes":              {stall: true, lose: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				var hang atomic.Bool
				one := start(t, newLease(t, &store{memory: m, fate: func(bool) fate {
					if hang.CompareAndSwap(true, false) {
						return f
					}
					return fate{}
				}}, "one"))
				one.term(t)
				time.Sleep(renew - time.Millisecond)
				hang.Store(true)
				time.Sleep(10 * time.Millisecond)
				one.stop()
				time.Sleep(3 * time.Second)
				came := time.Now()
				two := start(t, newLease(t, &store{memory: m}, "two"))
				two.term(t)
				if d := time.Since(came); d != 0 {
					t.Errorf("taken after %s", d)
				}
				two.stop()
			})
		})
	}
}

func TestAReleaseThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var failures atomic.Int64
		one := start(t, newLease(t, &store{memory: m, fate: func(swap bool) fate {
			if swap && failures.Add(-1) >= 0 {
				return fate{lose: true}
			}
			return fate{}
		}}, "one"))
		one.term(t)
		failures.Store(2)
		one.stop()
		if r := m.read(); !r.Released {
			t.Errorf("the record is %+v", r)
		}
	})
}

func TestAPausedHolderIsToldThatItHasBeenReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var resume atomic.Pointer[chan struct{}]
		one := start(t, newLease(t, &store{memory: m, fate: func(bool) fate {
			if paused := resume.Load(); paused != nil {
				<-*paused
			}
			return fate{}
		}}, "one"))
		first := one.term(t)
		paused := make(chan struct{})
		resume.Store(&paused)
		two := start(t, newLease(t, &store{memory: m}, "two"))
		two.term(t)
		time.Sleep(time.Minute)
		close(paused)
		if err := <-one.ended; !errors.Is(err, lease.ErrLost) {
			t.Errorf("error is %v", err)
		}
		if first.Valid(time.Now()) {
			t.Error("still valid")
		}
		if r := m.read(); r.Holder != "two" || r.Released {
			t.Errorf("the record is %+v", r)
		}
		two.stop()
	})
}

func TestARenewalWhoseAnswerWasLostIsNoLoss(t *testing.T) {
	for name, f := range map[string]fate{"an error": {fail: true}, "no answer": {stall: true}, "no answer, and late": {stall: true, wait: 3 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				var calls atomic.Int64
				p := start(t, newLease(t, &store{memory: m, fate: func(swap bool) fate {
					if calls.Add(1)%3 == 0 && swap {
						return f
					}
					return fate{}
				}}, "one"))
				held := p.term(t)
				for range 300 {
					time.Sleep(time.Second)
					if !held.Valid(time.Now()) {
						t.Fatal("the term has ended")
					}
				}
				p.stop()
				time.Sleep(3 * time.Second) // what is late still comes
			})
		})
	}
}

func TestARenewalThatFailsIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var failing atomic.Bool
		p := start(t, newLease(t, &store{memory: m, fate: func(bool) fate { return fate{lose: failing.Load()} }}, "one"))
		held := p.term(t)
		failing.Store(true)
		time.Sleep(renew + renew/4 + time.Millisecond)
		swaps := m.swapped()
		if n := len(swaps); n < 3 || swaps[n-1].Sub(swaps[n-2]) > renew/4 {
			t.Errorf("renewed at %v", swaps)
		}
		failing.Store(false)
		time.Sleep(renew)
		if !held.Valid(time.Now().Add(duration - renew)) {
			t.Error("not renewed")
		}
		p.stop()
	})
}

func TestAReadThatFailsAfterARenewalFailedIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var trouble atomic.Int64
		p := start(t, newLease(t, &store{memory: m, fate: func(swap bool) fate {
			switch {
			case swap && trouble.Load() == 3: // has its effect, and seems to have failed
				trouble.Add(-1)
				return fate{fail: true}
			case !swap && trouble.Load() > 0:
				trouble.Add(-1)
				return fate{fail: true}
			}
			return fate{}
		}}, "one"))
		held := p.term(t)
		trouble.Store(3)
		time.Sleep(time.Minute)
		if trouble.Load() != 0 || !held.Valid(time.Now()) {
			t.Errorf("%d troubles left, valid: %t", trouble.Load(), held.Valid(time.Now()))
		}
		p.stop()
	})
}

func TestAnOutageEndsTheTermAtItsExpiryAndNobodyHolds(t *testing.T) {
	for name, f := range map[string]fate{"errors": {lose: true}, "silence": {stall: true, lose: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{}
				var out atomic.Bool
				way := func(bool) fate {
					if out.Load() {
						return f
					}
					return fate{}
				}
				l := newLease(t, &store{memory: m, fate: way}, "one")
				one := start(t, l)
				held := one.term(t)
				two := start(t, newLease(t, &store{memory: m, fate: way}, "two"))
				time.Sleep(5 * time.Second)
				out.Store(true)
				renewed := m.swapped()[len(m.swapped())-1]
				err := <-one.ended
				if d := time.Since(renewed); !errors.Is(err, lease.ErrLost) || d != duration {
					t.Errorf("error is %v, %s after the last renewal", err, d)
				}
				if held.Valid(time.Now()) {
					t.Error("still valid")
				}
				time.Sleep(time.Minute)
				select {
				case <-two.leads:
					t.Fatal("somebody holds")
				default:
				}
				two.stop()
				out.Store(false)
				back := time.Now()
				again := start(t, l) // knows its own record, and need not wait
				again.term(t)
				if d := time.Since(back); d > 2*renew {
					t.Errorf("taken after %s", d)
				}
				again.stop()
			})
		})
	}
}

func TestALeaseTakenWithoutBeingToldIsTakenAgainAtTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var told atomic.Bool
		begin := time.Now()
		p := start(t, newLease(t, &store{memory: m, fate: func(swap bool) fate {
			if swap && told.CompareAndSwap(false, true) {
				return fate{fail: true}
			}
			return fate{}
		}}, "one"))
		if held := p.term(t); held.Fence != 2 || time.Since(begin) > renew/2 {
			t.Errorf("fence %d after %s", held.Fence, time.Since(begin))
		}
		p.stop()
	})
}

func TestProcessesOfOneNameAreStillSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		one := start(t, newLease(t, &store{memory: m}, "host:1"))
		one.term(t)
		two := start(t, newLease(t, &store{memory: m}, "host:1"))
		time.Sleep(time.Minute)
		select {
		case <-two.leads:
			t.Error("both hold")
		default:
		}
		one.stop()
		two.term(t)
		two.stop()
	})
}

func TestWhoNeverHeldReturnsItsContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		one := start(t, newLease(t, &store{memory: m}, "one"))
		one.term(t)
		two := start(t, newLease(t, &store{memory: m, fate: func(swap bool) fate { return fate{stall: true} }}, "two"))
		time.Sleep(time.Second)
		two.leave()
		if err := <-two.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		one.stop()
	})
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := lease.Options{Store: &store{}, Name: "n", Holder: "h"}
	for name, change := range map[string]func(o *lease.Options){
		"no store":               func(o *lease.Options) { o.Store = nil },
		"no name":                func(o *lease.Options) { o.Name = "" },
		"no holder":              func(o *lease.Options) { o.Holder = "" },
		"too slow":               func(o *lease.Options) { o.Renew = 5 * time.Second },
		"backwards":              func(o *lease.Options) { o.Renew = -time.Second },
		"shorter than a renewal": func(o *lease.Options) { o.Duration, o.Renew = time.Second, time.Second },
	} {
		o := good
		change(&o)
		if _, err := lease.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := lease.New(good); err != nil {
		t.Error(err)
	}
}
