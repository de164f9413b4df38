package scaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/internal/table"
)

// ErrTermOver says that somebody else leads now: nothing was written.
var ErrTermOver = errors.New("the term of this leader is over")

// Term is the leader's time in office. It is safe for concurrent use.
type Term interface {
	// Valid reports whether it still lasts at now, by this process's clock.
	Valid(now time.Time) bool
}

// Guard makes a transaction fail once somebody else leads.
type Guard interface {
	Guard() types.TransactWriteItem
}

// Journal keeps intents, the pools' statuses and decisions.
type Journal interface {
	// Load returns a pool's intents that have not ended, in the order of their ids, and the status last written (the
	// zero value when there is none).
	Load(ctx context.Context, pool string) ([]Intent, Status, error)
	// LoadRates returns the launch rates that were learnt, by provider.
	LoadRates(ctx context.Context) ([]Learnt, error)
	// Write stores records whole, replacing those of the same id, pool or time, while the term lasts. It is idempotent.
	// ErrTermOver: nothing of the last batch was written. Any other error leaves it open which records were written.
	Write(ctx context.Context, r Records) error
}

// Records are what a journal keeps: intents first, then what follows from them.
type Records struct {
	Intents   []Intent
	Statuses  []Status
	Decisions []Decided
	Rates     []Learnt
}

// InTable keeps the journal in the runs table.
func InTable(t *table.Table, guard Guard) Journal { return &tableJournal{table: t, guard: guard} }

type tableJournal struct {
	table *table.Table
	guard Guard
}

type intentItem struct {
	table.Key
	Intent
}

type statusItem struct {
	table.Key
	Status
}

type rateItem struct {
	table.Key
	Learnt
}

func (j *tableJournal) Load(ctx context.Context, pool string) ([]Intent, Status, error) {
	var intents []Intent
	for item, err := range table.Query[intentItem](ctx, j.table, table.IntentPrefix+pool, "") {
		if err != nil {
			return nil, Status{}, fmt.Errorf("load intents: %w", err)
		}
		if !item.State.Ended() {
			intents = append(intents, item.Intent)
		}
	}
	var status statusItem
	if _, err := j.table.Get(ctx, table.Key{PK: table.PoolRecords, SK: pool}, &status); err != nil {
		return nil, Status{}, fmt.Errorf("load status: %w", err)
	}
	return intents, status.Status, nil
}

func (j *tableJournal) LoadRates(ctx context.Context) ([]Learnt, error) {
	var rates []Learnt
	for item, err := range table.Query[rateItem](ctx, j.table, table.RateRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("load launch rates: %w", err)
		}
		rates = append(rates, item.Learnt)
	}
	return rates, nil
}

func (j *tableJournal) Write(ctx context.Context, r Records) error {
	var puts []types.TransactWriteItem
	for _, i := range r.Intents {
		op, err := j.table.PutOp(intentItem{table.Key{PK: table.IntentPrefix + i.Pool, SK: i.ID}, i}, table.Condition{})
		if err != nil {
			return fmt.Errorf("write intent %s: %w", i.ID, err)
		}
		puts = append(puts, op)
	}
	for _, s := range r.Statuses {
		op, err := j.table.PutOp(statusItem{table.Key{PK: table.PoolRecords, SK: s.Pool}, s}, table.Condition{})
		if err != nil {
			return fmt.Errorf("write status of %s: %w", s.Pool, err)
		}
		puts = append(puts, op)
	}
	for _, d := range r.Decisions {
		op, err := j.table.PutOp(decidedItem{decidedKey(d.Pool, d.At), d}, table.Condition{})
		if err != nil {
			return fmt.Errorf("write decision of %s: %w", d.Pool, err)
		}
		puts = append(puts, op)
	}
	for _, l := range r.Rates {
		op, err := j.table.PutOp(rateItem{table.Key{PK: table.RateRecords, SK: l.Provider}, l}, table.Condition{})
		if err != nil {
			return fmt.Errorf("write launch rate of %s: %w", l.Provider, err)
		}
		puts = append(puts, op)
	}
	for batch := range slices.Chunk(puts, table.MaxTransaction-1) {
		err := j.table.Transact(ctx, append(slices.Clone(batch), j.guard.Guard())...)
		if errors.Is(err, table.ErrCondition) {
			return ErrTermOver
		}
		if err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
	}
	return nil
}
