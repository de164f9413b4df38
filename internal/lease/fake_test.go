package lease_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"spate/internal/lease"
	"spate/internal/table"
)

var errStore = errors.New("the table failed")

// memory is a table with one lease in it.
type memory struct {
	mu     sync.Mutex
	record *lease.Record
	swaps  []time.Time // of all calls
}

// fate is what becomes of one call.
type fate struct {
	wait  time.Duration // until the call has its effect
	lose  bool          // it has none
	fail  bool          // the caller is told of an error, effect or not
	stall bool          // the caller is told nothing until its context ends; the effect comes after wait all the same
}

// store is one process's way to the memory.
type store struct {
	*memory
	fate func(swap bool) fate // nil: all goes well
}

func (s *store) next(swap bool) fate {
	if s.fate == nil {
		return fate{}
	}
	return s.fate(swap)
}

func (s *store) Load(ctx context.Context, _ string) (*lease.Record, error) {
	f := s.next(false)
	if err := wait(ctx, f.wait); err != nil {
		return nil, err
	}
	if f.stall {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.fail || f.lose {
		return nil, errStore
	}
	return s.read(), nil
}

func (s *store) Swap(ctx context.Context, previous *lease.Record, next lease.Record) error {
	s.mu.Lock()
	s.swaps = append(s.swaps, time.Now())
	s.mu.Unlock()
	f := s.next(true)
	if f.stall {
		if !f.lose {
			if previous != nil { // the caller may change it when it is back
				copied := *previous
				previous = &copied
			}
			go func() {
				time.Sleep(f.wait)
				_ = s.write(previous, next) // nobody is told
			}()
		}
		<-ctx.Done()
		return ctx.Err()
	}
	if err := wait(ctx, f.wait); err != nil {
		return err
	}
	if f.lose {
		return errStore
	}
	err := s.write(previous, next)
	if f.fail {
		return errStore
	}
	return err
}

func (m *memory) read() *lease.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record == nil {
		return nil
	}
	r := *m.record
	return &r
}

func (m *memory) write(previous *lease.Record, next lease.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case previous == nil && m.record != nil, previous != nil && m.record == nil:
		return table.ErrCondition
	case previous != nil && (previous.Fence != m.record.Fence || previous.Renewal != m.record.Renewal):
		return table.ErrCondition
	}
	m.record = &next
	return nil
}

func (m *memory) swapped() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]time.Time(nil), m.swaps...)
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
