package scaler

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

// call sends the requests that may be sent, oldest first and those of higher priority before others, as far as the
// launch rates go.
func (e *Engine) call(now time.Time) {
	if !e.o.Term.Valid(now) {
		return
	}
	dry := map[string]bool{} // providers whose next request must wait: later ones may not overtake it
	for _, p := range slices.SortedStableFunc(slices.Values(e.pools), func(a, b *pool) int { return cmp.Compare(b.Priority, a.Priority) }) {
		if !e.mayLaunch(p) {
			continue
		}
		for _, r := range p.sorted() {
			if r.busy || !r.stored || r.dirty || !r.Repeatable(now) || now.Before(r.due) || dry[r.Provider] {
				continue
			}
			if e.calling >= maxCalls || e.calls.Available(now) == 0 {
				return
			}
			bucket := e.bucket(now, r.Provider)
			if bucket.Available(now) < min(r.Count, e.o.LaunchRate.Burst) {
				dry[r.Provider] = true
				continue
			}
			bucket.Take(now, r.Count)
			e.calls.Take(now, 1)
			e.send(now, p, r)
		}
	}
}

// bucket is a provider's; one that is not configured any more may still have intents.
func (e *Engine) bucket(now time.Time, provider string) *Bucket {
	if e.launches[provider] == nil {
		e.launches[provider] = NewBucket(now, e.o.LaunchRate)
	}
	return e.launches[provider]
}

// send sends a request. Term and age are looked at once more right before: a process may sleep at any point.
func (e *Engine) send(now time.Time, p *pool, r *record) {
	request, err := r.decodeRequest()
	if err != nil {
		p.unreadable(now, r, err)
		return
	}
	r.busy = true
	e.calling++
	i := r.Intent
	allowed := func(now time.Time) bool { return e.o.Term.Valid(now) && i.Repeatable(now) }
	e.hands.RunTask(request, allowed, func(now time.Time, out *ecs.RunTaskOutput, err error) error {
		if errors.Is(err, ErrNotSent) {
			r.busy = false
			e.calling--
			return nil
		}
		return e.answered(now, p, r, outcome(out, err))
	})
}

// answered takes over what RunTask said.
func (e *Engine) answered(now time.Time, p *pool, r *record, o Outcome) error {
	r.busy = false
	e.calling--
	if err := r.step(func(i Intent) (Intent, error) { return i.Called(now, o) }); err != nil {
		return err
	}
	r.due = now.Add(repeatAfter(r.Calls, o.Class))
	bucket := e.bucket(now, r.Provider)
	if o.throttled() {
		bucket.Empty(now)
	} else if r.State == IntentRefused {
		bucket.Refund(now, r.Count-len(r.Tasks))
	}
	p.holds = append(p.holds, o.holds(now, r.Provider)...)
	p.breakers.answered(now, r.Provider, o)
	e.metrics.count(o)
	e.metrics.calls.WithLabelValues(outcomeWord(o)).Inc()
	p.launched(now, r, e.metrics)
	p.logAnswer(r.Intent, o)
	return e.settle(now)
}

// launched counts what an intent has started.
func (p *pool) launched(now time.Time, r *record, m *metrics) {
	i := r.Intent
	p.fleet.launched(now, i.Provider, r.definition, i.Tasks)
	p.status.Launched += len(i.Tasks)
	p.nextLook = earlier(p.nextLook, now.Add(lookEvery(len(p.fleet.members), false)))
	add := func(outcome string, n int) {
		if n > 0 {
			m.launches.WithLabelValues(p.Name, i.Provider, outcome).Add(float64(n))
		}
	}
	add("launched", len(i.Tasks))
	for _, f := range i.Failures {
		add(string(f.Class), 1)
	}
	if i.State == IntentRefused {
		add(cmp.Or(string(i.Class), "unanswered"), i.Count-len(i.Tasks))
	}
}

// outcomeWord is an outcome as a metric's label.
func outcomeWord(o Outcome) string {
	switch {
	case o.Class != awsclient.ClassNone:
		return string(o.Class)
	case len(o.Failures) > 0:
		return "partial"
	default:
		return "launched"
	}
}

// logAnswer says what went otherwise than hoped.
func (p *pool) logAnswer(i Intent, o Outcome) {
	level := zerolog.WarnLevel
	switch {
	case o.Class == awsclient.ClassConflict, o.Class == awsclient.ClassConfiguration:
		level = zerolog.ErrorLevel
	case o.Class == awsclient.ClassNone && len(o.Failures) == 0, o.Class == awsclient.ClassThrottled:
		level = zerolog.DebugLevel
	}
	p.log.WithLevel(level).Str("intent", i.ID).Str("provider", i.Provider).Int("count", i.Count).Int("launched", len(i.Tasks)).
		Str("outcome", outcomeWord(o)).Str("state", string(i.State)).Str("reason", o.Reason).Msg("RunTask answered")
}
