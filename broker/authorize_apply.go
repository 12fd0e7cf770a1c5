package broker

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// authorizeChanges refuses changes of journals that are out of the scope of the
// request: by the labels that they would have, or by those that they have now. A
// journal that doesn't exist has only its name. It returns what has to be compared for
// that to hold when the changes are made.
func (b *Broker) authorizeChanges(ctx context.Context, changes []*protocol.ApplyRequest_Change) ([]clientv3.Cmp, error) {
	claims, ok := auth.FromContext(ctx)
	if !ok || claims.Unscoped() || len(changes) == 0 {
		return nil, nil
	}
	for _, c := range changes {
		if c.GetUpsert() != nil && !claims.InScope(c.GetUpsert().SelectableLabels()) {
			return nil, outOfScope(c)
		}
	}
	present, err := b.presentItems(ctx, changes)
	if err != nil {
		return nil, err
	}
	// A change that expects another revision fails by its own comparison; but it has to
	// fail also if its journal comes to have just that revision meanwhile.
	var held, fails []clientv3.Cmp
	for i, c := range changes {
		labels := (&protocol.JournalSpec{Name: changedJournal(c)}).SelectableLabels()
		if present[i].value != nil {
			item, err := decoder{}.DecodeItem(changedJournal(c), present[i].value)
			if err != nil {
				return nil, outOfScope(c) // What its labels are isn't known.
			}
			labels = item.(journalItem).labels //nolint:forcetypeassert // it is what DecodeItem makes
		}
		if (c.GetUpsert() == nil || present[i].value != nil) && !claims.InScope(labels) {
			return nil, outOfScope(c)
		}
		same := clientv3.Compare(clientv3.ModRevision(present[i].key), "=", present[i].revision)
		switch c.GetExpectModRevision() {
		case present[i].revision: // It is compared already.
		case -1:
			held = append(held, same)
		default:
			fails = []clientv3.Cmp{same}
		}
	}
	return append(held, fails...), nil
}

// outOfScope is the error of a change, which tells nothing of the journal.
func outOfScope(c *protocol.ApplyRequest_Change) error {
	return status.Errorf(codes.Unauthenticated, "Authorization token doesn't allow a change of journal %s: it is out of its scope", changedJournal(c))
}

// presentItem is what etcd has of a journal: no value and revision 0 if nothing.
type presentItem struct {
	key      string
	value    []byte
	revision int64
}

// presentItems reads the journals that are to be changed, of one revision of etcd.
func (b *Broker) presentItems(ctx context.Context, changes []*protocol.ApplyRequest_Change) ([]presentItem, error) {
	items := make([]presentItem, len(changes))
	gets := make([]clientv3.Op, len(changes))
	for i, c := range changes {
		items[i].key = allocator.ItemKey(b.cfg.Prefix, changedJournal(c))
		gets[i] = clientv3.OpGet(items[i].key)
	}
	txn, err := b.cfg.Etcd.Txn(ctx).Then(gets...).Commit()
	if err != nil {
		return nil, fmt.Errorf("apply %d changes: %w", len(changes), err)
	}
	for i, r := range txn.Responses {
		for _, kv := range r.GetResponseRange().GetKvs() {
			items[i].value, items[i].revision = kv.GetValue(), kv.GetModRevision()
		}
	}
	return items, nil
}
