package scaler

import (
	"fmt"
	"time"

	"spate/job"
)

// Control is what people want of a pool, as desired state: it lasts until they want something else, whatever becomes of
// the controller. The zero value lets the pool run.
type Control struct {
	Pool string `dynamodbav:"pool" json:"pool"`
	Mode Mode   `dynamodbav:"mode" json:"mode"`
	Set  Mark   `dynamodbav:"set" json:"set"` // of the mode
	// SetVersion is the version in which the mode was set, by a lever pulled anew if it is the same one.
	SetVersion int `dynamodbav:"set_version" json:"set_version"`
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
		next.Mode, next.Set, next.SetVersion = p.Lever.mode(), mark, c.Version+1
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

// isReadable reports whether this controller knows what is wanted; one that is newer may have written more.
func (c Control) isReadable() bool {
	switch c.mode() {
	case ModeRun, ModePaused, ModeDrained, ModeKilled:
		return c.Cap == nil || *c.Cap >= 0
	}
	return false
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

// text is a mark as part of a sentence.
func (m Mark) text(now time.Time) string {
	layout := "15:04 MST"
	if now.Sub(m.At) >= 20*time.Hour {
		layout = "2006-01-02 15:04 MST"
	}
	text := fmt.Sprintf("by %s at %s", m.By, m.At.UTC().Format(layout))
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

// unwanted says that people do not want the pool to run, and who they are.
func (v *view) unwanted(mode Mode) string {
	w := v.o.Workers
	gone := w.Known && w.Running+w.Pending+w.Stopping+v.unsettled == 0
	by := v.o.Asked.Set.text(v.now)
	switch mode {
	case ModeDrained:
		if gone {
			return "; all workers have left: drained " + by
		}
		return "; workers finish their jobs and leave: drained " + by
	case ModeKilled:
		if gone {
			return "; all workers are stopped: killed " + by
		}
		text := "; all are being stopped: killed " + by
		if v.o.StopError != "" {
			text += "; ECS refuses to stop tasks: " + v.o.StopError
		}
		return text
	case ModePaused, ModeRun:
	}
	return ": paused " + by
}
