package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"spate/internal/objects"
	"spate/job"
)

// RefreshObjects is what the refresher uses of *objects.Store, whose contract it is.
type RefreshObjects interface {
	Objects
	Head(ctx context.Context, key string) (objects.Info, error)
	Put(ctx context.Context, key string, data []byte, c objects.Condition) (etag string, err error)
	Renew(ctx context.Context, key string, size int64, limits objects.CopyLimits) error
	Delete(ctx context.Context, key string, c objects.Condition) error
}

// RefresherOptions configure a Refresher. Objects, Ledger and Retention are required.
type RefresherOptions struct {
	Objects          RefreshObjects
	Ledger           *Ledger
	Retention        time.Duration
	ObjectsPerSecond int // that are copied, manifests included, and parts of large ones; 0: nothing is ever refreshed
	Copies           objects.CopyLimits
	Log              zerolog.Logger
	Metrics          *Metrics
}

func (o *RefresherOptions) validate() error {
	switch {
	case o.Objects == nil || o.Ledger == nil:
		return errors.New("refresher: objects and ledger are required")
	case o.Retention <= 0 || o.ObjectsPerSecond < 0:
		return errors.New("refresher: retention must be positive, and objects per second not negative")
	}
	return nil
}

// Bounds of what a Refresher remembers and asks for.
const (
	refreshKnown    = 1_000_000 // outputs at once: about 120 MB, for as long as they wait
	refreshParallel = 16        // outputs that are being copied at the same time
	peeksPerSecond  = 20        // reads of 100 ledger items: 1,000 read units a second at most
)

// Refresher keeps outputs that are in use from expiring: all that were first computed in one night would expire in one
// night. It is told which outputs are used, learns their ages from the ledger, and copies those in place that are due. It
// is safe for concurrent use.
type Refresher struct {
	RefresherOptions
	limiter *rate.Limiter
	wake    [2]chan struct{} // to learn, to refresh

	mu      sync.Mutex
	running bool
	known   keySet    // all of which something is still to be done
	offered []job.Key // of these, the ones whose age is not known yet
	waiting dueQueue
	status  RefreshStatus
}

// NewRefresher checks the options.
func NewRefresher(o RefresherOptions) (*Refresher, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Refresher{
		RefresherOptions: o, limiter: rate.NewLimiter(rate.Limit(o.ObjectsPerSecond), 1),
		wake:  [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		known: keySet{},
	}, nil
}

// Offer says that outputs are used. It returns at once. Only a refresher that runs takes any, and no more than it can
// remember: those left out are taken when they are used again.
func (r *Refresher) Offer(keys []job.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running {
		return
	}
	for _, k := range keys {
		if _, have := r.known[k]; have {
			continue
		}
		if len(r.known) >= refreshKnown {
			r.status.Held++
			continue
		}
		r.known.add(k)
		r.offered = append(r.offered, k)
	}
	wakeUp(r.wake[0])
}

// RefreshStatus is what the refresher has done since it began, and what it has before it.
type RefreshStatus struct {
	Refreshed int64 `dynamodbav:"refreshed" json:"refreshed"` // outputs
	Objects   int64 `dynamodbav:"objects" json:"objects"`     // copied or put for them, whole or in parts, each a request of S3's dearer class
	Broken    int64 `dynamodbav:"broken" json:"broken"`       // outputs retracted because a file was missing or of another size
	Failed    int64 `dynamodbav:"failed" json:"failed"`       // tries that S3 or the ledger failed; the next use tries again
	Late      int64 `dynamodbav:"late" json:"late"`           // outputs that expired while they waited
	Held      int64 `dynamodbav:"held" json:"held"`           // uses that were let go, because too much waited

	Offered int `dynamodbav:"offered" json:"offered"` // outputs in use, of unknown age
	Waiting int `dynamodbav:"waiting" json:"waiting"` // outputs that are due, and held back by the limit
	Urgent  int `dynamodbav:"urgent" json:"urgent"`   // of those, the ones in the last quarter of their life

	ObjectsPerSecond int       `dynamodbav:"objects_per_second" json:"objects_per_second"` // the limit; 0: nothing is refreshed
	LastAt           time.Time `dynamodbav:"last_at,omitempty" json:"last_at,omitzero"`    // when an output was refreshed last
}

// Status tells how refreshing goes.
func (r *Refresher) Status() RefreshStatus { return r.statusAt(time.Now()) }

func (r *Refresher) statusAt(now time.Time) RefreshStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Offered, s.Waiting, s.ObjectsPerSecond = len(r.offered), r.waiting.len(), r.ObjectsPerSecond
	for _, o := range r.waiting.heap {
		if o.urgent(now) {
			s.Urgent++
		}
	}
	return s
}

