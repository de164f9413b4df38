package scaler

import (
	"context"
	"fmt"
	"time"
)

// Scaler keeps the pools at the size that their demand is worth: it drives an [Engine] by the clock.
type Scaler struct {
	o       Options
	metrics *metrics
}

// New checks the options. It starts nothing.
func New(o Options) (*Scaler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Scaler{o: o, metrics: newMetrics(o.Registerer)}, nil
}

// Run scales until the context ends, which returns nil, or until somebody else leads (ErrTermOver). Requests under way
// are given up then: their intents stay open, and whoever leads next repeats them. It must run once at a time.
func (s *Scaler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	h := &hands{ctx: ctx, ecs: s.o.ECS, journal: s.o.Journal, levers: s.o.Levers, finished: make(chan func(time.Time) error)}
	defer h.background.Wait()
	defer cancel()
	e := newEngine(time.Now(), s.o, h, s.metrics)
	if !s.load(ctx, e) {
		return nil
	}
	if s.o.Events != nil {
		h.background.Go(func() { s.readEvents(h, e) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-s.o.Wake:
			err = e.Tick(time.Now())
		case <-timer.C:
			err = e.Turn(time.Now())
		case finish := <-h.finished:
			err = finish(time.Now())
		}
		if err != nil {
			return fmt.Errorf("scale: %w", err)
		}
		now := time.Now()
		timer.Reset(max(0, e.Due(now).Sub(now)))
	}
}

// load reads the journals, however long that takes. It returns false when the context ends before.
func (s *Scaler) load(ctx context.Context, e *Engine) bool {
	for _, p := range s.o.Pools {
		read := s.insist(ctx, func() error {
			intents, status, err := s.o.Journal.Load(ctx, p.Name)
			if err == nil {
				e.Resume(time.Now(), p.Name, intents, status)
			}
			return err
		})
		if !read {
			return false
		}
	}
	return s.insist(ctx, func() error {
		rates, err := s.o.Journal.LoadRates(ctx)
		if err == nil {
			e.ResumeRates(time.Now(), rates)
		}
		return err
	})
}

// insist reads until that succeeds. It returns false when the context ends before.
func (s *Scaler) insist(ctx context.Context, read func() error) bool {
	for {
		err := read()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.o.Log.Warn().Err(err).Msg("cannot read the journal; trying again")
		timer := time.NewTimer(busyTick)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
