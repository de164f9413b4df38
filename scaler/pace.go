package scaler

import (
	"math"
	"time"
)

// Pace says how fast tasks of one capacity provider may be launched in an account and Region. It is a token bucket that
// starts with the documented rate, or the one learnt before, and follows what AWS grants. It is not safe for concurrent
// use; a time before an earlier one counts as that one.
//
// ECS says of its own bucket only whether a call was within it. When less and less is accepted of what there are tokens
// for (see [struggle]), the bucket is empty; what was accepted since an earlier time is what it got (see [shortages]), and
// the rate is lowered to that. What no rate explains was chance (see [events]) and changes nothing. A rate that is too low
// only shows when more is asked for: a probe is one call beyond the tokens. One that is accepted is followed by others while
// the rate grows; one that is throttled ends that, and the next comes later.
type Pace struct {
	burst  float64
	rate   float64 // tasks a second
	tokens float64
	at     time.Time // when tokens was true

	wanted, unanswered int // tasks, when room was last asked for
	call               int // tasks that a call has then, but for the burst
	tally
	shortages shortages

	refused   refusals
	struggle  struggle
	events    events
	chance    float64   // that calls are throttled by, while it is stormFrom at least; fades with each accepted one
	calm      float64   // the rate before the events
	emptiedAt time.Time // when tokens were last given up
	sureAt    time.Time // when a struggle last showed that the bucket was empty
	takenAt   time.Time // when tokens were last taken
	before    float64   // the highest rate that was ever lowered

	ramp   int       // accepted calls since the bucket was last full
	rampAt time.Time // when it was
	probe  probing
}

// tally is a number of tasks so far.
type tally struct {
	accepted float64
	asked    float64 // accepted or under way
	given    float64 // tokens that were given up, half of them
}

