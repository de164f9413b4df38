package scaler

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

// call sends the requests that may be sent, oldest first and those of higher priority before others, as far as the
// launch rates go.
func (e *Engine) call(now time.Time) {
	dry := map[string]bool{} // providers whose next request must wait: later ones may not overtake it
	for _, w := range e.waiting(now) {
		if now.Before(w.r.due) {
			continue
		}
		if e.calling >= maxCalls || e.calls.Available(now) == 0 {
			return
		}
		if !w.r.paid {
			pace := e.pace(now, w.r.Provider)
			if dry[w.r.Provider] || !pace.Ready(now, w.r.Count) {
				dry[w.r.Provider] = true
				continue
			}
			w.r.paid, w.r.probe = true, pace.Take(now, w.r.Count)
		}
		e.calls.Take(now, 1)
		e.send(now, w.p, w.r)
	}
}

// waitingCall is a request that is to be sent.
type waitingCall struct {
	p *pool
	r *record
}

// waiting are the requests that are to be sent, in their order.
func (e *Engine) waiting(now time.Time) []waitingCall {
	if !e.o.Term.Valid(now) {
		return nil
	}
	var waiting []waitingCall
	for _, p := range slices.SortedStableFunc(slices.Values(e.pools), func(a, b *pool) int { return cmp.Compare(b.Priority, a.Priority) }) {
		if !e.mayLaunch(p) {
			continue
		}
		for _, r := range p.sorted(func(r *record) bool { return !r.busy && !r.surplus && r.stored && !r.dirty && r.Repeatable(now) }) {
			waiting = append(waiting, waitingCall{p, r})
		}
	}
	return waiting
}

// pace is a provider's; one that is not configured any more may still have intents.
func (e *Engine) pace(now time.Time, provider string) *Pace {
	if e.paces[provider] == nil {
		e.paces[provider] = NewPace(now, e.o.LaunchRate, Learnt{})
	}
	return e.paces[provider]
}

// callDue is when a request may be sent that waits, as far as that is known; zero when none does. Those that wait for an
// answer to another one are sent when it comes.
func (e *Engine) callDue(now time.Time) time.Time {
	var due time.Time
	if e.calling >= maxCalls {
		return due
	}
	dry := map[string]bool{}
	for _, w := range e.waiting(now) {
		at := later(w.r.due, now.Add(e.calls.Until(now, 1)))
		if !w.r.paid {
			if dry[w.r.Provider] {
				continue
			}
			dry[w.r.Provider] = !now.Before(w.r.due)
			at = later(at, now.Add(e.pace(now, w.r.Provider).Until(now, w.r.Count)))
		}
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}

// send sends a request. Term and age are looked at once more right before: a process may sleep at any point.
func (e *Engine) send(now time.Time, p *pool, r *record) {
	request, err := r.decodeRequest()
	if err != nil {
		p.unreadable(now, r, err)
		return
	}
	r.busy, r.sent = true, now
	e.calling++
	i := r.Intent
	allowed := func(now time.Time) bool { return e.o.Term.Valid(now) && i.Repeatable(now) }
	e.hands.RunTask(request, allowed, func(now time.Time, out *ecs.RunTaskOutput, err error) error {
		if errors.Is(err, ErrNotSent) {
			r.busy, r.due = false, now.Add(busyTick)
			e.calling--
			e.forgo(now, r)
			p.log.Warn().Err(err).Str("intent", r.ID).Msg("the request was too late to be sent")
			return nil
		}
		return e.answered(now, p, r, outcome(out, err))
	})
}

// forgo gives back what a request took of the launch rate that is not sent, or not any more.
func (e *Engine) forgo(now time.Time, r *record) {
	if r.paid {
		r.paid = false
		e.pace(now, r.Provider).Returned(now, r.Count, r.probe)
	}
}

// answered takes over what RunTask said.
func (e *Engine) answered(now time.Time, p *pool, r *record, o Outcome) error {
	r.busy = false
	e.calling--
	e.metrics.calls.WithLabelValues(outcomeWord(o)).Inc()
	if err := e.takeOver(now, p, r, o); err != nil {
		return err
	}
	return e.settle(now)
}

// takeOver takes over what became of a request, from RunTask or because all its tasks were seen.
func (e *Engine) takeOver(now time.Time, p *pool, r *record, o Outcome) error {
	if err := r.step(func(i Intent) (Intent, error) { return i.Called(now, o) }); err != nil {
		return err
	}
	r.due = now.Add(repeatAfter(r.Calls, o.Class))
	r.unsure = r.unsure || o.Class.Ambiguous()
	e.paced(now, r, o)
	p.holds = append(p.holds, o.holds(now, r.Provider)...)
	p.rooms.answered(now, r.Provider, o)
	p.breakers.answered(now, r.Provider, o)
	e.metrics.count(o)
	p.launched(now, r, e.metrics)
	p.logAnswer(r.Intent, o)
	return nil
}

// paced tells the provider's pace what became of a call. A request without an answer keeps its tokens: it has used them, or
// will when it is repeated.
func (e *Engine) paced(now time.Time, r *record, o Outcome) {
	pace := e.pace(now, r.Provider)
	switch {
	case !r.paid: // another leader sent it
	case o.throttled():
		r.paid = false
		pace.Throttled(now, r.sent, r.Count, r.probe)
	case o.Class == awsclient.ClassNone:
		r.paid = false
		pace.Accepted(now, r.sent, r.Count, r.probe)
		e.launched[r.Provider] = now
	case !o.Class.Ambiguous():
		r.paid = false
		pace.Returned(now, r.Count, r.probe)
	}
}

// rememberEvery is how often a provider's rate is written, at most.
const rememberEvery = 5 * time.Second

// learnt are the rates to be written, of providers that were launched on since they last were.
func (e *Engine) learnt(now time.Time) []Learnt {
	var rates []Learnt
	for _, provider := range slices.Sorted(maps.Keys(e.launched)) {
		written := e.remembered[provider]
		if at := e.launched[provider]; at.After(written.At) && now.Sub(written.At) >= rememberEvery {
			rates = append(rates, Learnt{Provider: provider, PerSecond: e.paces[provider].Rate().PerSecond, At: at})
		}
	}
	return rates
}

// answerMost is how long an answer of RunTask usually takes at most.
const answerMost = 2 * time.Second

// unanswered is how many tasks were asked for by calls that have no answer yet, or never got one, by provider.
func (e *Engine) unanswered(now time.Time) map[string]int {
	n := map[string]int{}
	for _, p := range e.pools {
		for _, r := range p.intents {
			if r.paid && (!r.busy || now.Sub(r.sent) >= answerMost) {
				n[r.Provider] += r.Count
			}
		}
	}
	return n
}

// launched counts what an intent has started.
func (p *pool) launched(now time.Time, r *record, m *metrics) {
	i := r.Intent
	p.fleet.launched(now, i.Provider, r.definition, i.Tasks)
	p.status.Launched += len(i.Tasks)
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
