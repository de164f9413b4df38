// Package lease elects one process among several by an item in the runs table.
//
// The holder renews the item every few seconds; each renewal changes it. A candidate that has seen the item unchanged
// for the whole duration of the lease, by its own clock, takes it over and raises the fencing number. No two clocks are
// ever compared; they only have to run at the same speed. States of a process: Candidate → Holder → Candidate, or gone.
//
// The lease excludes double work, not every late effect: a holder that was paused may not know yet that it has been
// replaced. Writes that must not come late carry the fencing number ([Held.Guard]) and fail once somebody else holds.
// Failure modes: a renewal that fails is tried again soon, and one whose answer was lost is found out by reading. A table
// that cannot be reached ends the holder's term at its expiry at the latest, and nobody holds until it can be reached
// again. A killed holder is replaced after the duration and a look or two more, one that left in good order at the next
// look.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/rs/zerolog"

	"spate/internal/table"
)

// ErrLost ends the term of a holder that could not renew in time or was replaced.
var ErrLost = errors.New("lease lost")

// Options of a lease. Store, Name and Holder are required.
type Options struct {
	Store    Store
	Name     string        // of the lease
	Holder   string        // who this process is; shown to people
	Duration time.Duration // a candidate takes over after this long without a renewal; default 10 s
	Renew    time.Duration // between renewals, and how long one may take; default a fifth of Duration
	Log      zerolog.Logger
}

// Record is the lease as stored.
type Record struct {
	table.Key
	Holder   string `dynamodbav:"holder"`
	Fence    int64  `dynamodbav:"fence"`    // grows with every change of holder
	Renewal  int64  `dynamodbav:"renewal"`  // grows with every renewal
	Released bool   `dynamodbav:"released"` // the holder left in good order
	// Candidacy is random: by it a process knows a record of its own, whose writing it may not have been told of.
	Candidacy string `dynamodbav:"candidacy"`
}

// Store keeps the record. Load is strongly consistent; Swap writes next only while the stored record still has the
// fence and renewal of previous (nil: only while there is none) and else returns table.ErrCondition. Any other error of
// Swap leaves it unknown whether it was written.
type Store interface {
	Load(ctx context.Context, name string) (*Record, error)
	Swap(ctx context.Context, previous *Record, next Record) error
}

// Lease is one process's part in the election.
type Lease struct {
	Options
	candidacy string
}

// New checks the options and fills in the defaults.
func New(o Options) (*Lease, error) {
	if o.Store == nil || o.Name == "" || o.Holder == "" {
		return nil, errors.New("lease: store, name and holder are required")
	}
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Renew == 0 {
		o.Renew = o.Duration / 5
	}
	if o.Renew <= 0 || o.Renew >= o.Duration/2 {
		return nil, fmt.Errorf("lease: renewing every %s does not fit a lease of %s", o.Renew, o.Duration)
	}
	return &Lease{Options: o, candidacy: rand.Text()}, nil
}

// Held is a term of office.
type Held struct {
	Fence int64
	name  string

	mu    sync.Mutex
	until time.Time
	over  bool
}

// Valid reports whether the term still runs at now, by this process's clocks: by the monotonic one, which nobody sets, and
// by that of the calendar, which goes on while a machine is suspended. Look again right before any effect that cannot be
// guarded.
func (h *Held) Valid(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.over && now.Before(h.until) && now.Round(0).Before(h.until.Round(0))
}

func (h *Held) extend(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = until
}

// end is for good: a renewal that succeeds late does not bring the term back.
func (h *Held) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// Guard is a condition for a transaction that fails once somebody else holds the lease.
func (h *Held) Guard(t *table.Table) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: aws.String(t.Name()),
		Key: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: table.LeaseRecords},
			"sk": &types.AttributeValueMemberS{Value: h.name},
		},
		ConditionExpression:       aws.String("fence = :fence"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":fence": &types.AttributeValueMemberN{Value: fmt.Sprint(h.Fence)}},
	}}
}

// Run waits for the lease, then calls lead with a context that ends with the term, and gives the lease back when lead
// returns. It returns lead's error, ErrLost when the term ended under it, or ctx's error when it was never reached. Run
// may be called again after it has returned.
func (l *Lease) Run(ctx context.Context, lead func(ctx context.Context, held *Held) error) error {
	record, since, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	held := &Held{Fence: record.Fence, name: l.Name, until: since.Add(l.Duration)}
	l.Log.Info().Str("lease", l.Name).Int64("fence", record.Fence).Msg("lease taken")

	term, end := context.WithCancelCause(ctx)
	defer end(nil)
	renewed := make(chan Record, 1)
	go func() { renewed <- l.renew(term, held, record, end) }()
	err = lead(term, held)
	lost := errors.Is(context.Cause(term), ErrLost)
	end(nil)
	record = <-renewed
	held.end()
	if lost {
		return ErrLost
	}
	l.release(ctx, record)
	return err
}

