package sqlgw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareAlter prepares the statements that change tables; nil is none of them.
func (s *session) prepareAlter(p parse.Statement) *statement {
	switch p := p.(type) {
	case *parse.AlterTable:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.alterTable(ctx, w, p) })
	case *parse.RenameIndex:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.renameIndex(ctx, w, p) })
	case *parse.RenameSequence:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.renameSequence(ctx, w, p) })
	}
	return nil
}

// alterTraits are what transactions know of these statements.
func alterTraits(p parse.Statement) (traits, bool) {
	switch p.(type) {
	case *parse.AlterTable:
		return traits{command: "ALTER TABLE", writes: true, alone: true}, true
	case *parse.RenameIndex:
		return traits{command: "ALTER INDEX", writes: true, alone: true}, true
	case *parse.RenameSequence:
		return traits{command: "ALTER SEQUENCE", writes: true, alone: true}, true
	}
	return traits{}, false
}

func (s *session) alterTable(ctx context.Context, w pgwire.ResultWriter, p *parse.AlterTable) error {
	t, snap, err := s.declarable(ctx, p.Table)
	if err != nil && snap != nil {
		if o, ok := s.view(snap, p.Table); ok {
			return s.alterViewAsTable(ctx, w, snap, o, p)
		}
		if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42P01" && p.IfExists {
			s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: fmt.Sprintf("relation %q does not exist, skipping", p.Table.Name)})
			w.Complete("ALTER TABLE")
			return nil
		}
	}
	if err != nil {
		return at(err, 0)
	}
	if err := s.own(snap, t); err != nil {
		return err
	}
	// What is told of a change that is begun anew isn't told.
	var x *tableChange
	altered, err := s.gateway.cfg.Catalog.AlterTable(ctx, t, func(a *catalog.Alteration) error {
		now, err := s.gateway.cfg.Catalog.Snapshot(ctx)
		if err != nil {
			return err
		}
		if err := s.own(now, a.Table); err != nil {
			return err
		}
		x = &tableChange{session: s, snap: now, a: a, was: a.Table}
		x.was.Columns = slices.Clone(a.Table.Columns)
		return x.all(ctx, p.Actions)
	})
	if err != nil {
		return at(alterError(err, t), 0)
	}
	for _, n := range x.notices {
		s.notice(w, n)
	}
	s.tellConstraints(w, x.declared)
	if altered.Pending != nil {
		s.warn(w, "01000", fmt.Sprintf("table %q is changed, its journals will follow: %v", altered.Table.Name, altered.Pending))
	}
	w.Complete("ALTER TABLE")
	return nil
}

// alterError is an error of a change of a table as PostgreSQL tells it.
func alterError(err error, t catalog.Table) error {
	e, ok := errors.AsType[*catalog.Error](err)
	if ok && e.Kind == "column" && e.Code == catalog.ErrExists {
		return sqlError("42701", "column %q of relation %q already exists", e.Name, t.Name)
	}
	if ok && e.Kind == catalog.PartitionColumn {
		return sqlError("42P16", "cannot drop column %q because it is part of the partition key of relation %q", e.Name, t.Name)
	}
	if ok && e.Kind == catalog.AlteredTable {
		told := hinted(sqlError("2BP01", "cannot alter table %s because other objects depend on it", t.Name), e.Hint)
		told.Detail = e.Detail
		return told
	}
	if ok && e.Kind == "constraint" && e.Code == catalog.ErrExists {
		return sqlError("42710", "constraint %q for relation %q already exists", e.Name, t.Name)
	}
	return catalogError(err)
}

