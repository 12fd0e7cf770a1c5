package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// prepareDeclaration prepares the statements whose things are kept and told as they were declared; nil is
// none of them.
func (s *session) prepareDeclaration(p parse.Statement) *statement {
	switch p := p.(type) {
	case *parse.CreateIndex:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createIndex(ctx, w, p) })
	case *parse.CreateSequence:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createSequence(ctx, w, p) })
	case *parse.CreateFunction:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.createFunction(ctx, w, p) })
	case *parse.Comment:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.comment(ctx, w, p) })
	case *parse.Drop:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.dropDeclared(ctx, w, p) })
	case *parse.Maintain:
		return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error { return s.maintain(ctx, w, p) })
	default:
		return nil
	}
}

// notEnforced says that something that was declared is no more than that.
func (s *session) notEnforced(w pgwire.ResultWriter, format string, args ...any) {
	s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "01000", Message: fmt.Sprintf(format, args...)})
}

// ids are those of columns of a table by their names.
func ids(t catalog.Table, names []string) ([]int64, error) {
	out := make([]int64, len(names))
	for i, name := range names {
		at := slices.IndexFunc(t.Columns, func(c catalog.Column) bool { return c.Name == name })
		if at < 0 {
			e := sqlError("42703", "column %q named in key does not exist", name)
			e.Table, e.Column = t.Name, name
			return nil, e
		}
		out[i] = t.Columns[at].ID
	}
	return out, nil
}

// unknownColumn is the first name that no column has.
func unknownColumn(t catalog.Table, names []string) string {
	for _, name := range names {
		if _, err := ids(t, []string{name}); err != nil {
			return name
		}
	}
	return ""
}

// constraints makes the constraints of a table whose columns are known. The table is nil in constraints that
// refer to itself while it is made.
func (s *session) constraints(ctx context.Context, snap *catalog.Snapshot, t catalog.Table, list []parse.Constraint) ([]catalog.Constraint, error) {
	var out []catalog.Constraint
	for _, p := range list {
		x := catalog.Constraint{
			Kind: catalog.ConstraintKind(p.Kind), Name: p.Name, OnUpdate: p.OnUpdate, OnDelete: p.OnDelete,
			MatchFull: p.MatchFull, Check: p.Check, Deferrable: p.Deferrable, Deferred: p.Deferred,
		}
		var err error
		if x.Columns, err = ids(t, p.Columns); err != nil {
			return nil, at(err, p.Position)
		}
		switch p.Kind {
		case parse.ForeignKey:
			err = s.refer(snap, t, p, &x)
		case parse.Check:
			err = s.checkCheck(ctx, t, &x)
		default:
		}
		if err != nil {
			return nil, at(err, p.Position)
		}
		out = append(out, x)
	}
	return out, nil
}

// at gives an error without a position one.
func at(err error, position int) error {
	if e, ok := errors.AsType[*pgwire.Error](err); ok {
		located := *e
		located.Position = position
		return &located
	}
	return err
}

// refer finds what a foreign key refers to: a key of a table, perhaps of itself.
func (s *session) refer(snap *catalog.Snapshot, t catalog.Table, p parse.Constraint, x *catalog.Constraint) error {
	to := t
	if itself := p.References.Name == t.Name && (p.References.Schema == "" || p.References.Schema == t.Schema); !itself || t.ID != 0 {
		var err error
		if to, err = s.table(snap, p.References); err != nil {
			return err
		}
		x.References = to.ID
	}
	names := p.RefColumns
	if len(names) == 0 {
		key := slices.IndexFunc(to.Constraints, func(x catalog.Constraint) bool { return x.Kind == catalog.PrimaryKey })
		if key < 0 {
			return sqlError("42704", "there is no primary key for referenced table %q", to.Name)
		}
		x.RefColumns = to.Constraints[key].Columns
	} else {
		var err error
		if x.RefColumns, err = ids(to, names); err != nil {
			return err
		}
	}
	if len(x.RefColumns) != len(x.Columns) {
		return sqlError("42830", "number of referencing and referenced columns for foreign key disagree")
	}
	return nil
}

