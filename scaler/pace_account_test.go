package scaler

import (
	"math"
	"math/rand/v2"
	"time"
)

// pacer is a design of pacing: [Pace], or what it is compared with.
type pacer interface {
	Room(now time.Time, wanted, unanswered, call int) int
	Ready(now time.Time, n int) bool
	Take(now time.Time, n int) (probe bool)
	Accepted(now, sent time.Time, n int, probe bool)
	Throttled(now, sent time.Time, n int, probe bool)
	Rate() Rate
}

// pacedAccount is the limit that AWS keeps, and what else it does to calls.
type pacedAccount struct {
	rate    float64
	change  time.Duration // after it the rate is
	then    float64
	random  float64 // share of calls that are throttled whatever the bucket holds
	timeout float64 // share of calls without an answer, half of them with their effect

	tokens float64
	at     time.Duration
	dice   *rand.Rand
}

const pacedBurst = 100

func (a *pacedAccount) rateAt(at time.Duration) float64 {
	if a.change > 0 && at >= a.change {
		return a.then
	}
	return a.rate
}

// run is a call of n tasks at a time.
func (a *pacedAccount) run(at time.Duration, n int) (granted bool) {
	const step = time.Millisecond
	for ; a.at < at; a.at += step {
		a.tokens = min(pacedBurst, a.tokens+a.rateAt(a.at)*step.Seconds())
	}
	if a.dice.Float64() < a.random || a.tokens+1e-6 < float64(n) {
		return false
	}
	a.tokens -= float64(n)
	return true
}

// floor is when so many tasks can have been accepted at the earliest.
func (a *pacedAccount) floor(tasks int) time.Duration {
	left, at := float64(tasks-pacedBurst), time.Duration(0)
	for ; left > 1e-6; at += time.Millisecond {
		left -= a.rateAt(at) / 1000
	}
	return at
}

// never is longer than any ramp.
const never = time.Hour

// ramp is what a ramp came to.
type ramp struct {
	took, floor      time.Duration
	calls, throttled int
	adapted          []time.Duration // from the change of the limit until the rate stays near it for ten seconds, of each ramp
	learnt           Rate
}

func (r ramp) ratio() float64 { return r.took.Seconds() / r.floor.Seconds() }
func (r ramp) share() float64 { return float64(r.throttled) / float64(r.calls) }

// launch launches tasks as the engine does: requests of ten are made as soon as there is room, calls overlap and take a
// tenth of a second, and throttled ones wait their turn, before new ones. It steps through time.
func (a *pacedAccount) launch(p pacer, start time.Time, tasks int) ramp {
	type request struct {
		n           int
		paid, probe bool
		sent, back  time.Duration
		granted     bool
		lost        bool
		done        bool // with its effect already
	}
	const step, latency = 10 * time.Millisecond, 100 * time.Millisecond
	r := ramp{floor: a.floor(tasks)}
	var waiting, flying []*request
	accepted, asked, within := 0, 0, time.Duration(-1)
	changed := max(a.change, 0)
	for at := time.Duration(0); accepted < tasks && at < never; at += step {
		now := start.Add(at)
		var still []*request
		for _, q := range flying {
			switch {
			case q.back > at:
				still = append(still, q)
			case q.lost:
				waiting = append([]*request{q}, waiting...)
			case q.granted:
				p.Accepted(now, start.Add(q.sent), q.n, q.probe)
				accepted += q.n
				r.took = q.sent
			default:
				p.Throttled(now, start.Add(q.sent), q.n, q.probe)
				q.paid = false
				waiting = append([]*request{q}, waiting...)
			}
		}
		flying = still
		if at%(100*time.Millisecond) == 0 {
			unanswered := 0
			for _, q := range flying {
				if at-q.sent >= answerMost {
					unanswered += q.n
				}
			}
			call := callSize(p.Rate().PerSecond)
			room := p.Room(now, tasks-asked, unanswered, call)
			for _, q := range waiting {
				room -= q.n
			}
			for room > 0 && asked < tasks {
				n := min(inCalls(room, call), tasks-asked)
				if n > room {
					break
				}
				waiting = append(waiting, &request{n: n})
				asked, room = asked+n, room-n
			}
		}
		for len(waiting) > 0 {
			q := waiting[0]
			if !q.paid && !p.Ready(now, q.n) {
				break
			}
			if !q.paid {
				q.probe, q.paid = p.Take(now, q.n), true
			}
			waiting = waiting[1:]
			q.sent, q.back = at, at+latency
			q.lost = a.dice.Float64() < a.timeout
			if q.lost {
				q.back = at + 10*time.Second
			}
			if !q.done {
				q.granted = a.run(at, q.n)
			}
			if q.lost && q.granted {
				q.done = true
			}
			r.calls++
			if !q.granted && !q.lost {
				r.throttled++
			}
			flying = append(flying, q)
		}
		if limit := a.rateAt(at); at >= changed {
			if math.Abs(p.Rate().PerSecond-limit) > max(1, 0.1*limit) {
				if within < 0 || at-within < 10*time.Second {
					within = -1
				}
			} else if within < 0 {
				within = at
			}
		}
	}
	if within >= 0 {
		r.adapted = append(r.adapted, within-changed)
	} else {
		r.adapted = append(r.adapted, never)
	}
	r.learnt = p.Rate()
	return r
}
