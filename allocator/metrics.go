package allocator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of an Allocator, under Gazette's names where it has them. The gauges are
// the leader's view; they are 0 on every other member.
type metrics struct {
	added, removed, packed prometheus.Counter
	converged, conflicts   prometheus.Counter
	planning               prometheus.Counter
	items, members, slots  prometheus.Gauge
	unplaced               *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		added:     counter("gazette_allocator_assignment_added_total", "Assignments written."),
		removed:   counter("gazette_allocator_assignment_removed_total", "Assignments deleted."),
		packed:    counter("gazette_allocator_assignment_packed_total", "Assignments moved to a lower slot of their member."),
		planning:  counter("gazette_allocator_max_flow_runtime_seconds", "Time that this member spent on plans as the leader."),
		converged: counter("gazette_allocator_converge_total", "Plans made by this member as the leader."),
		conflicts: counter("broadsheet_allocator_conflicts_total", "Transactions that found a key changed."),
		items:     gauge("gazette_allocator_items", "Items."),
		members:   gauge("gazette_allocator_members", "Members."),
		slots:     gauge("gazette_allocator_desired_replication_slots", "Replicas that all items want."),
		unplaced: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "broadsheet_allocator_unplaced_items", Help: "Items that aren't where they should be, by reason.",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.added, m.removed, m.packed, m.planning, m.converged, m.conflicts, m.items, m.members, m.slots, m.unplaced} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// lead shows the state of the leader, and counts its plan.
func (m *metrics) lead(s *state, p plan, took time.Duration) {
	m.converged.Inc()
	m.planning.Add(took.Seconds())
	m.show(len(s.items), s.live(), s.slots, p.unplaced)
}

// follow shows that another member leads.
func (m *metrics) follow() { m.show(0, 0, 0, nil) }

func (m *metrics) show(items, members, slots int, list []unplaced) {
	m.items.Set(float64(items))
	m.members.Set(float64(members))
	m.slots.Set(float64(slots))
	count := make(map[string]int)
	for _, u := range list {
		count[u.reason]++
	}
	for _, reason := range reasons() {
		m.unplaced.WithLabelValues(reason).Set(float64(count[reason]))
	}
}

// wrote counts a transaction.
func (m *metrics) wrote(t *txn) {
	m.added.Add(float64(t.added))
	m.removed.Add(float64(t.removed))
	m.packed.Add(float64(t.packed))
}
