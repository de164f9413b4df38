package planner

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	outstanding *prometheus.GaugeVec
	released    *prometheus.CounterVec
	events      *prometheus.CounterVec
	runs        *prometheus.CounterVec
	active      prometheus.Gauge
	verified    *prometheus.CounterVec
}

// newMetrics registers the planner's metrics; a nil registerer leaves them unregistered.
func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		outstanding: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_jobs_outstanding", Help: "Distinct unfinished jobs released or about to be, by pool.",
		}, []string{"pool"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_jobs_released_total", Help: "Messages put on the pools' queues.",
		}, []string{"pool"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_job_events_total", Help: "Events received from workers, repeated ones included, by type.",
		}, []string{"type"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_runs_ended_total", Help: "Runs that ended, by state.",
		}, []string{"state"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "spate_runs_active", Help: "Runs that are being worked on.",
		}),
	}
	m.verified = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spate_planner_hits_verified_total",
		Help: "Outputs that only the cache told of and that were looked for in S3, by when (intake, close) and what was found (right, wrong, unknown).",
	}, []string{"when", "answer"})
	if r != nil {
		r.MustRegister(m.outstanding, m.released, m.events, m.runs, m.active, m.verified)
	}
	return m
}
