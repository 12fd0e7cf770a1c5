package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// applyBatch is how many journals one Apply changes: each is an operation and a
// compare of an etcd transaction, of which there may be 128.
const applyBatch = 64

// CreateTable makes a table and its journals, or a table over existing journals. It
// returns when the table is there. Failures are an Error; ErrUnknownOutcome says that
// the table may be there or not.
func (c *Catalog) CreateTable(ctx context.Context, spec TableSpec) (Table, error) {
	if err := spec.Validate(); err != nil {
		return Table{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.CreateTimeout)
	defer cancel()
	if spec.OnJournals != "" {
		return c.createOver(ctx, spec)
	}
	m, err := c.beginCreate(ctx, spec)
	if err != nil {
		return Table{}, err
	}
	if err = m.makeJournals(ctx); err == nil {
		err = m.finish(ctx)
	}
	if err == nil {
		return m.table, nil
	}
	return m.takeBack(ctx, err)
}

// createOver makes a table over existing journals: there is nothing to take back.
func (c *Catalog) createOver(ctx context.Context, spec TableSpec) (Table, error) {
	found, err := c.journalsUnder(ctx, spec.OnJournals)
	if err != nil {
		return Table{}, err
	}
	if len(found) == 0 {
		return Table{}, &Error{
			Code: ErrNoJournals, Kind: "prefix", Name: spec.OnJournals,
			Hint: "Make the journals first, or leave ON JOURNALS out to have them made.",
		}
	}
	for {
		s, err := c.readNames(ctx, spec)
		if err != nil {
			return Table{}, err
		}
		t := spec.table(s.nextID, nil)
		if err := t.fits(); err != nil {
			return Table{}, err
		}
		ok, err := c.commit(ctx, append(s.compares(), c.named(s, spec)...),
			s.takeUpTo(t.lastID()), clientv3.OpPut(c.tableKey(t), t.encode()), c.putVersion())
		if err != nil {
			return Table{}, c.unknown("table", spec.Name, err)
		}
		if ok {
			return t, nil
		}
	}
}

func (c *Catalog) tableKey(t Table) string { return c.keys.table(c.database, t.Schema, t.Name) }

// readNames checks that the schema is there, and is the one that is meant, and that no relation has the table's name.
func (c *Catalog) readNames(ctx context.Context, spec TableSpec) (state, error) {
	s, err := c.read(ctx, append([]string{c.keys.schema(c.database, spec.Schema)}, c.relationKeys(spec.Schema, spec.Name)...)...)
	switch {
	case err != nil:
		return state{}, fmt.Errorf("catalog: create table %q.%q: %w", spec.Schema, spec.Name, err)
	case s.kvs[0] == nil: // here, since with no id any schema will do
		return state{}, &Error{Code: ErrNotFound, Kind: "schema", Name: spec.Schema}
	case slices.ContainsFunc(s.kvs[1:], func(kv *mvccpb.KeyValue) bool { return kv != nil }):
		return state{}, &Error{Code: ErrExists, Kind: "table", Name: spec.Name}
	case spec.SchemaID != 0:
		if _, err := schemaOf(s.kvs[0], Schema{ID: spec.SchemaID, Name: spec.Schema}); err != nil {
			return state{}, err
		}
	}
	return s, nil
}

// named holds that the schema is still there and the name still nobody's.
func (c *Catalog) named(s state, spec TableSpec) []clientv3.Cmp {
	return append(c.nobody(spec.Schema, spec.Name), unchanged(c.keys.schema(c.database, spec.Schema), s.kvs[0].GetModRevision()))
}

// making is a create between T1 and T2 (see the package comment).
type making struct {
	c      *Catalog
	table  Table
	record record
	key    string // of the record
	// applied counts the journals that were asked for, unsure tells that an answer
	// is missing: the request may take effect until the record's time.
	applied int
	unsure  bool
	// finishing tells that T2 was asked for.
	finishing bool
}

// beginCreate is T1.
func (c *Catalog) beginCreate(ctx context.Context, spec TableSpec) (*making, error) {
	for {
		s, err := c.readNames(ctx, spec)
		if err != nil {
			return nil, err
		}
		m := &making{c: c, table: spec.table(s.nextID, c.config.Stores)}
		if err := m.table.fits(); err != nil {
			return nil, err
		}
		foreign, err := c.journalsUnder(ctx, m.table.Journals)
		if err != nil {
			return nil, err
		}
		if len(foreign) > 0 {
			return nil, m.foreign()
		}
		deadline, _ := ctx.Deadline() // CreateTable sets one
		m.record = record{
			id: m.table.ID, database: c.database, schema: spec.Schema, name: spec.Name,
			journals: m.table.Journals, count: m.table.Options.Journals, until: deadline.Add(c.margin()),
		}
		m.key = c.keys.createRecord(c.database, spec.Schema, m.table.ID)
		ok, err := c.commit(ctx, append(s.compares(), c.named(s, spec)...),
			s.takeUpTo(m.table.lastID()), clientv3.OpPut(m.key, m.record.encode()))
		if err != nil {
			// If it was made after all, it is taken back when its time is over: it has
			// made no journals, and another create of the name isn't in its way.
			return nil, fmt.Errorf("catalog: create table %q.%q: %w", spec.Schema, spec.Name, err)
		}
		if ok {
			return m, nil
		}
	}
}

// foreign is the error of a create that finds journals of its names, which nobody
// but itself should make.
func (m *making) foreign() error {
	return &Error{
		Code: ErrExists, Kind: "journals", Name: m.table.Journals, Detail: "the table was going to make these",
		Hint: "Remove the journals under the prefix.",
	}
}

// makeJournals is A.
func (m *making) makeJournals(ctx context.Context) error {
	for names := range slices.Chunk(journalNames(m.table.Journals, m.table.Options.Journals), applyBatch) {
		changes := make([]*protocol.ApplyRequest_Change, 0, len(names))
		for _, name := range names {
			changes = append(changes, &protocol.ApplyRequest_Change{Upsert: m.table.journalSpec(m.c.database, name)})
		}
		err := m.c.apply(ctx, changes)
		if errors.Is(err, protocol.Status_ETCD_TRANSACTION_FAILED.Err()) {
			return m.foreign()
		}
		m.unsure = err != nil && !wasRefused(err)
		if err == nil || m.unsure {
			m.applied += len(names) // made, or maybe
		}
		if err != nil {
			return fmt.Errorf("catalog: create table %q.%q: make its journals: %w", m.table.Schema, m.table.Name, notMade(ctx, err))
		}
	}
	return nil
}

// wasRefused tells whether an Apply certainly changed nothing: a broker answered with a status, or didn't begin.
func wasRefused(err error) bool {
	_, answered := errors.AsType[*protocol.StatusError](err)
	return answered || status.Code(err) == codes.FailedPrecondition && !errors.Is(err, client.ErrUnknownOutcome)
}

// notMade returns err without the identity of client.ErrUnknownOutcome: what is
// unknown is whether there are journals, and not whether there is a table.
func notMade(ctx context.Context, err error) error {
	if errors.Is(err, client.ErrUnknownOutcome) {
		return errors.Join(context.Cause(ctx), errors.New(err.Error()))
	}
	return err
}

// apply is an Apply whose refusals are errors.
func (c *Catalog) apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) error {
	r, err := c.journals.Apply(ctx, changes)
	if err != nil {
		return err
	}
	if s := r.GetStatus(); s != protocol.Status_OK {
		return &protocol.StatusError{Status: s}
	}
	return nil
}

