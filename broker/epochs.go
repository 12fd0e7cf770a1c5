package broker

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
)

// recordEpochs writes the epochs of a journal to etcd, if they, the journal's spec and our own
// assignment as its primary are as the entry has them. It returns the revision of etcd
// at which that was decided.
func (b *Broker) recordEpochs(ctx context.Context, e *entry, l epoch.List) (int64, bool, error) {
	name := e.spec.GetName()
	value, err := l.Encode(e.createRevision)
	if err != nil {
		return 0, false, fmt.Errorf("journal %s: %w", name, err)
	}
	own := e.primaryAssignment()
	if own == nil {
		return e.etcd.GetRevision(), false, nil
	}
	key := epochsKey(b.cfg.Prefix, name)
	txn, err := b.cfg.Etcd.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(key), "=", e.epochsRevision),
		clientv3.Compare(clientv3.CreateRevision(own.key.Key), "=", own.key.CreateRevision),
		clientv3.Compare(clientv3.CreateRevision(allocator.ItemKey(b.cfg.Prefix, name)), "=", e.createRevision),
	).Then(clientv3.OpPut(key, string(value))).Commit()
	if err != nil {
		return 0, false, status.Errorf(codes.Unavailable, "journal %s: write its epochs to etcd: %s", name, err)
	}
	return txn.Header.GetRevision(), txn.Succeeded, nil
}

// epochsRevision is the mod revision of a journal's epochs as etcd has them now, whatever has been seen of it here, and
// the revision of etcd at which that was so.
func (b *Broker) epochsRevision(ctx context.Context, name string) (int64, int64, error) {
	resp, err := b.cfg.Etcd.Get(ctx, epochsKey(b.cfg.Prefix, name), clientv3.WithKeysOnly()) // linearizable
	if err != nil {
		return 0, 0, status.Errorf(codes.Unavailable, "journal %s: read its epochs from etcd: %s", name, err)
	}
	known := int64(0)
	for _, kv := range resp.Kvs {
		known = kv.GetModRevision()
	}
	return known, resp.Header.GetRevision(), nil
}
