package views

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all views that are kept here, each by the label view: its id.
type metrics struct {
	rows, rejects, batches, seconds *prometheus.CounterVec
	kept, epoch, readers            *prometheus.GaugeVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"view"}, labels...))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"view"})
	}
	return &metrics{
		rows:    counter("broadsheet_view_read_rows_total", "Rows of its table that a view has read."),
		rejects: counter("broadsheet_view_rejected_lines_total", "Lines that are no rows of the table, and were left out."),
		batches: counter("broadsheet_view_batches_total", "Transactions with lines."),
		seconds: counter("broadsheet_view_seconds_total",
			"Time spent on it, by phase: 'decode' of lines, 'engine' for DuckDB, 'state' for looking groups up and writing them.", "phase"),
		kept:    gauge("broadsheet_view_rows", "Rows that are kept of a view: groups, or rows."),
		epoch:   gauge("broadsheet_view_epoch", "Number of the last transaction."),
		readers: gauge("broadsheet_view_readers", "Reads and subscriptions that run."),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.rows, m.rejects, m.batches, m.seconds, m.kept, m.epoch, m.readers} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// viewMetrics are those of one view.
type viewMetrics struct {
	rows, rejects, batches, decode, engine, state prometheus.Counter
	kept, epoch, readers                          prometheus.Gauge
}

func (m *metrics) of(id int64) *viewMetrics {
	view := strconv.FormatInt(id, 10)
	return &viewMetrics{
		rows: m.rows.WithLabelValues(view), rejects: m.rejects.WithLabelValues(view), batches: m.batches.WithLabelValues(view),
		decode: m.seconds.WithLabelValues(view, "decode"), engine: m.seconds.WithLabelValues(view, "engine"), state: m.seconds.WithLabelValues(view, "state"),
		kept: m.kept.WithLabelValues(view), epoch: m.epoch.WithLabelValues(view), readers: m.readers.WithLabelValues(view),
	}
}

// queried a batch's lines, with what that took, what was done with the answer among it.
func (m *viewMetrics) queried(told *decoded, took, state time.Duration) {
	decode := time.Duration(told.took.Load())
	m.batches.Inc()
	m.rows.Add(float64(told.rows.Load()))
	m.rejects.Add(float64(told.rejects.Load()))
	m.decode.Add(decode.Seconds())
	m.state.Add(state.Seconds())
	m.engine.Add(max(0, took-decode-state).Seconds())
}

// published a state.
func (m *viewMetrics) published(s *state) {
	m.kept.Set(float64(s.epoch.rows))
	m.epoch.Set(float64(s.epoch.number))
}
