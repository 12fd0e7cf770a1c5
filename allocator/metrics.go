package allocator

import "github.com/prometheus/client_golang/prometheus"

// metrics of an Allocator, under Gazette's names where it has them. The gauges are
// the leader's view; they are 0 on every other member.
type metrics struct {
	added, removed, converged prometheus.Counter
	conflicts                 prometheus.Counter
	items, members, slots     prometheus.Gauge
	unplaced                  *prometheus.GaugeVec
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
		converged: counter("gazette_allocator_converge_total", "Plans made by this member as the leader."),
		conflicts: counter("broadsheet_allocator_conflicts_total", "Transactions that found a key changed."),
		items:     gauge("gazette_allocator_items", "Items."),
		members:   gauge("gazette_allocator_members", "Members."),
		slots:     gauge("gazette_allocator_desired_replication_slots", "Replicas that all items want."),
		unplaced: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "broadsheet_allocator_unplaced_items", Help: "Items with fewer assignments than they want.",
		}, []string{"reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.added, m.removed, m.converged, m.conflicts, m.items, m.members, m.slots, m.unplaced} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// lead shows the state of the leader; a nil state that of any other member.
func (m *metrics) lead(s *state, p plan) {
	items, members, slots := 0, 0, 0
	reasons := map[string]int{reasonNoRoom: 0, reasonReplication: 0}
	if s != nil {
		items, members = len(s.items), len(s.members)
		for _, it := range s.items {
			slots += it.desired
		}
		for _, u := range p.unplaced {
			reasons[u.reason]++
		}
		m.converged.Inc()
	}
	m.items.Set(float64(items))
	m.members.Set(float64(members))
	m.slots.Set(float64(slots))
	for reason, n := range reasons {
		m.unplaced.WithLabelValues(reason).Set(float64(n))
	}
}
