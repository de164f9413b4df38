package cache

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"spate/job"
)

// Metrics counts what the cache does. A nil *Metrics counts nothing.
type Metrics struct {
	lookups       *prometheus.CounterVec
	lookupSeconds prometheus.Histogram
	notifications *prometheus.CounterVec
	ledgerWrites  *prometheus.CounterVec
	ledgerUnread  prometheus.Counter
	ledgerRate    prometheus.Gauge
	updaterLag    prometheus.Gauge
	changes       *prometheus.CounterVec
	followerLag   prometheus.Gauge
	liveEpoch     prometheus.Gauge
	buildingEpoch prometheus.Gauge
	differences   *prometheus.CounterVec
	samples       *prometheus.CounterVec
	lastPass      prometheus.Gauge
	findings      *prometheus.GaugeVec
	viewOutputs   prometheus.Gauge
	viewBytes     prometheus.Gauge
	refreshes     *prometheus.CounterVec
	refreshCopies prometheus.Counter
}

// NewMetrics registers the metrics. A nil registerer leaves them unregistered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		lookups: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_lookups_total", Help: "Keys looked up, by which part answered (view, ledger, none) and what.",
		}, []string{"source", "answer"}),
		lookupSeconds: auto.NewHistogram(prometheus.HistogramOpts{
			Name: "spate_cache_lookup_seconds", Help: "How long lookups took, of any number of keys.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 15, 60},
		}),
		notifications: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_notifications_total", Help: "Changes that S3 told of, by what became of them.",
		}, []string{"result"}),
		ledgerWrites: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_ledger_writes_total", Help: "Items sent to the ledger's table, by whether it took them or refused them for now.",
		}, []string{"result"}),
		ledgerUnread: auto.NewCounter(prometheus.CounterOpts{
			Name: "spate_cache_ledger_unread_items_total", Help: "Items of the ledger's table, each time that they were looked up and could not be read: they count as absent.",
		}),
		ledgerRate: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_ledger_writes_per_second", Help: "Items a second that may be written: the configured rate, or less while the table refuses some.",
		}),
		updaterLag: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_updater_lag_seconds", Help: "Age of the oldest change in the last batch of notifications, one that failed included; 0 when there was none to handle.",
		}),
		changes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_view_changes_total", Help: "Keys that the follower added to the view or removed from it.",
		}, []string{"change"}),
		followerLag: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_follower_lag_seconds", Help: "All changes of the ledger older than this are in the view.",
		}),
		liveEpoch: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_live_epoch", Help: "Number of the live epoch; 0 when none is.",
		}),
		differences: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_reconcile_differences_total", Help: "Differences between view, ledger and bucket that reconciliation put right, by kind.",
		}, []string{"kind"}),
		samples: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_reconcile_samples_total", Help: "Outputs of the ledger that reconciliation looked for in S3, by what it found.",
		}, []string{"result"}),
		lastPass: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_reconcile_pass_timestamp_seconds", Help: "When the last whole pass of reconciliation through the ledger ended.",
		}),
		buildingEpoch: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_building_epoch", Help: "Number of the epoch being built; 0 when none is.",
		}),
		findings: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "spate_cache_findings", Help: "What is wrong with the services that the cache rests on, by what was checked and how much it matters.",
		}, []string{"check", "severity"}),
		viewOutputs: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_view_outputs", Help: "Outputs in the live epoch.",
		}),
		viewBytes: auto.NewGauge(prometheus.GaugeOpts{
			Name: "spate_cache_view_bytes", Help: "Memory of Redis that the live epoch's outputs take, estimated; 0 when it is not known.",
		}),
		refreshes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "spate_cache_refreshes_total", Help: "Outputs in use that were due for a refresh, by what became of them.",
		}, []string{"result"}),
		refreshCopies: auto.NewCounter(prometheus.CounterOpts{
			Name: "spate_cache_refresh_objects_total", Help: "Objects that were copied or put to refresh outputs.",
		}),
	}
}

