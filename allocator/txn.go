package allocator

import (
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// DefaultMaxTxnOps is the number of operations, and of compares, that an etcd
// allows in a transaction unless it was told otherwise.
const DefaultMaxTxnOps = 128

// txn is one transaction of a plan.
type txn struct {
	compares []clientv3.Cmp
	ops      []clientv3.Op
	compared map[string]bool // keys in compares
	// added, removed and packed are how many assignments it adds, removes, and moves to
	// another slot of the same member.
	added, removed, packed int
}

// makeTxns packs a plan into transactions of at most limit operations and at most
// limit compares; apart has each group in one of its own. Each asserts that the
// leader's key is unchanged, that items and members are as the plan saw them, and so
// are the assignments, also those that a removal relies on. A group of more
// than a quarter of limit in changes is split, and of what it relies on as much is compared as
// has room.
func makeTxns(s *state, p plan, limit int, apart bool) []*txn {
	var out []*txn
	var last *txn
	for _, g := range p.groups {
		for part := range slices.Chunk(g.changes, limit/4) { // a change has at most two compares of its own
			next := newTxn(s)
			for _, c := range part {
				next.change(s.prefix, g.item, c)
			}
			for _, a := range g.relies[:min(len(g.relies), limit-len(next.compares))] {
				next.compareMod(AssignmentsPrefix(s.prefix)+a.id.String(), a.mod)
			}
			if g.packed {
				next.added, next.removed, next.packed = 0, 0, 1
			}
			if last != nil && !apart && last.fits(next, limit) {
				last.merge(next)
				continue
			}
			out = append(out, next)
			last = next
		}
	}
	return out
}

func newTxn(s *state) *txn {
	t := &txn{compared: make(map[string]bool, 8)}
	t.compareMod(MemberKey(s.prefix, s.leader.id.Zone, s.leader.id.Suffix), s.leader.mod)
	return t
}

func (t *txn) change(prefix string, it *item, c change) {
	key := AssignmentsPrefix(prefix) + c.id.String()
	if it.value != nil {
		t.compareMod(ItemKey(prefix, it.id), it.mod)
	} else {
		t.compareAbsent(ItemKey(prefix, it.id))
	}
	if !c.add {
		t.compareMod(key, c.held.mod)
		t.ops = append(t.ops, clientv3.OpDelete(key))
		t.removed++
		return
	}
	t.compareMod(MemberKey(prefix, c.member.id.Zone, c.member.id.Suffix), c.member.mod)
	t.compareAbsent(key)
	t.ops = append(t.ops, clientv3.OpPut(key, "", clientv3.WithLease(clientv3.LeaseID(c.member.lease))))
	t.added++
}

func (t *txn) compareMod(key string, mod int64) {
	t.compare(key, clientv3.Compare(clientv3.ModRevision(key), "=", mod))
}

func (t *txn) compareAbsent(key string) {
	t.compare(key, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
}

// compare adds a compare. Plans are made of one view: all compares of a key agree.
func (t *txn) compare(key string, c clientv3.Cmp) {
	if !t.compared[key] {
		t.compared[key] = true
		t.compares = append(t.compares, c)
	}
}

func (t *txn) fits(next *txn, limit int) bool {
	compares := len(t.compares)
	for key := range next.compared {
		if !t.compared[key] {
			compares++
		}
	}
	return compares <= limit && len(t.ops)+len(next.ops) <= limit
}

func (t *txn) merge(next *txn) {
	for _, c := range next.compares {
		t.compare(string(c.KeyBytes()), c)
	}
	t.ops = append(t.ops, next.ops...)
	t.added += next.added
	t.removed += next.removed
	t.packed += next.packed
}
