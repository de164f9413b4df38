package scaler

import (
	"math"
	"time"
)

// Pace says how fast tasks of one capacity provider may be launched in an account and Region. It is a token bucket that
// starts with the documented rate, or the one learnt before, and follows what AWS grants. It is not safe for concurrent
// use; a time before an earlier one counts as that one.
//
// ECS says of its own bucket only whether a call was within it. A call that is throttled although the tokens for it
// were there, and again when it is repeated a moment later, shows that the bucket is empty; what was accepted between
// two such times is what it got (see [shortages]), and the rate is lowered to that. Throttling that passes with the
// repetition was chance and changes nothing. A rate that is too low only shows when more is asked for: a probe is one
// call beyond the tokens. One that is accepted is followed by others while the rate grows; one that is throttled ends
// that, and the next comes later.
type Pace struct {
	burst  float64
	rate   float64 // tasks a second
	tokens float64
	at     time.Time // when tokens was true

	wanted, unanswered int // tasks, when room was last asked for
	tally
	shortages shortages

	refused   refusals
	chance    float64   // throttled calls that were chance; fades with each accepted one
	repeated  int       // share of calls that were throttled before they were accepted, of the last few
	emptiedAt time.Time // when tokens were last given up
	takenAt   time.Time // when tokens were last taken
	before    float64   // the highest rate that was ever lowered

	probe probing
}

// tally is a number of tasks so far.
type tally struct {
	accepted float64
	asked    float64 // accepted or under way
}

// refusals are the throttled calls since the last accepted one, probes aside.
type refusals struct {
	calls       int
	first, last time.Time
	pausedUntil time.Time
	trialUntil  time.Time // the next call is under way; its answer is not awaited for longer
	shortage    bool      // they were taken for one
}

// probing is where probes stand.
type probing struct {
	underWay bool
	calls    int // accepted since the last one
	wait     int // how many must be
	missed   int // throttled, and taken for chance
	at       time.Time
	next     time.Time // of one that follows another at once

	// A growth is several accepted in a row.
	grown int
	from  shortage // what was counted at its beginning
	rate  float64  // that was believed before it
}

// Learnt is what is remembered of a provider's rate.
type Learnt struct {
	Provider  string    `dynamodbav:"provider"`
	PerSecond float64   `dynamodbav:"per_second"` // tasks
	At        time.Time `dynamodbav:"at"`         // of the last launch by then
}

// Calls are of ten tasks, except for the last ones of a ramp.
const (
	// A probe comes once in so many accepted calls, so that fewer than one in a hundred is throttled out of curiosity,
	// and only if as many are still to be made. The first one comes early, when it is worth most.
	probeEvery = 100
	probeEarly = 15
	// After the rate has fallen probes come sooner; each that fails doubles the calls until the next.
	probeSoon = 8
	// After the rate has grown there is more to be found.
	probeAtOnce = 2
	// A probe leaves so long after the call before it, or half the time until the next one, that it cannot overtake it, and
	// take its tokens.
	probeApart = 100 * time.Millisecond
	// While calls are throttled by chance a probe may be, too, so that they come by time.
	probeInStorm = 10 * time.Second
	// So slow a rate, in tasks a second, is most likely left over from a time at which others had used up the limit. Waiting for
	// calls to be accepted would take minutes then, so that probes come by time.
	crawling      = 1.5
	probeCrawling = 15 * time.Second
	// While the rate grows, each accepted probe raises it, and the next follows after a moment.
	growEvery   = 500 * time.Millisecond
	growBy      = 1.25
	growInStorm = 1.05

	// repeatSoon is how soon a throttled call is repeated, to see whether that was chance; it grows with each.
	repeatSoon = 150 * time.Millisecond
	// trialMost is how long the answer to a repeated call is waited for before another one is made.
	trialMost = 2 * time.Second
	// chanceFades is what an accepted call leaves of the memory of chance, and chanceMost is as much as is remembered.
	chanceFades = 0.95
	chanceMost  = 4
	// repeatedMost is how many calls may have to be repeated before that is no chance any more.
	repeatedMost = 3

	// hurry is how much faster one call may be than another.
	hurry = 150 * time.Millisecond

	// recently is how long ago launches were that have left the bucket other than full.
	recently = time.Minute
	// learntHolds is for how long a remembered rate need not be probed at once.
	learntHolds = 10 * time.Minute
)

// NewPace starts with the rate, or the one learnt before (the zero value for none). The bucket is full unless there have
// been launches a moment ago.
func NewPace(now time.Time, rate Rate, learnt Learnt) *Pace {
	p := &Pace{
		burst: float64(rate.Burst), rate: rate.PerSecond, at: now,
		probe: probing{calls: probeEvery - probeEarly, wait: probeEvery},
	}
	if learnt.PerSecond > 0 {
		p.rate = max(slowest, learnt.PerSecond)
	}
	p.tokens = p.full()
	if learnt.PerSecond <= 0 {
		return p
	}
	ago := max(0, now.Sub(learnt.At))
	if ago < recently {
		p.tokens = min(p.full(), ago.Seconds()*p.rate)
	}
	if ago < learntHolds {
		p.probe.calls = 0
	}
	return p
}

// Rate is the limit as it is believed to be.
func (p *Pace) Rate() Rate { return Rate{Burst: int(p.burst), PerSecond: p.rate} }

