package scaler

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"spate/internal/awsclient"
)

// metrics are the scaler's. One process may lead several times, so existing ones are used again.
type metrics struct {
	workers  *prometheus.GaugeVec
	launches *prometheus.CounterVec
	calls    *prometheus.CounterVec
	open     *prometheus.GaugeVec
	breakers *prometheus.GaugeVec
	unknown  *prometheus.CounterVec
	codes    map[string]bool // labels of unknown so far
	ages     *prometheus.GaugeVec
	events   *prometheus.CounterVec
	drift    *prometheus.GaugeVec
	rates    *prometheus.GaugeVec
	modes    *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		workers: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_workers", Help: "Workers as last observed, by pool and state (running, listed: running or pending, pending, wanted).",
		}, []string{"pool", "state"})),
		launches: registered(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_launches_total", Help: "Tasks launched, by pool, provider and the outcome of the call that launched them.",
		}, []string{"pool", "provider", "outcome"})),
		calls: registered(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_runtask_calls_total", Help: "RunTask calls, by outcome.",
		}, []string{"outcome"})),
		open: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_intents_open", Help: "Intents whose launches are neither confirmed nor denied, by pool.",
		}, []string{"pool"})),
		breakers: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_breaker_open", Help: "1 where a breaker stops a pool's growth, by pool and kind (crash_loop, configuration, quota); else 0.",
		}, []string{"pool", "kind"})),
		unknown: registered(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_aws_unknown_errors_total", Help: "Answers of ECS that are in no table of ours, by their code.",
		}, []string{"code"})),
		codes: map[string]bool{},
		ages: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_observation_age_seconds", Help: "Seconds since each part of what decisions rest on was true, by pool and part (demand, listing, tasks, control; events and cluster are for information).",
		}, []string{"pool", "part"})),
		events: registered(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_task_events_total", Help: "Task state-change events, by outcome (applied, foreign, unreadable).",
		}, []string{"outcome"})),
		drift: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_task_drift", Help: "Fargate tasks that ECS has counted in a cluster three times in a row beyond those that the pools know of; negative: that it has not.",
		}, []string{"cluster"})),
		rates: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_launch_rate_per_second", Help: "Tasks a second that ECS is believed to accept, by capacity provider.",
		}, []string{"provider"})),
		modes: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_pool_mode", Help: "1 for the mode that a pool's levers have put it in (run, paused, drained, killed), 0 for the others; none while that is not known.",
		}, []string{"pool", "mode"})),
	}
}

// maxCodes is how many different codes of unknown errors are told apart.
const maxCodes = 20

// count counts what nobody knows, under its code: such an answer wants a line in internal/awsclient.
func (m *metrics) count(o Outcome) {
	m.countError(o.Class, o.Code)
	for _, f := range o.Failures {
		if f.Class == awsclient.ClassUnknown {
			m.unknown.WithLabelValues(m.label(f.Reason)).Inc()
		}
	}
}

func (m *metrics) countError(class awsclient.Class, code string) {
	if class == awsclient.ClassUnknown {
		m.unknown.WithLabelValues(m.label(code)).Inc()
	}
}

// label is a code as a label. What looks like none, and what comes after the first twenty, is other.
func (m *metrics) label(code string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._:-", r)
	}
	if !m.codes[code] && (code == "" || len(code) > 64 || strings.ContainsFunc(code, odd) || len(m.codes) >= maxCodes) {
		return "other"
	}
	m.codes[code] = true
	return code
}

// registered is the collector, or the one that has its name already.
func registered[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}

// measure brings the gauges up to date.
func (e *Engine) measure(now time.Time) {
	for _, p := range e.pools {
		workers := p.fleet.workers()
		e.metrics.workers.WithLabelValues(p.Name, "running").Set(float64(workers.Running - workers.Listed))
		e.metrics.workers.WithLabelValues(p.Name, "listed").Set(float64(workers.Listed))
		e.metrics.workers.WithLabelValues(p.Name, "pending").Set(float64(workers.Pending))
		e.metrics.workers.WithLabelValues(p.Name, "wanted").Set(float64(p.last.Wanted))
		open := 0
		for _, r := range p.intents {
			if r.Unconfirmed() > 0 {
				open++
			}
		}
		e.metrics.open.WithLabelValues(p.Name).Set(float64(open))
		for _, kind := range []Limit{LimitCrashLoop, LimitConfiguration, LimitQuota} {
			open := 0.0
			if slices.ContainsFunc(p.breakers.open, func(b Breaker) bool { return b.Kind == kind }) {
				open = 1
			}
			e.metrics.breakers.WithLabelValues(p.Name, string(kind)).Set(open)
		}
		e.measureMode(now, p)
		e.measureAges(now, p)
	}
	for provider, pace := range e.paces {
		e.metrics.rates.WithLabelValues(provider).Set(pace.Rate().PerSecond)
	}
}

func (e *Engine) measureMode(now time.Time, p *pool) {
	asked := e.asked(now, p)
	if !asked.Known {
		return
	}
	for _, mode := range []Mode{ModeRun, ModePaused, ModeDrained, ModeKilled} {
		is := 0.0
		if asked.mode() == mode {
			is = 1
		}
		e.metrics.modes.WithLabelValues(p.Name, string(mode)).Set(is)
	}
}