// alterViewAsTable is ALTER TABLE of a view, which PostgreSQL takes for what both have.
func (s *session) alterViewAsTable(ctx context.Context, w pgwire.ResultWriter, snap *catalog.Snapshot, o catalog.Object, p *parse.AlterTable) error {
	a := p.Actions[0]
	v := &parse.AlterView{View: p.Table}
	switch {
	case len(p.Actions) > 1:
		return hinted(sqlError("0A000", "ALTER TABLE of several things of %s %q at once is not supported", o.KindName(), o.Name), "Send one after the other.")
	case a.Kind == parse.RenameTable:
		v.Rename = a.Name
	case a.Kind == parse.SetSchema:
		v.Schema = a.Name
	case a.Kind == parse.SetOwner:
		v.Owner = &a.Owner
	default:
		e := sqlError("42809", "ALTER action %s cannot be performed on relation %q", actionWords(a.Kind), o.Name)
		e.Detail = "This operation is not supported for " + o.KindName() + "s."
		return e
	}
	if err := s.ownView(snap, o); err != nil {
		return err
	}
	change, err := s.viewChange(snap, o, v)
	if err == nil {
		_, err = s.gateway.cfg.Catalog.ChangeView(ctx, o, change)
	}
	if err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER TABLE")
	return nil
}

// actionWords is what PostgreSQL calls an action.
func actionWords(k parse.AlterKind) string {
	words := map[parse.AlterKind]string{
		parse.SetDefault: "ALTER COLUMN ... SET DEFAULT", parse.SetNotNull: "ALTER COLUMN ... SET NOT NULL",
		parse.DropNotNull: "ALTER COLUMN ... DROP NOT NULL", parse.SetOptions: "SET", parse.ResetOptions: "RESET",
	}
	return cmp.Or(words[k], strings.ToUpper(string(k)))
}

// tableChange is what a statement does to a table. It is begun anew when something else was changed meanwhile.
type tableChange struct {
	session  *session
	snap     *catalog.Snapshot
	a        *catalog.Alteration
	was      catalog.Table
	notices  []*pgwire.Error
	declared []parse.Constraint
}

// passes are the order in which PostgreSQL does actions of one statement, those of a pass as they were written.
var passes = [][]parse.AlterKind{
	{parse.DropColumn, parse.DropConstraint, parse.DropNotNull},
	{parse.AddColumn},
	{parse.SetNotNull},
	{parse.AddConstraint},
	{parse.SetDefault},
}

func passOf(a parse.AlterAction) int {
	for i, kinds := range passes {
		if slices.Contains(kinds, a.Kind) {
			return i
		}
	}
	return len(passes)
}

