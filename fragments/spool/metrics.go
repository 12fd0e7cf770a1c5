package spool

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all journals of a Dir. The first five have Gazette's names.
type metrics struct {
	commits, commitBytes     prometheus.Counter
	rollbacks, rollbackBytes prometheus.Counter
	completed                prometheus.Counter
	syncSeconds              prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		commits:       counter("gazette_spool_commits_total", "Appends written to a spool."),
		commitBytes:   counter("gazette_spool_commit_bytes_total", "Bytes of appends written to a spool."),
		rollbacks:     counter("gazette_spool_rollbacks_total", "Appends that failed and were taken back."),
		rollbackBytes: counter("gazette_spool_rollback_bytes_total", "Bytes of appends that were taken back."),
		completed:     counter("gazette_spool_completed_total", "Fragments that were completed."),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "broadsheet_spool_sync_seconds",
			Help:    "Time that a group commit took to make data and log durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.commits, m.commitBytes, m.rollbacks, m.rollbackBytes, m.completed, m.syncSeconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register spool metrics: %w", err)
		}
	}
	return m, nil
}
