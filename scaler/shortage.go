package scaler

import (
	"math"
	"slices"
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
	// Two shortages tell a rate when so many calls would have been made between them; fewer do when it is sure that the bucket
	// is empty, or was a moment ago.
	tellingCalls        = 24
	tellingCallsSoon    = 4
	tellingCallsFreshly = 6
	tellingCallsUp      = 8
	freshly             = 5 * time.Second
	// slackSoon is the part of a call by which a rate may be too high.
	slackSoon = 0.5
	// A lowered rate stays a little below what is proven, as a rate that is too low wastes nothing: what it leaves in
	// the bucket a probe finds. The same is true of one that is raised.
	below, belowUp = 0.97, 0.99
	// Calls that were throttled by chance prove little, so that one step lowers the rate by no more than this.
	stepInStorm = 0.85
	// slowest is the least rate that is believed, in tasks a second: a call each ten seconds harms nobody, and shows soon that
	// launches are accepted again.
	slowest = 1
)

// lower takes the rate down to what a shortage at now, by a throttled call of n tasks, proves. It is sure when it was shown by
// a struggle, and else by this call alone, which may have been throttled by chance.
func (p *Pace) lower(now time.Time, n int, sure bool) {
	calls, spare, given := float64(tellingCalls), 1.0, 1.0
	switch {
	case sure:
		calls, spare, given = tellingCallsSoon, slackSoon, 0
	case now.Sub(p.sureAt) < freshly:
		calls = tellingCallsFreshly
	}
	proven := p.rate
	marks := p.shortages
	if p.struggle.calls > 0 {
		marks = append(slices.Clone(marks), p.struggle.from)
	}
	for _, s := range marks {
		if since := now.Sub(s.at).Seconds(); since*p.rate >= calls*float64(n) {
			proven = min(proven, (p.asked-s.accepted+given*(p.given-s.given)+spare*float64(n))/since)
		}
	}
	if p.storm() {
		proven = max(stepInStorm*p.rate, proven)
	}
	if proven < belowUp*p.rate {
		p.before = max(p.rate, p.before)
		p.rate = max(below*proven, slowest)
	}
}

// atLeast is the rate at which tasks were accepted from any shortage until one at now, when it was believed to be rate; 0
// when they are too young to tell.
func (s shortages) atLeast(now time.Time, total tally, rate, call float64) float64 {
	least := 0.0
	for _, one := range s {
		if now.Sub(one.at).Seconds()*rate >= tellingCallsUp*call {
			least = max(least, belowUp*one.granted(now, total, -call))
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

// forgo takes over that a call of n tasks, sent at a time, was throttled that was under way at later ones.
func (s shortages) forgo(sent time.Time, n int) {
	for i := range s {
		if sent.Before(s[i].at) {
			s[i].asked -= float64(n)
		}
	}
}

// since leaves those out that were before.
func (s shortages) since(from time.Time) shortages {
	for len(s) > 0 && s[0].at.Before(from) {
		s = s[1:]
	}
	return s
}
