package sqlgw

import (
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// tempTable is a temporary table as it is at a moment. It never changes: what changes a session's tables puts others in their
// place, so that a transaction goes back by taking the old ones again, and a query goes on with what it began with.
type tempTable struct {
	catalog.Table
	onCommit parse.OnCommit
	rows     []*columnar.Batch // of the table's columns, in their order
	bytes    int64
	fixed    int64 // what the definition takes, in bytes
}

// tempTables are those of a session, by their names. They are never changed, only replaced.
type tempTables map[string]tempTable

// tempSpace is a session's temporary tables. Nobody else has a way to them: they are in no catalog that others see, and the
// engine reads them by a token of one statement.
type tempSpace struct {
	tables tempTables
	// used is what is counted for the session, in bytes: what the tables have, and what they had since nothing of the session
	// was open that might still read it.
	used int64
}

// Bounds of temporary tables: of a session's in bytes and number, and of all sessions' in bytes.
const (
	maxTemp       = 64 << 20
	maxTempTables = 1000
	maxTemps      = 256 << 20
)

// tempBudget is what a gateway's sessions have together, and gives their tables ids.
type tempBudget struct {
	used atomic.Int64
	ids  atomic.Int64
}

// firstTempID is above those of the catalog, and an OID.
const firstTempID = 3_000_000_000

func (b *tempBudget) id() int64 { return firstTempID + b.ids.Add(1)%1_000_000_000 }

// tempSchema is the name of the schema that a session's temporary tables are in.
func (s *session) tempSchema() string {
	return parse.TempSchema + "_" + strconv.FormatUint(uint64(s.pid), 10)
}

// tempNamed finds the temporary table that a name leads to: before any other relation, if it has no schema.
func (s *session) tempNamed(n parse.Name) (tempTable, bool) {
	if len(s.temps.tables) == 0 || n.Database != "" && n.Database != s.gateway.cfg.Database {
		return tempTable{}, false
	}
	switch n.Schema {
	case "", parse.TempSchema, s.tempSchema():
		t, ok := s.temps.tables[n.Name]
		return t, ok
	}
	return tempTable{}, false
}

// tempByID finds the present state of a temporary table.
func (s *session) tempByID(id int64) (tempTable, bool) {
	for _, t := range s.temps.tables {
		if t.ID == id {
			return t, true
		}
	}
	return tempTable{}, false
}

// putTemp puts a table in the place of the one of its name.
func (s *session) putTemp(t tempTable) {
	tables := maps.Clone(s.temps.tables)
	if tables == nil {
		tables = tempTables{}
	}
	tables[t.Name] = t
	s.temps.tables = tables
}

// dropTemp forgets a table.
func (s *session) dropTemp(name string) {
	s.temps.tables = maps.Clone(s.temps.tables)
	delete(s.temps.tables, name)
}

// definition is about what a temporary table takes in memory without its rows, in bytes.
func (t *tempTable) definition() int64 {
	const table, column = 1024, 256
	n := table + len(t.Name)
	for _, c := range t.Columns {
		n += column + len(c.Name) + len(c.Default)
	}
	return int64(n)
}

// chargeTemp counts bytes, unless they are too many.
func (s *session) chargeTemp(n int64) error {
	const hint = "TRUNCATE or DROP those that are no longer used; what they had counts until the transaction and all open queries end."
	if s.temps.used+n > maxTemp {
		return hinted(sqlError("53400", "the temporary tables of a session may have %d MiB", maxTemp>>20), hint)
	}
	all := &s.gateway.temps.used
	if all.Add(n) > maxTemps {
		all.Add(-n)
		return hinted(sqlError("53400", "the temporary tables of all sessions together may have %d MiB", maxTemps>>20), hint)
	}
	s.temps.used += n
	return nil
}

// endTemps does what is to be done with temporary tables at the end of a transaction that began with some.
func (s *session) endTemps(was tempTables, committed bool) {
	if !committed {
		s.temps.tables = was
	} else {
		for name, t := range s.temps.tables {
			switch {
			case t.onCommit == parse.OnCommitDrop:
				s.dropTemp(name)
			case t.onCommit == parse.OnCommitDelete && len(t.rows) > 0:
				t.rows, t.bytes = nil, 0
				s.putTemp(t)
			}
		}
	}
	s.settleTemps()
}

// settleTemps gives back what isn't used any more, if nothing is open that might read it.
func (s *session) settleTemps() {
	if s.temps.used == 0 || s.reading > 0 {
		return
	}
	now := int64(0)
	for _, t := range s.temps.tables {
		now += t.bytes + t.fixed
	}
	s.gateway.temps.used.Add(now - s.temps.used)
	s.temps.used = now
}

// forgetTemps drops all temporary tables. What they have is counted until the transaction ends, which may bring them back.
func (s *session) forgetTemps() { s.temps.tables = nil }

// readsTemps tells whether relations are temporary tables, some of them.
func readsTemps(sources []source) bool {
	return slices.ContainsFunc(sources, func(x source) bool { return x.temp })
}

// tempTarget is the reading of a temporary table as it is now.
func (e *queryExecution) tempTarget(t catalog.Table) (parse.Target, error) {
	now, ok := e.query.session.tempByID(t.ID)
	if !ok {
		return parse.Target{}, changedResult()
	}
	cols := t.RowSchema().Columns
	count := int64(0)
	for _, b := range now.rows {
		count += int64(b.Len)
	}
	token := e.query.session.gateway.scans.add(duck.Scan{Columns: cols, Cardinality: count, Open: func(_ context.Context, project []int) (duck.Source, error) {
		return &tempSource{rows: now.rows, project: project}, nil
	}})
	e.tokens = append(e.tokens, token)
	return parse.Target{SQL: "(" + readScan(token, cols) + ")", Schema: t.Schema, Columns: columnNames(cols), Types: typeNames(cols)}, nil
}

// tempSource yields the rows of a temporary table.
type tempSource struct {
	rows    []*columnar.Batch
	project []int
}

// Next returns rows, or io.EOF.
func (s *tempSource) Next(context.Context) (*columnar.Batch, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	b := s.rows[0]
	s.rows = s.rows[1:]
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(s.project))}
	for i, c := range s.project {
		out.Cols[i] = b.Cols[c]
	}
	return out, nil
}

