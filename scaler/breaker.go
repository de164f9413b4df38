package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/internal/awsclient"
)

// Breaker stops the growth of a pool, or of one of its providers, when more launches would only repeat a failure. It opens
// with a reason, lets a single request through as a trial when its time has come (half-open), and is gone once that one
// has shown that things work again. Running workers go on.
type Breaker struct {
	Kind     Limit        `dynamodbav:"kind" json:"kind"` // crash_loop, configuration or quota
	State    BreakerState `dynamodbav:"state" json:"state"`
	Provider string       `dynamodbav:"provider,omitempty" json:"provider,omitempty"` // the only one that is stopped; "": the whole pool is
	// TaskDefinition is whose workers crash: another one closes the breaker of a crash loop.
	TaskDefinition string    `dynamodbav:"task_definition,omitempty" json:"task_definition,omitempty"`
	Reason         string    `dynamodbav:"reason" json:"reason"` // ECS's own words in it
	Remedy         string    `dynamodbav:"remedy" json:"remedy"` // what a person can do
	Since          time.Time `dynamodbav:"since" json:"since"`
	// NextTry is when a trial may be launched; of a half-open breaker, when its trial counts as lost.
	NextTry time.Time `dynamodbav:"next_try" json:"next_try"`
	Trials  int       `dynamodbav:"trials" json:"trials"` // that failed
	// TriedAt is when the last trial was launched; LastCrash is when the newest worker was that crashed.
	TriedAt   time.Time `dynamodbav:"tried_at" json:"-"`
	LastCrash time.Time `dynamodbav:"last_crash" json:"-"`
}

// BreakerState is where a breaker stands. One that is closed is not kept.
type BreakerState string

// The states of a breaker.
const (
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half_open" // a trial is under way
)

const (
	configurationPause = 30 * time.Second // before the first trial; doubled by each that fails
	crashPause         = time.Minute      // the same
	longestPause       = 15 * time.Minute
	quotaPause         = time.Minute // always: quotas free themselves as workers leave
	trialTimeout       = 15 * time.Minute
)

// pause is how long an open breaker waits for its next trial.
func (b Breaker) pause() time.Duration {
	if b.Kind == LimitQuota {
		return quotaPause
	}
	first := configurationPause
	if b.Kind == LimitCrashLoop {
		first = crashPause
	}
	return min(longestPause, first<<min(10, b.Trials))
}

// trial is how many workers a trial launches: of a quota one whole request, as it may have room for some.
func (b Breaker) trial() int {
	if b.Kind == LimitQuota {
		return maxTasksPerCall
	}
	return 1
}

// due reports whether a trial may be launched.
func (b Breaker) due(now time.Time) bool { return b.State == BreakerOpen && !now.Before(b.NextTry) }

// concerns reports whether a request to the provider tells anything about the breaker.
func (b Breaker) concerns(provider string) bool { return b.Provider == "" || b.Provider == provider }

// hold is what the breaker lets a plan do.
func (b Breaker) hold(now time.Time) Hold {
	h := Hold{Provider: b.Provider, Until: b.NextTry, Limit: b.Kind, Reason: b.Reason}
	if b.Kind == LimitConfiguration {
		h.Reason += " To do: " + b.Remedy + "."
	}
	switch {
	case b.due(now):
		h.Trial, h.Until = b.trial(), now.Add(b.pause())
	case b.State == BreakerHalfOpen:
		h.Until = now.Add(busyTick)
		h.Reason = "a trial was launched " + short(now.Sub(b.TriedAt)) + " ago. " + h.Reason
	}
	return h
}

// Standing says how the breaker of a pool stands, for people.
func (b Breaker) Standing(now time.Time, pool string) string {
	what := map[Limit]string{
		LimitCrashLoop: "workers crash before they take a job", LimitConfiguration: "ECS refuses to launch",
		LimitQuota: "a quota of the account is used up",
	}[b.Kind]
	if b.Provider != "" {
		what += " on " + b.Provider
	}
	next := "one is tried next"
	switch {
	case b.State == BreakerHalfOpen:
		next = "a trial was launched " + short(now.Sub(b.TriedAt)) + " ago"
	case !b.due(now):
		next = "the next try is in " + short(b.NextTry.Sub(now)) + ", or now with `spate resume " + pool + "`"
	}
	failed := ""
	if b.Trials > 0 {
		failed = count(b.Trials, "trial") + " failed; "
	}
	return fmt.Sprintf("%s: %s, for %s; %s%s.", pool, what, short(now.Sub(b.Since)), failed, next)
}

// breakers are those of one pool, with the evidence for and against a crash loop. Its methods are pure: what they learn and
// when comes with the call.
type breakers struct {
	idleTimeout time.Duration // of the pool's workers

	open       []Breaker
	definition string    // whose workers are launched
	crashes    []crash   // of its workers; nothing has disproved them yet
	proof      time.Time // when its newest worker was launched that is known to have worked
}

