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
	added    int
}

// makeTxns packs a plan into transactions of at most limit operations and at most
// limit compares; apart has each group in one of its own. Each asserts that the
// leader's key is unchanged, that items and members are as the plan saw them, and so
// are the assignments. A group is split only if no transaction could hold it.
func makeTxns(s *state, p plan, limit int, apart bool) []*txn {
	var out []*txn
	var last *txn
	for _, group := range p.groups {
		for part := range slices.Chunk(group, limit/4) { // a change has at most two compares of its own
			next := newTxn(s)
			for _, c := range part {
				next.change(s.prefix, c)
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
	t := &txn{compared: make(map[string]bool)}
	t.compareMod(MemberKey(s.prefix, s.leader.id.Zone, s.leader.id.Suffix), s.leader.mod)
	return t
}

func (t *txn) change(prefix string, c change) {
	key := AssignmentsPrefix(prefix) + c.id.String()
	if c.item != nil {
		t.compareMod(ItemKey(prefix, c.item.id), c.item.mod)
	} else {
		t.compareAbsent(ItemKey(prefix, c.id.Item))
	}
	if !c.add {
		t.compareMod(key, c.held.mod)
		t.ops = append(t.ops, clientv3.OpDelete(key))
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
}
