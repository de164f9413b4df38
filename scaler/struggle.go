package scaler

import (
	"math"
	"slices"
	"time"
)

// struggle is a time in which less is accepted than there are tokens for. It begins with a throttled call and ends when
// what was accepted has caught up, or when so much is lacking that the bucket must be empty. One call that is throttled says
// little: the next one, a moment later, may find its few tokens in either case.
type struggle struct {
	calls int      // throttled
	from  shortage // what was counted at its beginning
	lost  float64  // tokens that were given up then
}

const (
	// caughtUp is how many calls' time a struggle lasts at least, unless it shows that the bucket is empty.
	caughtUp = 12
	// lacksMost is for how long, beside the time of two answers, nothing may be accepted before the bucket counts as empty.
	lacksMost = 0.1
	// While throttling is chance that is expected to be caught up with: so long may nothing be accepted then.
	lacksMostInStorm = 0.75
	// In a struggle calls leave so much faster than the rate at most, that few are on their way when the bucket is empty.
	hurried, hurriedInStorm = 1.5, 2.5

	// chanceMost is the memory of throttling by chance, chanceFades what an accepted call leaves of it, and stormFrom where it
	// is the weather.
	chanceMost  = 8
	chanceFades = 0.985
	stormFrom   = 4
)

// storm reports whether much is throttled by chance.
func (p *Pace) storm() bool { return p.chance >= stormFrom }

// spread is the time between a call of n tasks and the next one in a struggle.
func (p *Pace) spread(n int) time.Duration {
	if p.storm() {
		return time.Duration(float64(p.takes(n)) / hurriedInStorm)
	}
	return time.Duration(float64(p.takes(n)) / hurried)
}

// struggles takes over that a call of n tasks, sent at a time, was throttled although its tokens were there.
func (p *Pace) struggles(now, sent time.Time, n int) {
	s := &p.struggle
	if s.calls == 0 {
		*s = struggle{from: shortage{now, p.tally}}
		if !p.storm() { // perhaps the tokens were only a moment early: so are all that follow
			s.lost = float64(n)
			p.tokens -= s.lost
			p.given += s.lost / 2
		}
	}
	s.calls++
	p.note(sent, n, false)
	answer := now.Sub(sent).Seconds()
	if p.events.contradict() {
		p.weather()
		if p.tokens >= 2*float64(n)+lacksMostInStorm*p.rate*(1+2*answer) {
			p.lower(now, n, true)
			p.empty(now)
		}
		return
	}
	most := s.lost + float64(n) + p.rate*(2*answer+lacksMost)
	if p.storm() {
		most *= 2
	}
	switch {
	case s.lacks(now, p.rate, p.tally) >= most:
		p.lower(now, n, true)
		p.sureAt = now
		p.shortages = p.shortages.since(s.from.at) // others may be of another limit
		p.empty(now)
		if p.probe.wait > probeSoon {
			p.probe.calls, p.probe.wait = 0, probeSoon
		}
	case !p.storm() && s.calls == 1:
		p.lower(now, n, false)
		p.shortages = append(p.shortages, s.from)
	}
}

// weather takes over that calls are throttled by chance.
func (p *Pace) weather() {
	p.chance = chanceMost
	p.tokens = min(p.full(), p.tokens+p.struggle.lost)
	p.struggle = struggle{}
	p.rate = max(p.rate, p.calm)
}

// empty takes over that there is nothing in the bucket.
func (p *Pace) empty(now time.Time) {
	p.emptiedAt = now
	p.tokens = min(p.tokens, 0)
	p.struggle = struggle{}
	p.shortages = append(p.shortages, shortage{now, p.tally})
}

// lacks is how many tasks less were accepted since the struggle began than there were tokens for.
func (s *struggle) lacks(now time.Time, rate float64, total tally) float64 {
	return now.Sub(s.from.at).Seconds()*rate - (total.asked - s.from.asked)
}

// isOver reports whether a call of n tasks that was sent at a time, and accepted, ends the struggle: all but its own lack was
// accepted.
func (s *struggle) isOver(sent time.Time, rate float64, total tally, n int) bool {
	granted := sent.Sub(s.from.at).Seconds() * rate
	return s.calls > 0 && granted >= caughtUp*float64(n) && granted-(total.accepted-s.from.accepted) <= s.lost+float64(n)
}

// event is what became of a call.
type event struct {
	at       time.Time // when it was sent
	tasks    float64
	accepted bool
}

// events are those since the first of several throttled calls, probes aside when they were throttled.
type events []event

const (
	// eventsMost are kept, and eventsApart is when throttled calls have nothing to do with one another.
	eventsMost  = 64
	eventsApart = 3 * time.Second
	// early is by how much one call may be faster on its way than another, in seconds.
	early = 0.1
	// explained is how much more a rate may have to be at least than at most.
	explained = 1.2
)

// note keeps what became of a call that was sent at a time.
func (p *Pace) note(at time.Time, n int, accepted bool) {
	if !accepted && len(p.events) > 0 && at.Sub(p.events.lastThrottled()) > eventsApart {
		p.events = p.events[:0]
	}
	if len(p.events) == 0 {
		if accepted {
			return
		}
		p.calm = p.rate
	}
	if len(p.events) == eventsMost {
		p.events = append(p.events[:0], p.events[eventsMost/2:]...)
	}
	p.events = append(p.events, event{at, float64(n), accepted})
}

func (e events) lastThrottled() time.Time {
	var last time.Time
	for _, one := range e {
		if !one.accepted {
			last = later(last, one.at)
		}
	}
	return last
}

// contradict reports whether no rate explains them. Where a call was throttled the bucket had less than its tasks: what was
// accepted from then on it has got since, and where the next one was throttled it has not got more.
func (e events) contradict() bool {
	slices.SortStableFunc(e, func(a, b event) int { return a.at.Compare(b.at) })
	least, most := 0.0, math.Inf(1)
	for i, from := range e {
		got := 0.0
		if from.accepted {
			got = from.tasks
		}
		for _, one := range e[i+1:] {
			since := one.at.Sub(from.at).Seconds()
			switch {
			case one.accepted && !from.accepted:
				least = max(least, (got+one.tasks-from.tasks)/(since+early))
			case !one.accepted && since > early:
				most = min(most, (got+one.tasks)/(since-early))
			}
			if one.accepted {
				got += one.tasks
			}
		}
	}
	return least > explained*most
}
