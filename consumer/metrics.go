package consumer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/message"
)

// metrics of a Host. Names that start with gazette_ are those of Gazette's dashboards.
type metrics struct {
	up           *prometheus.GaugeVec
	failures     *prometheus.CounterVec
	transactions *prometheus.CounterVec
	messages     *prometheus.CounterVec
	bytes        *prometheus.CounterVec
	readHead     *prometheus.GaugeVec
	seconds      *prometheus.CounterVec
	queued       *prometheus.CounterVec
	replays      *prometheus.CounterVec
	started      *prometheus.CounterVec
	completed    *prometheus.CounterVec
	denied       *prometheus.CounterVec
	played       *prometheus.CounterVec
	recoveries   *prometheus.CounterVec
	recovering   *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	return &metrics{
		up:           gauge("gazette_shard_up", "Replicas of this process, by shard and status.", "shard", "status"),
		failures:     counter("broadsheet_shard_failures_total", "Attempts to run a shard that failed.", "shard"),
		transactions: counter("gazette_shard_transactions_total", "Transactions that are committed and acknowledged.", "shard"),
		messages:     counter("gazette_shard_read_messages_total", "Messages read of a shard's sources.", "shard"),
		bytes:        counter("gazette_shard_read_bytes_total", "Bytes of those.", "shard"),
		readHead:     gauge("gazette_shard_read_head", "Offset up to which transactions have read.", "shard", "journal"),
		seconds:      counter("gazette_shard_phase_seconds_total", "Time spent in the phases of transactions.", "shard", "phase", "type"),
		queued:       counter("gazette_sequencer_queued", "Messages by what becomes of them.", "journal", "flag", "outcome"),
		replays:      counter("gazette_sequencer_replay", "Ranges of journals that were read again.", "journal"),
		started:      counter("gazette_shard_server_started_totals", "Requests begun, by operation.", "operation"),
		completed: counter("gazette_shard_server_completed_totals",
			"Requests ended, by operation and status: one of the protocol, or 'error'.", "operation", "status"),
		denied: counter("broadsheet_consumer_denied_total",
			"Requests refused by their token, by reason: 'missing', 'invalid' or 'capability'.", "reason"),
		played:     counter("broadsheet_recoverylog_played_bytes_total", "Bytes read of recovery logs, to rebuild files or to follow them.", "journal"),
		recoveries: counter("broadsheet_shard_recoveries_total", "Recovery logs that were played to their end.", "shard"),
		recovering: counter("broadsheet_shard_recovery_seconds_total", "Time that took.", "shard"),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		m.up, m.failures, m.transactions, m.messages, m.bytes, m.readHead, m.seconds, m.queued, m.replays, m.started, m.completed, m.denied,
		m.played, m.recoveries, m.recovering,
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// shardMetrics are those of one shard: what is counted for each message is looked up once.
type shardMetrics struct {
	*metrics

	shard           string
	messages, bytes prometheus.Counter
	outcomes        map[outcomeOf]prometheus.Counter
}

type outcomeOf struct {
	journal string
	flags   message.Flags
	outcome message.Outcome
}

func (m *metrics) of(shard string) *shardMetrics {
	return &shardMetrics{
		metrics: m, shard: shard, messages: m.messages.WithLabelValues(shard), bytes: m.bytes.WithLabelValues(shard),
		outcomes: make(map[outcomeOf]prometheus.Counter),
	}
}

func (m *shardMetrics) read(env message.Envelope) {
	m.messages.Inc()
	m.bytes.Add(float64(max(env.End-env.Begin, 0)))
}

var flagNames = map[message.Flags]string{
	message.OutsideTxn: "OUTSIDE_TXN", message.ContinueTxn: "CONTINUE_TXN", message.AckTxn: "ACK_TXN",
}

// sequenced counts what became of a message. The primary alone calls it.
func (m *shardMetrics) sequenced(env message.Envelope, outcome message.Outcome) {
	of := outcomeOf{env.Journal, env.Message.GetUUID().Flags(), outcome}
	c := m.outcomes[of]
	if c == nil {
		flag := flagNames[of.flags]
		if flag == "" {
			flag, of.flags = "UNKNOWN", ^message.Flags(0)
		}
		c = m.queued.WithLabelValues(of.journal, flag, outcome.String())
		m.outcomes[of] = c
	}
	c.Inc()
}

// recovered all that was in the log when it began to be played.
func (m *shardMetrics) recovered(took time.Duration) {
	m.recoveries.WithLabelValues(m.shard).Inc()
	m.recovering.WithLabelValues(m.shard).Add(took.Seconds())
}

// finished a transaction that has read up to offsets.
func (m *shardMetrics) finished(read map[string]int64) {
	m.transactions.WithLabelValues(m.shard).Inc()
	for journal, offset := range read {
		m.readHead.WithLabelValues(m.shard, journal).Set(float64(offset))
	}
}

// told of a status.
func (m *shardMetrics) told(s *shards.ReplicaStatus) {
	for name := range shards.ReplicaStatus_Code_value {
		if name == s.GetCode().String() {
			m.up.WithLabelValues(m.shard, name).Set(1)
		} else {
			m.up.DeleteLabelValues(m.shard, name)
		}
	}
}

// gone forgets what is told of the shard as it is, not what was counted.
func (m *shardMetrics) gone() {
	m.up.DeletePartialMatch(prometheus.Labels{"shard": m.shard})
	m.readHead.DeletePartialMatch(prometheus.Labels{"shard": m.shard})
}

// Phases of transactions. The first ones are of the goroutine that runs them, the others of what is under way beside it.
const (
	phaseNotRunning    = "10-not-running"
	phaseConsuming     = "20-consuming"
	phaseStalled       = "30-stalled"
	phasePreparing     = "40-preparing"
	phaseCommitting    = "50-committing"
	phaseAcknowledging = "60-acknowledging"
)

// phases that a primary is in, and since when.
type phases struct {
	metrics      *shardMetrics
	sync         string
	since, async time.Time
}

// enter a phase of the goroutine.
func (p *phases) enter(phase string) {
	now := time.Now()
	if p.sync != "" {
		p.add(p.sync, "sync", now.Sub(p.since))
	}
	p.sync, p.since = phase, now
}

func (p *phases) add(phase, kind string, d time.Duration) {
	p.metrics.seconds.WithLabelValues(p.metrics.shard, phase, kind).Add(d.Seconds())
}

func (p *phases) committing() { p.async = time.Now() }

func (p *phases) committed() {
	now := time.Now()
	p.add(phaseCommitting, "async", now.Sub(p.async))
	p.async = now
}

func (p *phases) finished() { p.add(phaseAcknowledging, "async", time.Since(p.async)) }
