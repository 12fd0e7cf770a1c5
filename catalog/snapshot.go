package catalog

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

// Snapshot is the catalog at one revision. It never changes.
type Snapshot struct {
	catalog *Catalog
	view    *keyspace.View
}

// Snapshot returns one that has every change which was made before it was called, by
// whomever. It costs one linearizable read of etcd, which concurrent callers share.
// Run has to be running.
func (c *Catalog) Snapshot(ctx context.Context) (*Snapshot, error) {
	revision, err := c.newest.await(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.mirror.WaitForRevision(ctx, revision); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return &Snapshot{catalog: c, view: c.mirror.View()}, nil
}

// Latest returns a snapshot of what has been seen of the catalog. It asks nobody, and may miss what was
// changed of late.
func (c *Catalog) Latest() *Snapshot { return &Snapshot{catalog: c, view: c.mirror.View()} }

// Changed returns a channel that is closed once Latest is another. Whoever waits for it asks for it first.
func (c *Catalog) Changed() <-chan struct{} { return c.mirror.Changed() }

// Revision of etcd that the snapshot is of.
func (s *Snapshot) Revision() int64 { return s.view.Revision() }

// Database that the snapshot is of.
func (s *Snapshot) Database() string { return s.catalog.database }

// Databases are the names of all databases, in order.
func (s *Snapshot) Databases() []string {
	var out []string
	s.view.Ascend(s.catalog.keys.databases(), func(kv keyspace.KeyValue) bool {
		if d, ok := kv.Value.(database); ok {
			out = append(out, d.Name)
		}
		return true
	})
	slices.Sort(out)
	return out
}

// Schema returns the schema of this name.
func (s *Snapshot) Schema(name string) (Schema, bool) {
	kv, _ := s.view.Get(s.catalog.keys.schema(s.catalog.database, name))
	e, ok := kv.Value.(schema)
	return Schema{ID: e.ID, Name: e.Name, Comment: e.Comment, Access: nameEntry(e).access()}, ok
}

// Schemas are all schemas, in the order of their names.
func (s *Snapshot) Schemas() []Schema {
	var out []Schema
	s.view.Ascend(s.catalog.keys.schemas(s.catalog.database), func(kv keyspace.KeyValue) bool {
		if e, ok := kv.Value.(schema); ok {
			out = append(out, Schema{ID: e.ID, Name: e.Name, Comment: e.Comment, Access: nameEntry(e).access()})
		}
		return true
	})
	slices.SortFunc(out, func(a, b Schema) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Table returns the table of this name.
func (s *Snapshot) Table(schemaName, name string) (Table, bool) {
	kv, _ := s.view.Get(s.catalog.keys.table(s.catalog.database, schemaName, name))
	t, ok := kv.Value.(Table)
	return t, ok
}

// Tables are all tables, in the order of their schemas and names.
func (s *Snapshot) Tables() []Table {
	var out []Table
	s.view.Ascend(s.catalog.keys.tables(s.catalog.database), func(kv keyspace.KeyValue) bool {
		if t, ok := kv.Value.(Table); ok {
			out = append(out, t)
		}
		return true
	})
	slices.SortFunc(out, func(a, b Table) int { return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name)) })
	return out
}

// Objects are all that aren't tables, in the order of their schemas, kinds and names.
func (s *Snapshot) Objects() []Object {
	var out []Object
	s.view.Ascend(s.catalog.keys.objects(s.catalog.database), func(kv keyspace.KeyValue) bool {
		if o, ok := kv.Value.(Object); ok {
			out = append(out, o)
		}
		return true
	})
	return out
}

// WholeObjects tells whether Objects are all that there are: none is of a newer version of Broadsheet, or damaged.
func (s *Snapshot) WholeObjects() bool {
	whole := true
	s.view.Ascend(s.catalog.keys.objects(s.catalog.database), func(kv keyspace.KeyValue) bool {
		_, ok := kv.Value.(Object)
		whole = ok
		return ok
	})
	return whole
}

// Unreadable says why a table, which Table doesn't return, can't be read; nil if
// there is no such entry at all.
func (s *Snapshot) Unreadable(schemaName, name string) error {
	kv, _ := s.view.Get(s.catalog.keys.table(s.catalog.database, schemaName, name))
	if bad, ok := kv.Value.(unreadable); ok {
		return &Error{
			Code: ErrUnreadable, Kind: "table", Name: name, Err: bad.err,
			Hint: "It was probably made by a newer version of Broadsheet.",
		}
	}
	return nil
}

// Journals are the names of a table's journals, in order. Those of a table over
// existing journals are what brokers list under its prefix now.
func (s *Snapshot) Journals(ctx context.Context, t Table) ([]string, error) {
	if t.Owned {
		return journalNames(t.Journals, t.Options.Journals), nil
	}
	found, err := s.catalog.journalsUnder(ctx, t.Journals)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(found))
	for _, j := range found {
		names = append(names, j.GetSpec().GetName())
	}
	slices.Sort(names)
	return names, nil
}

// journalsUnder lists the journals whose names begin with prefix, which ends in '/'. A prefix that no name begins with is an error.
func (c *Catalog) journalsUnder(ctx context.Context, prefix string) ([]*protocol.ListResponse_Journal, error) {
	if err := (TableSpec{OnJournals: prefix}).validatePrefix(); err != nil {
		return nil, err
	}
	found, err := c.journals.List(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelPrefix, prefix)})
	if err != nil {
		return nil, fmt.Errorf("catalog: list journals under %s: %w", prefix, err)
	}
	return found, nil
}

// records are the creates, drops and changes that aren't done, of all databases.
func (c *Catalog) records() []left {
	var out []left
	add := func(kv keyspace.KeyValue) bool {
		l := left{key: kv.Key, mod: kv.ModRevision}
		switch r := kv.Value.(type) {
		case creating:
			l.record, l.creating = record(r), true
		case dropping:
			l.record = record(r)
		case altering:
			l.record, l.altering = record(r), true
		default:
			return true
		}
		out = append(out, l)
		return true
	}
	v := c.mirror.View()
	v.Ascend(c.keys.creating(), add)
	v.Ascend(c.keys.dropping(), add)
	v.Ascend(c.keys.altering(), add)
	return out
}

func (c *Catalog) logSwept(ctx context.Context, r left) {
	message := "finished a drop that another process began"
	switch {
	case r.creating:
		message = "took back a create that another process began"
	case r.altering:
		message = "finished a change of a table that another process began"
	}
	c.logger.LogAttrs(ctx, slog.LevelInfo, message, //nolint:sloglint // one of three constants
		slog.String("schema", r.schema), slog.String("table", r.name), slog.String("journals", r.journals))
}

func (c *Catalog) warnSweep(ctx context.Context, err error) {
	c.logger.LogAttrs(ctx, slog.LevelWarn, "tables that were left half made or half dropped can't be cleared now",
		slog.String("err", strings.ReplaceAll(err.Error(), "\n", "; ")))
}
