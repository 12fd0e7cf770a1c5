package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/protocol"
)

// DropTable removes a table, and the journals that it made. The table is gone when
// it returns nil; if the brokers can't be asked at the moment, its journals follow. Another table that was made
// in its place isn't meant.
func (c *Catalog) DropTable(ctx context.Context, table Table) error {
	_, err := c.DropRelations(ctx, Drop{Tables: []Read{{ID: table.ID, Schema: table.Schema, Name: table.Name}}})
	return err
}

// finishDrop deletes the journals of a record of a drop, and then the record. It may
// be done twice, and at the same time.
func (c *Catalog) finishDrop(ctx context.Context, r record) error {
	for names := range slices.Chunk(journalNames(r.journals, r.count), applyBatch) {
		changes := make([]*protocol.ApplyRequest_Change, 0, len(names))
		for _, name := range names {
			changes = append(changes, &protocol.ApplyRequest_Change{Delete: name, ExpectModRevision: -1})
		}
		if err := c.apply(ctx, changes); err != nil {
			return fmt.Errorf("catalog: delete journals %s: %w", r.journals, err)
		}
	}
	if _, err := c.commit(ctx, nil, clientv3.OpDelete(c.keys.dropRecord(r.id))); err != nil {
		return fmt.Errorf("catalog: journals %s are deleted, their record isn't: %w", r.journals, err)
	}
	return nil
}

// isThere tells whether the entry of a table is that of this create.
func (m *making) isThere(kvs []*mvccpb.KeyValue) bool {
	if len(kvs) == 0 {
		return false
	}
	t, err := decodeTable(kvs[0].GetValue())
	return err == nil && t.ID == m.table.ID
}

// sweepPause is how long the sweep waits after a failure.
const sweepPause = 2 * time.Second

// sweep takes back creates and finishes drops and changes whose time is over, until ctx is done.
func (c *Catalog) sweep(ctx context.Context) error {
	for {
		changed := c.mirror.Changed()
		next, err := c.sweepOnce(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.warnSweep(ctx, err)
			next = time.Now().Add(sweepPause)
			changed = nil // not at once, whatever changes
		}
		if err := waitFor(ctx, changed, next); err != nil {
			return err
		}
	}
}

// waitFor returns when c is closed, at the time if there is one, or with the error of ctx.
func waitFor(ctx context.Context, c <-chan struct{}, at time.Time) error {
	var timer <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-c:
	case <-timer:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// sweepOnce does what is due, and returns when the next record is; zero for never.
func (c *Catalog) sweepOnce(ctx context.Context) (time.Time, error) {
	var next time.Time
	var failed error
	now := time.Now()
	for _, r := range c.records() {
		if r.until.After(now) {
			if next.IsZero() || r.until.Before(next) {
				next = r.until
			}
			continue
		}
		if err := c.sweepRecord(ctx, r); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return next, failed
}

// left is a record in the mirror.
type left struct {
	record
	key      string
	mod      int64
	creating bool
	altering bool
}

func (c *Catalog) sweepRecord(ctx context.Context, r left) error {
	if r.creating {
		ok, err := c.commit(ctx, []clientv3.Cmp{unchanged(r.key, r.mod)},
			clientv3.OpDelete(r.key), clientv3.OpPut(c.keys.dropRecord(r.id), r.encode()))
		if err != nil || !ok { // not ok: its owner lives, or another process is faster
			return err
		}
	}
	if r.altering {
		if err := c.followTable(ctx, r.key); err != nil {
			return err
		}
		c.logSwept(ctx, r)
		return nil
	}
	if err := c.finishDrop(ctx, r.record); err != nil {
		return err
	}
	c.logSwept(ctx, r)
	return nil
}
