package scaler

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the scaler's. One process may lead several times, so existing ones are used again.
type metrics struct {
	workers  *prometheus.GaugeVec
	launches *prometheus.CounterVec
	calls    *prometheus.CounterVec
	open     *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		workers: registered(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_workers", Help: "Workers as last observed, by pool and state (running, pending, wanted).",
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
	}
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
func (e *Engine) measure() {
	for _, p := range e.pools {
		workers := p.fleet.workers()
		e.metrics.workers.WithLabelValues(p.Name, "running").Set(float64(workers.Running))
		e.metrics.workers.WithLabelValues(p.Name, "pending").Set(float64(workers.Pending))
		e.metrics.workers.WithLabelValues(p.Name, "wanted").Set(float64(p.last.Wanted))
		open := 0
		for _, r := range p.intents {
			if r.Unconfirmed() > 0 {
				open++
			}
		}
		e.metrics.open.WithLabelValues(p.Name).Set(float64(open))
	}
}
