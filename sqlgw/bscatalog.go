package sqlgw

import (
	"cmp"
	"context"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// The relations of bs_catalog about what brokers hold. They ask brokers: one listing for each table, and for fragments and lag also
// one for each journal, of tables that the session may read and of journals that the statement asks for. What becomes of it is bounded as that of every such relation is.

func truthColumn(name string) columnar.Column {
	return columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.Bool}}
}

// brokerViews are those relations.
func brokerViews() []*systemView {
	return []*systemView{
		{schema: bsCatalog, name: "tables", rows: tableListRows, columns: tableListColumns()},
		{schema: bsCatalog, name: "assignments", rows: assignmentRows, columns: assignmentColumns()},
		{schema: bsCatalog, name: "brokers", rows: brokerRows, columns: brokerColumns()},
		{schema: bsCatalog, name: "fragments", rows: fragmentRows, columns: fragmentColumns()},
		{schema: bsCatalog, name: "lag", rows: lagRows, columns: lagColumns()},
		{schema: bsCatalog, name: "shards", rows: shardRows, columns: shardColumns()},
		{schema: bsCatalog, name: "materialized_views", rows: materializedRows, columns: materializedColumns()},
		{schema: bsCatalog, name: "subscriptions", rows: subscriptionRows, columns: subscriptionColumns()},
	}
}

// readable are the tables that the session may read.
func (v viewState) readable() []catalog.Table {
	return slices.DeleteFunc(slices.Clone(v.snap.Tables()), func(t catalog.Table) bool {
		return !v.session.may(v.snap, t, catalog.Select, parse.Name{Schema: t.Schema, Name: t.Name})
	})
}

func tableListColumns() []columnar.Column {
	return []columnar.Column{text("table_schema"), text("table_name"), text("owner"), text("prefix"), bigint("journals"), truthColumn("owned")}
}

// tableListRows has all tables, as pg_tables has.
func tableListRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(tableListColumns())
	names := map[int64]string{}
	for _, r := range s.snap.Roles() {
		names[r.ID] = r.Name
	}
	for _, t := range s.snap.Tables() {
		journals, err := s.snap.Journals(ctx, t)
		if err != nil {
			return err
		}
		b.text(0, t.Schema)
		b.text(1, t.Name)
		b.text(2, cmp.Or(names[t.Access.Owner], superuser))
		b.text(3, t.Journals)
		b.cols[4].AppendInt64(int64(len(journals)))
		b.cols[5].AppendBool(t.Owned)
	}
	return add(b.batch())
}

func assignmentColumns() []columnar.Column {
	return []columnar.Column{
		text("table_schema"), text("table_name"), text("journal"), text("zone"), text("broker"), bigint("slot"), truthColumn("is_primary"), bigint("replication"),
	}
}

// assignmentRows tell which brokers hold journals. Slots are in the order of the members' names.
func assignmentRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(assignmentColumns())
	err := s.holdings().eachListed(ctx, func(t catalog.Table, j *protocol.ListResponse_Journal) error {
		for i, m := range j.GetRoute().GetMembers() {
			b.text(0, t.Schema)
			b.text(1, t.Name)
			b.text(2, j.GetSpec().GetName())
			b.text(3, m.GetZone())
			b.text(4, m.GetSuffix())
			b.cols[5].AppendInt64(int64(i))
			b.cols[6].AppendBool(int32(i) == j.GetRoute().GetPrimary()) //nolint:gosec // There are few members.
			b.cols[7].AppendInt64(int64(j.GetSpec().GetReplication()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return add(b.batch())
}

func brokerColumns() []columnar.Column {
	return []columnar.Column{text("zone"), text("broker"), text("endpoint"), bigint("journals"), bigint("primaries")}
}

// brokerRows are of the brokers that hold a journal of such a table.
func brokerRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	type broker struct{ zone, suffix, endpoint string }
	held, primary := map[broker]int64{}, map[broker]int64{}
	err := s.holdings().eachListed(ctx, func(_ catalog.Table, j *protocol.ListResponse_Journal) error {
		r := j.GetRoute()
		for i, m := range r.GetMembers() {
			x := broker{zone: m.GetZone(), suffix: m.GetSuffix()}
			if i < len(r.GetEndpoints()) {
				x.endpoint = r.GetEndpoints()[i]
			}
			held[x]++
			if int32(i) == r.GetPrimary() { //nolint:gosec // There are few members.
				primary[x]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b := newViewRows(brokerColumns())
	for x, n := range held {
		b.text(0, x.zone)
		b.text(1, x.suffix)
		b.text(2, x.endpoint)
		b.cols[3].AppendInt64(n)
		b.cols[4].AppendInt64(primary[x])
	}
	return add(b.batch())
}

func fragmentColumns() []columnar.Column {
	return []columnar.Column{
		text("table_schema"), text("table_name"), text("journal"), bigint("begin"), bigint("end"), text("codec"), text("store"),
		{Name: "modified", Type: columnar.Type{Kind: columnar.TimestampTZ}},
	}
}

// fragmentRows are of the stored ones, and of those that only brokers have: these have no store and no time.
func fragmentRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	return s.holdings().eachFragments(ctx, func(t catalog.Table, journal string, list []*protocol.Fragment) error {
		b := newViewRows(fragmentColumns())
		for _, f := range list {
			b.text(0, t.Schema)
			b.text(1, t.Name)
			b.text(2, journal)
			b.cols[3].AppendInt64(f.GetBegin())
			b.cols[4].AppendInt64(f.GetEnd())
			b.text(5, f.GetCompressionCodec().String())
			if f.GetBackingStore() == "" {
				b.cols[6].AppendNull()
			} else {
				b.text(6, f.GetBackingStore())
			}
			if f.GetModTime() == 0 {
				b.cols[7].AppendNull()
			} else {
				b.cols[7].AppendInt64(f.GetModTime() * 1_000_000)
			}
		}
		return add(b.batch())
	})
}

func lagColumns() []columnar.Column {
	return []columnar.Column{text("table_schema"), text("table_name"), text("journal"), bigint("head"), bigint("stored"), bigint("lag")}
}

// lagRows tell how much of each journal isn't stored yet, in bytes.
func lagRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(lagColumns())
	err := s.holdings().eachFragments(ctx, func(t catalog.Table, journal string, list []*protocol.Fragment) error {
		head, err := s.session.gateway.head(ctx, journal)
		if err != nil {
			return err
		}
		stored := int64(0)
		for _, f := range list {
			if f.GetBackingStore() != "" {
				stored = max(stored, f.GetEnd())
			}
		}
		b.text(0, t.Schema)
		b.text(1, t.Name)
		b.text(2, journal)
		b.cols[3].AppendInt64(head)
		b.cols[4].AppendInt64(stored)
		b.cols[5].AppendInt64(max(0, head-stored))
		return nil
	})
	if err != nil {
		return err
	}
	return add(b.batch())
}
