package scaler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"
)

const (
	busyTick = time.Second     // while there is work, or anything unsettled
	idleTick = 5 * time.Second // else
	// writeTimeout bounds a write of the journal, which the loop waits for.
	writeTimeout = 10 * time.Second
)

// Scaler keeps the pools at the size that their demand is worth.
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
	l := s.newLoop(ctx)
	defer l.background.Wait()
	defer cancel()
	if !l.load() {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-s.o.Wake:
			err = l.tick(time.Now())
			timer.Reset(l.nextTick())
		case <-timer.C:
			err = l.tick(time.Now())
			timer.Reset(l.nextTick())
		case finish := <-l.finished:
			err = finish(time.Now())
		}
		if err != nil {
			return fmt.Errorf("scale: %w", err)
		}
	}
}

// loop is the state of one Run. Everything in it belongs to the goroutine of Run; what runs beside it hands back a
// function, which that goroutine calls.
type loop struct {
	*Scaler
	ctx        context.Context //nolint:containedctx // of this Run
	background sync.WaitGroup
	finished   chan func(now time.Time) error

	observer observer
	pools    []*pool
	launches map[string]*Bucket // by provider
	calls    *Bucket            // of RunTask
	calling  int                // calls under way
	planned  time.Time          // when the last plan that launched something was made
}

// pool is what the loop knows of one pool.
type pool struct {
	Pool
	log     zerolog.Logger
	demand  Demand
	fleet   *fleet
	intents map[string]*record
	holds   []Hold
	last    Decision

	observed PoolObservation // what last was decided for

	looking  bool
	nextLook time.Time

	status  Status // as it should be written; its counters are the pool's
	written Status // as it was written
}

// record is an intent that has not ended, and how far it has come here.
type record struct {
	Intent
	definition string // the task definition that its request names
	stored     bool   // written at least once; else its request must not be sent
	dirty      bool   // changed since
	busy       bool   // a call or a question about it is under way
	due        time.Time
}

func (s *Scaler) newLoop(ctx context.Context) *loop {
	now := time.Now()
	l := &loop{
		Scaler: s, ctx: ctx, finished: make(chan func(time.Time) error),
		observer: observer{ecs: s.o.ECS, pace: &gate{bucket: NewBucket(now, lookRate())}},
		launches: map[string]*Bucket{}, calls: NewBucket(now, callRate()),
	}
	for _, p := range s.o.Pools {
		l.pools = append(l.pools, &pool{
			Pool: p, log: s.o.Log.With().Str("pool", p.Name).Logger(), fleet: newFleet(), intents: map[string]*record{},
			status: Status{Pool: p.Name},
		})
		for _, c := range p.Capacity {
			l.launches[c.Provider] = NewBucket(now, s.o.LaunchRate)
		}
	}
	return l
}

// load reads the journals, however long that takes. It returns false when the context ends before.
func (l *loop) load() bool {
	for _, p := range l.pools {
		for {
			intents, status, err := l.o.Journal.Load(l.ctx, p.Name)
			if err == nil {
				p.resume(time.Now(), intents, status)
				break
			}
			if l.ctx.Err() != nil {
				return false
			}
			p.log.Warn().Err(err).Msg("cannot read the journal; trying again")
			timer := time.NewTimer(busyTick)
			select {
			case <-l.ctx.Done():
				timer.Stop()
				return false
			case <-timer.C:
			}
		}
	}
	return true
}

// resume takes over where the leader before stopped.
func (p *pool) resume(now time.Time, intents []Intent, status Status) {
	if status.Pool == p.Name {
		p.status, p.written = status, status
	}
	for _, i := range intents {
		r := &record{Intent: i, stored: true}
		p.intents[i.ID] = r
		request, err := i.decodeRequest()
		if err != nil {
			p.unreadable(now, r, err)
		} else {
			r.definition = aws.ToString(request.TaskDefinition)
		}
		if i.State == IntentAnswered {
			p.fleet.launched(i.UpdatedAt, i.Provider, r.definition, i.Tasks)
		}
	}
	if len(intents) > 0 {
		p.log.Info().Int("intents", len(intents)).Msg("intents of the leader before taken over")
	}
}

// unreadable gives up an intent that waits for an answer to a request which cannot be decoded. One that has its answer
// needs the request no more.
func (p *pool) unreadable(now time.Time, r *record, why error) {
	if err := r.step(func(i Intent) (Intent, error) { return i.Unreadable(now, why) }); err == nil {
		p.log.Error().Err(why).Str("intent", r.ID).Int("count", r.Count).Msg("intent given up: its stored request cannot be read")
	}
}

// nextTick is how long the loop may rest.
func (l *loop) nextTick() time.Duration {
	for _, p := range l.pools {
		if p.busy() {
			return busyTick
		}
	}
	return idleTick
}

func (p *pool) busy() bool {
	return p.demand.Outstanding > 0 || len(p.intents) > 0 || len(p.fleet.members) > 0 || !p.fleet.known
}

// beside runs work in a goroutine of its own; what it returns is called by the loop.
func (l *loop) beside(work func(ctx context.Context) (finish func(now time.Time) error)) {
	l.background.Go(func() {
		finish := work(l.ctx)
		select {
		case l.finished <- finish:
		case <-l.ctx.Done():
		}
	})
}
