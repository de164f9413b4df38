package scaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

// Levers say what people want of pools, and tell workers. Calls may overlap.
type Levers interface {
	// ReadControls returns what is wanted of pools, by name. A pool that is not in it is to run.
	ReadControls(ctx context.Context) (map[string]Control, error)
	// MarkDrained tells the workers of a pool that were launched before a time to take no more jobs, or with the zero time
	// that none of them need leave. It is idempotent.
	MarkDrained(ctx context.Context, pool string, at time.Time) error
}

// LeversIn reads controls from the runs table and puts marks for workers into the bucket of outputs.
func LeversIn(t *table.Table, store *objects.Store) Levers { return &levers{t, store} }

type levers struct {
	table   *table.Table
	objects *objects.Store
}

func (l *levers) ReadControls(ctx context.Context) (map[string]Control, error) {
	return ReadControls(ctx, l.table)
}

func (l *levers) MarkDrained(ctx context.Context, pool string, at time.Time) error {
	if at.IsZero() {
		if err := l.objects.Delete(ctx, job.DrainPath(pool), objects.Condition{}); err != nil && !errors.Is(err, objects.ErrNotFound) {
			return fmt.Errorf("take drain mark of pool %s away: %w", pool, err)
		}
		return nil
	}
	if _, err := l.objects.Put(ctx, job.DrainPath(pool), []byte(at.UTC().Format(time.RFC3339Nano)), objects.Condition{}); err != nil {
		return fmt.Errorf("put drain mark of pool %s: %w", pool, err)
	}
	return nil
}

// pullTries is how often a use of a lever is tried while others change the same control.
const pullTries = 10

type controlItem struct {
	table.Key
	Control
}

type changeItem struct {
	table.Key
	Change
}

func changeKey(c Control) table.Key {
	return table.Key{PK: table.LeverPrefix + c.Pool, SK: fmt.Sprintf("%010d", c.Version)}
}

// PullLever changes what is wanted of a pool and records that it did, in one transaction. Uses at the same time come
// one after another. It returns the control before and as it is now, and whether that is another one.
func PullLever(ctx context.Context, t *table.Table, p Pull) (before, after Control, changed bool, err error) {
	if err := p.validate(); err != nil {
		return before, after, false, err
	}
	for try := 1; ; try++ {
		if before, err = ReadControl(ctx, t, p.Pool); err != nil {
			return before, after, false, err
		}
		if after, changed = before.Pulled(time.Now().UTC(), p); !changed {
			return before, after, false, nil
		}
		err = writeChange(ctx, t, p, before, after)
		if err == nil || !errors.Is(err, table.ErrCondition) || try == pullTries {
			break
		}
	}
	if err != nil {
		return before, before, false, fmt.Errorf("%s pool %s: %w", p.Lever, p.Pool, err)
	}
	return before, after, true, nil
}

// writeChange puts the control in the place of the one before, and nothing else's.
func writeChange(ctx context.Context, t *table.Table, p Pull, before, after Control) error {
	condition := table.Absent()
	if before.Version > 0 {
		condition = table.Condition{
			Expression: "#version = :version", Names: map[string]string{"#version": "version"}, Values: map[string]any{":version": before.Version},
		}
	}
	control, err := t.PutOp(controlItem{table.Key{PK: table.ControlRecords, SK: p.Pool}, after}, condition)
	if err != nil {
		return err
	}
	mark := after.Set
	if p.Lever == LeverCap {
		mark = after.CapSet
	}
	audit, err := t.PutOp(changeItem{changeKey(after), Change{
		Lever: p.Lever, Mark: mark, Before: before, After: after, ExpiresAt: mark.At.Add(keepChanges).Unix(),
	}}, table.Absent())
	if err != nil {
		return err
	}
	return t.Transact(ctx, control, audit)
}

// ReadControl reads what is wanted of a pool.
func ReadControl(ctx context.Context, t *table.Table, pool string) (Control, error) {
	var item controlItem
	if _, err := t.Get(ctx, table.Key{PK: table.ControlRecords, SK: pool}, &item); err != nil {
		return Control{}, fmt.Errorf("read control of pool %s: %w", pool, err)
	}
	item.Pool, item.Mode = pool, item.mode()
	return item.Control, nil
}

// ReadControls reads what is wanted of all pools of which ever something was, by name.
func ReadControls(ctx context.Context, t *table.Table) (map[string]Control, error) {
	controls := map[string]Control{}
	for item, err := range table.Query[controlItem](ctx, t, table.ControlRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("read controls: %w", err)
		}
		controls[item.Pool] = item.Control
	}
	return controls, nil
}

// ErrNotObeyed says that no controller has obeyed a control in time. The control stays.
var ErrNotObeyed = errors.New("no controller has taken it over")

// obeyedEvery is how often Obeyed looks.
const obeyedEvery = 250 * time.Millisecond

// Obeyed waits until a decision about the control's pool was made under it or a later one, and returns the pool's status
// then. When patience is over it returns the last status there is (the zero value if there is none) and ErrNotObeyed.
func Obeyed(ctx context.Context, t *table.Table, c Control, patience time.Duration) (Status, error) {
	for begin := time.Now(); ; {
		status, err := readStatus(ctx, t, c.Pool)
		switch {
		case err != nil:
			return Status{}, err
		case status.Pool != "" && status.ControlVersion >= c.Version:
			return status, nil
		case time.Since(begin) >= patience:
			return status, fmt.Errorf("%w for %s", ErrNotObeyed, patience)
		}
		timer := time.NewTimer(obeyedEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return status, ctx.Err()
		case <-timer.C:
		}
	}
}

// ReadChanges reads the changes of what is wanted of a pool that are still kept, the oldest first.
func ReadChanges(ctx context.Context, t *table.Table, pool string) ([]Change, error) {
	var changes []Change
	for item, err := range table.Query[changeItem](ctx, t, table.LeverPrefix+pool, "") {
		if err != nil {
			return nil, fmt.Errorf("read audit of pool %s: %w", pool, err)
		}
		changes = append(changes, item.Change)
	}
	return changes, nil
}
