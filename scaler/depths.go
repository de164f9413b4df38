package scaler

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/queue"
)

const (
	depthEvery   = time.Second
	depthTimeout = 10 * time.Second
)

// DepthQueue is a queue that other producers fill. Depth is approximate and may lag; an error says nothing of it. It
// must be safe for concurrent use. *queue.Queue is one.
type DepthQueue interface {
	Depth(ctx context.Context) (queue.Depth, error)
}

// DepthsOptions are what Depths needs.
type DepthsOptions struct {
	Queues map[string]DepthQueue // by pool
	Grew   func()                // called when there is more to do, from several goroutines; optional
	Log    zerolog.Logger
	// Registerer takes the metric spate_queue_depth. Optional.
	Registerer prometheus.Registerer
}

// Depths is the demand of pools whose queues others fill: what waits and what is being worked on. A message that is
// delayed counts once it is visible: a worker launched for it now would wait, and be paid for.
type Depths struct {
	o     DepthsOptions
	gauge *prometheus.GaugeVec

	mu    sync.Mutex
	pools map[string]*depth
}

// NewDepths starts nothing.
func NewDepths(o DepthsOptions) (*Depths, error) {
	d := &Depths{o: o, pools: make(map[string]*depth, len(o.Queues))}
	for pool, q := range o.Queues {
		if q == nil {
			return nil, errors.New("scaler: pool " + pool + " has no queue to read the depth of")
		}
		d.pools[pool] = &depth{}
	}
	if d.o.Grew == nil {
		d.o.Grew = func() {}
	}
	d.gauge = registered(o.Registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "spate_queue_depth", Help: "Messages of queues that other producers fill, as SQS last told, by pool and state (visible, in_flight, delayed).",
	}, []string{"pool", "state"}))
	return d, nil
}

// Run reads every queue's depth once a second until the context ends.
func (d *Depths) Run(ctx context.Context) error {
	var readers sync.WaitGroup
	for pool, q := range d.o.Queues {
		readers.Go(func() { d.read(ctx, pool, q) })
	}
	readers.Wait()
	<-ctx.Done()
	return ctx.Err()
}

func (d *Depths) read(ctx context.Context, pool string, q DepthQueue) {
	ticker := time.NewTicker(depthEvery)
	defer ticker.Stop()
	failing := false
	for {
		at := time.Now()
		call, cancel := context.WithTimeout(ctx, depthTimeout)
		now, err := q.Depth(call)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failing = false
			d.saw(at, pool, now)
		case !failing:
			failing = true
			d.o.Log.Warn().Err(err).Str("pool", pool).Msg("cannot read how much the queue holds; trying again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (d *Depths) saw(at time.Time, pool string, now queue.Depth) {
	d.gauge.WithLabelValues(pool, "visible").Set(float64(now.Visible))
	d.gauge.WithLabelValues(pool, "in_flight").Set(float64(now.InFlight))
	d.gauge.WithLabelValues(pool, "delayed").Set(float64(now.Delayed))
	d.mu.Lock()
	kept := d.pools[pool]
	before, _, _ := kept.jobs()
	kept.saw(at, now.Visible+now.InFlight)
	after, _, _ := kept.jobs()
	d.mu.Unlock()
	if after > before {
		d.o.Grew()
	}
}

// Reads reports whether a pool's demand is its queue's depth.
func (d *Depths) Reads(pool string) bool { return d.pools[pool] != nil } // which pools there are never changes

// Jobs is how many jobs a pool's queue is taken to hold, and when it was last asked. known is false before its first
// answer, and for a pool that is not read.
func (d *Depths) Jobs(pool string) (jobs int, at time.Time, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.pools[pool]
	if kept == nil {
		return 0, time.Time{}, false
	}
	return kept.jobs()
}