// acquire blocks until the lease is this process's; since is from when its term counts.
func (l *Lease) acquire(ctx context.Context) (record Record, since time.Time, err error) {
	var seen *Record
	var seenAt time.Time
	for {
		started := time.Now()
		current, err := l.load(ctx)
		switch {
		case ctx.Err() != nil:
			return Record{}, time.Time{}, ctx.Err()
		case err != nil:
			l.Log.Warn().Err(err).Str("lease", l.Name).Msg("cannot read the lease; trying again")
		case l.free(current, seen, seenAt, started):
			next := Record{Key: table.Key{PK: table.LeaseRecords, SK: l.Name}, Holder: l.Holder, Fence: 1, Candidacy: l.candidacy}
			if current != nil {
				next.Fence = current.Fence + 1
			}
			started = time.Now()
			err := l.swap(ctx, current, next)
			if err == nil {
				return next, started, nil
			}
			l.Log.Debug().Err(err).Str("lease", l.Name).Msg("could not take the lease; trying again")
		case seen == nil || *seen != *current:
			seen, seenAt = current, time.Now()
		}
		if err := sleep(ctx, l.Renew/2); err != nil {
			return Record{}, time.Time{}, err
		}
	}
}

// free reports whether a candidate may take the lease. A record of its own is from a term that is over, or from a try to
// take the lease that seemed to fail.
func (l *Lease) free(current, seen *Record, seenAt, now time.Time) bool {
	if current == nil || current.Released || current.Candidacy == l.candidacy {
		return true
	}
	return seen != nil && *seen == *current && now.Sub(seenAt) >= l.Duration
}

// renew keeps the term going until its context ends, and returns the record as last known to be written.
func (l *Lease) renew(ctx context.Context, held *Held, record Record, end context.CancelCauseFunc) Record {
	lose := func() {
		held.end()
		end(ErrLost)
	}
	expiry := time.AfterFunc(time.Until(held.until), lose)
	defer expiry.Stop()
	extend := func(from time.Time) {
		held.extend(from.Add(l.Duration))
		expiry.Reset(time.Until(from.Add(l.Duration)))
	}
	soon := l.Renew / 4
	var tried time.Time // when the next renewal was sent first
	for pause := l.Renew; sleep(ctx, pause) == nil; {
		next := record
		next.Renewal++
		started := time.Now()
		if tried.IsZero() {
			tried = started
		}
		err := l.swap(ctx, &record, next)
		switch {
		case err == nil:
			extend(started)
			record, tried, pause = next, time.Time{}, l.Renew
		case errors.Is(err, table.ErrCondition):
			current, err := l.load(ctx)
			switch {
			case err != nil: // whose the lease is remains unknown
				pause = soon
			case l.own(current, record.Fence): // an earlier try had its effect, at some time since the first
				extend(tried)
				record, tried, pause = *current, time.Time{}, 0
			default:
				l.Log.Warn().Str("lease", l.Name).Msg("lease lost to another holder")
				lose()
				return record
			}
		case ctx.Err() == nil:
			l.Log.Warn().Err(err).Str("lease", l.Name).Msg("cannot renew the lease; trying again")
			pause = soon
		}
	}
	return record
}

func (l *Lease) own(current *Record, fence int64) bool {
	return current != nil && current.Candidacy == l.candidacy && current.Fence == fence
}

// release gives the lease back, so that the next holder need not wait. It counts as a renewal: one that is still on its
// way must not undo it.
func (l *Lease) release(ctx context.Context, record Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Renew)
	defer cancel()
	for {
		next := record
		next.Renewal++
		next.Released = true
		err := l.swap(ctx, &record, next)
		if err == nil {
			return
		}
		l.Log.Debug().Err(err).Str("lease", l.Name).Msg("cannot give the lease back")
		if errors.Is(err, table.ErrCondition) {
			current, err := l.load(ctx)
			if err == nil && (!l.own(current, record.Fence) || current.Released) {
				return
			}
			if err == nil {
				record = *current // as the last renewal left it
				continue
			}
		}
		if sleep(ctx, l.Renew/8) != nil {
			return
		}
	}
}

func (l *Lease) load(ctx context.Context) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Renew)
	defer cancel()
	return l.Store.Load(ctx, l.Name)
}

func (l *Lease) swap(ctx context.Context, previous *Record, next Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.Renew)
	defer cancel()
	return l.Store.Swap(ctx, previous, next)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
