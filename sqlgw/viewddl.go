package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareView prepares the statements that make, change and drop views; nil is none of them.
func (s *session) prepareView(p parse.Statement) *statement {
	switch p := p.(type) {
	case *parse.CreateView:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createView(ctx, w, p) })
	case *parse.AlterView:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.alterView(ctx, w, p) })
	case *parse.DropView:
		d := viewDrop{views: p.Views, ifExists: p.IfExists, cascade: p.Cascade}
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.dropViews(ctx, w, d) })
	}
	return s.prepareMaterialized(p)
}

func (s *session) createView(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateView) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	schema, err := s.mayCreateView(snap, p.View)
	if err != nil {
		return err
	}
	o, err := s.newView(ctx, snap, schema.Name, p)
	if err != nil {
		return err
	}
	var replace func(catalog.Object) error
	if p.Replace {
		replace = func(old catalog.Object) error { return s.mayReplace(snap, old, o) }
	}
	_, err = s.gateway.cfg.Catalog.CreateView(ctx, schema, o, replace)
	if e, ok := errors.AsType[*catalog.Error](err); ok {
		switch {
		case e.Code == catalog.ErrExists && p.Replace:
			return sqlError("42809", "%q is not a view", o.Name)
		case e.Kind == catalog.RecursiveView:
			return sqlError("42P17", "infinite recursion detected in rules for relation %q", o.Name)
		}
	}
	if err != nil {
		return catalogError(err)
	}
	w.Complete("CREATE VIEW")
	return nil
}

// mayCreateView finds the schema in which a view is to be made, if the session may make it there.
func (s *session) mayCreateView(snap *catalog.Snapshot, n parse.Name) (catalog.Schema, error) {
	name, err := s.targetSchema(snap, n)
	if err != nil {
		return catalog.Schema{}, err
	}
	switch name {
	case "pg_catalog", "information_schema", bsCatalog:
		return catalog.Schema{}, sqlError("42501", "permission denied to create %q: system schemas are closed", name+"."+n.Name)
	}
	return s.createIn(snap, name)
}

// newView is the view that a statement says, with what its names mean now.
func (s *session) newView(ctx context.Context, snap *catalog.Snapshot, schema string, p *parse.CreateView) (catalog.Object, error) {
	o := catalog.Object{Kind: catalog.ViewObject, Schema: schema, Name: p.View.Name}
	relations := p.Query.Relations()
	sources := make([]source, len(relations))
	views := expansion{session: s, snap: snap, free: true}
	for i, r := range relations {
		var err error
		if sources[i], err = s.readable(snap, &views, r.Name); err != nil {
			return o, err
		}
	}
	resolved, err := p.Query.Resolve(parse.Binding{Relation: func(r parse.Relation) (parse.Target, error) {
		return namesOf(sources[r.Index], relations[r.Index].Meta), nil
	}, Style: s.settings.style()})
	if err != nil {
		return o, parseError(err)
	}
	names, err := viewColumnNames(resolved.Columns, p.Columns)
	if err != nil {
		return o, err
	}
	o.View = &catalog.View{Query: resolved.Text, SecurityInvoker: p.SecurityInvoker, Owner: s.actor(snap).Role.ID}
	for _, x := range sources {
		o.View.Reads = append(o.View.Reads, x.asRead())
	}
	for _, name := range names {
		o.View.Columns = append(o.View.Columns, catalog.ViewColumn{Name: name, TypMod: -1})
	}
	return o, s.typeView(ctx, snap, &o, sources, resolved.Origins)
}

// readable finds a relation that a view is to read. Whether its rows may be read is asked when they are.
func (s *session) readable(snap *catalog.Snapshot, views *expansion, n parse.Name) (source, error) {
	x, err := s.resolve(snap, n)
	switch {
	case err != nil:
		return x, err
	case x.temp:
		return x, at(sqlError("0A000", "a view of temporary table %q is not supported", n.Name), n.Position)
	case x.stored != nil:
		if err := s.usable(snap, x.stored.object.Schema, n); err != nil {
			return x, err
		}
		return x, views.expand(x.stored, 1)
	case x.view == nil:
		return x, s.usable(snap, x.table.Schema, n)
	}
	return x, nil
}

