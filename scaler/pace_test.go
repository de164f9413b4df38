package scaler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// paceScenario is a ramp on an account, and how well it must go.
type paceScenario struct {
	name    string
	account pacedAccount
	ratio   float64       // to the earliest possible, at most
	share   float64       // of throttled calls, at most
	adapted time.Duration // in the median, at most until the rate is believed within a tenth, or a call in ten seconds
	again   float64       // the ratio of the next night, with the rate remembered
}

func paceScenarios() []paceScenario {
	return []paceScenario{
		{"100, then 20/s: as documented", pacedAccount{rate: 20}, 1.01, 0.01, 0, 1.01},
		{"5/s", pacedAccount{rate: 5}, 1.02, 0.02, 10 * time.Second, 1.02},
		{"10/s", pacedAccount{rate: 10}, 1.02, 0.02, 10 * time.Second, 1.02},
		{"100/s", pacedAccount{rate: 100}, 1.1, 0.04, 10 * time.Second, 1.03},
		{"20/s, after 30 s 5/s", pacedAccount{rate: 20, change: 30 * time.Second, then: 5}, 1.02, 0.02, 5 * time.Second, 1.02},
		{"100/s, after 10 s 20/s", pacedAccount{rate: 100, change: 10 * time.Second, then: 20}, 1.2, 0.06, 20 * time.Second, 1.02},
		{"5/s, after 60 s 20/s", pacedAccount{rate: 5, change: time.Minute, then: 20}, 1.1, 0.03, 30 * time.Second, 1.02},
		{"20/s, after 30 s 100/s", pacedAccount{rate: 20, change: 30 * time.Second, then: 100}, 1.2, 0.04, 20 * time.Second, 1.03},
		{"20/s, 30 % throttled by chance", pacedAccount{rate: 20, random: 0.3}, 1.3, 0.45, 0, 1.3},
		{"20/s, 5 % without an answer", pacedAccount{rate: 20, timeout: 0.05}, 1.13, 0.01, 0, 1.13},
	}
}

// nights are ramps of 3,000 tasks, each a mean of several: the first of an account, and the next one.
func (s paceScenario) nights(ramps int, design func(learnt Learnt) pacer) (first, next ramp) {
	for seed := range ramps {
		a := s.account
		a.tokens, a.dice = pacedBurst, rand.New(rand.NewPCG(uint64(seed), 1))
		if a.change > 0 {
			a.change += time.Duration(seed) * 1700 * time.Millisecond // at another moment between two probes
		}
		one := a.launch(design(Learnt{}), planNow, 3000)
		if a.change > 0 {
			a.rate, a.change = a.then, 0
		}
		a.tokens, a.at = pacedBurst, 0
		other := a.launch(design(Learnt{PerSecond: one.learnt.PerSecond}), planNow, 3000)
		first, next = first.and(one), next.and(other)
	}
	return first, next
}

// and adds up two ramps.
func (r ramp) and(other ramp) ramp {
	r.took, r.floor, r.calls, r.throttled = r.took+other.took, r.floor+other.floor, r.calls+other.calls, r.throttled+other.throttled
	r.learnt = other.learnt
	r.adapted = append(r.adapted, other.adapted...)
	return r
}

// medianAdapted is how long it took in the median until the rate was believed.
func (r ramp) medianAdapted() time.Duration {
	slices.Sort(r.adapted)
	return r.adapted[len(r.adapted)/2]
}

