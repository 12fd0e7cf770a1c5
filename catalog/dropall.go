package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Drop is what is to be dropped at once. Others that were made in the place of what is meant, under its name, aren't meant.
type Drop struct {
	Tables, Views []Read
	// Cascade drops the views that read any of them too.
	Cascade bool
}

// maxDrops is how many relations go in one transaction, of whose 128 operations a table takes two.
const maxDrops = 60

// DropRelations drops all of some relations, or none. Views that read them, and aren't among them, are dropped and returned
// with Cascade; without, a DependentsError names them. The journals that tables made follow.
func (c *Catalog) DropRelations(ctx context.Context, d Drop) ([]Dependent, error) {
	for {
		inv, err := c.inventory(ctx)
		if err != nil {
			return nil, fmt.Errorf("catalog: drop: %w", err)
		}
		x := doomed{c: c, inv: inv, gone: map[int64]bool{}}
		if err := x.find(d); err != nil {
			return nil, err
		}
		dependents := x.dependents()
		if len(dependents) > 0 && !d.Cascade {
			return nil, &DependentsError{Dependents: dependents}
		}
		ops, err := x.ops(dependents)
		if err != nil {
			return nil, err
		}
		ok, err := c.commit(ctx, inv.compares()[1:], ops...) // ids may be taken meanwhile
		if err != nil {
			return nil, c.unknown(x.kind, x.name, err)
		}
		if !ok {
			continue
		}
		for _, r := range x.records {
			c.finishNow(ctx, r)
		}
		return dependents, nil
	}
}

// doomed is a drop among what there is.
type doomed struct {
	c          *Catalog
	inv        *inventory
	tables     []Table
	views      []Object
	gone       map[int64]bool // ids of what goes
	records    []record
	kind, name string // of one of them
}

// find leads the names to what there is.
func (x *doomed) find(d Drop) error {
	for _, r := range d.Tables {
		key := x.c.keys.table(x.c.database, r.Schema, r.Name)
		t, ok := x.inv.tables[key]
		if err := x.meant("table", key, r, t.ID, ok); err != nil {
			return err
		}
		if !x.gone[t.ID] {
			x.tables, x.gone[t.ID] = append(x.tables, t), true
		}
	}
	for _, r := range d.Views {
		key := x.c.keys.object(x.c.database, r.Schema, ViewObject, r.Name)
		o, ok := x.inv.objects[key]
		if err := x.meant("view", key, r, o.ID, ok); err != nil {
			return err
		}
		if !x.gone[o.ID] {
			x.views, x.gone[o.ID] = append(x.views, o), true
		}
	}
	return nil
}

// meant tells whether what was found under a key is what is to be dropped.
func (x *doomed) meant(kind, key string, r Read, id int64, found bool) error {
	x.kind, x.name = kind, r.Name
	switch bad := x.inv.bad[key]; {
	case bad != nil:
		return &Error{Code: ErrUnreadable, Kind: kind, Name: r.Name, Err: bad}
	case !found, r.ID != id:
		return &Error{Code: ErrNotFound, Kind: kind, Name: r.Name}
	}
	return nil
}

// dependents are the views that read what goes, and those that read them, in PostgreSQL's order: each behind all that it reads.
func (x *doomed) dependents() []Dependent {
	var views []Object
	for _, o := range x.inv.objects {
		if o.View != nil && !x.gone[o.ID] {
			views = append(views, o)
		}
	}
	slices.SortFunc(views, func(a, b Object) int { return cmp.Compare(b.ID, a.ID) })
	seen := map[int64]bool{}
	var out []Dependent
	var follow func(kind string, on Read)
	follow = func(kind string, on Read) {
		for _, v := range views {
			if !seen[v.ID] && slices.ContainsFunc(v.View.Reads, func(r Read) bool { return r.ID == on.ID }) {
				seen[v.ID] = true
				follow(v.KindName(), Read{ID: v.ID, Schema: v.Schema, Name: v.Name})
				out = append(out, Dependent{View: v, Kind: kind, On: on})
			}
		}
	}
	for _, o := range slices.Backward(x.views) {
		follow(o.KindName(), Read{ID: o.ID, Schema: o.Schema, Name: o.Name})
	}
	for _, t := range slices.Backward(x.tables) {
		follow("table", Read{ID: t.ID, Schema: t.Schema, Name: t.Name})
	}
	slices.Reverse(out)
	return out
}

// ops drop it all. What a table made is left to records.
func (x *doomed) ops(dependents []Dependent) ([]clientv3.Op, error) {
	if n := len(x.tables) + len(x.views) + len(dependents); n > maxDrops {
		return nil, &Error{
			Code: ErrUnsupported, Kind: x.kind, Name: x.name, Detail: fmt.Sprintf("to drop %d relations at once", n),
			Hint: fmt.Sprintf("At most %d can be dropped at once: drop the views first.", maxDrops),
		}
	}
	ops := []clientv3.Op{x.c.putVersion()}
	x.records = nil
	for _, t := range x.tables {
		ops = append(ops, clientv3.OpDelete(x.c.tableKey(t)))
		if !t.Owned {
			continue
		}
		r := record{
			id: t.ID, database: x.c.database, schema: t.Schema, name: t.Name,
			journals: t.Journals, count: t.Options.Journals, until: time.Now().Add(x.c.margin()),
		}
		x.records = append(x.records, r)
		ops = append(ops, clientv3.OpPut(x.c.keys.dropRecord(t.ID), r.encode()))
	}
	views := slices.Clone(x.views)
	for _, d := range dependents {
		views = append(views, d.View)
	}
	for i := range views {
		ops = append(ops, clientv3.OpDelete(x.c.objectKey(&views[i])))
	}
	return ops, nil
}