// errOvertaken says that the record of a create was taken from it, or that another
// table of its name was faster.
var errOvertaken = errors.New("overtaken")

// finish is T2.
func (m *making) finish(ctx context.Context) error {
	m.finishing = true
	key := m.c.tableKey(m.table)
	ok, err := m.c.commit(ctx, append(m.c.nobody(m.table.Schema, m.table.Name), clientv3.Compare(clientv3.CreateRevision(m.key), ">", 0)),
		clientv3.OpPut(key, m.table.encode()), clientv3.OpDelete(m.key), m.c.putVersion())
	if err == nil && !ok {
		err = errOvertaken
	}
	return err
}

// takeBack ends a create that failed with cause: its record becomes that of a drop.
// It goes on for a while though ctx is done. The outcome is what etcd says: if T2
// was made after all, the table is there.
func (m *making) takeBack(ctx context.Context, cause error) (Table, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.c.margin())
	defer cancel()
	m.record.count = m.applied
	dropKey := m.c.keys.dropRecord(m.table.ID)
	r, err := m.c.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(m.key), ">", 0)).
		Then(clientv3.OpDelete(m.key), clientv3.OpPut(dropKey, m.record.encode())).
		Else(clientv3.OpGet(m.c.tableKey(m.table))).
		Commit()
	if err != nil && !m.finishing {
		return Table{}, errors.Join(cause, err) // without T2 there is no table; the sweep does the rest
	}
	if err != nil {
		return Table{}, m.c.unknown("table", m.table.Name, errors.Join(cause, err))
	}
	if !r.Succeeded {
		if m.isThere(r.Responses[0].GetResponseRange().GetKvs()) {
			return m.table, nil
		}
		// Somebody thought that we had died and took the record. What they couldn't
		// see is what we made since.
		if _, err := m.c.commit(ctx, nil, clientv3.OpPut(dropKey, m.record.encode())); err != nil {
			return Table{}, errors.Join(cause, err)
		}
	}
	if errors.Is(cause, errOvertaken) {
		cause = &Error{Code: ErrExists, Kind: "table", Name: m.table.Name}
	}
	if m.unsure {
		return Table{}, cause // the sweep drops the journals when none can come any more
	}
	m.c.finishNow(ctx, m.record)
	return Table{}, cause
}

// finishNow does the rest of a drop. What fails is left to the sweep.
func (c *Catalog) finishNow(ctx context.Context, r record) {
	if err := c.finishDrop(ctx, r); err != nil {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "journals of a dropped table are left for later",
			slog.String("schema", r.schema), slog.String("table", r.name), slog.String("journals", r.journals),
			slog.Time("at", r.until), slog.String("err", err.Error()))
	}
}