// answered learns what a request to a provider came to.
func (b *breakers) answered(now time.Time, provider string, o Outcome) {
	if o.Class == awsclient.ClassThrottled || o.Class.Ambiguous() {
		return // it will be repeated
	}
	reasons := map[awsclient.Class]string{o.Class: o.Reason}
	for _, f := range o.Failures {
		reasons[f.Class] = cmp.Or(reasons[f.Class], f.Reason)
	}
	wrong, misconfigured := reasons[awsclient.ClassConfiguration]
	if conflict, ok := reasons[awsclient.ClassConflict]; ok {
		b.trip(now, Breaker{
			Kind: LimitConfiguration, Reason: conflict,
			Remedy: "see whether another controller works with the same cluster and other tables; what was launched under the token is counted",
		})
	} else if misconfigured {
		only := ""
		if strings.Contains(strings.ToLower(wrong), "capacity provider") {
			only = provider
		}
		b.trip(now, Breaker{Kind: LimitConfiguration, Provider: only, Reason: sentence(wrong), Remedy: awsclient.Remedy(o.Code, wrong)})
	}
	full, limited := reasons[awsclient.ClassQuota]
	if limited {
		quota, only := awsclient.QuotaOf(full, provider), provider
		if quota.Shared() {
			only = ""
		}
		b.trip(now, Breaker{
			Kind: LimitQuota, Provider: only, Remedy: quota.Raise(),
			Reason: fmt.Sprintf("%s (quota %s, %s)", strings.TrimSuffix(full, "."), quota.Code, quota.Name),
		})
	}
	b.open = slices.DeleteFunc(b.open, func(x Breaker) bool {
		switch {
		case !x.concerns(provider):
			return false
		case x.Kind == LimitConfiguration:
			return o.Class == awsclient.ClassNone
		case x.Kind == LimitQuota:
			return len(o.Tasks) > 0 && !limited
		default:
			return false
		}
	})
	for i := range b.open {
		if x := &b.open[i]; x.State == BreakerHalfOpen && x.concerns(provider) && len(o.Tasks) == 0 {
			x.State, x.NextTry = BreakerOpen, now.Add(x.pause()) // something else kept the trial from being made
		}
	}
}

// trip opens a breaker, or lets one of its kind stay open: longer, if its trial has just failed.
func (b *breakers) trip(now time.Time, x Breaker) {
	for i := range b.open {
		old := &b.open[i]
		if old.Kind != x.Kind || old.Provider != x.Provider {
			continue
		}
		old.Reason, old.Remedy = x.Reason, x.Remedy
		if old.State == BreakerHalfOpen {
			old.failed(now)
		}
		return
	}
	x.State, x.Since = BreakerOpen, now
	x.NextTry = now.Add(x.pause())
	b.open = append(b.open, x)
}

// failed takes over that the trial of a half-open breaker has failed.
func (b *Breaker) failed(now time.Time) {
	b.Trials++
	b.State, b.NextTry = BreakerOpen, now.Add(b.pause())
}

// tried learns what a plan that knew of the breakers' holds launches.
func (b *breakers) tried(now time.Time, launches []Launch) {
	for i := range b.open {
		x := &b.open[i]
		if x.due(now) && slices.ContainsFunc(launches, func(l Launch) bool { return l.Count > 0 && x.concerns(l.Provider) }) {
			x.State, x.TriedAt, x.NextTry = BreakerHalfOpen, now, now.Add(trialTimeout)
		}
	}
}

// expire gives up trials of which nothing was ever heard.
func (b *breakers) expire(now time.Time) {
	for i := range b.open {
		if x := &b.open[i]; x.State == BreakerHalfOpen && !now.Before(x.NextTry) {
			x.failed(now)
		}
	}
}

// takeOver goes on where the leader before stopped. Who has changed the configuration starts the controller anew: what ECS
// refused for is tried again at once.
func (b *breakers) takeOver(now time.Time, open []Breaker) {
	b.open = slices.Clone(open)
	for i := range b.open {
		if x := &b.open[i]; x.Kind == LimitConfiguration {
			x.State, x.NextTry = BreakerOpen, now
		}
	}
}

// unwanted gives up the breakers of quotas of which nobody wants more any longer, once a trial would be due: if the quota is
// still used up then, the next request will say so.
func (b *breakers) unwanted(now time.Time) {
	b.open = slices.DeleteFunc(b.open, func(x Breaker) bool { return x.Kind == LimitQuota && x.due(now) })
}

// reset makes a trial of each breaker due: somebody says that what was wrong is not any more.
func (b *breakers) reset(now time.Time) {
	for i := range b.open {
		b.open[i].State, b.open[i].NextTry, b.open[i].Trials = BreakerOpen, now, 0
	}
}

// holds are what the breakers let a plan do.
func (b *breakers) holds(now time.Time) []Hold {
	holds := make([]Hold, 0, len(b.open))
	for _, x := range b.open {
		holds = append(holds, x.hold(now))
	}
	return holds
}

// logBreakers says which breakers have opened, and which are gone.
func (p *pool) logBreakers(before []Breaker) {
	same := func(a Breaker) func(Breaker) bool {
		return func(b Breaker) bool { return a.Kind == b.Kind && a.Provider == b.Provider && a.Since.Equal(b.Since) }
	}
	for _, x := range p.breakers.open {
		if !slices.ContainsFunc(before, same(x)) {
			p.log.Error().Str("kind", string(x.Kind)).Str("provider", x.Provider).Str("reason", x.Reason).Str("to_do", x.Remedy).Msg("growth stopped")
		}
	}
	for _, x := range before {
		if !slices.ContainsFunc(p.breakers.open, same(x)) {
			p.log.Info().Str("kind", string(x.Kind)).Str("provider", x.Provider).Time("since", x.Since).Msg("growth goes on")
		}
	}
}

// sentence is a text that ends with a full stop.
func sentence(text string) string { return strings.TrimSuffix(text, ".") + "." }
