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
	left := p.wanted / p.call
	wait := min(p.probe.wait, probeEvery*(p.ramp+left)/max(1, 2*left))
	return (p.probe.calls >= wait && left >= max(wait, probeEvery)) ||
		(p.storm() && now.Sub(p.probe.at) > p.stormPause()) ||
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
	from := p.takenAt.Add(min(probeApart, time.Duration(float64(p.call)/2/p.rate*float64(time.Second))))
	if p.probeTimed() {
		from = later(from, p.probe.next)
	}
	return from
}

// probeTimed reports whether one follows another at a time that is known.
func (p *Pace) probeTimed() bool {
	return !p.probe.underWay && p.refused.calls == 0 && p.unanswered == 0 && (p.probe.grown > 0 || p.probe.missed > 0)
}

// grow takes over that a probe, sent at a time, was accepted: the bucket has more than the tokens say. The first ones may only
// show that the rate was a little low.
func (p *Pace) grow(now, sent time.Time) {
	p.probe.underWay, p.probe.missed, p.probe.at = false, 0, now
	if sent.Before(p.emptiedAt) {
		return
	}
	p.probe.grown++
	p.probe.next = now.Add(growSoon)
	switch {
	case p.probe.grown == 1:
		p.probe.from, p.probe.rate = shortage{now, p.tally}, p.rate
		if p.probe.wait < probeEvery {
			p.probe.calls = 0
		}
	case p.storm():
		p.rate = max(p.rate, min(p.before, growFirst*p.rate))
	case p.isRaised(now, p.call):
		p.probe.next = now.Add(growEvery)
		p.rate *= growMost
	default:
		p.rate = growFirst * p.probe.rate
	}
}

// believed is the rate as far as it is sure while it grows.
func (p *Pace) believed() float64 {
	switch {
	case p.probe.grown == 0:
		return p.rate
	case !p.isRaised(p.at, p.call):
		return p.probe.rate
	default:
		return max(p.probe.rate, min(p.rate, 1.5*p.raisedTo(p.at)))
	}
}

const (
	// A rate is at most so much too low, as a share, while nothing was raised; and that has been gathering in the bucket for
	// so long at most, in seconds.
	gathers    = 0.03
	gathersFor = 30
	// unnoticedSoon is how long, in seconds, after the bucket was empty a growth begins from what is known.
	unnoticedSoon = 4
)

// isRaised reports whether more was accepted in a growth than a rate that is a little low has left in the bucket, when calls
// are of n tasks.
func (p *Pace) isRaised(now time.Time, n int) bool {
	gathering := float64(gathersFor)
	if n := len(p.shortages); n > 0 {
		gathering = min(gathering, now.Sub(p.shortages[n-1].at).Seconds())
	}
	more := p.accepted - p.probe.from.accepted - p.probe.rate*now.Sub(p.probe.from.at).Seconds()
	return more > 2*float64(n)+p.probe.rate*(hurry.Seconds()+gathers*gathering)
}

// raisedTo is the rate by what was accepted while it grew, if the limit was raised halfway between the last time at which
// the bucket was empty and the beginning of the growth.
func (p *Pace) raisedTo(now time.Time) float64 {
	empty := shortage{at: p.rampAt}
	if n := len(p.shortages); n > 0 {
		empty = p.shortages[n-1]
	}
	unnoticed := p.probe.from.at.Sub(empty.at).Seconds()
	if unnoticed < unnoticedSoon && len(p.shortages) > 0 {
		return empty.granted(now, p.tally, 0)
	}
	unnoticed = min(gathersFor, unnoticed) / 2
	return (p.accepted - p.probe.from.accepted + p.probe.rate*unnoticed) / (now.Sub(p.probe.from.at).Seconds() + unnoticed)
}

// probeThrottled takes over that a probe of n tasks was throttled: the bucket is empty, unless that was chance.
func (p *Pace) probeThrottled(now time.Time, n int) {
	p.probe.underWay, p.probe.calls, p.probe.at = false, 0, now
	p.probe.missed++
	if p.probe.missed <= p.patience() {
		p.probe.next = now.Add(repeatSoon)
		return
	}
	p.probe.missed = 0
	p.tokens = min(p.tokens, 0)
	if p.probe.grown > 0 || p.refused.calls == 0 {
		p.probeLater()
	}
	p.endGrowth(now, n)
	if p.storm() {
		return
	}
	p.lower(now, n, false)
	p.shortages = append(p.shortages, shortage{now, p.tally})
}

// probeLater doubles the calls until the next probe; after the early one there is nothing more that is worth haste.
func (p *Pace) probeLater() {
	wait := 2 * p.probe.wait
	if p.probe.wait == probeEarly {
		wait = probeEvery
	}
	p.probe.calls, p.probe.wait = 0, min(2*probeEvery, wait)
}

// endGrowth keeps of a growth what is proven: the bucket is empty now, by a throttled call of n tasks, and what was accepted
// until then it got, but for what it held at the beginning.
func (p *Pace) endGrowth(now time.Time, n int) {
	if p.probe.grown == 0 {
		return
	}
	before := p.probe.rate
	proven := max(before, min(max(p.rate, growFirst*before), p.shortages.atLeast(now, p.tally, before, float64(n))))
	proven = max(proven, min(p.rate, p.probe.from.granted(now, p.tally, -p.burst)))
	if p.isRaised(now, n) {
		proven = max(proven, min(p.rate, p.raisedTo(now)))
	}
	p.probe.grown = 0
	p.events = nil
	p.rate = proven
	if proven > growOver*before {
		p.probe.wait = probeAtOnce
		p.shortages = nil // of another limit
	}
}

// growOver is how much more a rate is when the limit has been raised, and was not only a little higher than believed.
const growOver = 1.05

// patience is how many probes in a row may be throttled by chance.
func (p *Pace) patience() int { return min(2, int(p.chance/2)) }