// Close ends the reading.
func (s *tempSource) Close() error { return nil }

// tempBatch is how many rows are in a batch of a temporary table, and tempBytes after how many bytes it ends before.
const (
	tempBatch = 2048
	tempBytes = 1 << 20
)

// tempRows gathers copies of rows for a temporary table. What they take is counted as they come.
type tempRows struct {
	session  *session
	table    catalog.Table
	builders []*columnar.VectorBuilder
	pending  int
	size     int64 // about what they take
	rows     []*columnar.Batch
	bytes    int64
}

func (s *session) newTempRows(t catalog.Table) *tempRows {
	r := &tempRows{session: s, table: t}
	r.begin()
	return r
}

func (r *tempRows) begin() {
	r.pending, r.size, r.builders = 0, 0, make([]*columnar.VectorBuilder, len(r.table.Columns))
	for i, c := range r.table.Columns {
		r.builders[i] = columnar.NewVectorBuilder(c.Type)
	}
}

// add a row, given how each column gets its value.
func (r *tempRows) add(value func(column int, v *columnar.VectorBuilder) error) error {
	for i, v := range r.builders {
		if err := value(i, v); err != nil {
			return err
		}
	}
	if r.pending++; r.pending == tempBatch {
		return r.flush()
	}
	return nil
}

// flush ends the batch that grows.
func (r *tempRows) flush() error {
	if r.pending == 0 {
		return nil
	}
	b := &columnar.Batch{Len: r.pending, Cols: make([]columnar.Vector, len(r.builders))}
	for i, v := range r.builders {
		b.Cols[i] = v.Vector()
	}
	r.begin()
	n := b.Bytes()
	if err := r.session.chargeTemp(n); err != nil {
		return err
	}
	r.rows, r.bytes = append(r.rows, b), r.bytes+n
	return nil
}

// put takes the rows of a batch, whose columns are those of the table that cols says; the others are NULL.
func (r *tempRows) put(b *columnar.Batch, cols []int) error {
	from := make([]int, len(r.table.Columns))
	for i := range from {
		from[i] = slices.Index(cols, i)
	}
	for row := range b.Len {
		err := r.add(func(column int, v *columnar.VectorBuilder) error {
			if i := from[column]; i >= 0 {
				v.AppendFrom(&b.Cols[i], row)
			} else {
				v.AppendNull()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.took(b)
}

// took ends the batch that grows if it was made of much, which the rows of b are a part of.
func (r *tempRows) took(b *columnar.Batch) error {
	if r.size += b.Bytes(); r.size >= tempBytes {
		return r.flush()
	}
	return nil
}

// commit makes the rows the table's: behind those that it has, or in their place.
func (r *tempRows) commit(instead bool) error {
	if err := r.flush(); err != nil {
		return err
	}
	t, ok := r.session.tempByID(r.table.ID)
	if !ok {
		return undefinedTable(parse.Name{Name: r.table.Name})
	}
	if instead {
		t.rows, t.bytes = nil, 0
	}
	t.rows, t.bytes = append(slices.Clip(t.rows), r.rows...), t.bytes+r.bytes
	r.session.putTemp(t)
	return nil
}

// withTemps are the tables of the catalog and, behind them, a session's own.
type withTemps struct {
	shared pgcatalog.Tables
	schema catalog.Schema
	temps  tempTables
}

func (w withTemps) Schemas() []catalog.Schema {
	return append(slices.Clone(w.shared.Schemas()), w.schema)
}

func (w withTemps) Tables() []catalog.Table {
	out := slices.Clone(w.shared.Tables())
	for _, name := range slices.Sorted(maps.Keys(w.temps)) {
		out = append(out, w.temps[name].Table)
	}
	return out
}

func (w withTemps) Objects() []catalog.Object { return w.shared.Objects() }

// showTemps lets a session see its temporary tables in the catalogs.
func (s *session) showTemps(state *pgcatalog.State, owner int64) {
	if len(s.temps.tables) == 0 {
		return
	}
	temps, size := s.temps.tables, state.Size
	state.Temp = s.tempSchema()
	state.Tables = withTemps{
		shared: state.Tables, temps: temps,
		schema: catalog.Schema{ID: firstTempID - int64(s.pid)%1_000_000 - 1, Name: state.Temp, Access: catalog.Access{Owner: owner}},
	}
	state.Size = func(ctx context.Context, t catalog.Table) (int64, error) {
		if now, ok := temps[t.Name]; ok && now.ID == t.ID {
			return now.bytes, nil
		}
		return size(ctx, t)
	}
}

// keepTemp makes a sink of rows of a temporary table keep them there.
func (s *session) keepTemp(sink *rowSink, t catalog.Table, cols []int) {
	if _, ok := s.tempByID(t.ID); !ok {
		return
	}
	rows := s.newTempRows(t)
	sink.temp = func(b *columnar.Batch) error { return rows.put(b, cols) }
	sink.kept = func() error { return rows.commit(false) }
}