// all actions.
func (x *tableChange) all(ctx context.Context, actions []parse.AlterAction) error {
	for pass := range len(passes) + 1 {
		for i := range actions {
			if passOf(actions[i]) != pass {
				continue
			}
			if err := x.do(ctx, &actions[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *tableChange) do(ctx context.Context, p *parse.AlterAction) error {
	switch p.Kind {
	case parse.AddColumn:
		return x.addColumn(ctx, p)
	case parse.DropColumn:
		return x.dropColumn(p)
	case parse.RenameColumn:
		return x.renameColumn(p)
	case parse.SetDefault:
		return x.setDefault(ctx, p)
	case parse.SetNotNull, parse.DropNotNull:
		return x.setNotNull(ctx, p)
	case parse.AddConstraint:
		return x.addConstraints(ctx, p.Constraints)
	case parse.DropConstraint, parse.RenameConstraint:
		return x.changeConstraint(p)
	case parse.SetOptions, parse.ResetOptions:
		return x.setOptions(p)
	default:
		return x.move(p)
	}
}

// move gives the table another name, schema or owner.
func (x *tableChange) move(p *parse.AlterAction) error {
	s, t := x.session, &x.a.Table
	switch p.Kind {
	case parse.SetOwner:
		r, err := s.named(x.snap, p.Owner)
		if err == nil {
			err = s.mayGive(x.snap, r, t.Schema)
		}
		t.Access.Owner = r.ID
		return err
	case parse.RenameTable:
		_, err := s.createIn(x.snap, t.Schema)
		if t.Name == p.Name {
			return sqlError("42P07", "relation %q already exists", p.Name)
		}
		t.Name = p.Name
		return err
	default: // SetSchema
		switch p.Name {
		case "pg_catalog", "information_schema", bsCatalog:
			return sqlError("42501", "permission denied to create %q: system schemas are closed", p.Name+"."+t.Name)
		}
		_, err := s.createIn(x.snap, p.Name)
		if other, ok := x.snap.Table(p.Name, t.Name); ok && other.ID != t.ID {
			return sqlError("42P07", "relation %q already exists in schema %q", t.Name, p.Name)
		}
		t.Schema = p.Name
		return err
	}
}

func (x *tableChange) setOptions(p *parse.AlterAction) error {
	options := slices.DeleteFunc(slices.Clone(p.Options), func(o parse.Option) bool {
		return o.Name == "fillfactor" && (o.Value == "100" || p.Kind == parse.ResetOptions)
	})
	var names []string
	for _, o := range options {
		names = append(names, o.Name)
	}
	if p.Kind == parse.ResetOptions {
		return x.a.SetOptions(catalog.Options{}, nil, names)
	}
	set, err := x.session.gateway.tableOptions(options)
	if err != nil {
		return err
	}
	return x.a.SetOptions(set, names, nil)
}

func (x *tableChange) addConstraints(ctx context.Context, list []parse.Constraint) error {
	made, err := x.session.constraints(ctx, x.snap, x.a.Table, list)
	if err != nil {
		return err
	}
	for _, c := range made {
		if err := x.a.AddConstraint(c); err != nil {
			return err
		}
	}
	x.declared = append(x.declared, list...)
	return nil
}

// changeConstraint drops a constraint, or gives it another name.
func (x *tableChange) changeConstraint(p *parse.AlterAction) error {
	t := x.a.Table
	i := slices.IndexFunc(t.Constraints, func(c catalog.Constraint) bool { return c.Name == p.Constraint })
	if i < 0 {
		if p.Kind == parse.RenameConstraint {
			return sqlError("42704", "constraint %q for table %q does not exist", p.Constraint, t.Name)
		}
		e := sqlError("42704", "constraint %q of relation %q does not exist", p.Constraint, t.Name)
		return x.missing(e, p.IfExists)
	}
	c := t.Constraints[i]
	if p.Kind == parse.RenameConstraint {
		return x.a.RenameConstraint(c, p.Name)
	}
	isKey := c.Kind == catalog.PrimaryKey || c.Kind == catalog.Unique
	for _, other := range x.a.Tables {
		for _, f := range other.Constraints {
			if isKey && f.References == t.ID && slices.Equal(f.RefColumns, c.Columns) {
				e := sqlError("2BP01", "cannot drop constraint %s on table %s because other objects depend on it", c.Name, t.Name)
				e.Detail = fmt.Sprintf("constraint %s on table %s depends on index %s", f.Name, other.Name, c.Name)
				return hinted(e, "Drop that constraint first.")
			}
		}
	}
	x.a.DropConstraint(c)
	return nil
}

// missing is an error, or what is told where that was expected.
func (x *tableChange) missing(e *pgwire.Error, expected bool) error {
	if !expected {
		return e
	}
	x.notices = append(x.notices, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
	return nil
}

func (s *session) renameIndex(ctx context.Context, w pgwire.ResultWriter, p *parse.RenameIndex) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	t, index, err := s.index(snap, p.Object)
	if err != nil {
		e := sqlError("42P01", "relation %q does not exist", p.Object.Name)
		if !p.IfExists {
			return e
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
		w.Complete("ALTER INDEX")
		return nil
	}
	if err := s.own(snap, t); err != nil {
		e := sqlError("42501", "must be owner of index %s", index.Name)
		return e
	}
	_, err = s.gateway.cfg.Catalog.AlterTable(ctx, t, func(a *catalog.Alteration) error { return a.RenameIndex(index.ID, p.To) })
	if err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER INDEX")
	return nil
}

func (s *session) renameSequence(ctx context.Context, w pgwire.ResultWriter, p *parse.RenameSequence) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	o, err := s.object(snap, catalog.SequenceObject, p.Object)
	if err != nil {
		e := sqlError("42P01", "relation %q does not exist", p.Object.Name)
		if !p.IfExists {
			return e
		}
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: e.Message + ", skipping"})
		w.Complete("ALTER SEQUENCE")
		return nil
	}
	if _, err := s.ownSchema(snap, o.Schema); err != nil {
		return err
	}
	if _, err := s.gateway.cfg.Catalog.RenameObject(ctx, o, p.To); err != nil {
		return catalogError(err)
	}
	w.Complete("ALTER SEQUENCE")
	return nil
}

// mentions tells whether an expression over a table's columns has one of them.
func mentions(expression, table, column string) bool {
	one, err := parse.RenameIn(expression, table, column, column)
	if err != nil {
		return false
	}
	other, err := parse.RenameIn(expression, table, column, column+"'")
	return err == nil && one != other
}

// readsColumn tells whether the query of a view has a column of a table: whether it has another meaning without it. What can't be
// found out is taken for so.
func (s *session) readsColumn(snap *catalog.Snapshot, v catalog.Object, table, column int64) bool {
	stored := &storedView{object: v}
	views := expansion{session: s, snap: snap, free: true}
	if err := views.expand(stored, 1); err != nil {
		return true
	}
	relations := stored.query.Relations()
	_, err := stored.query.Resolve(parse.Binding{Relation: func(r parse.Relation) (parse.Target, error) {
		x := stored.sources[r.Index]
		if x.stored == nil && x.view == nil && x.table.ID == table {
			x.table.Columns = slices.DeleteFunc(slices.Clone(x.table.Columns), func(c catalog.Column) bool { return c.ID == column })
		}
		return namesOf(x, relations[r.Index].Meta), nil
	}})
	return err != nil
}

// dependentViews are the views that need a column, and those that read them; an error where they may not go with it.
func (x *tableChange) dependentViews(c catalog.Column, cascade bool) error {
	s, t := x.session, x.a.Table
	var direct []catalog.Object
	for _, v := range x.a.Views {
		gone := slices.ContainsFunc(x.a.DropViews, func(o catalog.Object) bool { return o.ID == v.ID })
		if !gone && s.readsColumn(x.snap, v, t.ID, c.ID) {
			direct = append(direct, v)
		}
	}
	if len(direct) == 0 {
		return nil
	}
	names := s.gateway.pg.Names(s.viewState(x.snap).catalog)
	name := func(id int64) string { return names.Name("regclass", id) }
	var lines, drops []string
	gone := slices.Clone(direct)
	for _, v := range direct {
		lines = append(lines, fmt.Sprintf("%s %s depends on column %s of table %s", v.KindName(), name(v.ID), c.Name, name(t.ID)))
		drops = append(drops, "drop cascades to "+v.KindName()+" "+name(v.ID))
	}
	for _, d := range x.a.ViewsOf(direct) {
		lines = append(lines, fmt.Sprintf("%s %s depends on %s %s", d.View.KindName(), name(d.View.ID), d.Kind, name(d.On.ID)))
		drops = append(drops, "drop cascades to "+d.View.KindName()+" "+name(d.View.ID))
		gone = append(gone, d.View)
	}
	if !cascade {
		e := sqlError("2BP01", "cannot drop column %s of table %s because other objects depend on it", c.Name, name(t.ID))
		e.Detail = strings.Join(lines, "\n")
		return hinted(e, "Use DROP ... CASCADE to drop the dependent objects too.")
	}
	notice := &pgwire.Error{Severity: "NOTICE", Code: "00000", Message: drops[0]}
	if len(drops) > 1 {
		notice.Message, notice.Detail = fmt.Sprintf("drop cascades to %d other objects", len(drops)), strings.Join(drops, "\n")
	}
	x.notices = append(x.notices, notice)
	x.a.DropViews = append(x.a.DropViews, gone...)
	return nil
}