// checkCheck tells whether a check is a condition on the columns of a table.
func (s *session) checkCheck(ctx context.Context, t catalog.Table, x *catalog.Constraint) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = "CAST(NULL AS " + c.Type.SQL() + ") AS " + quoteName(c.Name)
	}
	source, err := s.prepareText(ctx, "SELECT ("+x.Check+") FROM (SELECT "+strings.Join(columns, ", ")+") AS "+quoteName(t.Name))
	if err != nil {
		return err
	}
	if len(source.columns) != 1 || source.columns[0].TypeOID != 16 {
		return sqlError("42804", "argument of CHECK must be type boolean")
	}
	return nil
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// changeTable finds a table and changes what is declared of it.
func (s *session) changeTable(ctx context.Context, n parse.Name, change func(*catalog.Snapshot, catalog.Table) (catalog.Change, error)) error {
	t, snap, err := s.declarable(ctx, n)
	if err != nil {
		return err
	}
	if err := s.own(snap, t); err != nil {
		return err
	}
	c, err := change(snap, t)
	if err != nil {
		return err
	}
	_, err = s.gateway.cfg.Catalog.ChangeTable(ctx, t, c)
	return catalogError(err)
}

// declarable finds a table of which something may be declared.
func (s *session) declarable(ctx context.Context, n parse.Name) (catalog.Table, *catalog.Snapshot, error) {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return catalog.Table{}, nil, err
	}
	t, err := s.table(snap, n)
	if err != nil && s.isSystem(n) {
		return t, nil, sqlError("42501", "permission denied: %q is a system catalog", n.Name)
	}
	return t, snap, err
}

// isSystem tells whether a name is that of a relation of the system's.
func (s *session) isSystem(n parse.Name) bool {
	return slices.ContainsFunc(s.searched(n.Schema), func(schema string) bool { return s.gateway.views[viewName{schema, n.Name}] != nil })
}

func (s *session) createIndex(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateIndex) error {
	err := s.changeTable(ctx, p.Table, func(snap *catalog.Snapshot, t catalog.Table) (catalog.Change, error) {
		if _, _, err := s.index(snap, parse.Name{Schema: t.Schema, Name: p.Name}); p.Name != "" && err == nil {
			return catalog.Change{}, sqlError("42P07", "relation %q already exists", p.Name)
		}
		x := catalog.Index{Name: p.Name, Unique: p.Unique, Method: p.Method, Options: p.Options, Where: p.Where}
		var err error
		if x.Columns, err = ids(t, p.Columns); err != nil {
			err = sqlError("42703", "column %q does not exist", unknownColumn(t, p.Columns))
		}
		return catalog.Change{Indexes: []catalog.Index{x}}, err
	})
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42P07" && p.IfNotExists {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P07", Message: fmt.Sprintf("relation %q already exists, skipping", p.Name)})
		err = nil
	} else if err == nil {
		s.notEnforced(w, "index is declared, and not made: queries need none")
	}
	if err != nil {
		return err
	}
	w.Complete("CREATE INDEX")
	return nil
}

