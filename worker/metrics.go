package worker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	jobs      *prometheus.CounterVec // by outcome
	seconds   prometheus.Histogram
	staged    *prometheus.CounterVec // by source
	published prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_worker_jobs_total", Help: "Messages that the worker dealt with, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "spate_worker_job_seconds", Help: "How long the jobs' processes ran.",
			Buckets: prometheus.ExponentialBuckets(0.1, 3, 12),
		}),
		staged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_worker_staged_bytes_total", Help: "Bytes of inputs and parents' outputs put in place, by source: s3 or cache.",
		}, []string{"source"}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "spate_worker_published_bytes_total", Help: "Bytes of output files uploaded.",
		}),
	}
	for _, c := range []prometheus.Collector{m.jobs, m.seconds, m.staged, m.published} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register worker metrics: %w", err)
		}
	}
	return m, nil
}
