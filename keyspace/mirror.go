package keyspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/btree"
	etcdserverpb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// degree of the tree's nodes: a publication copies about one node per level and change.
const degree = 32

// errOutOfOrder says that a watch delivered what was seen before.
var errOutOfOrder = errors.New("watch delivered an old revision")

// mirror is the state that a view is a snapshot of. It does no I/O.
//
// Invariant: tree holds what etcd held under the prefix at revision.
type mirror struct {
	decode func(*mvccpb.KeyValue) (any, error)
	logger *slog.Logger

	tree     *btree.BTreeG[KeyValue]
	revision int64
	identity identity
	log      changeLog
	// unpublished tells that revision, and changed that the tree, is ahead of the
	// last view.
	unpublished, changed bool
}

func newMirror(c Config) *mirror {
	return &mirror{decode: c.Decode, logger: c.Logger, tree: btree.NewG(degree, less)}
}

// view makes a snapshot. The tree's nodes are shared with it and copied when they
// are next changed.
func (m *mirror) view() *View {
	m.unpublished, m.changed = false, false
	return &View{tree: m.tree.Clone(), revision: m.revision, identity: m.identity, log: m.log}
}

// identify checks that h is from the cluster that we know, and notes its ids.
func (m *mirror) identify(h *etcdserverpb.ResponseHeader) error {
	if h.GetClusterId() == 0 || h.GetMemberId() == 0 || h.GetRaftTerm() == 0 {
		return nil // a header that the client made up: it says nothing
	}
	if m.identity.cluster != 0 && m.identity.cluster != h.GetClusterId() {
		return fmt.Errorf("%w: %x, was %x", ErrOtherCluster, h.GetClusterId(), m.identity.cluster)
	}
	m.identity = identity{cluster: h.GetClusterId(), member: h.GetMemberId(), term: h.GetRaftTerm()}
	return nil
}

// advance notes that the tree is exact at revision too.
func (m *mirror) advance(revision int64) error {
	if revision < m.revision {
		return fmt.Errorf("%w: %d, was %d", ErrWentBack, revision, m.revision)
	}
	if revision > m.revision {
		m.revision, m.unpublished = revision, true
	}
	return nil
}

// reset replaces the tree by all keys that etcd held at revision.
func (m *mirror) reset(kvs []*mvccpb.KeyValue, revision int64) error {
	if err := m.advance(revision); err != nil {
		return err
	}
	old := m.tree
	m.tree = btree.NewG(degree, less)
	m.unpublished, m.changed = true, true
	m.log = changeLog{since: revision}
	for _, kv := range kvs {
		last, ok := old.Get(KeyValue{Key: string(kv.GetKey())})
		if ok && last.ModRevision == kv.GetModRevision() {
			m.tree.ReplaceOrInsert(last)
			continue
		}
		m.put(kv, last, ok)
	}
	return nil
}

// apply makes the changes of one watch response: whole revisions, in order.
func (m *mirror) apply(events []*clientv3.Event) error {
	for _, e := range events {
		if e.GetKv().GetModRevision() <= m.revision {
			return fmt.Errorf("%w: %d of %q, was at %d", errOutOfOrder, e.GetKv().GetModRevision(), e.GetKv().GetKey(), m.revision)
		}
	}
	for _, e := range events {
		last, ok := m.tree.Get(KeyValue{Key: string(e.GetKv().GetKey())})
		if e.GetType() == mvccpb.Event_DELETE {
			m.tree.Delete(last)
		} else {
			m.put(e.GetKv(), last, ok)
		}
		m.log.add(string(e.GetKv().GetKey()), e.GetKv().GetModRevision(), m.tree.Len())
	}
	if len(events) == 0 {
		return nil
	}
	m.changed = true
	return m.advance(events[len(events)-1].GetKv().GetModRevision())
}

// put decodes kv into the tree. last is what the tree has for its key, if known.
func (m *mirror) put(kv *mvccpb.KeyValue, last KeyValue, known bool) {
	now := KeyValue{
		Key:            string(kv.GetKey()),
		Raw:            kv.GetValue(),
		CreateRevision: kv.GetCreateRevision(),
		ModRevision:    kv.GetModRevision(),
		Lease:          kv.GetLease(),
	}
	now.Value, now.Err = m.decode(kv)
	if now.Err != nil {
		m.logger.LogAttrs(context.Background(), slog.LevelError, "key does not decode",
			slog.String("key", now.Key), slog.Int64("mod_revision", now.ModRevision), slog.String("err", now.Err.Error()))
		if !known || last.CreateRevision != now.CreateRevision {
			m.tree.Delete(now) // its last value, if any, was of an earlier life
			return
		}
		now.Value = last.Value
	}
	m.tree.ReplaceOrInsert(now)
}