// namesOf are the names that a relation gives to a query.
func namesOf(x source, meta []string) parse.Target {
	switch {
	case x.stored != nil:
		return parse.Target{Schema: x.stored.object.Schema, Columns: x.stored.columns()}
	case x.view != nil:
		return x.view.target("")
	}
	columns := x.table.RowSchema().Columns
	return parse.Target{Schema: x.table.Schema, Columns: columnNames(columns), Types: typeNames(columns), Hidden: meta}
}

// asRead is how a view names a relation that it reads.
func (x source) asRead() catalog.Read {
	switch {
	case x.stored != nil:
		o := x.stored.object
		return catalog.Read{ID: o.ID, Schema: o.Schema, Name: o.Name}
	case x.view != nil:
		return catalog.Read{Schema: x.view.schema, Name: x.view.name}
	}
	return catalog.Read{ID: x.table.ID, Schema: x.table.Schema, Name: x.table.Name}
}

// viewColumnNames are those of a view's columns: the first ones may be given.
func viewColumnNames(names, given []string) ([]string, error) {
	if len(given) > len(names) {
		return nil, sqlError("42601", "CREATE VIEW specifies more column names than columns")
	}
	out := append(slices.Clone(given), names[len(given):]...)
	for i, name := range out {
		for _, before := range out[:i] {
			if name == before {
				return nil, sqlError("42701", "column %q specified more than once", name)
			}
			if strings.EqualFold(name, before) {
				return nil, sqlError("0A000", "columns %q and %q differ in case only, which is not supported", before, name)
			}
		}
	}
	return out, nil
}

// typeView asks the engine for the types of a view's columns, as a query of the view as it will be kept.
func (s *session) typeView(ctx context.Context, snap *catalog.Snapshot, o *catalog.Object, sources []source, origins []parse.Origin) error {
	stored := &storedView{object: *o}
	views := expansion{session: s, snap: snap, free: true}
	if err := views.expand(stored, 1); err != nil {
		return err
	}
	parsed, err := allOf()
	if err != nil {
		return err
	}
	q := &query{session: s, parsed: parsed, sources: []source{{stored: stored}}}
	if err := q.describe(ctx, snap, nil); err != nil {
		return err
	}
	for i := range o.View.Columns {
		c := &o.View.Columns[i]
		if c.Type = q.told[i].name; c.Type == "" {
			c.Type = catalog.TypeName(q.columns[i].Type)
		}
		if i < len(origins) && origins[i].Relation >= 0 {
			c.TypMod = sources[origins[i].Relation].typMod(origins[i].Column, c.Type)
		}
	}
	return nil
}

// allOf is SELECT * FROM one relation.
func allOf() (*parse.Select, error) {
	pieces, err := parse.Split("SELECT * FROM v")
	if err != nil {
		return nil, parseError(err)
	}
	st, err := parse.Parse(pieces[0])
	if err != nil {
		return nil, parseError(err)
	}
	return st.(*parse.Select), nil
}

// typMod is the modifier of a column's type, if it has the type; -1 is none.
func (x source) typMod(column int, typ string) int32 {
	switch {
	case x.stored != nil:
		if c := x.stored.object.View.Columns[column]; c.Type == typ {
			return c.TypMod
		}
	case x.view == nil:
		if t := x.table.Columns[column].Type; catalog.TypeName(t) == typ {
			return t.TypMod()
		}
	}
	return -1
}

// mayReplace tells whether a view may become another: it is the session's, and keeps its columns.
func (s *session) mayReplace(snap *catalog.Snapshot, old, o catalog.Object) error {
	if err := s.ownView(snap, old); err != nil {
		return err
	}
	if len(o.View.Columns) < len(old.View.Columns) {
		return sqlError("42P16", "cannot drop columns from view")
	}
	for i, was := range old.View.Columns {
		c := o.View.Columns[i]
		if c.Name != was.Name {
			return hinted(sqlError("42P16", "cannot change name of view column %q to %q", was.Name, c.Name),
				"DROP VIEW and CREATE VIEW make one with other names.")
		}
		if c.Type != was.Type || c.TypMod != was.TypMod {
			pg := s.gateway.pg
			return sqlError("42P16", "cannot change data type of view column %q from %s to %s", c.Name, pg.FormatType(was.Type, was.TypMod), pg.FormatType(c.Type, c.TypMod))
		}
	}
	return nil
}

