package job

import "fmt"

// RunState is where a run stands. Outages do not change it: they stay in their state, with a reason.
//
//	Received → Rejected | Planning → Active → Succeeded | Failed
//	Received, Planning → Cancelled
//	Active → Cancelling → Cancelled
//	Failed → Active (its failed jobs are tried again)
type RunState string

// The states of a run.
const (
	RunReceived   RunState = "received"
	RunRejected   RunState = "rejected"
	RunPlanning   RunState = "planning"
	RunActive     RunState = "active"
	RunSucceeded  RunState = "succeeded"
	RunFailed     RunState = "failed"
	RunCancelling RunState = "cancelling" // nothing more is released; what was released is waited for
	RunCancelled  RunState = "cancelled"
)

// Ended reports whether nothing more happens in this state by itself.
func (s RunState) Ended() bool {
	return s == RunRejected || s == RunSucceeded || s == RunFailed || s == RunCancelled
}

// State is where a job stands within a run.
//
//	Pending → Cached | Waiting | Ready
//	Waiting → Ready (parents done) | Blocked (a parent failed)
//	Ready   → Shared (the same key is in flight for another run) | Queued
//	Shared  → Done | Ready (the run that had it in flight failed)
//	Queued  → Done | Failed | Ready (another attempt)
//	Done, Cached → Ready (the output proves gone)
//	Failed  → Ready | Waiting (somebody wants it tried again)
//	Waiting, Ready, Shared, Queued, Blocked → Cancelled (with their run)
type State uint8

// The states of a job in a run.
const (
	Pending   State = iota // nobody has looked yet whether its output exists
	Cached                 // its output existed before the run needed it
	Waiting                // for parents
	Ready                  // to be released
	Shared                 // in flight for another run
	Queued                 // released to the queue; perhaps running
	Done                   // its output exists
	Failed                 // no further attempt will be made
	Blocked                // an ancestor failed
	Cancelled              // its run was cancelled before it had an outcome
)

// States lists every State, in order.
func States() []State {
	return []State{Pending, Cached, Waiting, Ready, Shared, Queued, Done, Failed, Blocked, Cancelled}
}

// String is the state in lower case.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Cached:
		return "cached"
	case Waiting:
		return "waiting"
	case Ready:
		return "ready"
	case Shared:
		return "shared"
	case Queued:
		return "queued"
	case Done:
		return "done"
	case Failed:
		return "failed"
	case Blocked:
		return "blocked"
	case Cancelled:
		return "cancelled"
	}
	return "invalid"
}

// ParseState reads what String writes.
func ParseState(s string) (State, error) {
	for _, state := range States() {
		if state.String() == s {
			return state, nil
		}
	}
	return 0, fmt.Errorf("parse state: there is no state %q", clip(s))
}

// HasOutput reports whether the job's output exists in this state.
func (s State) HasOutput() bool { return s == Cached || s == Done }

// Settled reports whether nothing more happens to the job in this state by itself.
func (s State) Settled() bool { return s.HasOutput() || s == Failed || s == Blocked || s == Cancelled }
