package duck

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of statements, as the label of a metric.
const (
	outcomeDone      = "done"
	outcomeClosed    = "closed" // by the caller, before the last row
	outcomeCancelled = "cancelled"
	outcomeFailed    = "failed"
)

// metrics count what an instance does.
type metrics struct {
	registerer prometheus.Registerer
	statements *prometheus.CounterVec
	returned   prometheus.Counter
	scanned    prometheus.Counter
	interrupts prometheus.Counter
}

// newMetrics registers the metrics; a nil registerer only counts.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "broadsheet", Subsystem: "duck", Name: name, Help: help})
	}
	m := &metrics{
		registerer: registerer,
		statements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "broadsheet", Subsystem: "duck", Name: "statements_total", Help: "Statements that DuckDB ran, by how they ended.",
		}, []string{"outcome"}),
		returned:   counter("returned_rows_total", "Rows of results that were copied out of DuckDB."),
		scanned:    counter("scanned_rows_total", "Rows of scans that were copied into DuckDB."),
		interrupts: counter("interrupts_total", "Calls of DuckDB that were interrupted at the end of their context."),
	}
	if registerer == nil {
		return m, nil
	}
	for i, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			for _, registered := range m.collectors()[:i] {
				registerer.Unregister(registered)
			}
			return nil, fmt.Errorf("duck: metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.statements, m.returned, m.scanned, m.interrupts}
}

// close takes the metrics out of the registry.
func (m *metrics) close() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registerer.Unregister(c)
	}
}

// ended counts a statement by why it ended.
func (m *metrics) ended(ctx context.Context, err error) {
	outcome := outcomeFailed
	switch {
	case errors.Is(err, io.EOF):
		outcome = outcomeDone
	case errors.Is(err, ErrClosed):
		outcome = outcomeClosed
	case ctx.Err() != nil:
		outcome = outcomeCancelled
	}
	m.statements.WithLabelValues(outcome).Inc()
}
