package scaler

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

// call sends the requests that may be sent, oldest first and those of higher priority before others, as far as the
// launch rates go.
func (l *loop) call(now time.Time) {
	if !l.o.Term.Valid(now) {
		return
	}
	dry := map[string]bool{} // providers whose next request must wait: later ones may not overtake it
	for _, p := range slices.SortedStableFunc(slices.Values(l.pools), func(a, b *pool) int { return cmp.Compare(b.Priority, a.Priority) }) {
		for _, r := range p.sorted() {
			if r.busy || !r.stored || r.dirty || !r.Repeatable(now) || now.Before(r.due) || dry[r.Provider] {
				continue
			}
			if l.calling >= maxCalls || l.calls.Available(now) == 0 {
				return
			}
			bucket := l.bucket(now, r.Provider)
			if bucket.Available(now) < min(r.Count, l.o.LaunchRate.Burst) {
				dry[r.Provider] = true
				continue
			}
			bucket.Take(now, r.Count)
			l.calls.Take(now, 1)
			l.send(p, r)
		}
	}
}

// bucket is a provider's; one that is not configured any more may still have intents.
func (l *loop) bucket(now time.Time, provider string) *Bucket {
	if l.launches[provider] == nil {
		l.launches[provider] = NewBucket(now, l.o.LaunchRate)
	}
	return l.launches[provider]
}

// send calls RunTask beside the loop.
func (l *loop) send(p *pool, r *record) {
	r.busy = true
	l.calling++
	i := r.Intent
	l.beside(func(ctx context.Context) func(time.Time) error {
		o, err := l.launch(ctx, i)
		return func(now time.Time) error { return l.answered(now, p, r, o, err) }
	})
}

// answered takes over what RunTask said.
func (l *loop) answered(now time.Time, p *pool, r *record, o Outcome, err error) error {
	r.busy = false
	l.calling--
	if errors.Is(err, errNotSent) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.step(func(i Intent) (Intent, error) { return i.Called(now, o) }); err != nil {
		return err
	}
	r.due = now.Add(repeatAfter(r.Calls, o.Class))
	bucket := l.bucket(now, r.Provider)
	if o.throttled() {
		bucket.Empty(now)
	} else if r.State == IntentRefused {
		bucket.Refund(now, r.Count-len(r.Tasks))
	}
	p.holds = append(p.holds, o.holds(now, r.Provider)...)
	l.metrics.calls.WithLabelValues(outcomeWord(o)).Inc()
	p.launched(now, r, l.metrics)
	p.logAnswer(r.Intent, o)
	return l.settle(now)
}

// launched counts what an intent has started.
func (p *pool) launched(now time.Time, r *record, m *metrics) {
	i := r.Intent
	p.fleet.launched(now, i.Provider, r.definition, i.Tasks)
	p.status.Launched += len(i.Tasks)
	p.nextLook = earlier(p.nextLook, now.Add(lookEvery(len(p.fleet.members))))
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

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
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
