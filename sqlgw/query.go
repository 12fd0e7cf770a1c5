package sqlgw

import (
	"context"
	"errors"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// source is what a relation of a query stands for: a table of the catalog, a view of the catalog (stored is set), or a
// relation that the system makes (view is set).
type source struct {
	table  catalog.Table
	stored *storedView
	view   *systemView
	temp   bool // the table is a temporary one of the session
}

func (x source) columns() []columnar.Column {
	if x.view != nil {
		return x.view.columns
	}
	return x.table.RowSchema().Columns
}

func (x source) schema() string {
	if x.view != nil {
		return x.view.schema
	}
	return x.table.Schema
}

// query is a SELECT whose names are resolved.
type query struct {
	session *session
	parsed  *parse.Select
	// answered: the dialect has an answer to something in it.
	answered bool
	// plain: what it computes of rows has the default style, whatever the session's settings are.
	plain   bool
	sources []source // of each of the query's relations
	params  []columnar.Type
	// toldParams are what the parameters are told as, where that isn't their type.
	toldParams []told
	columns    []columnar.Column
	told       []told // of each column
	origins    []parse.Origin
	asked      []string // what the query tells of its parameters' types
}

// prepareSelect resolves a query's names, and asks the engine for its types over relations
// of the right shape that have no rows.
func (s *session) prepareSelect(ctx context.Context, p *parse.Select, paramOIDs []uint32) (*statement, error) {
	declared, err := declaredTypes(paramOIDs)
	if err != nil {
		return nil, err
	}
	q, err := s.newQuery(ctx, p, declared)
	if err != nil {
		return nil, err
	}
	return &statement{session: s, params: q.params, columns: q.actColumns(q.placed(describeTold(q.columns, q.told), q.origins)), begin: q.begin, told: q.toldParams, names: q.session.visible}, nil
}

// newQuery does so. A declared type that is zero is to be found out.
func (s *session) newQuery(ctx context.Context, p *parse.Select, declared []columnar.Type) (*query, error) {
	if len(p.Relations()) == 0 {
		if q, err := s.resolved(ctx, s.gateway.cfg.Catalog.Latest(), p, declared); err == nil && q.alone() {
			return q, nil
		}
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s.resolved(ctx, snap, p, declared)
}

func (s *session) resolveAll(snap *catalog.Snapshot, p *parse.Select) ([]source, error) {
	var out []source
	views := expansion{session: s, snap: snap}
	for _, r := range p.Relations() {
		x, err := s.resolve(snap, r.Name)
		if err != nil {
			return nil, err
		}
		switch {
		case x.view != nil, x.temp:
		case x.stored != nil:
			if err := s.permitView(snap, x.stored.object, r.Name); err != nil {
				return nil, err
			}
			if err := views.expand(x.stored, 1); err != nil {
				return nil, err
			}
		default:
			if err := s.permit(snap, x.table, catalog.Select, r.Name); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}

func (s *session) resolve(snap *catalog.Snapshot, n parse.Name) (source, error) {
	if t, ok := s.tempNamed(n); ok {
		return source{table: t.Table, temp: true}, nil
	}
	if n.Database == "" || n.Database == s.gateway.cfg.Database {
		for _, schema := range s.searched(n.Schema) {
			if v := s.gateway.views[viewName{schema, n.Name}]; v != nil {
				return source{view: v}, nil
			}
			if t, ok := snap.Table(schema, n.Name); ok {
				return source{table: t}, nil
			}
			if o, ok := snap.View(schema, n.Name); ok {
				return source{stored: &storedView{object: o}}, nil
			}
		}
	}
	t, err := s.table(snap, n)
	return source{table: t}, err
}

// declaredTypes are those of parameters that a client declares.
func declaredTypes(oids []uint32) ([]columnar.Type, error) {
	declared := make([]columnar.Type, len(oids))
	for i, oid := range oids {
		t, err := declaredParams(nil, []uint32{oid})
		if err != nil {
			return nil, err
		}
		if oid != 0 && oid != 705 {
			declared[i] = t[0]
		}
	}
	return declared, nil
}

// describe finds the types of parameters and columns. Parameters whose type nothing tells
// are text, as in PostgreSQL.
func (q *query) describe(ctx context.Context, snap *catalog.Snapshot, declared []columnar.Type) error {
	n := len(declared)
	for _, p := range q.parsed.Parameters() {
		n = max(n, p.Number)
	}
	declared = append(slices.Clone(declared), make([]columnar.Type, n-len(declared))...)
	for _, r := range q.parsed.Relations() {
		if a := r.AsOf; a != nil && a.Param > 0 && declared[a.Param-1].Kind == 0 {
			declared[a.Param-1] = columnar.Type{Kind: map[bool]columnar.Kind{true: columnar.Text, false: columnar.TimestampTZ}[a.Cut]}
		}
	}
	stmtParams, err := q.ask(ctx, snap, declared, false)
	q.tellParams(declared)
	if err != nil {
		return err
	}
	unknown := false
	for i := range declared {
		if declared[i].Kind == 0 && i < len(stmtParams) {
			declared[i] = stmtParams[i]
		}
		if declared[i].Kind == 0 {
			declared[i], unknown = columnar.Type{Kind: columnar.Text}, true
		}
	}
	q.params = declared
	if unknown || q.columns == nil {
		_, err = q.ask(ctx, snap, declared, false)
	}
	if err != nil || q.columns != nil {
		return err
	}
	// Some of DuckDB's functions don't say what they return while they depend on a parameter, whatever its type.
	_, err = q.ask(ctx, snap, declared, true)
	if _, refused := errors.AsType[*duck.Error](err); refused { // it may take a value all the same
		return nil
	}
	return err
}

// placed gives the description of what is a table's or view's column its place there, and its length but in arrays.
func (q *query) placed(out []pgwire.Column, origins []parse.Origin) []pgwire.Column {
	for i, o := range origins {
		if i < len(out) && o.Relation >= 0 {
			q.sources[o.Relation].place(&out[i], o.Column)
		}
	}
	return out
}

// place notes where a column of a result stands in the catalogs. Those of the catalogs themselves aren't told.
func (x source) place(out *pgwire.Column, column int) {
	switch {
	case x.view != nil:
	case x.stored != nil:
		out.TableOID, out.AttrNum = uint32(x.stored.object.ID), int16(column+1) //nolint:gosec // they fit
	default:
		of := x.table.Columns[column]
		out.TableOID, out.AttrNum = uint32(x.table.ID), int16(of.ID) //nolint:gosec // they fit
		if of.Type.Kind == columnar.Char {
			out.TypeOID = of.Type.OID() // the engine has one type for texts
		}
		if out.TypeOID == of.Type.OID() {
			out.TypeMod = of.Type.TypMod()
		}
	}
}

// ask prepares the query over empty relations, notes what the engine says of its columns, and
// returns what it says of its parameters. With nulls they are NULLs of their types.
func (q *query) ask(ctx context.Context, snap *catalog.Snapshot, params []columnar.Type, nulls bool) ([]columnar.Type, error) {
	g := q.session.gateway
	var held heldByQuery
	var left <-chan struct{}
	defer func() { g.letGo(left, func() { held.release(g) }) }()
	relations := q.parsed.Relations()
	printed, err := q.print(ctx, params, parse.Binding{
		Relation: func(r parse.Relation) (parse.Target, error) {
			t, err := shape(q.sources[r.Index], relations[r.Index].Meta)
			t.SQL = withParam(t.SQL, relations[r.Index].AsOf)
			return t, err
		},
		Dialect: noting{Dialect: q.session.viewState(snap).dialect(&held.tokens), answered: &q.answered},
		Style:   q.style(),
	})
	if err != nil {
		return nil, err
	}
	if held.conn, err = q.session.connect(ctx, q.style()); err != nil {
		return nil, err
	}
	conn := held.conn
	if nulls {
		printed.SQL = parse.WithNulls(printed.SQL)
	}
	var stmt *duck.Stmt
	left, err = g.inEngine(ctx, func() error {
		var err error
		stmt, err = conn.Prepare(ctx, printed.SQL)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, u := range stmt.Unsupported() {
		return nil, hinted(sqlError("0A000", "column %q has type %s, which can't be returned", u.Name, u.Type), "Cast it, for example to text.")
	}
	q.columns = stmt.Columns()
	q.told, q.origins = g.tell(q.columns, printed.Types), printed.Origins
	q.asked = printed.ParamTypes
	return stmt.Params(), nil
}

// perListed is about how many bytes printing takes for each element of an array that is written as text, which is one token.
const perListed = 1200

// style of what the query computes.
func (q *query) style() *style.Style {
	if q.plain {
		return style.Default()
	}
	return q.session.settings.style()
}

// print gives the engine's text of the query, its names led by b to what the engine has. The end of ctx ends it at once.
func (q *query) print(ctx context.Context, params []columnar.Type, b parse.Binding) (parse.Printed, error) {
	names := make([]string, len(params))
	for i, t := range params {
		if t.Kind != 0 {
			names[i] = t.SQL()
		}
	}
	b.ParamTypes = names
	b.Check = func() error { return ended(ctx) }
	b.Apart = func(call func()) error { return apart(ctx, call, q.session.gateway.breakDown) }
	var listed int64
	memory := q.session.gateway.parsing
	defer func() { memory.memory.Release(listed) }()
	b.Listed = func(elements int) error {
		n := int64(elements) * perListed
		if err := memory.take(ctx, n); err != nil {
			return err
		}
		listed += n
		return nil
	}
	printed, err := q.parsed.Print(b)
	if err != nil {
		return printed, parseError(err)
	}
	return printed, nil
}

// columnNames of columns.
func columnNames(cols []columnar.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = c.Name
	}
	return out
}

// typeNames are what pg_type calls the types of columns.
func typeNames(cols []columnar.Column) []string {
	out := make([]string, len(cols))
	for i, c := range cols {
		out[i] = typeName(c.Type.Kind)
		switch e := c.Type.Element; e {
		case columnar.Varchar, columnar.Char, columnar.JSONB: // arrays that the engine has as others
			out[i] = "_" + typeName(e)
		default:
		}
	}
	return out
}

// withMeta adds the metadata columns of these names.
func withMeta(cols []columnar.Column, names []string) []columnar.Column {
	out := slices.Clone(cols)
	for _, m := range metaColumns() {
		if slices.Contains(names, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// shape is a relation without rows.
func shape(x source, meta []string) (parse.Target, error) {
	if x.stored != nil {
		return x.stored.target(shape)
	}
	cols := x.columns()
	if x.view != nil || x.temp {
		meta = nil
	}
	sql, err := duck.ReadJSON(nil, columnar.Schema{Columns: withMeta(cols, meta)})
	if x.view != nil {
		return x.view.target(sql), err
	}
	return parse.Target{SQL: "(" + sql + ")", Schema: x.schema(), Columns: columnNames(cols), Types: typeNames(cols), Hidden: meta}, err
}