// Values of the labels source and result.
const (
	sourceView   = "view"
	sourceLedger = "ledger"
	sourceNone   = "none"

	resultPresent = "present" // the output is in S3, and now in the ledger
	resultAbsent  = "absent"  // it is not in S3, and no more in the ledger
	resultExpired = "expired" // it is older than the retention
	resultStale   = "stale"   // S3 was looked at after that change already
	resultForeign = "foreign" // the object is no output's manifest
	resultPoison  = "poison"  // the message or the manifest cannot be read; the message comes again
	resultParked  = "parked"  // the same, too often; the message was taken off the queue
	resultFailed  = "failed"  // S3 or the ledger failed; the message comes again
)

func (m *Metrics) lookedUp(source string, presence job.Presence, n int) {
	if m != nil && n > 0 {
		m.lookups.WithLabelValues(source, presence.String()).Add(float64(n))
	}
}

func (m *Metrics) lookupTook(d time.Duration) {
	if m != nil {
		m.lookupSeconds.Observe(d.Seconds())
	}
}

func (m *Metrics) notified(f fates) {
	if m == nil {
		return
	}
	for result, n := range f.results {
		m.notifications.WithLabelValues(result).Add(float64(n))
	}
	if !f.oldest.IsZero() {
		m.updaterLag.Set(f.lag().Seconds())
	}
}

func (m *Metrics) caughtUp() {
	if m != nil {
		m.updaterLag.Set(0)
	}
}

func (m *Metrics) wrote(taken, refused int) {
	if m != nil {
		m.ledgerWrites.WithLabelValues("taken").Add(float64(taken))
		m.ledgerWrites.WithLabelValues("refused").Add(float64(refused))
	}
}

func (m *Metrics) unread() {
	if m != nil {
		m.ledgerUnread.Inc()
	}
}

func (m *Metrics) granted(perSecond float64) {
	if m != nil {
		m.ledgerRate.Set(perSecond)
	}
}

func (m *Metrics) followed(added, removed int) {
	if m != nil {
		m.changes.WithLabelValues("add").Add(float64(added))
		m.changes.WithLabelValues("remove").Add(float64(removed))
	}
}

func (m *Metrics) lag(d time.Duration) {
	if m != nil {
		m.followerLag.Set(d.Seconds())
	}
}

func (m *Metrics) epoch(r Record) {
	if m != nil {
		m.liveEpoch.Set(float64(r.Live))
		m.buildingEpoch.Set(float64(r.Building))
	}
}

func (m *Metrics) viewed(v ViewStatus) {
	if m != nil {
		m.viewOutputs.Set(float64(v.Outputs))
		m.viewBytes.Set(float64(v.Bytes))
	}
}

func (m *Metrics) found(findings []Finding) {
	if m == nil {
		return
	}
	m.findings.Reset()
	for _, f := range findings {
		m.findings.WithLabelValues(string(f.Check), string(f.Severity)).Inc()
	}
}

func (m *Metrics) refreshed(result string, n int) {
	if m != nil && n > 0 {
		m.refreshes.WithLabelValues(result).Add(float64(n))
	}
}

func (m *Metrics) copied() {
	if m != nil {
		m.refreshCopies.Inc()
	}
}

// Values of the label kind of differences.
const (
	viewLacks   = "view_lacks"
	viewExtra   = "view_extra"
	viewExpired = "view_expired"
	ledgerLacks = "ledger_lacks"
	ledgerExtra = "ledger_extra"
)

func (m *Metrics) differed(kind string, n int) {
	if m != nil {
		m.differences.WithLabelValues(kind).Add(float64(n))
	}
}

func (m *Metrics) sampled(result string) {
	if m != nil {
		m.samples.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) passed(now time.Time) {
	if m != nil {
		m.lastPass.Set(float64(now.Unix()))
	}
}
