package scaler

import (
	"math"
	"time"
)

// shortage is a time at which the limit's bucket was all but empty: less was in it than a call takes. Between two of them
// as much was accepted as the bucket got, within a call.
type shortage struct {
	at time.Time
	tally
}

// shortages are those of the last while, oldest first.
type shortages []shortage

const (
	shortagesKept = 128 * time.Second
	// Two shortages tell a rate when so many calls would have been made between them; when several calls in a row were
	// throttled fewer do, at the price of a larger error.
	tellingCalls     = 16
	tellingCallsSoon = 4
	tellingCallsUp   = 8
	// slack is the part of a call by which a rate may be too high, and slackSoon that of fewer calls.
	slack, slackSoon = 0.25, 0.5
	// A lowered rate stays a little below what is proven, as a rate that is too low wastes nothing: what it leaves in
	// the bucket a probe finds. The same is true of one that is raised.
	below, belowUp = 0.97, 0.99
	// Calls that were throttled by chance prove little, so that one step lowers the rate by no more than this.
	stepInStorm = 0.85
	stepMost    = 0.5
	// slowest is the least rate that is believed, in tasks a second: a call each ten seconds harms nobody, and shows soon that
	// launches are accepted again.
	slowest = 1
)

// lower takes the rate down to what a shortage at now, by a throttled call of n tasks, proves. Calls that had to be
// repeated too often prove more than chance would.
func (p *Pace) lower(now time.Time, n int, stuck bool) {
	storm := p.chance >= 1
	step, calls, spare := stepMost, float64(tellingCalls), slack
	switch {
	case storm:
		step = stepInStorm
	case p.refused.calls > 1:
		calls, spare = tellingCallsSoon, slackSoon
	}
	proven := p.rate
	if series := now.Sub(p.refused.first).Seconds(); p.refused.shortage && series > 0 {
		proven = max(step*p.rate, min(proven, float64(n)/series)) // all that the bucket got since then is not n tasks
	}
	for _, s := range p.shortages {
		if since := now.Sub(s.at).Seconds(); since*p.rate >= calls*float64(n) {
			proven = min(proven, (p.asked-s.accepted+spare*float64(n))/since)
		}
	}
	if storm && !stuck {
		proven = max(stepInStorm*p.rate, proven)
	}
	if proven < belowUp*p.rate {
		p.before = max(p.rate, p.before)
		p.rate = max(below*proven, slowest)
	}
}

// atLeast is the rate at which tasks were accepted from any shortage until one at now, when it was believed to be rate; 0
// when they are too young to tell.
func (s shortages) atLeast(now time.Time, total tally, rate float64) float64 {
	least := 0.0
	for _, one := range s {
		if now.Sub(one.at).Seconds()*rate >= tellingCallsUp*maxTasksPerCall {
			least = max(least, belowUp*one.granted(now, total, -slack*maxTasksPerCall))
		}
	}
	return least
}

// granted is how many tasks a second were accepted from the shortage until now, with so many more.
func (s shortage) granted(now time.Time, total tally, more float64) float64 {
	since := now.Sub(s.at).Seconds()
	if since <= 0 {
		return 0
	}
	return math.Max(0, (total.accepted-s.asked+more)/since)
}

// since leaves those out that are too old at now.
func (s shortages) since(now time.Time) shortages {
	for len(s) > 0 && now.Sub(s[0].at) > shortagesKept {
		s = s[1:]
	}
	return s
}
