// Package lease elects one process among several by an item in the runs table.
//
// The holder renews the item every few seconds; each renewal changes it. A candidate that has seen the item unchanged
// for the whole duration of the lease, by its own clock, takes it over and raises the fencing number. No two clocks are
// ever compared. States of a process: Candidate → Holder → Candidate, or gone.
//
// The lease excludes double work, not every late effect: a holder that was paused may not know yet that it has been
// replaced. Writes that must not come late carry the fencing number ([Held.Guard]) and fail once somebody else holds.
// Failure modes: a table that cannot be reached ends the holder's term at its expiry at the latest, and nobody holds
// until it can be reached again.
package lease

import (
	"context"
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
	Renew    time.Duration // between renewals; default 2 s
	Log      zerolog.Logger
}

// Record is the lease as stored.
type Record struct {
	table.Key
	Holder   string `dynamodbav:"holder"`
	Fence    int64  `dynamodbav:"fence"`    // grows with every change of holder
	Renewal  int64  `dynamodbav:"renewal"`  // grows with every renewal
	Released bool   `dynamodbav:"released"` // the holder left in good order
}

// Store keeps the record. Load is strongly consistent; Swap writes next only while the stored record still has the
// fence and renewal of previous (nil: only while there is none) and else returns table.ErrCondition. Any other error of
// Swap leaves it unknown whether it was written.
type Store interface {
	Load(ctx context.Context, name string) (*Record, error)
	Swap(ctx context.Context, previous *Record, next Record) error
}

// Lease is one process's part in the election.
type Lease struct{ Options }

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
	if o.Renew >= o.Duration/2 {
		return nil, fmt.Errorf("lease: renewing every %s is too slow for a lease of %s", o.Renew, o.Duration)
	}
	return &Lease{o}, nil
}

// Held is a term of office.
type Held struct {
	Fence int64
	name  string

	mu    sync.Mutex
	until time.Time
}

// Valid reports whether the term still runs at now, by this process's clock. Look again right before any effect that
// cannot be guarded.
func (h *Held) Valid(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

func (h *Held) extend(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = until
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
// returns. It returns lead's error, ErrLost when the term ended under it, or ctx's error when it was never reached.
func (l *Lease) Run(ctx context.Context, lead func(ctx context.Context, held *Held) error) error {
	record, since, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	held := &Held{Fence: record.Fence, name: l.Name}
	held.extend(since.Add(l.Duration))
	l.Log.Info().Str("lease", l.Name).Int64("fence", record.Fence).Msg("lease taken")

	term, end := context.WithCancelCause(ctx)
	defer end(nil)
	renewed := make(chan Record, 1)
	go func() { renewed <- l.renew(term, held, record, end) }()
	err = lead(term, held)
	lost := errors.Is(context.Cause(term), ErrLost)
	end(nil)
	last := <-renewed
	if lost {
		return ErrLost
	}
	l.release(ctx, last)
	return err
}

// acquire blocks until the lease is this process's; since is from when its term counts.
func (l *Lease) acquire(ctx context.Context) (record Record, since time.Time, err error) {
	var seen *Record
	var seenAt time.Time
	for {
		started := time.Now()
		current, err := l.Store.Load(ctx, l.Name)
		switch {
		case ctx.Err() != nil:
			return Record{}, time.Time{}, ctx.Err()
		case err != nil:
			l.Log.Warn().Err(err).Str("lease", l.Name).Msg("cannot read the lease; trying again")
		case l.free(current, seen, seenAt, started):
			next := Record{Key: table.Key{PK: table.LeaseRecords, SK: l.Name}, Holder: l.Holder, Fence: 1}
			if current != nil {
				next.Fence = current.Fence + 1
			}
			started = time.Now()
			err := l.Store.Swap(ctx, current, next)
			if err == nil {
				return next, started, nil
			}
			l.Log.Debug().Err(err).Str("lease", l.Name).Msg("the lease went to another candidate")
		case seen == nil || *seen != *current:
			seen, seenAt = current, time.Now()
		}
		if err := sleep(ctx, l.Renew/2); err != nil {
			return Record{}, time.Time{}, err
		}
	}
}

// free reports whether a candidate may take the lease.
func (l *Lease) free(current, seen *Record, seenAt, now time.Time) bool {
	if current == nil || current.Released {
		return true
	}
	return seen != nil && *seen == *current && now.Sub(seenAt) >= l.Duration
}

// renew keeps the term going until its context ends, and returns the record as last written.
func (l *Lease) renew(ctx context.Context, held *Held, record Record, end context.CancelCauseFunc) Record {
	expiry := time.AfterFunc(time.Until(held.until), func() { end(ErrLost) })
	defer expiry.Stop()
	for {
		if sleep(ctx, l.Renew) != nil {
			return record
		}
		next := record
		next.Renewal++
		started := time.Now()
		err := l.Store.Swap(ctx, &record, next)
		switch {
		case err == nil:
			record = next
			held.extend(started.Add(l.Duration))
			expiry.Reset(time.Until(started.Add(l.Duration)))
		case errors.Is(err, table.ErrCondition):
			if current, err := l.Store.Load(ctx, l.Name); err == nil && current != nil && current.Fence == record.Fence && current.Holder == l.Holder {
				// An earlier renewal had its effect although it seemed to fail.
				record = *current
				continue
			}
			l.Log.Warn().Str("lease", l.Name).Msg("lease lost to another holder")
			held.extend(time.Time{})
			end(ErrLost)
			return record
		case ctx.Err() == nil:
			l.Log.Warn().Err(err).Str("lease", l.Name).Msg("cannot renew the lease; trying again")
		}
	}
}

// release gives the lease back, so that the next holder need not wait.
func (l *Lease) release(ctx context.Context, record Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Renew)
	defer cancel()
	next := record
	next.Released = true
	if err := l.Store.Swap(ctx, &record, next); err != nil {
		l.Log.Debug().Err(err).Str("lease", l.Name).Msg("cannot give the lease back")
	}
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

// InTable keeps the record in the runs table.
func InTable(t *table.Table) Store { return tableStore{t} }

type tableStore struct{ table *table.Table }

func (s tableStore) Load(ctx context.Context, name string) (*Record, error) {
	var r Record
	ok, err := s.table.Get(ctx, table.Key{PK: table.LeaseRecords, SK: name}, &r)
	if err != nil || !ok {
		return nil, err
	}
	return &r, nil
}

func (s tableStore) Swap(ctx context.Context, previous *Record, next Record) error {
	if previous == nil {
		return s.table.Put(ctx, next, table.Absent())
	}
	return s.table.Put(ctx, next, table.Condition{
		Expression: "fence = :fence AND renewal = :renewal",
		Values:     map[string]any{":fence": previous.Fence, ":renewal": previous.Renewal},
	})
}