func TestThePaceFollowsWhatTheAccountGrants(t *testing.T) {
	ramps := 8
	if testing.Short() {
		ramps = 3
	}
	designs := []struct {
		name   string
		design func(learnt Learnt) pacer
	}{
		{"pace", func(learnt Learnt) pacer { return NewPace(planNow, launchRate(), learnt) }},
		{"halving", func(learnt Learnt) pacer { return newHalving(planNow, launchRate(), learnt) }},
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-32s %-8s %6s %10s %8s %11s\n", "account", "design", "ratio", "throttled", "adapted", "next night")
	for _, s := range paceScenarios() {
		for _, d := range designs {
			first, next := s.nights(ramps, d.design)
			adapted := fmt.Sprintf("%.1f s", first.medianAdapted().Seconds())
			if first.medianAdapted() >= never {
				adapted = "never"
			}
			fmt.Fprintf(&table, "%-32s %-8s %6.3f %8.1f %% %8s %11.3f\n", s.name, d.name, first.ratio(), 100*first.share(), adapted, next.ratio())
			if d.name != "pace" {
				continue
			}
			if first.ratio() > s.ratio || first.share() > s.share || next.ratio() > s.again {
				t.Errorf("%s: ratio %.3f, then %.3f, %.1f %% throttled", s.name, first.ratio(), next.ratio(), 100*first.share())
			}
			if s.account.random == 0 && first.medianAdapted() > s.adapted {
				t.Errorf("%s: adapted in %s", s.name, first.adapted)
			}
		}
	}
	t.Log("\n" + table.String())
}

// halving is the usual design, to compare with: half the rate after a throttled call (once a second), a task a second
// more each second without one.
type halving struct {
	bucket     *Bucket
	halved, up time.Time
	due        time.Time
}

func newHalving(now time.Time, rate Rate, learnt Learnt) *halving {
	if learnt.PerSecond > 0 {
		rate.PerSecond = learnt.PerSecond
	}
	return &halving{bucket: NewBucket(now, rate), up: now}
}

func (h *halving) Rate() Rate { return h.bucket.rate }

func (h *halving) Room(now time.Time, _, _, _ int) int { return h.bucket.Available(now) }

func (h *halving) Ready(now time.Time, n int) bool {
	return h.bucket.Available(now) >= n && !now.Before(h.due)
}

func (h *halving) Take(now time.Time, n int) bool {
	h.bucket.Take(now, n)
	return false
}

func (h *halving) Accepted(now, _ time.Time, _ int, _ bool) {
	if now.Sub(h.up) >= time.Second {
		h.bucket.Available(now)
		h.bucket.rate.PerSecond++
		h.up = now
	}
}

func (h *halving) Throttled(now, _ time.Time, n int, _ bool) {
	h.bucket.Empty(now)
	h.due, h.up = now.Add(500*time.Millisecond), now
	if now.Sub(h.halved) >= time.Second {
		h.bucket.rate.PerSecond = max(slowest, h.bucket.rate.PerSecond/2)
		h.halved = now
	}
}

func TestAnAnswerToACallBeforeAThrottledOneChangesNothing(t *testing.T) {
	p := NewPace(planNow, launchRate(), Learnt{})
	for range 8 {
		p.Take(planNow, 10) // all at once, and the answers come as they like
	}
	at := func(ms int) time.Time { return planNow.Add(time.Duration(ms) * time.Millisecond) }
	p.Throttled(at(60), planNow, 10, false)
	p.Accepted(at(70), planNow, 10, false)
	if p.Ready(at(80), 10) {
		t.Error("ready at once: an older call that was accepted passed for the end of the shortage")
	}
	p.Accepted(at(400), at(300), 10, false)
	if !p.Ready(at(900), 10) {
		t.Error("not ready, though a later call was accepted")
	}
}

func TestASlowTrickleOfLaunchesIsNeverProbed(t *testing.T) {
	now := planNow
	p := NewPace(now, launchRate(), Learnt{})
	for range 5000 {
		now = now.Add(time.Second)
		if room := p.Room(now, 20, 0, 10); room > 100 {
			t.Fatalf("room for %d", room)
		}
		if !p.Ready(now, 10) || p.Take(now, 10) {
			t.Fatal("a probe, though nothing waits")
		}
		p.Accepted(now, now, 10, false)
	}
}

func TestARememberedRateCountsAndTheBucketIsFullOnlyAfterAWhile(t *testing.T) {
	for _, tc := range []struct {
		name   string
		learnt Learnt
		room   int
		rate   float64
	}{
		{"nothing remembered", Learnt{}, 97, 20},
		{"of last night", Learnt{PerSecond: 5, At: planNow.Add(-20 * time.Hour)}, 99, 5},
		{"of a leader that died ten seconds ago", Learnt{PerSecond: 5, At: planNow.Add(-10 * time.Second)}, 50, 5},
		{"by a clock that is ahead", Learnt{PerSecond: 5, At: planNow.Add(time.Minute)}, 0, 5},
	} {
		p := NewPace(planNow, launchRate(), tc.learnt)
		if room, rate := p.Room(planNow, 10, 0, 10), p.Rate().PerSecond; room != tc.room || rate != tc.rate {
			t.Errorf("%s: room for %d at %v/s", tc.name, room, rate)
		}
	}
}

func TestAThrottledCallLosesNoTokensWhenTheNextOneIsAccepted(t *testing.T) {
	p := NewPace(planNow, launchRate(), Learnt{})
	p.Take(planNow, 10)
	p.Throttled(planNow, planNow, 10, false)
	if p.Ready(planNow, 10) {
		t.Error("repeated at once")
	}
	wait := p.Until(planNow, 10)
	if wait <= 0 || wait > time.Second || !p.Ready(planNow.Add(wait), 10) {
		t.Errorf("repeated after %s", wait)
	}
	p.Take(planNow.Add(wait), 10)
	p.Accepted(planNow.Add(wait), planNow.Add(wait), 10, false)
	if room := p.Room(planNow.Add(wait), 10, 0, 10); room != 87 {
		t.Errorf("room for %d", room)
	}
	if rate := p.Rate().PerSecond; rate != 20 {
		t.Errorf("the rate is %v", rate)
	}
}

// However calls end, a pace stays within its burst, says when it will be ready, and means it.
func TestAPaceIsReadyWhenItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := planNow
		p := NewPace(now, launchRate(), Learnt{PerSecond: rapid.Float64Range(0, 200).Draw(t, "learnt")})
		type call struct {
			n     int
			probe bool
			sent  time.Time
		}
		var flying []call
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "later")))
			n := rapid.IntRange(1, maxTasksPerCall).Draw(t, "tasks")
			room := p.Room(now, rapid.IntRange(0, 3000).Draw(t, "wanted"), rapid.IntRange(0, 1).Draw(t, "unanswered"), n)
			if room < 0 || room > launchRate().Burst+maxTasksPerCall {
				t.Fatalf("room for %d", room)
			}
			if wait := p.Until(now, n); wait == 0 != p.Ready(now, n) || (wait > 0 && !p.Ready(now.Add(wait), n)) {
				t.Fatalf("ready %t, %s to wait", p.Ready(now, n), wait)
			}
			if p.Ready(now, n) {
				flying = append(flying, call{n, p.Take(now, n), now})
			}
			if len(flying) > 0 && rapid.Bool().Draw(t, "answered") {
				c := flying[0]
				flying = flying[1:]
				switch rapid.IntRange(0, 2).Draw(t, "how") {
				case 0:
					p.Accepted(now, c.sent, c.n, c.probe)
				case 1:
					p.Throttled(now, c.sent, c.n, c.probe)
				default:
					p.Returned(now, c.n, c.probe)
				}
			}
			if rate := p.Rate().PerSecond; rate < slowest || rate > 1e6 {
				t.Fatalf("the rate is %v", rate)
			}
		}
	})
}