// tellConstraints says that constraints are declared only.
func (s *session) tellConstraints(w pgwire.ResultWriter, list []parse.Constraint) {
	names := map[parse.ConstraintKind]string{
		parse.PrimaryKey: "PRIMARY KEY", parse.Unique: "UNIQUE", parse.ForeignKey: "REFERENCES", parse.Check: "CHECK",
	}
	var kinds []string
	for _, x := range list {
		if name := names[x.Kind]; !slices.Contains(kinds, name) {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) > 0 {
		s.notEnforced(w, "declared, and not enforced: %s", strings.Join(kinds, ", "))
	}
}

// limits of a sequence's type.
func limits(typ string) (int64, int64) {
	switch typ {
	case "int2":
		return math.MinInt16, math.MaxInt16
	case "int4":
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// sequenceOf completes what was said of a sequence, as PostgreSQL does.
func sequenceOf(p *parse.CreateSequence) (*catalog.Sequence, error) {
	low, high := limits(p.Type)
	q := &catalog.Sequence{Type: p.Type, Increment: 1, Min: 1, Max: high, Cache: 1, Cycle: p.Cycle}
	set := func(to, v *int64) {
		if v != nil {
			*to = *v
		}
	}
	set(&q.Increment, p.Increment)
	if q.Increment < 0 {
		q.Min, q.Max = low, -1
	}
	set(&q.Min, p.Min)
	set(&q.Max, p.Max)
	q.Start = q.Min
	if q.Increment < 0 {
		q.Start = q.Max
	}
	set(&q.Start, p.Start)
	set(&q.Cache, p.Cache)
	switch {
	case q.Increment == 0:
		return nil, sqlError("22023", "INCREMENT must not be zero")
	case q.Min >= q.Max || q.Min < low || q.Max > high:
		return nil, sqlError("22023", "MINVALUE (%d) must be less than MAXVALUE (%d), and both of the sequence's type", q.Min, q.Max)
	case q.Start < q.Min || q.Start > q.Max:
		return nil, sqlError("22023", "START value (%d) is not between MINVALUE (%d) and MAXVALUE (%d)", q.Start, q.Min, q.Max)
	case q.Cache < 1:
		return nil, sqlError("22023", "CACHE (%d) must be greater than zero", q.Cache)
	}
	return q, nil
}

func (s *session) createSequence(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateSequence) error {
	q, err := sequenceOf(p)
	if err != nil {
		return err
	}
	err = s.createObject(ctx, p.Sequence, catalog.Object{Kind: catalog.SequenceObject, Sequence: q}, false)
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Code == "42P07" && p.IfNotExists {
		s.notice(w, &pgwire.Error{Severity: "NOTICE", Code: "42P07", Message: fmt.Sprintf("relation %q already exists, skipping", p.Sequence.Name)})
		err = nil
	} else if err == nil {
		s.notEnforced(w, "sequence is declared only: no numbers can be drawn from it")
	}
	if err != nil {
		return err
	}
	w.Complete("CREATE SEQUENCE")
	return nil
}

// createObject makes an object in the schema that its name says.
func (s *session) createObject(ctx context.Context, n parse.Name, o catalog.Object, replace bool) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	name, err := s.targetSchema(snap, n)
	if err != nil {
		return err
	}
	schema, err := s.createObjectIn(snap, name, replace)
	if err != nil {
		return err
	}
	o.Name = n.Name
	_, err = s.gateway.cfg.Catalog.CreateObject(ctx, schema, o, replace)
	return catalogError(err)
}

func (s *session) createFunction(ctx context.Context, w pgwire.ResultWriter, p *parse.CreateFunction) error {
	f := &catalog.Function{
		Language: p.Language, Returns: p.Returns, Set: p.Set, Body: p.Body, Volatility: p.Volatility, Strict: p.Strict, Procedure: p.Procedure,
	}
	types := []string{p.Returns}
	for _, a := range p.Arguments {
		f.Arguments = append(f.Arguments, catalog.Argument{Name: a.Name, Type: a.Type})
		types = append(types, a.Type)
	}
	for _, t := range types {
		if _, ok := s.gateway.pg.Type(t); !ok {
			return sqlError("42704", "type %q does not exist", t)
		}
	}
	if err := s.createObject(ctx, p.Function, catalog.Object{Kind: catalog.FunctionObject, Function: f}, p.Replace); err != nil {
		return err
	}
	s.notEnforced(w, "function is declared only: it can't be called")
	if p.Procedure {
		w.Complete("CREATE PROCEDURE")
	} else {
		w.Complete("CREATE FUNCTION")
	}
	return nil
}

// objects are those of a kind and name that the search path leads to first.
func (s *session) objects(snap *catalog.Snapshot, kind catalog.ObjectKind, n parse.Name) []catalog.Object {
	schemas := s.settings.schemas()
	if n.Schema != "" {
		schemas = []string{n.Schema}
	}
	all := snap.Objects()
	for _, schema := range schemas {
		var found []catalog.Object
		for _, o := range all {
			if o.Kind == kind && o.Schema == schema && o.Name == n.Name {
				found = append(found, o)
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// object is the only one of a kind and name.
func (s *session) object(snap *catalog.Snapshot, kind catalog.ObjectKind, n parse.Name) (catalog.Object, error) {
	found := s.objects(snap, kind, n)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return catalog.Object{}, sqlError("42725", "%s name %q is not unique", kind, n.String())
	case kind == catalog.FunctionObject:
		return catalog.Object{}, sqlError("42883", "could not find a function named %q", n.String())
	}
	return catalog.Object{}, sqlError("42P01", "%s %q does not exist", kind, n.String())
}

// index finds an index by its name, and the table that it is of.
func (s *session) index(snap *catalog.Snapshot, n parse.Name) (catalog.Table, catalog.Index, error) {
	schemas := s.settings.schemas()
	if n.Schema != "" {
		schemas = []string{n.Schema}
	}
	for _, schema := range schemas {
		for _, t := range snap.Tables() {
			for _, x := range t.Indexes {
				if t.Schema == schema && x.Name == n.Name {
					return t, x, nil
				}
			}
		}
	}
	return catalog.Table{}, catalog.Index{}, sqlError("42704", "index %q does not exist", n.String())
}

func (s *session) comment(ctx context.Context, w pgwire.ResultWriter, p *parse.Comment) error {
	text := ""
	if p.Text != nil {
		text = *p.Text
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	switch p.Kind {
	case "schema":
		var schema catalog.Schema
		if schema, err = s.ownSchema(snap, p.Object.Name); err == nil {
			err = catalogError(s.gateway.cfg.Catalog.CommentSchema(ctx, schema, text))
		}
	case "sequence", "function":
		var o catalog.Object
		if o, err = s.object(snap, catalog.ObjectKind(p.Kind), p.Object); err == nil {
			_, err = s.ownSchema(snap, o.Schema)
		}
		if err == nil {
			_, err = s.gateway.cfg.Catalog.CommentObject(ctx, o, text)
			err = catalogError(err)
		}
	case "index":
		var t catalog.Table
		var x catalog.Index
		if t, x, err = s.index(snap, p.Object); err == nil {
			err = s.own(snap, t)
		}
		if err == nil {
			_, err = s.gateway.cfg.Catalog.ChangeTable(ctx, t, catalog.Change{Comment: &text, Index: x.ID})
			err = catalogError(err)
		}
	default:
		if view, ok := s.view(snap, p.Object); ok && p.Kind != "table" {
			if p.Kind != "column" {
				if err := ofKind(view, p.Kind == "materialized view", false); err != nil {
					return err
				}
			}
			err = s.commentView(ctx, snap, view, p.Member, text)
			break
		}
		if p.Kind == "view" || p.Kind == "materialized view" {
			e := s.notView(snap, p.Object)
			e.Message = strings.Replace(e.Message, "is not a view", "is not a "+p.Kind, 1)
			err = e
			break
		}
		err = s.changeTable(ctx, p.Object, func(_ *catalog.Snapshot, t catalog.Table) (catalog.Change, error) {
			change := catalog.Change{Comment: &text}
			if p.Kind != "column" {
				return change, nil
			}
			cols, err := columnIndexes(t, []string{p.Member})
			if err == nil {
				change.Column = t.Columns[cols[0]].ID
			}
			return change, err
		})
	}
	if err != nil {
		return err
	}
	w.Complete("COMMENT")
	return nil
}

// maintain has nothing to do: a log has no dead rows, and queries need no statistics.
func (s *session) maintain(ctx context.Context, w pgwire.ResultWriter, p *parse.Maintain) error {
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, n := range p.Tables {
		if _, ok := s.view(snap, n); ok {
			s.notice(w, &pgwire.Error{Severity: "WARNING", Code: "01000", Message: fmt.Sprintf("skipping %q --- cannot %s non-tables or special system tables", n.Name, strings.ToLower(p.Command))})
			continue
		}
		if _, err := s.table(snap, n); err != nil && !s.isSystem(n) {
			return err
		}
	}
	w.Complete(p.Command)
	return nil
}