// notView is the error of a name that should be a view's, and isn't.
func (s *session) notView(snap *catalog.Snapshot, n parse.Name) *pgwire.Error {
	e := s.noViewToDrop(snap, n)
	if e.Code == "42809" {
		e.Hint = ""
	}
	if e.Code == "42P01" {
		e.Message = fmt.Sprintf("relation %q does not exist", n.Schema+dot(n.Schema)+n.Name)
	}
	return e
}

// noViewToDrop is the same for DROP VIEW.
func (s *session) noViewToDrop(snap *catalog.Snapshot, n parse.Name) *pgwire.Error {
	e := sqlError("42P01", "view %q does not exist", n.Name)
	schemas := snap.Schemas()
	if n.Schema != "" && !slices.ContainsFunc(schemas, func(x catalog.Schema) bool { return x.Name == n.Schema }) {
		e = sqlError("3F000", "schema %q does not exist", n.Schema)
	}
	for _, schema := range s.searched(n.Schema) {
		if _, ok := snap.Table(schema, n.Name); ok {
			e = hinted(sqlError("42809", "%q is not a view", n.Name), "Use DROP TABLE to remove a table.")
		}
	}
	if len(s.objects(snap, catalog.SequenceObject, n)) > 0 {
		e = hinted(sqlError("42809", "%q is not a view", n.Name), "Use DROP SEQUENCE to remove a sequence.")
	}
	if s.isSystem(n) {
		e = sqlError("42501", "permission denied: %q is a system catalog", n.Name)
	}
	return e
}

// viewDrop is a statement that drops views, which are all materialized or none.
type viewDrop struct {
	views                           []parse.Name
	ifExists, cascade, materialized bool
}

func (s *session) dropViews(ctx context.Context, w pgwire.ResultWriter, p viewDrop) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	drop := catalog.Drop{Cascade: p.cascade}
	for _, n := range p.views { // all are there, or none is dropped
		o, ok := s.view(snap, n)
		if !ok {
			e := s.noViewToDrop(snap, n)
			if p.materialized {
				e.Message = strings.NewReplacer("view "+strconv.Quote(n.Name)+" does", "materialized view "+strconv.Quote(n.Name)+" does",
					"is not a view", "is not a materialized view").Replace(e.Message)
			}
			if e.Code == "42809" || e.Code == "42501" || !p.ifExists {
				return e
			}
			s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
			continue
		}
		if err := ofKind(o, p.materialized, true); err != nil {
			return err
		}
		if err := s.mayDropView(snap, o); err != nil {
			return err
		}
		drop.Views = append(drop.Views, catalog.Read{ID: o.ID, Schema: o.Schema, Name: o.Name})
	}
	if err := s.dropRelations(ctx, w, snap, drop); err != nil {
		return err
	}
	if p.materialized {
		w.Complete("DROP MATERIALIZED VIEW")
	} else {
		w.Complete("DROP VIEW")
	}
	return nil
}

// dropRelations drops all of some relations, or none, and tells what goes with them.
func (s *session) dropRelations(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, d catalog.Drop) error {
	if len(d.Tables)+len(d.Views) == 0 {
		return nil
	}
	gone, err := s.gateway.cfg.Catalog.DropRelations(ctx, d)
	if e, ok := errors.AsType[*catalog.DependentsError](err); ok {
		return s.dependents(snap, d, e.Dependents)
	}
	if err != nil || len(gone) == 0 {
		return catalogError(err)
	}
	names := s.gateway.pg.Names(s.viewState(snap).catalog)
	lines := make([]string, len(gone))
	for i, x := range gone {
		lines[i] = "drop cascades to " + x.View.KindName() + " " + names.Name("regclass", x.View.ID)
	}
	notice := &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: lines[0]}
	if len(lines) > 1 {
		notice.Message, notice.Detail = fmt.Sprintf("drop cascades to %d other objects", len(lines)), strings.Join(lines, "\n")
	}
	s.notice(w, notice)
	return nil
}

