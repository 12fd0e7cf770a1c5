package sqlgw

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// The relations of bs_catalog about materialized views that the session may read. They ask the hosts that keep them.

func materializedColumns() []columnar.Column {
	return []columnar.Column{
		text("view_schema"), text("view_name"), text("owner"), bigint("standbys"), text("skipped"), text("status"), text("error"),
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
	views := s.materialized()
	told := s.askViews(ctx, views)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for i, o := range views {
		b.text(0, o.Schema)
		b.text(1, o.Name)
		b.text(2, cmp.Or(names[o.View.Owner], superuser))
		b.cols[3].AppendInt64(int64(o.View.Materialized.Standbys))
		if skipped := o.View.Materialized.Skipped; len(skipped) > 0 {
			b.text(4, textOfPlaces(skipped))
		} else {
			b.cols[4].AppendNull()
		}
		if err := s.materializedState(ctx, b, told[i]); err != nil {
			return err
		}
	}
	return add(b.batch())
}

// viewAnswer is what whoever keeps a view says of it.
type viewAnswer struct {
	at  ViewStat
	err error
}

// askViews how they are, some at a time: one that doesn't answer holds up none of the others.
func (v viewState) askViews(ctx context.Context, views []catalog.Object) []viewAnswer {
	out := make([]viewAnswer, len(views))
	g := v.session.gateway
	if g.cfg.Views == nil {
		return out
	}
	var eg errgroup.Group
	eg.SetLimit(journalFanout)
	for i, o := range views {
		eg.Go(func() error {
			asked, cancel := context.WithTimeout(ctx, viewPatience)
			defer cancel()
			out[i].at, out[i].err = g.cfg.Views.Stat(asked, o.ID)
			return nil
		})
	}
	_ = eg.Wait() // each answer has its error
	return out
}

// materializedState appends what was answered of a view. Of journals that it has read, some may have gone since.
func (v viewState) materializedState(ctx context.Context, b *viewRows, told viewAnswer) error {
	g, at := v.session.gateway, told.at
	if g.cfg.Views == nil {
		b.text(5, "unknown")
		b.text(6, "this gateway has no host for materialized views")
		b.nulls(7)
		return nil
	}
	if told.err != nil {
		b.text(5, "not ready")
		b.text(6, told.err.Error())
		b.nulls(7)
		return nil //nolint:nilerr // it is what the row tells
	}
	created, err := g.revisions.of(ctx, slices.Sorted(maps.Keys(at.Cut)))
	if err != nil {
		return err
	}
	heads, err := g.fixCut(ctx, slices.Sorted(maps.Keys(created)))
	if err != nil {
		return err
	}
	lag := int64(0)
	for j, head := range heads {
		lag += max(0, head-at.Cut[j])
	}
	b.text(5, "kept")
	b.cols[6].AppendNull()
	b.cols[7].AppendInt64(int64(at.Epoch)) //nolint:gosec // it counts transactions
	b.text(8, textOfCut(v.snap.Revision(), created, at.Cut))
	b.cols[9].AppendInt64(int64(at.Rows)) //nolint:gosec // they are counted
	b.cols[10].AppendInt64(lag)
	return nil
}

// textOfPlaces lists rows that a view does without.
func textOfPlaces(rows []catalog.RowPlace) string {
	list := make([]string, len(rows))
	for i, p := range rows {
		list[i] = p.String()
	}
	return strings.Join(list, ", ")
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
