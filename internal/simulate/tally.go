package simulate

import (
	"maps"
	"math"
	"time"

	"spate/internal/price"
	"spate/scaler"
)

// Figures are what came of a simulation. Times are seconds since the jobs were there; none: it did not come to that.
type Figures struct {
	SecondsToAccepted *float64 `json:"seconds_to_accepted"` // launches of as many workers as the target
	// SecondsToRunning is when that many ran at once. Most is the target less the share that never starts, rounded down (but one at least), and
	// SecondsToMost when that many did: launches that never start are seen minutes later.
	SecondsToRunning  *float64 `json:"seconds_to_running"`
	Most              int      `json:"most"`
	SecondsToMost     *float64 `json:"seconds_to_most_running"`
	SecondsToFinished *float64 `json:"seconds_to_finished"` // the last job
	SecondsToZero     *float64 `json:"seconds_to_zero"`     // workers, after that
	FloorSeconds      *float64 `json:"floor_seconds"`       // for SecondsToAccepted, by the account's figures alone

	// Overshoot is how many workers there were at most beyond the target, with pending ones and without those told to stop. Useless is how many ran and
	// were never given a job.
	Overshoot      int     `json:"overshoot"`
	Useless        int     `json:"useless_workers"`
	Launched       int     `json:"launched"`
	Interrupted    int     `json:"interrupted"`
	Calls          int     `json:"run_task_calls"`
	ThrottledShare float64 `json:"throttled_share"` // of the calls

	// USD is for all workers until the last one is gone, USDToFinished until the last job is done: by the second from when
	// the image is pulled, a minute at least, at list prices. IdleShare is the time that workers ran without a job, and
	// StartShare that they were paid for before they ran, of all the time that is paid for.
	USD           price.USD `json:"usd"`
	USDToFinished price.USD `json:"usd_to_finished"`
	BilledSeconds float64   `json:"billed_seconds"`
	IdleShare     float64   `json:"idle_share"`
	StartShare    float64   `json:"start_share"`
}

// Point is how many workers there were at a time: launched so far, running, and running with a job.
type Point struct {
	At                      time.Duration
	Accepted, Running, Busy int
}

// tally adds up.
type tally struct {
	s      Scenario
	began  time.Time
	curve  []Point
	f      Figures
	target int

	calls, throttled, failed int // of RunTask
	running, busy            int
	peak                     int
	interrupted              int
	idle, startUp            time.Duration
	paid                     map[string]time.Duration // by provider

	limit   scaler.Limit // that holds the pool back, as last heard
	limitAt time.Time
	held    map[scaler.Limit]time.Duration
}

func newTally(s Scenario, began time.Time) *tally {
	t := &tally{s: s, began: began, target: s.Target(), paid: map[string]time.Duration{}, held: map[scaler.Limit]time.Duration{}}
	t.f.Most = max(1, int(math.Floor(float64(t.target)*(1-s.Account.NeverStart))))
	if floor, ok := s.Floor(); ok {
		t.f.FloorSeconds = new(floor.Seconds())
	}
	return t
}

func (t *tally) seconds(now time.Time) *float64 { return new(now.Sub(t.began).Seconds()) }

// launched counts one launch; there are so many workers now, pending ones included.
func (t *tally) launched(now time.Time, alive int) {
	t.f.Launched++
	if t.f.Launched == t.target {
		t.f.SecondsToAccepted = t.seconds(now)
	}
	t.peak = max(t.peak, alive)
}

func (t *tally) started(now time.Time) {
	t.running++
	if t.running >= t.target && t.f.SecondsToRunning == nil {
		t.f.SecondsToRunning = t.seconds(now)
	}
	if t.running >= t.f.Most && t.f.SecondsToMost == nil {
		t.f.SecondsToMost = t.seconds(now)
	}
}

// heldBy notes what keeps the pool from launching more from now on.
func (t *tally) heldBy(now time.Time, limit scaler.Limit) {
	if t.limit != "" && t.limit != scaler.LimitNone && t.f.SecondsToFinished == nil && !now.Before(t.began) {
		t.held[t.limit] += now.Sub(latest(t.limitAt, t.began))
	}
	t.limit, t.limitAt = limit, now
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// gone settles a task's account.
func (t *tally) gone(now time.Time, m *member) {
	if !m.started.IsZero() {
		t.running--
		t.startUp += m.started.Sub(m.pulled)
		t.idle += now.Sub(m.started) - m.busy
		if !m.ever {
			t.f.Useless++
		}
	}
	t.paid[m.provider] += paidFor(now, m)
}

// paidFor is how long a task is paid for if it ends now: from the pull of its image on (AWS Fargate pricing).
func paidFor(now time.Time, m *member) time.Duration {
	if m.pulled.IsZero() {
		return 0
	}
	return time.Duration(max(price.MinimumSeconds, math.Ceil(now.Sub(m.pulled).Seconds()))) * time.Second
}

// costs is what so much time of tasks of each provider costs.
func (t *tally) costs(paid map[string]time.Duration) price.USD {
	return t.s.taskPerHour(OnDemand)*price.USD(paid[OnDemand].Hours()) + t.s.taskPerHour(Spot)*price.USD(paid[Spot].Hours())
}

// done is when the last job is done.
func (t *tally) done(w *world) {
	t.f.SecondsToFinished = t.seconds(w.now)
	paid := maps.Clone(t.paid)
	for _, m := range w.tasks {
		paid[m.provider] += paidFor(w.now, m)
	}
	t.f.USDToFinished = t.costs(paid)
}

// point draws the curve as it is now.
func (t *tally) point(now time.Time) {
	t.curve = append(t.curve, Point{At: now.Sub(t.began), Accepted: t.f.Launched, Running: t.running, Busy: t.busy})
}

// end is when all workers are gone, or nothing more is simulated.
func (t *tally) end(now time.Time) {
	t.point(now)
	if t.f.SecondsToFinished != nil && t.running == 0 {
		t.f.SecondsToZero = t.seconds(now)
	}
	t.f.Overshoot = max(0, t.peak-t.target)
	t.f.Calls, t.f.Interrupted = t.calls, t.interrupted
	if t.calls > 0 {
		t.f.ThrottledShare = float64(t.throttled) / float64(t.calls)
	}
	t.f.USD = t.costs(t.paid)
	t.f.BilledSeconds = (t.paid[OnDemand] + t.paid[Spot]).Seconds()
	if t.f.BilledSeconds > 0 {
		t.f.IdleShare = t.idle.Seconds() / t.f.BilledSeconds
		t.f.StartShare = t.startUp.Seconds() / t.f.BilledSeconds
	}
}
