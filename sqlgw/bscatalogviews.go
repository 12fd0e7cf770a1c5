package sqlgw

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// The relations of bs_catalog about materialized views that the session may read. They ask the hosts that keep them.

func materializedColumns() []columnar.Column {
	return []columnar.Column{
		text("view_schema"), text("view_name"), text("owner"), bigint("standbys"), text("status"), text("error"),
		bigint("epoch"), text("cut"), bigint("kept_rows"), bigint("lag_bytes"),
	}
}

func shardColumns() []columnar.Column {
	return []columnar.Column{text("view_schema"), text("view_name"), text("shard"), text("member"), text("status")}
}

// materialized are the materialized views that the session may read.
func (v viewState) materialized() []catalog.Object {
	return slices.DeleteFunc(v.snap.Objects(), func(o catalog.Object) bool {
		return o.View == nil || o.View.Materialized == nil || v.session.permitView(v.snap, o, parse.Name{Schema: o.Schema, Name: o.Name}) != nil
	})
}

// viewPatience bounds how long one view is asked how it is.
const viewPatience = 5 * time.Second

func materializedRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(materializedColumns())
	names := map[int64]string{}
	for _, r := range s.snap.Roles() {
		names[r.ID] = r.Name
	}
	for _, o := range s.materialized() {
		b.text(0, o.Schema)
		b.text(1, o.Name)
		b.text(2, cmp.Or(names[o.View.Owner], superuser))
		b.cols[3].AppendInt64(int64(o.View.Materialized.Standbys))
		if err := s.materializedState(ctx, b, o); err != nil {
			return err
		}
	}
	return add(b.batch())
}

// materializedState appends what whoever keeps a view says of it.
func (v viewState) materializedState(ctx context.Context, b *viewRows, o catalog.Object) error {
	g := v.session.gateway
	if g.cfg.Views == nil {
		b.text(4, "unknown")
		b.text(5, "this gateway has no host for materialized views")
		b.nulls(6)
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, viewPatience)
	defer cancel()
	at, err := g.cfg.Views.Stat(asked, o.ID)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		b.text(4, "not ready")
		b.text(5, err.Error())
		b.nulls(6)
		return nil
	}
	lag := int64(0)
	heads, err := g.fixCut(ctx, slices.Sorted(maps.Keys(at.Cut)))
	if err != nil {
		return err
	}
	for j, head := range heads {
		lag += max(0, head-at.Cut[j])
	}
	created, err := g.revisions.of(ctx, slices.Sorted(maps.Keys(at.Cut)))
	if err != nil {
		return err
	}
	b.text(4, "kept")
	b.cols[5].AppendNull()
	b.cols[6].AppendInt64(int64(at.Epoch)) //nolint:gosec // it counts transactions
	b.text(7, textOfCut(v.snap.Revision(), created, at.Cut))
	b.cols[8].AppendInt64(int64(at.Rows)) //nolint:gosec // they are counted
	b.cols[9].AppendInt64(lag)
	return nil
}

// textOfCut is the text of a cut of journals that are there.
func textOfCut(revision int64, created, at map[string]int64) string {
	places := make([]clock.Place, 0, len(at))
	for j, offset := range at {
		if rev, ok := created[j]; ok {
			places = append(places, clock.Place{Journal: j, Revision: rev, Offset: offset})
		}
	}
	return clock.NewCut(revision, places).String()
}

// shardRows has each member that a view's shard is assigned to, the primary first.
func shardRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(shardColumns())
	views := s.materialized()
	if s.session.gateway.cfg.Views == nil || len(views) == 0 {
		return add(b.batch())
	}
	members, err := s.session.gateway.cfg.Views.Members(ctx)
	if err != nil {
		return err
	}
	for _, o := range views {
		for _, m := range members[o.ID] {
			b.text(0, o.Schema)
			b.text(1, o.Name)
			b.text(2, m.Shard)
			b.text(3, m.Member)
			b.text(4, strings.ToLower(m.Status))
		}
	}
	return add(b.batch())
}
