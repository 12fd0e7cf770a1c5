package guest

import "github.com/prometheus/client_golang/prometheus"

// metrics of an App.
type metrics struct {
	waiting      *prometheus.GaugeVec
	programs     *prometheus.GaugeVec
	transactions *prometheus.CounterVec
}

func newMetrics() *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"shard"})
	}
	return &metrics{
		waiting:  gauge("broadsheet_guest_waiting", "1 while a shard has a transaction and no program that does it."),
		programs: gauge("broadsheet_guest_programs", "Streams of programs, those that wait for their turn among them."),
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "broadsheet_guest_transactions_total",
			Help: "Transactions of programs by outcome: 'committed', 'failed', or 'given again' to another program.",
		}, []string{"shard", "outcome"}),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.waiting, m.programs, m.transactions} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// shardMetrics are those of one shard.
type shardMetrics struct {
	*metrics

	shard string
}

func (m *metrics) of(shard string) *shardMetrics { return &shardMetrics{m, shard} }

func (m *shardMetrics) waits(yes bool) {
	value := 0.0
	if yes {
		value = 1
	}
	m.waiting.WithLabelValues(m.shard).Set(value)
}

func (m *shardMetrics) outcome(what string) { m.transactions.WithLabelValues(m.shard, what).Inc() }

// gone forgets what is told of the shard as it is, not what was counted.
func (m *shardMetrics) gone() { m.waiting.DeleteLabelValues(m.shard) }
