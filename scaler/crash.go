package scaler

import (
	"fmt"
	"slices"
	"time"
)

const (
	// crashesToTrip is how many workers must crash before their pool is stopped.
	crashesToTrip = 5
	// livedAfter is how long a worker must run to have shown that workers of its task definition can.
	livedAfter = time.Minute
	// crashKept is how long a crash counts.
	crashKept = time.Hour
)

// crash is a worker that never started, or ended before its first receive.
type crash struct {
	definition string
	launched   time.Time
	ran        time.Duration // from its start to its end; 0: it never ran, or that is not known
	words      string
	remedy     string
}

// disproved reports whether a worker that works, launched at proof, shows that a crash was not the task definition's
// fault. What was launched about when it was counts, as the one that works takes a minute to show it.
func disproved(crashed, proof time.Time) bool { return !crashed.After(proof.Add(livedAfter)) }

// stopped learns how a task ended, and returns what that says.
func (b *breakers) stopped(d departure) symptom {
	says := d.symptom(b.idleTimeout)
	switch says {
	case symptomCrash:
		b.crashes = append(b.crashes, crash{definition: d.definition, launched: d.created, ran: d.run(), words: d.words(), remedy: d.remedy()})
	case symptomWell:
		if sameDefinition(d.definition, b.definition) && d.created.After(b.proof) {
			b.proof = d.created
		}
	case symptomNone:
	}
	return says
}

// judge decides whether workers of the task definition are in a crash loop. It trips when at least five have crashed since
// one is known to have worked, if these are no small share: at least as many as of those launched by then that have run for
// longer, and a quarter of those that have not come so far. Of a large ramp a few always fail to start, and they are known before the
// others have had the time to show that they work.
func (b *breakers) judge(now time.Time, definition string, f *fleet) {
	if definition != "" && !sameDefinition(definition, b.definition) {
		b.proof = time.Time{}
	}
	if definition != "" {
		b.definition = definition
	}
	b.open = slices.DeleteFunc(b.open, func(x Breaker) bool {
		return x.Kind == LimitCrashLoop && !sameDefinition(x.TaskDefinition, b.definition)
	})
	b.expire(now)
	b.crashes = slices.DeleteFunc(b.crashes, func(c crash) bool {
		return !sameDefinition(c.definition, b.definition) || now.Sub(c.launched) > crashKept
	})
	loop := slices.IndexFunc(b.open, func(x Breaker) bool { return x.Kind == LimitCrashLoop })
	if loop < 0 && len(b.crashes) == 0 {
		return
	}
	b.prove(now, f)
	b.crashes = slices.DeleteFunc(b.crashes, func(c crash) bool { return disproved(c.launched, b.proof) })
	if loop >= 0 {
		b.loops(now, loop)
		return
	}
	if len(b.crashes) >= crashesToTrip && b.many(now, f) {
		last := b.crashes[len(b.crashes)-1]
		b.trip(now, Breaker{
			Kind: LimitCrashLoop, TaskDefinition: b.definition, LastCrash: b.newestCrash(),
			Reason: fmt.Sprintf("%d workers of %s have failed to start, or ended before they received anything, and none has worked since; the last: %s",
				len(b.crashes), shortDefinition(b.definition), sentence(last.words)),
			Remedy: last.remedy,
		})
	}
}

// prove looks for workers of the task definition that have run long enough to show that they can.
func (b *breakers) prove(now time.Time, f *fleet) {
	for _, m := range f.members {
		if m.lived(now) && sameDefinition(m.definition, b.definition) && m.created.After(b.proof) {
			b.proof = m.created
		}
	}
}

// isProven reports whether some worker of the task definition is known to have worked, as far as this controller has seen.
func (b *breakers) isProven(now time.Time, f *fleet) bool {
	if b.proof.IsZero() {
		b.prove(now, f)
	}
	return !b.proof.IsZero()
}

// many reports whether the crashes are more than a ramp's small share.
func (b *breakers) many(now time.Time, f *fleet) bool {
	newest, longest := b.newestCrash(), time.Duration(0)
	for _, c := range b.crashes {
		longest = max(longest, c.ran)
	}
	pending, running := 0, 0
	for _, m := range f.members {
		if m.created.After(newest) || disproved(m.created, b.proof) || !sameDefinition(m.definition, b.definition) {
			continue
		}
		switch {
		case m.status == memberStopping:
		case m.status == memberPending, now.Sub(m.started) < longest: // it may still crash as the others did
			pending++
		default:
			running++
		}
	}
	return len(b.crashes) >= running && 4*len(b.crashes) >= pending
}

// loops brings the breaker of a crash loop up to date: a worker that works closes it, a trial that crashes keeps it open.
func (b *breakers) loops(now time.Time, loop int) {
	x := &b.open[loop]
	if newest := b.newestCrash(); newest.After(x.LastCrash) {
		x.LastCrash = newest
	}
	if disproved(x.LastCrash, b.proof) {
		b.open = slices.Delete(b.open, loop, loop+1)
		b.crashes = nil
		return
	}
	if x.State == BreakerHalfOpen && !x.LastCrash.Before(x.TriedAt) {
		x.failed(now)
	}
}

// newestCrash is when the newest of the workers that crashed was launched.
func (b *breakers) newestCrash() time.Time {
	var newest time.Time
	for _, c := range b.crashes {
		if c.launched.After(newest) {
			newest = c.launched
		}
	}
	return newest
}

// shortDefinition is a task definition without the place where it is.
func shortDefinition(name string) string {
	_, revision := cutDefinition(name)
	return revision
}
