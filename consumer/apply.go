package consumer

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// apply makes changes of shards' specs, all or none. It returns once this host has seen them itself.
func (h *Host) apply(ctx context.Context, req *shards.ApplyRequest) (*shards.ApplyResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	var compares []clientv3.Cmp
	var ops []clientv3.Op
	changed := make(map[string]bool, len(req.GetChanges()))
	for i, c := range req.GetChanges() {
		id := c.GetDelete() + c.GetUpsert().GetId() // one of them is empty
		if changed[id] {
			return nil, status.Errorf(codes.InvalidArgument, "shard %s is changed twice (by Changes[%d])", id, i)
		}
		changed[id] = true
		if !mayChange(ctx, id) {
			return nil, status.Errorf(codes.Unauthenticated, "Authorization token doesn't allow a change of shard %s: it is out of its scope", id)
		}
		key := allocator.ItemKey(h.cfg.Prefix, id)
		if rev := c.GetExpectModRevision(); rev != -1 {
			compares = append(compares, clientv3.Compare(clientv3.ModRevision(key), "=", rev))
		}
		puts, err := opsOf(c, key)
		if err != nil {
			return nil, err
		}
		ops = append(ops, puts...)
	}
	txn, err := h.cfg.Etcd.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err != nil {
		return nil, fmt.Errorf("apply %d changes: %w", len(req.GetChanges()), err)
	}
	if err := h.keys.WaitForRevision(ctx, txn.Header.GetRevision()); err != nil {
		return nil, err
	}
	r := &shards.ApplyResponse{Header: h.header(h.directory(), protocol.EmptyRoute())}
	if !txn.Succeeded {
		r.Status = shards.Status_ETCD_TRANSACTION_FAILED
	}
	return r, nil
}

// opsOf a change: of the shard's key, and of its hints if it has any with it.
func opsOf(c *shards.ApplyRequest_Change, key string) ([]clientv3.Op, error) {
	spec := c.GetUpsert()
	if spec == nil {
		return []clientv3.Op{clientv3.OpDelete(key)}, nil
	}
	if _, err := skipped(spec.GetLabels()); err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "shard %s: %s", spec.GetId(), err)
	}
	value, err := proto.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", spec.GetId(), err)
	}
	ops := []clientv3.Op{clientv3.OpPut(key, string(value))}
	if c.GetPrimaryHints() == nil {
		return ops, nil
	}
	hints, err := recoverylog.EncodeHints(c.GetPrimaryHints())
	if err != nil {
		return nil, fmt.Errorf("hints of shard %s: %w", spec.GetId(), err)
	}
	return append(ops, clientv3.OpPut(spec.PrimaryHintsKey(), string(hints))), nil
}

// unassign takes shards from the members that have failed with them, and, unless only those are meant, from their
// primaries: the allocator then assigns them anew.
func (h *Host) unassign(ctx context.Context, req *shards.UnassignRequest) (*shards.UnassignResponse, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	now, r := h.directory(), new(shards.UnassignResponse)
	var compares []clientv3.Cmp
	var ops []clientv3.Op
	for _, id := range req.GetShards() {
		if _, ok := now.shard(id); !ok || !mayChange(ctx, id) {
			r.Status = shards.Status_SHARD_NOT_FOUND
			return r, nil
		}
		removed := false
		for _, a := range now.assignments(id) {
			failed := a.status.GetCode() == shards.ReplicaStatus_FAILED
			if !failed && (req.GetOnlyFailed() || a.id.Slot != 0) {
				continue
			}
			removed = true
			compares = append(compares, clientv3.Compare(clientv3.ModRevision(a.key.Key), "=", a.key.ModRevision))
			ops = append(ops, clientv3.OpDelete(a.key.Key))
		}
		if removed {
			r.Shards = append(r.Shards, id)
		}
	}
	if req.GetDryRun() || len(ops) == 0 {
		return r, nil
	}
	txn, err := h.cfg.Etcd.Txn(ctx).If(compares...).Then(ops...).Commit()
	switch {
	case err != nil:
		return nil, fmt.Errorf("unassign %d shards: %w", len(r.GetShards()), err)
	case !txn.Succeeded:
		return &shards.UnassignResponse{Status: shards.Status_ETCD_TRANSACTION_FAILED}, nil
	}
	return r, h.keys.WaitForRevision(ctx, txn.Header.GetRevision())
}
