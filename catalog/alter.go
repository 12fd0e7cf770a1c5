package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/protocol"
)

// Altered is a table that was changed.
type Altered struct {
	Table Table
	// Pending is why its journals don't have the options yet that it has, where they don't: Run sees to it.
	Pending error
}

// AlterTable lets alter change a table: all of it is made at once, under a compare of the whole catalog, or nothing. It may be
// called again, with what others have changed meanwhile. Another table that was made in the place of this one isn't meant.
//
// The specifications of journals follow. They can't be in the same transaction, so that it puts a record which is deleted once they
// have what the table says. What can't be finished here, the sweep of some process does.
func (c *Catalog) AlterTable(ctx context.Context, table Table, alter func(*Alteration) error) (Altered, error) {
	for {
		inv, err := c.inventory(ctx)
		if err != nil {
			return Altered{}, fmt.Errorf("catalog: alter table %q.%q: %w", table.Schema, table.Name, err)
		}
		a, last, err := c.alteration(inv, table)
		if err != nil {
			return Altered{}, err
		}
		if err := alter(a); err != nil {
			return Altered{}, err
		}
		if !a.was.sameRows(a.Table) {
			a.Table.Version = a.next()
		}
		if err := a.keepsMaterialized(); err != nil {
			return Altered{}, err
		}
		if err := a.validate(); err != nil {
			return Altered{}, err
		}
		ops, err := c.alterOps(inv, a)
		if err != nil {
			return Altered{}, err
		}
		record := c.alterRecord(a)
		if record != nil {
			ops = append(ops, clientv3.OpPut(c.keys.alterRecord(a.Table.ID), record.encode()))
		}
		ok, err := c.commit(ctx, inv.compares(), append(ops, inv.takeUpTo(*last), c.putVersion())...)
		if err != nil {
			return Altered{}, c.unknown("table", table.Name, err)
		}
		if ok {
			return Altered{Table: a.Table, Pending: c.followNow(ctx, record)}, nil
		}
	}
}

// alteration is a change of a table among what there is. The greatest id that was taken is told.
func (c *Catalog) alteration(inv *inventory, table Table) (*Alteration, *int64, error) {
	key := c.tableKey(table)
	now, ok := inv.tables[key]
	switch bad := inv.bad[key]; {
	case bad != nil:
		return nil, nil, &Error{Code: ErrUnreadable, Kind: "table", Name: table.Name, Err: bad}
	case !ok, now.ID != table.ID:
		return nil, nil, &Error{Code: ErrNotFound, Kind: "table", Name: table.Name}
	}
	last := inv.nextID - 1
	a := &Alteration{Table: now.own(), was: now, stores: c.config.Stores, next: func() int64 { last++; return last }}
	for _, t := range inv.tables {
		if t.ID != now.ID {
			a.Tables = append(a.Tables, t)
		}
	}
	for _, o := range inv.objects {
		if o.View == nil {
			continue
		}
		a.all = append(a.all, o)
		if slices.ContainsFunc(o.View.Reads, func(r Read) bool { return r.ID == now.ID }) {
			a.Views = append(a.Views, o)
		}
	}
	slices.SortFunc(a.Views, func(x, y Object) int { return int(x.ID - y.ID) })
	return a, &last, nil
}

