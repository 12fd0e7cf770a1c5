package epoch_test

import (
	"flag"
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"
)

// modelDepth deepens the searches: each level allows one more of what they are about.
var modelDepth = flag.Int("model.depth", 0, "how much larger the searched models are; 1 takes minutes")

// search goes through the states of a model, breadth first.
type search struct {
	model *model
	seed  maphash.Seed
	seen  map[uint64]struct{}
	pages [][]node // each of pageSize, but the last: they are never copied
	fault string
	limit int
}

const pageSize = 1 << 14

func (r *search) size() int {
	last := len(r.pages) - 1
	return last*pageSize + len(r.pages[last])
}

func (r *search) at(i int32) *node { return &r.pages[i/pageSize][i%pageSize] }

func (r *search) push(n node) {
	last := len(r.pages) - 1
	if last < 0 || len(r.pages[last]) == pageSize {
		r.pages = append(r.pages, make([]node, 0, pageSize))
		last++
	}
	r.pages[last] = append(r.pages[last], n)
}

type node struct {
	state  modelState
	parent int32
	step   step
}

// newSearch of a model, whose brokers are up and empty.
func newSearch(m *model, limit int) *search {
	r := &search{model: m, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}), limit: limit}
	var s modelState
	for i := range m.brokers {
		s.brokers[i].up = true
	}
	s.normalize(m.brokers)
	r.push(node{state: s, parent: -1})
	return r
}

// run until all is seen, a fault is found, or the limit is reached.
func (r *search) run() {
	for i := int32(0); int(i) < r.size() && r.fault == "" && r.size() < r.limit; i++ {
		s := r.at(i).state
		x := expansion{model: r.model, s: &s, emit: func(next *modelState, t step, fault string) {
			r.add(i, next, t, fault)
		}}
		x.run()
		if r.fault == "" {
			if r.fault = x.checkStuck(); r.fault != "" {
				r.push(node{state: s, parent: i})
			}
		}
	}
}

func (r *search) add(parent int32, next *modelState, t step, fault string) {
	if r.fault != "" {
		return
	}
	raw := *next // The caller goes on with it.
	raw.settle(r.model)
	raw.normalize(r.model.brokers)
	h := maphash.Comparable(r.seed, raw)
	if _, ok := r.seen[h]; ok && fault == "" {
		return
	}
	r.seen[h] = struct{}{}
	r.push(node{raw, parent, t})
	if fault == "" {
		fault = r.model.check(&raw)
	}
	r.fault = fault
}

// settle ends pipelines that can't acknowledge any more: the state is then equal to others.
func (s *modelState) settle(m *model) {
	for p := range m.brokers {
		k := s.brokers[p].pipeline
		if k == 0 || m.rules.appendsUnaligned {
			continue
		}
		for i := range m.brokers {
			b := &s.brokers[i]
			if d := b.member[k-1]; d != 0 && (!b.up || d != 1+b.disk || b.promised > k) {
				s.brokers[p].pipeline = 0
			}
		}
	}
}

// TestModel searches all histories of small clusters in which what this package decides
// is all that holds them together.
func TestModel(t *testing.T) {
	deeper := int8(*modelDepth) //nolint:gosec // it is small
	for name, m := range map[string]model{
		"three brokers": {brokers: 3, replication: 2, appends: 2, syncs: 2},
		"three epochs":  {brokers: 3, replication: 2, appends: 1, syncs: 3},
		"lost disk":     {brokers: 3, replication: 2, appends: 1, syncs: 2, losses: 1},
		"lost memory":   {brokers: 3, replication: 2, appends: 1, syncs: 2, losses: 1, replicated: true},
		"alone":         {brokers: 2, replication: 2, fewer: true, appends: 2, syncs: 2},
		"lost for good": {brokers: 2, replication: 1, appends: 2, syncs: 3, losses: 1, resets: 1, replicated: true},
		"reset":         {brokers: 2, replication: 1, appends: 2, syncs: 3, resets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m.rules = rulesInForce()
			m.syncs += deeper
			m.appends += deeper / 2
			r := newSearch(&m, 60_000_000)
			r.run()
			t.Logf("%d states", r.size())
			require.Empty(t, r.fault, "after\n%s", r.trace())
		})
	}
}

// TestModelFindsBrokenRules: without any one of the rules the model finds a history that goes wrong.
func TestModelFindsBrokenRules(t *testing.T) {
	for _, b := range brokenRules() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			m := b.model
			m.rules = rulesInForce()
			b.drop(&m.rules)
			r := newSearch(&m, 3_000_000)
			r.run()
			t.Logf("%s without %q, after %d states:\n%s", b.rule, b.name, r.size(), r.trace())
			require.NotEmpty(t, r.fault)
		})
	}
}
