package scaler

import (
	"fmt"
	"time"

	"spate/internal/awsclient"
)

// Intent is the durable record of one RunTask request. Its methods are the state machine of the package comment: each
// returns the intent as it becomes, or an error when that step is not possible in its state.
type Intent struct {
	ID        string          `dynamodbav:"id"` // clientToken and startedBy of the request
	Pool      string          `dynamodbav:"pool"`
	Provider  string          `dynamodbav:"provider"`
	Count     int             `dynamodbav:"count"`   // tasks asked for, 1 to 10
	Request   string          `dynamodbav:"request"` // the whole request, as [decodeRequest] reads it
	State     IntentState     `dynamodbav:"state"`
	CreatedAt time.Time       `dynamodbav:"created_at"`
	UpdatedAt time.Time       `dynamodbav:"updated_at"`
	Calls     int             `dynamodbav:"calls"`    // that were answered somehow
	Class     awsclient.Class `dynamodbav:"class"`    // of the last answer
	Reason    string          `dynamodbav:"reason"`   // ECS's words in the last answer
	Tasks     []string        `dynamodbav:"tasks"`    // ARNs of what was launched
	Failures  []Failure       `dynamodbav:"failures"` // what a successful answer did not launch
	// ExpiresAt is when a record that has ended may be deleted, in epoch seconds; 0 for never.
	ExpiresAt int64 `dynamodbav:"expires_at,omitempty"`
}

// Failure is a task that a successful answer did not launch.
type Failure struct {
	Class  awsclient.Class `dynamodbav:"class"`
	Reason string          `dynamodbav:"reason"`
}

// IntentState is where an intent stands.
type IntentState string

// The states of an intent.
const (
	IntentOpen      IntentState = "open"
	IntentAnswered  IntentState = "answered"
	IntentRefused   IntentState = "refused"
	IntentUnsettled IntentState = "unsettled"
	IntentClosed    IntentState = "closed"
)

// Ended reports whether nothing more happens to an intent in this state.
func (s IntentState) Ended() bool { return s == IntentRefused || s == IntentClosed }

const (
	// repeatable is how old an intent may be whose request is sent. A token lives for an hour at least ("Ensuring
	// idempotency" in the Amazon ECS API reference); ten minutes leave room for clocks that differ.
	repeatable = 10 * time.Minute
	// settleable is how old an intent must be before ECS's silence about it means that it launched nothing: nobody
	// sends it any more, and listings, which are eventually consistent, have caught up.
	settleable = repeatable + vanishAfter
	// kept is how long the record of an intent stays after its end.
	kept = 24 * time.Hour
	// maxTasksPerCall is RunTask's limit ("Amazon ECS service quotas").
	maxTasksPerCall = 10
)

// Outcome is what one call of RunTask said.
type Outcome struct {
	Class    awsclient.Class // none: HTTP 200
	Code     string          // of the exception
	Reason   string
	Tasks    []string
	Failures []Failure
}

// Repeatable reports whether the request may be sent at now. One from the future is not: how old it is nobody knows.
func (i Intent) Repeatable(now time.Time) bool {
	return i.State == IntentOpen && now.Sub(i.CreatedAt).Abs() < repeatable
}

// Unconfirmed is how many tasks the intent may have launched of which no name is known.
func (i Intent) Unconfirmed() int {
	if i.State == IntentOpen || i.State == IntentUnsettled {
		return i.Count
	}
	return 0
}

// Called records the answer to the request. Throttled and ambiguous answers leave the intent open.
func (i Intent) Called(now time.Time, o Outcome) (Intent, error) {
	if i.State != IntentOpen {
		return i, i.impossible("an answer")
	}
	i.Calls++
	i.Class, i.Reason, i.UpdatedAt = o.Class, o.Reason, now
	switch {
	case o.Class == awsclient.ClassNone:
		i.Failures = o.Failures
		return i.answered(now, o.Tasks), nil
	case o.Class == awsclient.ClassThrottled, o.Class.Ambiguous():
		return i, nil
	default:
		i.Tasks = o.Tasks // of a conflict
		return i.end(now, IntentRefused), nil
	}
}

// Aged ends the repeating of an open intent that is too old for it.
func (i Intent) Aged(now time.Time) (Intent, error) {
	if i.State != IntentOpen || i.Repeatable(now) {
		return i, i.impossible("giving up")
	}
	i.State, i.UpdatedAt = IntentUnsettled, now
	return i, nil
}

// Settled records which tasks ECS says the unsettled intent has started. None means that the request was without
// effect, which only an intent old enough for it can be told.
func (i Intent) Settled(now time.Time, tasks []string) (Intent, error) {
	if i.State != IntentUnsettled || now.Sub(i.CreatedAt) < settleable {
		return i, i.impossible("settling")
	}
	i.UpdatedAt = now
	if len(tasks) == 0 {
		return i.end(now, IntentRefused), nil
	}
	return i.answered(now, tasks), nil
}

// Withdrawn ends an open intent that is not wanted any more and has launched nothing: its request was never sent, or throttled
// each time.
func (i Intent) Withdrawn(now time.Time) (Intent, error) {
	if i.State != IntentOpen {
		return i, i.impossible("withdrawing")
	}
	i.Reason, i.UpdatedAt = "not wanted any more", now
	return i.end(now, IntentRefused), nil
}

// Unreadable ends an intent that may still have launched something, but whose stored request cannot be decoded: it can
// neither be sent again nor asked about. What it has launched is seen by the next listing.
func (i Intent) Unreadable(now time.Time, why error) (Intent, error) {
	if i.Unconfirmed() == 0 {
		return i, i.impossible("giving up its request")
	}
	i.Class, i.Reason, i.UpdatedAt = awsclient.ClassConfiguration, why.Error(), now
	return i.end(now, IntentRefused), nil
}

// AllSeen closes an answered intent, each of whose tasks has been seen or declared vanished.
func (i Intent) AllSeen(now time.Time) (Intent, error) {
	if i.State != IntentAnswered {
		return i, i.impossible("closing")
	}
	i.UpdatedAt = now
	return i.end(now, IntentClosed), nil
}

// answered passes over the state Answered when there is no task to wait for.
func (i Intent) answered(now time.Time, tasks []string) Intent {
	i.State, i.Tasks = IntentAnswered, tasks
	if len(tasks) == 0 {
		return i.end(now, IntentClosed)
	}
	return i
}

func (i Intent) end(now time.Time, state IntentState) Intent {
	i.State, i.ExpiresAt = state, now.Add(kept).Unix()
	return i
}

func (i Intent) impossible(step string) error {
	return fmt.Errorf("intent %s is %s: %s is not possible", i.ID, i.State, step)
}
