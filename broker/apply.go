package broker

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/protocol"
)

// apply makes changes of journal specs, all or none. It returns once this broker has
// seen them itself.
//
// One apply runs at a time, so that each is checked against all earlier ones.
func (b *Broker) apply(ctx context.Context, req *protocol.ApplyRequest) (*protocol.ApplyResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	select {
	case b.applying <- struct{}{}:
		defer func() { <-b.applying }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	compares, err := b.authorizeChanges(ctx, req.GetChanges())
	if err != nil {
		return nil, err
	}
	if err := b.checkChanges(req.GetChanges()); err != nil {
		return nil, err
	}
	var ops []clientv3.Op
	for _, c := range req.GetChanges() {
		key := allocator.ItemKey(b.cfg.Prefix, changedJournal(c))
		if rev := c.GetExpectModRevision(); rev != -1 {
			compares = append(compares, clientv3.Compare(clientv3.ModRevision(key), "=", rev))
		}
		if c.GetUpsert() == nil {
			// With the journal goes what was told of its epochs.
			ops = append(ops, clientv3.OpDelete(key), clientv3.OpDelete(epochsKey(b.cfg.Prefix, c.GetDelete())))
			continue
		}
		value, err := proto.Marshal(c.GetUpsert())
		if err != nil {
			return nil, fmt.Errorf("journal %s: %w", c.GetUpsert().GetName(), err)
		}
		ops = append(ops, clientv3.OpPut(key, string(value)))
	}
	txn, err := b.cfg.Etcd.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err != nil {
		return nil, fmt.Errorf("apply %d changes: %w", len(req.GetChanges()), err)
	}
	now, err := b.rosterAt(ctx, txn.Header.GetRevision())
	if err != nil {
		return nil, err
	}
	r := &protocol.ApplyResponse{Header: b.header(now, protocol.EmptyRoute())}
	if !txn.Succeeded {
		r.Status = protocol.Status_ETCD_TRANSACTION_FAILED
	}
	return r, nil
}

// changedJournal is the name of the journal that a change is about.
func changedJournal(c *protocol.ApplyRequest_Change) string {
	if c.GetUpsert() != nil {
		return c.GetUpsert().GetName()
	}
	return c.GetDelete()
}

// checkChanges refuses what this broker wouldn't act on, and journals whose
// fragments would be taken for another's.
func (b *Broker) checkChanges(changes []*protocol.ApplyRequest_Change) error {
	now := b.roster.Load().directory
	changed := make(map[string]bool, len(changes))
	for i, c := range changes {
		name := changedJournal(c)
		if changed[name] {
			return fmt.Errorf("journal %s is changed twice (by Changes[%d])", name, i)
		}
		changed[name] = true
		if c.GetUpsert() == nil {
			continue
		}
		before, _ := now.journal(name)
		if err := b.checkSpec(c.GetUpsert(), before.spec); err != nil {
			return err
		}
	}
	if err := b.checkRoom(now.specs(), changes, changed); err != nil {
		return err
	}
	return checkNesting(now.specs(), changes, changed)
}

// checkSpec refuses, each by its name, what isn't supported. before is the spec that
// the journal has now, or nil.
func (b *Broker) checkSpec(spec, before *protocol.JournalSpec) error {
	name := spec.GetName()
	refused := func(what string, args ...any) error {
		return status.Errorf(codes.Unimplemented, "journal %s: %s", name, fmt.Sprintf(what, args...))
	}
	switch {
	case spec.GetSuspend() != nil && !proto.Equal(spec.GetSuspend(), before.GetSuspend()) &&
		(spec.GetSuspend().GetLevel() != protocol.JournalSpec_Suspend_NONE || spec.GetSuspend().GetOffset() != 0):
		return refused("suspend is kept by brokers, and can't be set")
	case spec.GetSuspend() == nil && before.GetSuspend().GetLevel() != protocol.JournalSpec_Suspend_NONE:
		return refused("suspend is kept by brokers, and can't be removed (level %s at offset %d)",
			before.GetSuspend().GetLevel(), before.GetSuspend().GetOffset())
	}
	for _, url := range spec.GetFragment().GetStores() {
		if err := b.cfg.Stores.Check(url, name+"/"); err != nil {
			return status.Errorf(codes.InvalidArgument, "journal %s: %s", name, err)
		}
	}
	return nil
}
