package scaler

import "time"

// probeDue reports whether a call beyond the tokens may be made.
func (p *Pace) probeDue(now time.Time) bool {
	if p.probe.underWay || p.refused.calls > 0 || p.unanswered > 0 {
		return false
	}
	if p.probeTimed() {
		return !now.Before(p.probe.next)
	}
	return (p.probe.calls >= p.probe.wait && p.wanted >= p.probe.wait*maxTasksPerCall) ||
		(p.chance >= 2 && now.Sub(p.probe.at) > p.stormPause()) ||
		(p.rate < crawling && now.Sub(later(p.probe.at, p.emptiedAt)) > probeCrawling)
}

// stormPause is how long after a probe the next one comes while much is throttled by chance: chance may have taken the rate
// down far below what it was.
func (p *Pace) stormPause() time.Duration {
	if p.rate < p.before/2 {
		return probeInStorm / 4
	}
	return probeInStorm
}

// probeFrom is when a probe that is due may leave.
func (p *Pace) probeFrom() time.Time {
	from := p.takenAt.Add(min(probeApart, time.Duration(maxTasksPerCall/2/p.rate*float64(time.Second))))
	if p.probeTimed() {
		from = later(from, p.probe.next)
	}
	return from
}

// probeTimed reports whether one follows another at a time that is known.
func (p *Pace) probeTimed() bool {
	return !p.probe.underWay && p.refused.calls == 0 && p.unanswered == 0 && (p.probe.grown > 0 || p.probe.missed > 0)
}

// grow takes over that a probe was accepted: the bucket has more than the tokens say. The first one may only show that the
// rate was a little low; those right after it raise it.
func (p *Pace) grow(now time.Time) {
	p.probe.underWay, p.probe.missed, p.probe.at = false, 0, now
	p.probe.next = now.Add(growEvery)
	p.tokens = min(p.tokens, 0)
	p.probe.grown++
	switch {
	case p.probe.grown == 1:
		p.probe.from, p.probe.rate = shortage{now, p.tally}, p.rate
	case p.chance >= 1 && p.rate >= p.before:
		p.rate *= growInStorm
	case p.chance >= 1:
		p.rate = min(p.before, growBy*p.rate)
	default:
		p.rate *= growBy
	}
}

// probeThrottled takes over that a probe of n tasks was throttled: the bucket is empty, unless that was chance.
func (p *Pace) probeThrottled(now time.Time, n int) {
	p.probe.underWay, p.probe.calls, p.probe.at = false, 0, now
	p.probe.missed++
	if p.probe.missed <= min(2, int(p.chance)) {
		p.probe.next = now.Add(repeatSoon)
		return
	}
	p.probe.missed = 0
	p.tokens = min(p.tokens, 0)
	if p.probe.grown > 0 || p.refused.calls == 0 {
		p.probeLater()
	}
	p.endGrowth(now)
	p.lower(now, n, false)
	p.shortages = append(p.shortages, shortage{now, p.tally})
}

// probeLater doubles the calls until the next probe.
func (p *Pace) probeLater() {
	p.probe.calls, p.probe.wait = 0, min(probeEvery, 2*p.probe.wait)
}

// endGrowth keeps of a growth what is proven: the bucket is empty now, and what was accepted until then it got, but for
// what it held at the beginning.
func (p *Pace) endGrowth(now time.Time) {
	if p.probe.grown == 0 {
		return
	}
	p.probe.grown = 0
	before := p.probe.rate
	proven := max(before, min(max(p.rate, growBy*before), p.shortages.atLeast(now, p.tally, before)))
	proven = max(proven, min(p.rate, p.probe.from.granted(now, p.tally, -p.burst)))
	p.rate = proven
	if proven > growOver*before {
		p.probe.wait = probeAtOnce
		p.shortages = nil // of another limit
	}
}

// growOver is how much more a rate is when the limit has been raised, and was not only a little higher than believed.
const growOver = 1.05