func TestARateThatFellWhileNothingWasAcceptedComesBackWithinAMinute(t *testing.T) {
	for _, outage := range []time.Duration{10 * time.Second, time.Minute, 20 * time.Minute} {
		type call struct {
			sent  time.Duration
			probe bool
			ok    bool
		}
		const step, latency, from = 10 * time.Millisecond, 100 * time.Millisecond, 20 * time.Second
		p := NewPace(planNow, launchRate(), Learnt{})
		a := &pacedAccount{rate: 20, tokens: pacedBurst, dice: rand.New(rand.NewPCG(1, 1))}
		var flying []call
		calls := 0
		for at := time.Duration(0); at < from+outage+time.Minute; at += step {
			now := planNow.Add(at)
			for len(flying) > 0 && flying[0].sent+latency <= at {
				c := flying[0]
				flying = flying[1:]
				if c.ok {
					p.Accepted(now, planNow.Add(c.sent), maxTasksPerCall, c.probe)
				} else {
					p.Throttled(now, planNow.Add(c.sent), maxTasksPerCall, c.probe)
				}
			}
			out := at >= from && at < from+outage // others use the limit up
			for p.Room(now, 3000, 0, 10); p.Ready(now, maxTasksPerCall); {
				probe := p.Take(now, maxTasksPerCall)
				flying = append(flying, call{at, probe, !out && a.run(at, maxTasksPerCall)})
				if out {
					calls++
				}
			}
		}
		if rate := p.Rate().PerSecond; rate < 18 || rate > 20.5 {
			t.Errorf("a minute after nothing was accepted for %s: %.2f tasks a second, want about 20", outage, rate)
		}
		if most := 20 + int(outage.Seconds()/8); calls > most {
			t.Errorf("%d calls while nothing was accepted for %s, want at most %d", calls, outage, most)
		}
	}
}

