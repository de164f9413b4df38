package controller

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metricSources gathers the process's metrics and, while there is one, the term's: a new term's loops register theirs
// anew.
type metricSources struct {
	process prometheus.Gatherer
	term    atomic.Pointer[prometheus.Registry]
}

// Gather collects from both.
func (m *metricSources) Gather() ([]*dto.MetricFamily, error) {
	sources := prometheus.Gatherers{m.process}
	if term := m.term.Load(); term != nil {
		sources = append(sources, term)
	}
	return sources.Gather()
}