// dependents is the error of a drop of what views read.
func (s *session) dependents(snap *catalog.Snapshot, d catalog.Drop, list []catalog.Dependent) *pgwire.Error {
	names := s.gateway.pg.Names(s.viewState(snap).catalog)
	name := func(id int64) string { return names.Name("regclass", id) }
	e := sqlError("2BP01", "cannot drop desired object(s) because other objects depend on them")
	switch {
	case len(d.Tables) == 1 && len(d.Views) == 0:
		e.Message = fmt.Sprintf("cannot drop table %s because other objects depend on it", name(d.Tables[0].ID))
	case len(d.Views) == 1 && len(d.Tables) == 0:
		kind := "view"
		if len(list) > 0 && list[0].On.ID == d.Views[0].ID {
			kind = list[0].Kind
		}
		e.Message = fmt.Sprintf("cannot drop %s %s because other objects depend on it", kind, name(d.Views[0].ID))
	}
	lines := make([]string, len(list))
	for i, x := range list {
		lines[i] = fmt.Sprintf("%s %s depends on %s %s", x.View.KindName(), name(x.View.ID), x.Kind, name(x.On.ID))
	}
	e.Detail, e.Hint = strings.Join(lines, "\n"), "Use DROP ... CASCADE to drop the dependent objects too."
	return e
}

func (s *session) alterView(ctx context.Context, w pgwire.ResultWriter, p *parse.AlterView) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	o, ok := s.view(snap, p.View)
	if !ok {
		e := s.notView(snap, p.View)
		if e.Code != "42P01" && e.Code != "3F000" || !p.IfExists {
			return e
		}
		if e.Code == "42P01" {
			e.Message = fmt.Sprintf("relation %q does not exist", p.View.Name)
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
		w.Complete("ALTER VIEW")
		return nil
	}
	if err := ofKind(o, false, false); err != nil {
		return err
	}
	if err := s.ownView(snap, o); err != nil {
		return err
	}
	change, err := s.viewChange(snap, o, p)
	if err != nil {
		return err
	}
	if _, err := s.gateway.cfg.Catalog.ChangeView(ctx, o, change); err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER VIEW")
	return nil
}

// viewChange is what a statement does to a view, if the session may do it.
func (s *session) viewChange(snap *catalog.Snapshot, o catalog.Object, p *parse.AlterView) (func(*catalog.Object) error, error) {
	switch {
	case p.Owner != nil:
		r, err := s.named(snap, *p.Owner)
		if err != nil {
			return nil, err
		}
		if err := s.mayGive(snap, r, o.Schema); err != nil {
			return nil, err
		}
		return func(v *catalog.Object) error { v.View.Owner = r.ID; return nil }, nil
	case p.Rename != "":
		_, err := s.createIn(snap, o.Schema)
		return func(v *catalog.Object) error { v.Name = p.Rename; return nil }, err
	case p.Schema != "":
		_, err := s.createIn(snap, p.Schema)
		return func(v *catalog.Object) error { v.Schema = p.Schema; return nil }, err
	}
	return func(v *catalog.Object) error { v.View.SecurityInvoker = *p.SecurityInvoker; return nil }, nil
}

// mayGive tells whether the session may make something in a schema another role's: it is a member of it, and the role could
// have made it there.
func (s *session) mayGive(snap *catalog.Snapshot, to catalog.Role, schemaName string) error {
	a := s.actor(snap)
	if a.Role.Superuser {
		return nil
	}
	if !a.Is(to.ID) {
		return sqlError("42501", "must be member of role %q", to.Name)
	}
	schema, ok := snap.Schema(schemaName)
	if owner := actorOf(snap, to.ID); !ok || !owner.May(schema.Access, catalog.Create) {
		return denied("schema", schemaName)
	}
	return nil
}

// commentView gives a view, or one of its columns, its comment.
func (s *session) commentView(ctx context.Context, snap *catalog.Snapshot, o catalog.Object, column, text string) error {
	if err := s.ownView(snap, o); err != nil {
		return err
	}
	_, err := s.gateway.cfg.Catalog.ChangeView(ctx, o, func(v *catalog.Object) error {
		if column == "" {
			v.Comment = text
			return nil
		}
		i := slices.IndexFunc(v.View.Columns, func(c catalog.ViewColumn) bool { return c.Name == column })
		if i < 0 {
			return sqlError("42703", "column %q of relation %q does not exist", column, o.Name)
		}
		v.View.Columns[i].Comment = text
		return nil
	})
	return catalogError(err)
}
