package consumer

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
)

// savedHints are the hints of a shard in etcd: nil where there are none.
type savedHints struct {
	primary *recoverylog.FSMHints
	backups []*recoverylog.FSMHints
}

// fetchHints of a shard.
func (h *Host) fetchHints(ctx context.Context, spec *shards.ShardSpec) (savedHints, error) {
	out := savedHints{backups: make([]*recoverylog.FSMHints, spec.GetHintBackups())}
	if spec.PrimaryHintsKey() == "" {
		return out, nil
	}
	keys := append([]string{spec.PrimaryHintsKey()}, spec.BackupHintsKeys()...)
	gets := make([]clientv3.Op, 0, len(keys))
	for _, key := range keys {
		gets = append(gets, clientv3.OpGet(key))
	}
	txn, err := h.cfg.Etcd.Txn(ctx).Then(gets...).Commit()
	if err != nil {
		return out, fmt.Errorf("hints of shard %s: %w", spec.GetId(), err)
	}
	for i, r := range txn.Responses {
		for _, kv := range r.GetResponseRange().GetKvs() {
			hints, err := recoverylog.DecodeHints(kv.GetValue())
			if err != nil {
				return out, fmt.Errorf("hints at %s: %w", keys[i], err)
			}
			if i == 0 {
				out.primary = hints
			} else {
				out.backups[i-1] = hints
			}
		}
	}
	return out, nil
}

// pick hints to recover by.
func (s savedHints) pick(spec *shards.ShardSpec) (*recoverylog.FSMHints, error) {
	return spec.PickHints(append([]*recoverylog.FSMHints{s.primary}, s.backups...)...)
}

// rotateHints puts those of a recovery that succeeded before the backups of earlier ones.
func (h *Host) rotateHints(ctx context.Context, spec *shards.ShardSpec, recovered *recoverylog.FSMHints) error {
	keys := spec.BackupHintsKeys()
	if len(keys) == 0 {
		return nil
	}
	value, err := recoverylog.EncodeHints(recovered)
	if err != nil {
		return fmt.Errorf("hints of shard %s: %w", spec.GetId(), err)
	}
	gets := make([]clientv3.Op, 0, len(keys))
	for _, key := range keys {
		gets = append(gets, clientv3.OpGet(key))
	}
	txn, err := h.cfg.Etcd.Txn(ctx).Then(gets...).Commit()
	if err != nil {
		return fmt.Errorf("hints of shard %s: %w", spec.GetId(), err)
	}
	puts := []clientv3.Op{clientv3.OpPut(keys[0], string(value))}
	var same []clientv3.Cmp
	for i, r := range txn.Responses {
		revision := int64(0)
		for _, kv := range r.GetResponseRange().GetKvs() {
			revision = kv.GetModRevision()
			if i+1 < len(keys) {
				puts = append(puts, clientv3.OpPut(keys[i+1], string(kv.GetValue())))
			}
		}
		same = append(same, clientv3.Compare(clientv3.ModRevision(keys[i]), "=", revision))
	}
	// If somebody else rotates them at the same time, theirs do as well.
	if _, err := h.cfg.Etcd.Txn(ctx).If(same...).Then(puts...).Commit(); err != nil {
		return fmt.Errorf("rotate hints of shard %s: %w", spec.GetId(), err)
	}
	return nil
}

// writeHints of the primary, if its assignment, which a host that ends has until its lease is gone, and its shard are still those that it knows. Whoever changes a shard may put
// hints with it, of another log too: those aren't replaced before the replica has seen the change.
func (r *replica) writeHints(ctx context.Context, hints *recoverylog.FSMHints) error {
	revision, spec, a := r.revised()
	if hints.GetLog() != spec.RecoveryLog() {
		return nil
	}
	value, err := recoverylog.EncodeHints(hints)
	if err != nil {
		return err
	}
	key := allocator.ItemKey(r.host.cfg.Prefix, r.id)
	_, err = r.host.cfg.Etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(a.key.Key), "=", a.key.CreateRevision),
			clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(spec.PrimaryHintsKey(), string(value))).
		Commit()
	return err
}