// Run refreshes until ctx ends, and then returns its error. What waits then is forgotten, and found again when it is used.
func (r *Refresher) Run(ctx context.Context) error {
	if r.ObjectsPerSecond == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	r.begin(true)
	defer r.begin(false)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.learn(ctx) })
	for range refreshParallel {
		group.Go(func() error { return r.work(ctx) })
	}
	return group.Wait()
}

func (r *Refresher) begin(running bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = running
	r.known, r.offered, r.waiting = keySet{}, nil, dueQueue{}
}

// learn asks the ledger how old the outputs are that were offered, and lets those wait that are due.
func (r *Refresher) learn(ctx context.Context) error {
	pace := rate.NewLimiter(peeksPerSecond, 1)
	for failures := 0; ; {
		keys := r.takeOffered(maxReads)
		if len(keys) == 0 {
			if err := waitFor(ctx, r.wake[0]); err != nil {
				return err
			}
			continue
		}
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		now := time.Now()
		items, err := r.Ledger.Peek(ctx, now, keys...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.Log.Warn().Err(err).Msg("cannot tell how old outputs in use are; the next use asks again")
			r.forget(keys...)
			if err := sleep(ctx, backoff(failures)); err != nil {
				return err
			}
			failures++
			continue
		}
		failures = 0
		r.sift(now, keys, items)
	}
}

// takeOffered takes some outputs whose age is to be learnt.
func (r *Refresher) takeOffered(most int) []job.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := r.offered[:min(most, len(r.offered))]
	if r.offered = r.offered[len(keys):]; len(r.offered) == 0 {
		r.offered = nil // its memory is as large as it ever was
	}
	return keys
}

// sift lets those wait that are due, and forgets the others.
func (r *Refresher) sift(now time.Time, keys []job.Key, items map[job.Key]Output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		item, ok := items[k]
		o := dueOutput{k, item.CreatedAt, earlier(item.ExpiresAt, item.CreatedAt.Add(r.Retention))}
		if !ok || !due(k, o.created, o.expires.Sub(o.created), now) {
			delete(r.known, k)
			continue
		}
		r.waiting.push(o)
	}
	if r.waiting.len() > 0 {
		wakeUp(r.wake[1])
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (r *Refresher) forget(keys ...job.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		delete(r.known, k)
	}
	if len(r.known) == 0 {
		r.known = keySet{}
	}
}

// next takes what is to be refreshed first.
func (r *Refresher) next(now time.Time) (o dueOutput, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, late, ok := r.waiting.pop(now)
	for _, l := range late {
		delete(r.known, l.key)
	}
	r.status.Late += int64(len(late))
	r.Metrics.refreshed(refreshLate, len(late))
	if r.waiting.len() > 0 {
		wakeUp(r.wake[1])
	}
	return o, ok
}

// work refreshes one output after another.
func (r *Refresher) work(ctx context.Context) error {
	for failures := 0; ; {
		o, ok := r.next(time.Now())
		if !ok {
			if err := waitFor(ctx, r.wake[1]); err != nil {
				return err
			}
			continue
		}
		result, err := r.refresh(ctx, time.Now(), o.key)
		r.forget(o.key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.count(result, time.Now())
		if err == nil {
			failures = 0
			continue
		}
		r.Log.Warn().Err(err).Msg("an output in use was not refreshed; its next use tries again")
		if err := sleep(ctx, backoff(failures)); err != nil {
			return err
		}
		failures++
	}
}

func (r *Refresher) count(result string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch result {
	case refreshDone:
		r.status.Refreshed++
		r.status.LastAt = now
	case refreshBroken:
		r.status.Broken++
	case refreshFailed:
		r.status.Failed++
	}
	r.Metrics.refreshed(result, 1)
}

// turns waits until an object of a size may be copied.
func (r *Refresher) turns(ctx context.Context, size int64) error {
	for range r.Copies.Requests(size) {
		if err := r.turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// turn waits until one more request may be made that copies.
func (r *Refresher) turn(ctx context.Context) error {
	if err := r.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("wait for a turn: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Objects++
	r.Metrics.copied()
	return nil
}

func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func waitFor(ctx context.Context, c chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c:
		return nil
	}
}
