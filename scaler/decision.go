package scaler

import "time"

// Decision is what to do for one pool, and why.
type Decision struct {
	Pool   string
	Wanted int // workers that the work is worth, within the pool's bounds; 0 while the demand is unknown
	Useful int // of them, those that would still find work when they have started; Wanted where that is not known
	Have   int // running, pending and unsettled, of the demand's task definition
	Other  int // the same of other task definitions, in addition
	// Demanded and Counted: how much work there is was known, and how many workers there are.
	Demanded, Counted bool

	Launch []Launch
	Limit  Limit
	// Target is how many there will be at the pace that is left, if nothing else changes, and ETA when the last of them
	// will have been launched; 0: at once, or not known.
	Target int
	ETA    time.Duration
	Reason string // a sentence for people
}

// Launch is a number of tasks from one provider.
type Launch struct {
	Provider string
	Count    int
}

// Launches is how many tasks the decision launches from all providers.
func (d Decision) Launches() int {
	n := 0
	for _, l := range d.Launch {
		n += l.Count
	}
	return n
}

// Limit names what kept a decision from launching more.
type Limit string

// The limits, in the order in which they are looked at.
const (
	LimitPaused         Limit = "paused"          // somebody asked for it, as with the next two
	LimitDrained        Limit = "drained"         // and workers leave
	LimitKilled         Limit = "killed"          // and workers are stopped
	LimitControl        Limit = "control"         // what somebody asked for is unknown or was read too long ago
	LimitDemand         Limit = "demand"          // the same of how much work there is
	LimitObservation    Limit = "observation"     // the same of the workers
	LimitTaskDefinition Limit = "task_definition" // nothing to launch is known
	LimitCrashLoop      Limit = "crash_loop"      // workers die before they take a job
	LimitConfiguration  Limit = "configuration"   // ECS refuses until somebody changes something
	LimitPacing         Limit = "pacing"          // the account's launch rate
	LimitQuota          Limit = "quota"           // the account's number of vCPUs
	LimitAddresses      Limit = "addresses"       // the account's network interfaces, or the subnets' addresses
	LimitBudget         Limit = "budget"          // what all workers may cost an hour
	LimitCapacity       Limit = "capacity"        // no room at a provider, or the maximum taken from the providers
	LimitUseful         Limit = "useful"          // more would find nothing to do when they have started
	LimitCap            Limit = "cap"             // a maximum that somebody asked for
	LimitMax            Limit = "max"             // the pool's
	LimitNone           Limit = "none"
)
