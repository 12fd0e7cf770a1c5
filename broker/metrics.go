package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a broker. Names that start with gazette_ are those of Gazette's
// dashboards.
type metrics struct {
	started         *prometheus.CounterVec
	completed       *prometheus.CounterVec
	readBytes       prometheus.Counter
	refreshFailures prometheus.Counter
	pruned          prometheus.Counter
	denied          *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		started: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gazette_journal_server_started_totals",
			Help: "Requests begun, by operation.",
		}, []string{"operation"}),
		completed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gazette_journal_server_completed_totals",
			Help: "Requests ended, by operation and status: one of the protocol, or 'error'.",
		}, []string{"operation", "status"}),
		readBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_broker_read_bytes_total",
			Help: "Bytes of content sent to readers.",
		}),
		refreshFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_broker_refresh_failures_total",
			Help: "Listings of a journal's stores that failed.",
		}),
		pruned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_broker_pruned_total",
			Help: "Stored fragments removed, as their journals keep them no longer.",
		}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "broadsheet_broker_denied_total",
			Help: "Requests refused by their token, by reason: 'missing', 'invalid' or 'capability'.",
		}, []string{"reason"}),
	}
}

// Descriptions of what is told for each journal when it is asked for.
type journalMetrics struct {
	writeHead, unstoredBytes, unstoredAge *prometheus.Desc
}

func newJournalMetrics() journalMetrics {
	label := []string{"journal"}
	return journalMetrics{
		writeHead: prometheus.NewDesc("gazette_write_head", "Offset up to which a journal is durable.", label, nil),
		unstoredBytes: prometheus.NewDesc("broadsheet_broker_unstored_bytes",
			"Bytes of a journal that are acknowledged and in no store yet.", label, nil),
		unstoredAge: prometheus.NewDesc("broadsheet_broker_unstored_seconds",
			"Age of the oldest append of a journal that is in no store yet; 0 if there is none.", label, nil),
	}
}

// journalCollector tells what each journal of a broker is at.
type journalCollector struct{ broker *Broker }

// register everything that a broker tells. A nil registerer is none.
func (b *Broker) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		b.metrics.started, b.metrics.completed, b.metrics.readBytes, b.metrics.refreshFailures, b.metrics.pruned, b.metrics.denied,
		journalCollector{b},
		b.calls, b.disk.full, b.disk.errors, b.descriptors.errors,
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Describe as of prometheus.Collector.
func (c journalCollector) Describe(out chan<- *prometheus.Desc) {
	m := c.broker.journalMetrics
	out <- m.writeHead
	out <- m.unstoredBytes
	out <- m.unstoredAge
}

// Collect as of prometheus.Collector.
func (c journalCollector) Collect(out chan<- prometheus.Metric) {
	roster, m := c.broker.roster.Load(), c.broker.journalMetrics
	if roster == nil {
		return
	}
	for name, e := range roster.entries {
		u, ok := e.replica.unstored()
		if !ok {
			continue
		}
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, name)
		}
		gauge(m.writeHead, float64(u.head))
		gauge(m.unstoredBytes, float64(u.bytes))
		gauge(m.unstoredAge, u.age.Seconds())
	}
}

// unstored is how much of a journal only its broker has.
type unstored struct {
	head, bytes int64
	age         time.Duration
}

// unstored of the replica; false while its spool isn't open.
func (r *replica) unstored() (unstored, bool) {
	if !isClosed(r.opened) || isClosed(r.closed) {
		return unstored{}, false
	}
	s := r.spool.State()
	u := unstored{head: s.Watermark, bytes: max(0, s.Watermark-s.Begin)}
	oldest := s.FirstAppend
	for _, c := range r.spool.Completed() {
		u.bytes += c.Length()
		if oldest.IsZero() || !c.FirstAppend.IsZero() && c.FirstAppend.Before(oldest) {
			oldest = c.FirstAppend
		}
	}
	if u.bytes > 0 && !oldest.IsZero() {
		u.age = max(0, r.env.now().Sub(oldest))
	}
	return u, true
}