// Room is for how many tasks requests may be made now, a probe's among them, when so many are wanted in all, and calls for
// so many have waited long for an answer: as long as it is not known whether they have used their tokens, nothing is
// probed.
func (p *Pace) Room(now time.Time, wanted, unanswered int) int {
	p.refill(now)
	p.wanted, p.unanswered = wanted, unanswered
	n := int(math.Floor(p.tokens + tokenDust))
	if p.probeDue(now) {
		n += maxTasksPerCall
	}
	return max(0, n)
}

// Ready reports whether a call of n tasks may be made now.
func (p *Pace) Ready(now time.Time, n int) bool {
	p.refill(now)
	if p.refused.calls > 0 && (now.Before(p.refused.pausedUntil) || now.Before(p.refused.trialUntil)) {
		return false // one at a time, to see what becomes of it
	}
	return p.has(n) || (p.probeDue(now) && !now.Before(p.probeFrom()))
}

// Until is how long it takes, if nothing happens, until a call of n tasks may be made.
func (p *Pace) Until(now time.Time, n int) time.Duration {
	p.refill(now)
	wait := max(0, p.refused.pausedUntil.Sub(now), p.refused.trialUntil.Sub(now))
	if p.has(n) {
		return wait
	}
	tokens := p.at.Sub(now) + time.Duration(math.Ceil((float64(n)-p.tokens)/p.rate*float64(time.Second)))
	if p.probeDue(now) || p.probeTimed() {
		tokens = min(tokens, max(0, p.probeFrom().Sub(now)))
	}
	return max(wait, tokens)
}

// Take takes what a call of n tasks needs, which must be Ready, and reports whether it is a probe. What becomes of the
// call is told by Accepted, Throttled or Returned, once.
func (p *Pace) Take(now time.Time, n int) (probe bool) {
	p.refill(now)
	p.asked += float64(n)
	p.takenAt = now
	if p.refused.calls > 0 {
		p.refused.trialUntil = now.Add(trialMost)
	}
	if p.has(n) || !p.probeDue(now) {
		p.tokens -= float64(n)
		return false
	}
	p.probe.underWay = true
	return true
}

// Accepted says that a call of n tasks, sent at a time, was within the limit, whatever else became of it.
func (p *Pace) Accepted(now, sent time.Time, n int, probe bool) {
	p.refill(now)
	p.accepted += float64(n)
	p.probe.calls++
	if !probe && p.refused.calls > 0 && sent.Before(p.refused.last) {
		return // before the last throttled answer came: it says nothing of what came after
	}
	if p.refused.calls > 0 && !p.refused.shortage {
		p.chance = min(chanceMost, p.chance+1)
	}
	p.chance *= chanceFades
	switch {
	case probe:
		p.grow(now)
	case p.refused.calls > 0:
		p.repeated++
	default:
		p.repeated = 0
	}
	p.refused = refusals{}
}

// Returned says that a call of n tasks used no tokens, for a reason that is none of the limit's.
func (p *Pace) Returned(now time.Time, n int, probe bool) {
	p.refill(now)
	p.asked -= float64(n)
	if probe {
		p.probe.underWay = false
		return
	}
	p.refund(n)
}

// Throttled says that a call of n tasks, sent at a time, was beyond the limit.
func (p *Pace) Throttled(now, sent time.Time, n int, probe bool) {
	p.refill(now)
	p.asked -= float64(n)
	r := &p.refused
	switch {
	case probe:
		p.probeThrottled(now, n)
		return
	case r.calls > 0 && sent.Before(r.last): // before the last answer came: the same news
		if !sent.Before(p.emptiedAt) {
			p.refund(n)
		}
		return
	case r.calls == 0:
		r.first = now
	}
	r.last, r.trialUntil = now, time.Time{}
	r.calls++
	stuck := p.repeated >= repeatedMost
	if r.calls <= p.patience() && !stuck {
		p.refund(n)
		pause := repeatSoon * time.Duration(r.calls)
		r.pausedUntil = now.Add(pause)
		if p.chance < 1 { // perhaps the tokens were only a moment early: so are all that follow
			p.tokens -= p.rate * pause.Seconds()
		}
		return
	}
	r.shortage, r.pausedUntil = true, time.Time{}
	p.repeated, p.emptiedAt = 0, now
	p.tokens = min(p.tokens, 0)
	if p.probe.grown > 0 {
		p.endGrowth(now)
		p.probeLater()
	} else {
		p.lower(now, n, stuck)
		if p.probe.wait > probeSoon {
			p.probe.calls, p.probe.wait = 0, probeSoon
		}
	}
	p.shortages = append(p.shortages, shortage{now, p.tally})
}

// patience is how many throttled calls in a row may be chance.
func (p *Pace) patience() int {
	if p.chance < 1 && p.probe.grown > 0 {
		return 0
	}
	return 1 + min(2, int(p.chance))
}

func (p *Pace) has(n int) bool { return p.tokens+tokenDust >= float64(n) }

// full is what there is in a full bucket, less what comes within the time by which one call may be faster on its way than
// the one before it: else a call that hurries would come before its tokens.
func (p *Pace) full() float64 { return max(p.burst/2, p.burst-p.rate*hurry.Seconds()) }

func (p *Pace) refund(n int) { p.tokens = min(p.full(), p.tokens+float64(n)) }

func (p *Pace) refill(now time.Time) {
	if now.After(p.at) {
		p.tokens = min(p.full(), p.tokens+now.Sub(p.at).Seconds()*p.rate)
		p.at = now
	}
	if p.refused.calls == 0 && p.chance < 1 && p.tokens > 2*maxTasksPerCall+p.rate {
		p.shortages = nil // nobody wants the tokens: from now on less is accepted than would be
	}
	p.shortages = p.shortages.since(p.at)
}