// alterOps put the table where it is to be, and what changes with it.
func (c *Catalog) alterOps(inv *inventory, a *Alteration) ([]clientv3.Op, error) {
	key, to := c.tableKey(a.was), c.tableKey(a.Table)
	ops := []clientv3.Op{clientv3.OpPut(to, a.Table.encode())}
	if to != key {
		if !inv.has(c.keys.schema(c.database, a.Table.Schema)) {
			return nil, &Error{Code: ErrNotFound, Kind: "schema", Name: a.Table.Schema}
		}
		if c.nameTaken(inv, a.Table.Schema, a.Table.Name) {
			return nil, &Error{Code: ErrExists, Kind: "table", Name: a.Table.Name}
		}
		ops = append(ops, clientv3.OpDelete(key))
	}
	if err := c.indexNames(inv, a); err != nil {
		return nil, err
	}
	for i := range a.DropViews {
		ops = append(ops, clientv3.OpDelete(c.objectKey(&a.DropViews[i])))
	}
	for _, v := range a.Views {
		view := *v.View
		gone := slices.ContainsFunc(a.DropViews, func(o Object) bool { return o.ID == v.ID })
		if gone || !a.keepNames(&view) {
			continue
		}
		v.View = &view
		value, err := v.encodeView()
		if err != nil {
			return nil, err
		}
		ops = append(ops, clientv3.OpPut(c.objectKey(&v), value))
	}
	if len(ops) > maxAlterOps {
		return nil, &Error{
			Code: ErrUnsupported, Kind: "table", Name: a.was.Name, Detail: fmt.Sprintf("to change %d relations at once", len(ops)),
			Hint: fmt.Sprintf("At most %d can be changed at once: drop views first.", maxAlterOps),
		}
	}
	return ops, nil
}

// maxAlterOps leaves room for the version, the counter and the record among the 128 operations of a transaction.
const maxAlterOps = 120

// indexNames tells whether the indexes that the table gets have names that nothing has.
func (c *Catalog) indexNames(inv *inventory, a *Alteration) error {
	for _, x := range a.Table.Indexes {
		had := a.was.Schema == a.Table.Schema && slices.ContainsFunc(a.was.Indexes, func(y Index) bool { return y.Name == x.Name })
		if !had && c.nameTaken(inv, a.Table.Schema, x.Name) {
			return &Error{Code: ErrExists, Kind: "index", Name: x.Name}
		}
	}
	return nil
}

// alterRecord is that of a change which journals have to follow; nil if there is none.
func (c *Catalog) alterRecord(a *Alteration) *record {
	t := a.Table
	if !t.Owned || proto.Equal(t.journalSpec(c.database, "x"), a.was.journalSpec(c.database, "x")) {
		return nil
	}
	return &record{
		id: t.ID, database: c.database, schema: t.Schema, name: t.Name,
		journals: t.Journals, count: t.Options.Journals, until: time.Now().Add(c.margin()),
	}
}

// followNow lets journals follow their table. It goes on for a while though ctx is done.
func (c *Catalog) followNow(ctx context.Context, r *record) error {
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.margin())
	defer cancel()
	err := c.followTable(ctx, c.keys.alterRecord(r.id))
	if err != nil {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "journals of a changed table follow later",
			slog.String("schema", r.schema), slog.String("table", r.name), slog.Time("at", r.until), slog.String("err", err.Error()))
	}
	return err
}

// errFollowAgain says that something was changed while journals followed.
var errFollowAgain = errors.New("changed meanwhile")