// refusals are the throttled calls since the last accepted one, probes aside.
type refusals struct {
	calls       int
	last        time.Time
	pausedUntil time.Time
	trialUntil  time.Time // the next call is under way; its answer is not awaited for longer
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

const (
	// A probe comes once in so many accepted calls, so that fewer than one in a hundred is throttled out of curiosity: in half
	// as many at the beginning of a ramp, when there is most to be gained, ever less often towards its end, and only if as many
	// are still to be made. The first one comes early: an account that has more than is known shows it at once.
	probeEvery = 105
	probeEarly = 15
	// After the rate has fallen probes come sooner; each that fails doubles the calls until the next.
	probeSoon = 40
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
	// After an accepted probe the next follows in a moment: a little longer, and with the rate growing by more, once it is sure
	// that the limit is higher.
	growSoon  = 50 * time.Millisecond
	growEvery = 150 * time.Millisecond
	growFirst = 1.25
	growMost  = 1.7

	// repeatSoon is how soon a throttled call is repeated, if its tokens do not take longer; it grows with each.
	repeatSoon = 150 * time.Millisecond
	repeatMost = 4
	// trialMost is how long the answer to a repeated call is waited for before another one is made.
	trialMost = 2 * time.Second
	// hurry is how much faster one call may be than another.
	hurry = 150 * time.Millisecond

	// ended is how long after its last call a ramp is over; while a slow one is throttled its calls are up to 40 s apart.
	ended = time.Minute
	// recently is how long ago launches were that have left the bucket other than full.
	recently = time.Minute
	// learntHolds is for how long a remembered rate need not be probed at once.
	learntHolds = 10 * time.Minute
)

// NewPace starts with the rate, or the one learnt before (the zero value for none). The bucket is full unless there have
// been launches a moment ago.
func NewPace(now time.Time, rate Rate, learnt Learnt) *Pace {
	p := &Pace{
		burst: float64(rate.Burst), rate: rate.PerSecond, at: now, call: maxTasksPerCall,
		probe: probing{wait: probeEarly},
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
		p.probe.wait = probeEvery
	}
	return p
}

// Rate is the limit as it is believed to be.
func (p *Pace) Rate() Rate { return Rate{Burst: int(p.burst), PerSecond: p.believed()} }

// Room is for how many tasks requests may be made now, a probe's among them, when so many are wanted in all, and calls for
// so many have waited long for an answer: as long as it is not known whether they have used their tokens, nothing is
// probed.
func (p *Pace) Room(now time.Time, wanted, unanswered, call int) int {
	p.refill(now)
	p.wanted, p.unanswered, p.call = wanted, unanswered, call
	n := int(math.Floor(p.tokens + tokenDust))
	if p.probeDue(now) {
		n += p.call
	}
	return max(0, n)
}

// Ready reports whether a call of n tasks may be made now.
func (p *Pace) Ready(now time.Time, n int) bool {
	p.refill(now)
	if now.Before(p.refused.pausedUntil) || now.Before(p.refused.trialUntil) {
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
	if now.Sub(p.takenAt) > ended {
		p.forget()
	}
	p.asked += float64(n)
	p.takenAt = now
	if p.struggle.calls > 0 {
		p.refused.pausedUntil = now.Add(p.spread(n))
	}
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

// forget drops what a ramp has left unfinished that is over: what comes next has nothing to do with it.
func (p *Pace) forget() {
	if p.probe.grown > 0 {
		p.rate, p.probe.grown = p.believed(), 0
	}
	p.struggle, p.refused, p.events = struggle{}, refusals{}, nil
}

// Accepted says that a call of n tasks, sent at a time, was within the limit, whatever else became of it.
func (p *Pace) Accepted(now, sent time.Time, n int, probe bool) {
	p.refill(now)
	p.accepted += float64(n)
	p.probe.calls++
	p.ramp++
	p.note(sent, n, true)
	if !probe && p.refused.calls > 0 && sent.Before(p.refused.last) {
		return // before the last throttled answer came: it says nothing of what came after
	}
	p.chance *= chanceFades
	if probe {
		p.grow(now, sent)
	}
	if p.struggle.isOver(sent, p.rate, p.tally, n) {
		p.struggle = struggle{}
	}
	p.refused = refusals{pausedUntil: p.refused.pausedUntil}
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
	p.shortages.forgo(sent, n)
	r := &p.refused
	switch {
	case probe:
		p.probeThrottled(now, n)
		return
	case r.calls > 0 && sent.Before(r.last): // before the last answer came: the same news
		if !sent.Before(p.emptiedAt) {
			p.refund(n)
		}
		p.note(sent, n, false)
		return
	case sent.Before(p.emptiedAt):
		r.pausedUntil = later(r.pausedUntil, now.Add(repeatSoon))
		return
	}
	r.last, r.trialUntil = now, time.Time{}
	r.calls++
	p.refund(n)
	r.pausedUntil = now.Add(max(repeatSoon, p.takes(n)) * time.Duration(min(r.calls, repeatMost)))
	if p.probe.grown > 0 && !p.storm() {
		p.endGrowth(now, n)
		p.empty(now)
		p.probeLater()
		return
	}
	p.struggles(now, sent, n)
}

func (p *Pace) has(n int) bool { return p.tokens+tokenDust >= float64(n) }

// full is what there is in a full bucket, less what comes within the time by which one call may be faster on its way than
// the one before it: else a call that hurries would come before its tokens.
func (p *Pace) full() float64 { return max(p.burst/2, p.burst-p.rate*hurry.Seconds()) }

// takes is how long the tokens of a call of n tasks take.
func (p *Pace) takes(n int) time.Duration {
	return time.Duration(float64(n) / p.rate * float64(time.Second))
}

func (p *Pace) refund(n int) { p.tokens = min(p.full(), p.tokens+float64(n)) }

func (p *Pace) refill(now time.Time) {
	if now.After(p.at) {
		p.tokens = min(p.full(), p.tokens+now.Sub(p.at).Seconds()*p.rate)
		p.at = now
	}
	if p.refused.calls == 0 && !p.storm() && p.tokens > 2*float64(p.call)+p.rate {
		p.ramp, p.rampAt = 0, p.at
		p.shortages = nil // nobody wants the tokens: from now on less is accepted than would be
	}
	p.shortages = p.shortages.since(p.at.Add(-shortagesKept))
}
