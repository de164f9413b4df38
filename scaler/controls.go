package scaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/internal/table"
	"spate/job"
)

// Control is what people want of a pool, as desired state: it lasts until they want something else, whatever becomes of
// the controller. The zero value lets the pool run.
type Control struct {
	Pool string `dynamodbav:"pool" json:"pool"`
	Mode Mode   `dynamodbav:"mode" json:"mode"`
	Set  Mark   `dynamodbav:"set" json:"set"` // of the mode
	// Cap is how many workers there may be at most, 0 or more, whatever the configuration says beyond that; nil is no cap.
	Cap    *int `dynamodbav:"cap" json:"cap"`
	CapSet Mark `dynamodbav:"cap_set" json:"cap_set"`
	// Version counts the changes.
	Version int `dynamodbav:"version" json:"version"`
}

// Mode says whether a pool's workers are launched, go on, or go.
type Mode string

// The modes.
const (
	ModeRun     Mode = "run"     // as many as the demand is worth
	ModePaused  Mode = "paused"  // none is launched; those there are go on, and leave when they are idle
	ModeDrained Mode = "drained" // none is launched; those there are finish the jobs they run, and leave
	ModeKilled  Mode = "killed"  // none is launched; all are stopped, and their jobs go back to the queue
)

// Mark says who wants something, when it was wanted, and why, which may be empty.
type Mark struct {
	By     string    `dynamodbav:"by" json:"by"`
	Reason string    `dynamodbav:"reason" json:"reason"`
	At     time.Time `dynamodbav:"at" json:"at,omitzero"`
}

// Lever is a way to change a Control.
type Lever string

// The levers. Each but LeverCap sets a mode; LeverResume lets a pool go on that a breaker stopped, too.
const (
	LeverPause  Lever = "pause"
	LeverResume Lever = "resume"
	LeverDrain  Lever = "drain"
	LeverKill   Lever = "kill"
	LeverCap    Lever = "cap"
)

// mode is what the lever sets; "" for LeverCap.
func (l Lever) mode() Mode {
	switch l {
	case LeverPause:
		return ModePaused
	case LeverResume:
		return ModeRun
	case LeverDrain:
		return ModeDrained
	case LeverKill:
		return ModeKilled
	case LeverCap:
	}
	return ""
}

// Pull is one use of a lever.
type Pull struct {
	Pool   string
	Lever  Lever
	Cap    *int   // of LeverCap, 0 or more; nil takes the cap away
	By     string // 1,024 bytes at most, as Reason
	Reason string
}

// maxMark is the most bytes of who wants something, and of why.
const maxMark = 1024

func (p Pull) validate() error {
	if err := job.CheckName(p.Pool); err != nil {
		return fmt.Errorf("pool: %w", err)
	}
	switch {
	case p.Lever == LeverCap && p.Cap != nil && *p.Cap < 0:
		return fmt.Errorf("a cap of %d: want 0 or more", *p.Cap)
	case p.Lever != LeverCap && p.Lever.mode() == "":
		return fmt.Errorf("there is no lever %q", p.Lever)
	case len(p.By) > maxMark || len(p.Reason) > maxMark:
		return fmt.Errorf("a reason, or who asks, has more than %d characters", maxMark)
	}
	return nil
}

// Pulled is the control as it becomes. It reports no change when that is what is wanted already and no other reason is
// given; a resumption is always one, as it may be a breaker that it is about.
func (c Control) Pulled(now time.Time, p Pull) (next Control, changed bool) {
	mark := Mark{By: p.By, Reason: p.Reason, At: now}
	next = c
	if p.Lever == LeverCap {
		if sameCap(c.Cap, p.Cap) && (p.Reason == "" || p.Reason == c.CapSet.Reason) {
			return c, false
		}
		next.Cap, next.CapSet = p.Cap, mark
	} else {
		if p.Lever != LeverResume && c.Mode == p.Lever.mode() && (p.Reason == "" || p.Reason == c.Set.Reason) {
			return c, false
		}
		next.Mode, next.Set = p.Lever.mode(), mark
	}
	next.Pool = p.Pool
	next.Version++
	return next, true
}

func sameCap(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// mode is the mode with its zero value spelt out.
func (c Control) mode() Mode {
	if c.Mode == "" {
		return ModeRun
	}
	return c.Mode
}

// Change is the audit record of one use of a lever that changed something; it is kept for 90 days.
type Change struct {
	Lever  Lever   `dynamodbav:"lever" json:"lever"`
	Mark   Mark    `dynamodbav:"mark" json:"mark"`
	Before Control `dynamodbav:"before" json:"before"`
	After  Control `dynamodbav:"after" json:"after"`

	ExpiresAt int64 `dynamodbav:"expires_at,omitempty" json:"-"`
}

// keepChanges is how long a change is kept.
const keepChanges = 90 * 24 * time.Hour

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