func TestCallsAreSmallWhereTheLimitIsLow(t *testing.T) {
	for _, tc := range []struct {
		perSecond float64
		call      int
	}{{1, 1}, {5, 1}, {10, 1}, {10.1, 2}, {20, 2}, {40, 4}, {95, 10}, {500, 10}} {
		if call := callSize(tc.perSecond); call != tc.call {
			t.Errorf("%v a second: calls of %d, want %d", tc.perSecond, call, tc.call)
		}
	}
	if n := inCalls(97, 2); n != maxTasksPerCall {
		t.Errorf("a full bucket is asked for by calls of %d", n)
	}
	if n := inCalls(3, 2); n != 2 {
		t.Errorf("three tasks are asked for by calls of %d", n)
	}
}

func TestOnlyThrottlingThatNoRateExplainsIsChance(t *testing.T) {
	at := func(ms int, accepted bool) event {
		return event{planNow.Add(time.Duration(ms) * time.Millisecond), 2, accepted}
	}
	slow := events{ // four tasks a second
		at(0, false), at(300, true), at(600, false), at(900, true), at(1200, false), at(1500, true), at(1700, false), at(2000, true),
	}
	if slow.contradict() {
		t.Error("a slow account passes for chance")
	}
	chance := events{at(0, false), at(300, false)}
	for ms := 600; ms <= 2000; ms += 100 {
		chance = append(chance, at(ms, true))
	}
	if !chance.contradict() {
		t.Error("a rate is believed that allows nothing in a third of a second, and then twenty a second")
	}
}

func TestAStruggleEndsWithItsRamp(t *testing.T) {
	now := planNow
	p := NewPace(now, launchRate(), Learnt{})
	send := func(n int, granted bool) {
		t.Helper()
		p.Room(now, 60, 0, n)
		now = now.Add(p.Until(now, n))
		switch probe := p.Take(now, n); {
		case probe:
			t.Fatal("a probe")
		case granted:
			p.Accepted(now, now, n, false)
		default:
			p.Throttled(now, now, n, false)
		}
	}
	for range 12 {
		send(10, true)
	}
	send(2, false)
	for range 5 {
		send(2, true)
	}
	for range 3 {
		now = now.Add(8 * time.Hour)
		began, before := now, p.Rate().PerSecond
		for range 8 {
			send(10, true)
		}
		if took := now.Sub(began); took > 0 {
			t.Errorf("the next ramp's burst took %s", took)
		}
		send(2, false)
		if after := p.Rate().PerSecond; after < before/2 {
			t.Errorf("one throttled call took the rate from %.1f to %.1f", before, after)
		}
	}
}