// followTable gives the journals of a table what its entry says, and deletes the record. It may be done twice, and at
// the same time.
//
// No older entry comes after a newer one: journals are listed before the entry is read, and changed only if they are as they were
// listed, also to what they are. So whoever reads an older entry either changes them first, and is seen by who reads the newer one, or not at all.
func (c *Catalog) followTable(ctx context.Context, key string) error {
	for {
		err := c.followOnce(ctx, key)
		if !errors.Is(err, errFollowAgain) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (c *Catalog) followOnce(ctx context.Context, key string) error {
	s, err := c.read(ctx, key)
	if err != nil {
		return fmt.Errorf("catalog: read %s: %w", key, err)
	}
	if s.kvs[0] == nil { // another did it
		return nil
	}
	r, err := decodeRecord(s.kvs[0].GetValue())
	if err != nil {
		return &Error{Code: ErrUnreadable, Kind: "record", Name: key, Err: err}
	}
	journals, err := c.journalsUnder(ctx, r.journals)
	if err != nil {
		return err
	}
	found, err := c.etcd.Get(ctx, c.keys.table(r.database, r.schema, r.name))
	if err != nil {
		return fmt.Errorf("catalog: read table %q.%q: %w", r.schema, r.name, err)
	}
	if t, ok := recorded(found.Kvs, r.id); ok {
		if err := c.respecify(ctx, t, r.database, journals); err != nil {
			return err
		}
	} // else it was dropped, or has another name, and another record
	ok, err := c.commit(ctx, []clientv3.Cmp{unchanged(key, s.kvs[0].GetModRevision())}, clientv3.OpDelete(key))
	if err != nil {
		return fmt.Errorf("catalog: journals of %q.%q follow it, the record of that is left: %w", r.schema, r.name, err)
	}
	if !ok {
		return errFollowAgain
	}
	return nil
}

// recorded is the table of an id, if an entry is of it.
func recorded(kvs []*mvccpb.KeyValue, id int64) (Table, bool) {
	if len(kvs) == 0 {
		return Table{}, false
	}
	t, err := decodeTable(kvs[0].GetValue())
	return t, err == nil && t.ID == id
}

// respecify changes the specifications of journals to what their table says, and leaves what it says nothing of.
func (c *Catalog) respecify(ctx context.Context, t Table, database string, journals []*protocol.ListResponse_Journal) error {
	var changes []*protocol.ApplyRequest_Change
	for _, j := range journals {
		if j.GetSpec().GetLabels().ValueOf(LabelTableID) != strconv.FormatInt(t.ID, 10) {
			continue
		}
		changes = append(changes, &protocol.ApplyRequest_Change{Upsert: t.respecified(database, j.GetSpec()), ExpectModRevision: j.GetModRevision()})
	}
	for batch := range slices.Chunk(changes, applyBatch) {
		err := c.apply(ctx, batch)
		if errors.Is(err, protocol.Status_ETCD_TRANSACTION_FAILED.Err()) {
			return errFollowAgain
		}
		if err != nil {
			return fmt.Errorf("catalog: change journals %s: %w", t.Journals, err)
		}
	}
	return nil
}

// respecified is the specification of a journal with what the table says of it.
func (t Table) respecified(database string, spec *protocol.JournalSpec) *protocol.JournalSpec {
	out := proto.CloneOf(spec)
	said := t.journalSpec(database, spec.GetName())
	out.Labels = protocol.UnionLabelSets(said.GetLabels(), spec.GetLabels())
	f := out.GetFragment()
	f.Length, f.CompressionCodec, f.Stores = said.GetFragment().GetLength(), said.GetFragment().GetCompressionCodec(), said.GetFragment().GetStores()
	f.RefreshInterval = durationpb.New(t.Options.RefreshInterval)
	f.FlushInterval = durationpb.New(t.Options.FlushInterval)
	return out
}

// RenameObject gives a sequence another name. Another that was made in its place isn't meant.
func (c *Catalog) RenameObject(ctx context.Context, o Object, name string) (Object, error) {
	if err := validateIdentifier(string(o.Kind), name); err != nil {
		return o, err
	}
	key := c.objectKey(&o)
	for {
		inv, err := c.inventory(ctx)
		if err != nil {
			return o, fmt.Errorf("catalog: rename %s %q: %w", o.Kind, o.Name, err)
		}
		now, ok := inv.objects[key]
		if !ok || now.ID != o.ID {
			return o, &Error{Code: ErrNotFound, Kind: string(o.Kind), Name: o.Name}
		}
		if c.nameTaken(inv, o.Schema, name) {
			return o, &Error{Code: ErrExists, Kind: string(o.Kind), Name: name}
		}
		now.Name = name
		ok, err = c.commit(ctx, inv.compares(), clientv3.OpDelete(key), clientv3.OpPut(c.objectKey(&now), now.encode()), c.putVersion())
		if err != nil {
			return o, c.unknown(string(o.Kind), o.Name, err)
		}
		if ok {
			return now, nil
		}
	}
}
