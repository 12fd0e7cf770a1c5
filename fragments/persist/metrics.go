package persist

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of a Persister. The first has Gazette's name.
type metrics struct {
	persisted prometheus.Counter
	retries   prometheus.Counter
	damaged   prometheus.Counter
	active    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	with := promauto.With(reg)
	return &metrics{
		persisted: with.NewCounter(prometheus.CounterOpts{
			Name: "gazette_spool_persisted_total",
			Help: "Fragments that a store is known to hold since they were persisted.",
		}),
		retries: with.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_persist_retries_total",
			Help: "Attempts to persist a fragment that failed and are made again.",
		}),
		damaged: with.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_persist_integrity_errors_total",
			Help: "Fragments whose spool, or object in the store, has other content than its name says.",
		}),
		active: with.NewGauge(prometheus.GaugeOpts{
			Name: "broadsheet_persist_uploads",
			Help: "Fragments that are compressed, uploaded or verified now.",
		}),
	}
}
