package sqlgw

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// source is what a relation of a query stands for: a table of the catalog, or a relation
// that the system makes (view is set).
type source struct {
	table catalog.Table
	view  *systemView
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
	sources []source // of each of the query's relations
	params  []columnar.Type
	columns []columnar.Column
	told    []told // of each column
}

// prepareSelect resolves a query's names, and asks the engine for its types over relations
// of the right shape that have no rows.
func (s *session) prepareSelect(ctx context.Context, p *parse.Select, paramOIDs []uint32) (*statement, error) {
	q := &query{session: s, parsed: p}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if q.sources, err = s.resolveAll(snap, p); err != nil {
		return nil, err
	}
	if err := q.describe(ctx, snap, paramOIDs); err != nil {
		return nil, err
	}
	return &statement{session: s, params: q.params, columns: describeTold(q.columns, q.told), begin: q.begin}, nil
}

func (s *session) resolveAll(snap *catalog.Snapshot, p *parse.Select) ([]source, error) {
	var out []source
	for _, r := range p.Relations() {
		x, err := s.resolve(snap, r.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

func (s *session) resolve(snap *catalog.Snapshot, n parse.Name) (source, error) {
	if n.Database == "" || n.Database == s.gateway.cfg.Database {
		for _, schema := range s.searched(n.Schema) {
			if v := s.gateway.views[viewName{schema, n.Name}]; v != nil {
				return source{view: v}, nil
			}
			if t, ok := snap.Table(schema, n.Name); ok {
				return source{table: t}, nil
			}
		}
	}
	t, err := s.table(snap, n)
	return source{table: t}, err
}

// describe finds the types of parameters and columns. Parameters whose type nothing tells
// are text, as in PostgreSQL.
func (q *query) describe(ctx context.Context, snap *catalog.Snapshot, paramOIDs []uint32) error {
	n := len(paramOIDs)
	for _, p := range q.parsed.Parameters() {
		n = max(n, p.Number)
	}
	declared := make([]columnar.Type, n)
	for i, oid := range paramOIDs {
		t, err := declaredParams(nil, []uint32{oid})
		if err != nil {
			return err
		}
		if oid != 0 && oid != 705 {
			declared[i] = t[0]
		}
	}
	stmtParams, err := q.ask(ctx, snap, declared)
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
		_, err = q.ask(ctx, snap, declared)
	}
	return err
}

// ask prepares the query over empty relations, notes what the engine says of its columns, and
// returns what it says of its parameters.
func (q *query) ask(ctx context.Context, snap *catalog.Snapshot, params []columnar.Type) ([]columnar.Type, error) {
	g := q.session.gateway
	var tokens []string
	defer func() { g.dropScans(tokens) }()
	relations := q.parsed.Relations()
	printed, err := q.print(params, parse.Binding{
		Relation: func(r parse.Relation) (parse.Target, error) {
			return shape(q.sources[r.Index], relations[r.Index].Meta)
		},
		Dialect: q.session.viewState(snap).dialect(&tokens),
	})
	if err != nil {
		return nil, err
	}
	conn, err := g.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer g.disconnect(conn)
	defer q.session.gateway.overrun(ctx)()
	stmt, err := conn.Prepare(ctx, printed.SQL)
	if err != nil {
		return nil, err
	}
	for _, u := range stmt.Unsupported() {
		return nil, hinted(sqlError("0A000", "column %q has type %s, which can't be returned", u.Name, u.Type), "Cast it, for example to text.")
	}
	q.columns = stmt.Columns()
	q.told = g.tell(q.columns, printed.Types)
	return stmt.Params(), nil
}

// print gives the engine's text of the query, its names led by b to what the engine has.
func (q *query) print(params []columnar.Type, b parse.Binding) (parse.Printed, error) {
	names := make([]string, len(params))
	for i, t := range params {
		if t.Kind != 0 {
			names[i] = t.SQL()
		}
	}
	b.ParamTypes = names
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
	cols := x.columns()
	if x.view != nil {
		meta = nil
	}
	sql, err := duck.ReadJSON(nil, columnar.Schema{Columns: withMeta(cols, meta)})
	if x.view != nil {
		return x.view.target(sql), err
	}
	return parse.Target{SQL: "(" + sql + ")", Schema: x.schema(), Columns: columnNames(cols), Types: typeNames(cols), Hidden: meta}, err
}

// begin fixes the cut and starts the query over the tables at it.
func (q *query) begin(ctx context.Context, args *columnar.Batch) (execution, error) {
	g := q.session.gateway
	snap, err := g.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(snap); err != nil {
		return nil, err
	}
	return q.beginAt(ctx, snap, args)
}

// beginAt starts the query over what a snapshot has.
func (q *query) beginAt(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) (*queryExecution, error) {
	e := &queryExecution{query: q, state: q.session.viewState(snap)}
	if err := e.begin(ctx, snap, args); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// begin is to be followed by close if it fails.
func (e *queryExecution) begin(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) error {
	q := e.query
	if slices.ContainsFunc(q.sources, func(x source) bool { return x.view == nil }) {
		var err error
		if e.turn, err = q.session.newTurn(); err != nil {
			return err
		}
		if err := e.turn.take(ctx); err != nil {
			return err
		}
	}
	targets, err := q.targets(ctx, snap, e)
	if err != nil {
		return err
	}
	printed, err := q.print(q.params, parse.Binding{
		Relation: func(r parse.Relation) (parse.Target, error) { return targets[r.Index], nil },
		Dialect:  e.state.dialect(&e.tokens),
	})
	if err != nil {
		return err
	}
	if err := e.start(ctx, printed.SQL, args); err != nil {
		return err
	}
	g := q.session.gateway
	e.presenter = presenter{types: g.tell(e.rows.Columns(), printed.Types), names: g.pg.Names(e.state.catalog)}
	e.leave()
	return nil
}

// unchanged refuses to run a prepared query over tables that became others.
func (q *query) unchanged(snap *catalog.Snapshot) error {
	now, err := q.session.resolveAll(snap, q.parsed)
	if err != nil {
		return err
	}
	for i, x := range now {
		was := q.sources[i]
		if x.view != was.view || x.table.ID != was.table.ID || x.table.Version != was.table.Version {
			return sqlError("0A000", "cached plan must not change result type: table %q was changed", x.table.Name)
		}
	}
	return nil
}

// targets makes what the engine reads for each relation, at one cut for all of them.
func (q *query) targets(ctx context.Context, snap *catalog.Snapshot, e *queryExecution) ([]parse.Target, error) {
	g := q.session.gateway
	journals := map[int64][]string{}
	var all []string
	for _, x := range q.sources {
		if x.view != nil || journals[x.table.ID] != nil {
			continue
		}
		names, err := snap.Journals(ctx, x.table)
		if err != nil {
			return nil, err
		}
		journals[x.table.ID] = names
		all = append(all, names...)
	}
	slices.Sort(all)
	at, err := g.fixCut(ctx, slices.Compact(all))
	if err != nil {
		return nil, err
	}
	relations := q.parsed.Relations()
	out := make([]parse.Target, len(relations))
	for i, r := range relations {
		if x := q.sources[i]; x.view != nil {
			out[i] = e.viewTarget(x.view)
		} else if out[i], err = e.tableTarget(ctx, x.table, journals[x.table.ID], at, r.Meta); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tableTarget plans the reading of one mention of a table.
func (e *queryExecution) tableTarget(ctx context.Context, t catalog.Table, journals []string, at cut, meta []string) (parse.Target, error) {
	g := e.query.session.gateway
	schema := t.RowSchema()
	key := schema.Fingerprint()
	plans, err := g.planJournals(ctx, journals, at, schema, key, len(meta) > 0)
	if err != nil {
		return parse.Target{}, err
	}
	files, ranges, err := g.split(plans)
	if err != nil {
		return parse.Target{}, err
	}
	scan := &tableScan{gateway: g, schema: schema, key: key, ranges: ranges}
	cols := withMeta(schema.Columns, meta)
	out := parse.Target{Schema: t.Schema, Columns: columnNames(schema.Columns), Types: typeNames(schema.Columns), Hidden: meta}
	var parts []string
	if len(files) > 0 {
		inPlace, err := duck.ReadJSON(files, schema)
		if err != nil {
			return parse.Target{}, err
		}
		parts = append(parts, inPlace)
	}
	if len(ranges) > 0 || len(files) == 0 {
		token := g.scans.add(duck.Scan{
			Columns: append(slices.Clone(schema.Columns), metaColumns()...), Open: scan.open,
		})
		e.tokens = append(e.tokens, token)
		parts = append(parts, readScan(token, cols))
	}
	out.SQL = "(" + strings.Join(parts, " UNION ALL ") + ")"
	return out, nil
}

// queryExecution is a query that runs.
type queryExecution struct {
	query  *query
	state  viewState
	tokens []string
	conn   *duck.Conn
	rows   *duck.Rows
	cancel context.CancelCauseFunc // of what bounds the rows

	turn *turn // nil if it reads no tables

	presenter presenter
	batch     *columnar.Batch // that is being sent
	sent      int             // rows of batch that were
}

// start runs the query. It may live longer than this call, so that its rows have a context
// of their own, which each call's context ends while it lasts.
func (e *queryExecution) start(ctx context.Context, sql string, args *columnar.Batch) error {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e.cancel = cancel
	defer e.bound(ctx)()
	var err error
	if e.conn, err = e.query.session.gateway.connect(ctx); err != nil {
		return err
	}
	defer e.query.session.gateway.overrun(ctx)()
	stmt, err := e.conn.Prepare(ctx, sql)
	if err != nil {
		return err
	}
	e.rows, err = stmt.Query(life, args)
	return err
}

// next goes to the engine for the next rows, and away with them.
func (e *queryExecution) next(ctx context.Context) (*columnar.Batch, error) {
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	defer e.query.session.gateway.overrun(ctx)()
	return e.rows.Next(ctx)
}

// leave the engine: while it is away its turn may be taken, and its result too.
func (e *queryExecution) leave() {
	g, conn := e.query.session.gateway, e.conn
	e.turn.leave(func() { g.closeUnread(conn) })
}

// present returns the next rows as they are told.
func (e *queryExecution) present(ctx context.Context) (*columnar.Batch, error) {
	b, err := e.next(ctx)
	if err != nil {
		return nil, err
	}
	return e.presenter.batch(b)
}

// bound lets ctx end the rows until the returned function is called.
func (e *queryExecution) bound(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() { e.cancel(context.Cause(ctx)) })
	return func() { stop() }
}

// close ends the query, and lets go of all that it has. It may be called again.
func (e *queryExecution) close() {
	g := e.query.session.gateway
	if e.cancel != nil {
		e.cancel(context.Canceled)
	}
	if e.conn != nil {
		g.disconnect(e.conn) // with its rows
	}
	g.dropScans(e.tokens)
	if e.turn != nil {
		e.query.session.endTurn(e.turn)
	}
	e.rows, e.conn, e.tokens, e.batch, e.turn = nil, nil, nil, nil, nil
}

// run sends rows. It is done when there are no more, and lets go of everything then; with a
// limit it stops exactly there.
func (e *queryExecution) run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	done, err := e.send(ctx, w, maxRows)
	if done || err != nil {
		e.close()
	}
	return done, err
}

func (e *queryExecution) send(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	if e.rows == nil { // it is over
		w.Complete(tag("SELECT", 0))
		return true, nil
	}
	defer e.bound(ctx)()
	for n := 0; ; {
		if e.batch == nil || e.sent == e.batch.Len {
			var err error
			e.sent = 0
			if e.batch, err = e.present(ctx); errors.Is(err, io.EOF) {
				w.Complete(tag("SELECT", int64(n)))
				return true, nil
			} else if err != nil {
				return false, err
			}
		}
		k := e.batch.Len - e.sent
		if maxRows > 0 {
			k = min(k, maxRows-n)
		}
		if err := writeRows(w, e.batch, e.sent, e.sent+k, e.presenter); err != nil {
			return false, err
		}
		e.sent += k
		if n += k; n == maxRows && maxRows > 0 {
			return false, nil
		}
	}
}

// stream hands over all rows as they are told, in batches.
func (e *queryExecution) stream(ctx context.Context, write func(*columnar.Batch) error, _ func() error) error {
	return e.each(ctx, func(b *columnar.Batch) error {
		b, err := e.presenter.batch(b)
		if err != nil {
			return err
		}
		return write(b)
	})
}

// each hands over all rows of the engine in batches.
func (e *queryExecution) each(ctx context.Context, write func(*columnar.Batch) error) error {
	defer e.bound(ctx)()
	for {
		b, err := e.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := write(b); err != nil {
			return err
		}
	}
}
