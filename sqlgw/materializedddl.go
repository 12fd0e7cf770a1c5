package sqlgw

import (
	"context"
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareMaterialized prepares the statements about materialized views; nil is none of them.
func (s *session) prepareMaterialized(p parse.Statement) *statement {
	switch p := p.(type) {
	case *parse.CreateMaterializedView:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createMaterialized(ctx, w, p) })
	case *parse.AlterMaterializedView:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.alterMaterialized(ctx, w, p) })
	case *parse.DropMaterializedViews:
		d := viewDrop{views: p.Views, ifExists: p.IfExists, cascade: p.Cascade, materialized: true}
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.dropViews(ctx, w, d) })
	case *parse.RefreshMaterializedView:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.refreshMaterialized(ctx, w, p) })
	}
	return nil
}

// materializedTraits are what transactions know of these statements.
func materializedTraits(p parse.Statement) (traits, bool) {
	switch p.(type) {
	case *parse.CreateMaterializedView:
		return traits{command: "CREATE MATERIALIZED VIEW", writes: true, alone: true}, true
	case *parse.AlterMaterializedView:
		return traits{command: "ALTER MATERIALIZED VIEW", writes: true, alone: true}, true
	case *parse.DropMaterializedViews:
		return traits{command: "DROP MATERIALIZED VIEW", writes: true, alone: true}, true
	case *parse.RefreshMaterializedView:
		return traits{command: "REFRESH MATERIALIZED VIEW", writes: true}, true
	case *parse.VerifyMaterializedView:
		return traits{command: "VERIFY MATERIALIZED VIEW", queries: true, alone: true}, true
	}
	return traits{}, false
}

// ofKind refuses a view that is materialized where one that isn't is meant, or the other way round.
func ofKind(o catalog.Object, materialized, drop bool) error {
	if (o.View.Materialized != nil) == materialized {
		return nil
	}
	wanted := "view"
	if materialized {
		wanted = "materialized view"
	}
	e := sqlError("42809", "%q is not a %s", o.Name, wanted)
	if drop {
		e.Hint = dropHint(o)
	}
	return e
}

// dropHint tells how a view is dropped.
func dropHint(o catalog.Object) string {
	if o.View.Materialized != nil {
		return "Use DROP MATERIALIZED VIEW to remove a materialized view."
	}
	return "Use DROP VIEW to remove a view."
}

func (s *session) createMaterialized(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateMaterializedView) error {
	if s.gateway.cfg.Views == nil {
		return hinted(sqlError("0A000", "materialized views are not supported by this gateway: it has no host for them"), "Ask a gateway that was started with one.")
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	schema, err := s.mayCreateView(snap, p.View)
	if err != nil {
		return err
	}
	o, err := s.newMaterialized(ctx, snap, schema.Name, p)
	if err != nil {
		return err
	}
	_, err = s.gateway.cfg.Catalog.CreateView(ctx, schema, o, nil)
	if e, ok := errors.AsType[*catalog.Error](err); ok && e.Code == catalog.ErrExists && p.IfNotExists {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P07", Message: fmt.Sprintf("relation %q already exists, skipping", o.Name)})
		err = nil
	}
	if err != nil {
		return catalogError(err)
	}
	w.Complete("CREATE MATERIALIZED VIEW")
	return nil
}

// newMaterialized is the view that a statement says. Whoever makes it may read the table now: its rows are kept for those who may read the view.
func (s *session) newMaterialized(ctx context.Context, snap *catalog.Snapshot, schema string, p *parse.CreateMaterializedView) (catalog.Object, error) {
	var sources []source
	for _, r := range p.Query.Relations() {
		x, err := s.resolve(snap, r.Name)
		if err != nil {
			return catalog.Object{}, err
		}
		sources = append(sources, x)
		switch {
		case x.stored != nil:
			return catalog.Object{}, at(sqlError("0A000", "a materialized view of %s %q is not supported", x.stored.object.KindName(), r.Name.Name), r.Position)
		case x.temp:
			return catalog.Object{}, at(sqlError("0A000", "a materialized view of temporary table %q is not supported", r.Name.Name), r.Position)
		case x.view != nil:
			return catalog.Object{}, at(sqlError("0A000", "a materialized view of system relation %q is not supported", r.Name.Name), r.Position)
		}
		if f := x.table.RowSchema().Format; f != nil && f.Frames() {
			return catalog.Object{}, at(sqlError("0A000", "a materialized view of table %q, whose rows are frames, is not supported", r.Name.Name), r.Position)
		}
		if r.AsOf != nil {
			return catalog.Object{}, at(sqlError("0A000", "%s in a materialized view is not supported", r.AsOf.Clause()), r.AsOf.Position)
		}
		if err := s.permit(snap, x.table, catalog.Select, r.Name); err != nil {
			return catalog.Object{}, err
		}
	}
	if _, err := p.Query.Incremental(); err != nil {
		return catalog.Object{}, parseError(err)
	}
	o, err := s.newView(ctx, snap, schema, &parse.CreateView{View: p.View, Columns: p.Columns, Query: p.Query})
	if err != nil {
		return o, err
	}
	o.View.Materialized = &catalog.Materialized{Standbys: p.Standbys}
	kept, err := parseView(o)
	if err != nil {
		return o, err
	}
	stored := storedView{object: o, query: kept, sources: sources}
	if _, err := stored.lastStep(); err != nil {
		return o, at(err, 0)
	}
	return o, s.mayKeep(ctx, snap, kept)
}

func (s *session) alterMaterialized(ctx context.Context, w pgwire.ResultWriter, p *parse.AlterMaterializedView) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	o, err := s.materialized(snap, p.View)
	if err != nil {
		e, ok := errors.AsType[*pgwire.Error](err)
		if !ok || e.Code != "42P01" || !p.IfExists {
			return err
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
		w.Complete("ALTER MATERIALIZED VIEW")
		return nil
	}
	if err := s.ownView(snap, o); err != nil {
		return err
	}
	if p.Skip != nil {
		return s.skipRow(ctx, w, snap, o, *p.Skip)
	}
	change, err := s.viewChange(snap, o, &parse.AlterView{View: p.View, Rename: p.Rename, Schema: p.Schema, Owner: p.Owner})
	if err != nil {
		return err
	}
	if _, err := s.gateway.cfg.Catalog.ChangeView(ctx, o, change); err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER MATERIALIZED VIEW")
	return nil
}

// materialized finds the materialized view that a name leads to.
func (s *session) materialized(snap *catalog.Snapshot, n parse.Name) (catalog.Object, error) {
	if o, ok := s.view(snap, n); ok {
		return o, ofKind(o, true, false)
	}
	if x, err := s.resolve(snap, n); err == nil && x.stored == nil {
		return catalog.Object{}, sqlError("42809", "%q is not a materialized view", n.Name)
	}
	return catalog.Object{}, undefinedTable(parse.Name{Schema: n.Schema, Name: n.Name})
}

// refreshMaterialized has nothing to do: who reads the view waits until it has what there is.
func (s *session) refreshMaterialized(ctx context.Context, w pgwire.ResultWriter, p *parse.RefreshMaterializedView) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	o, err := s.materialized(snap, p.View)
	if err != nil {
		return err
	}
	if err := s.ownView(snap, o); err != nil {
		return err
	}
	s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("materialized view %q is always up to date", o.Name)})
	w.Complete("REFRESH MATERIALIZED VIEW")
	return nil
}
