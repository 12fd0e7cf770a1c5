package pgcatalog_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// tables is a catalog that doesn't change.
type tables struct {
	schemas []catalog.Schema
	tables  []catalog.Table
	objects []catalog.Object
}

func (t *tables) Schemas() []catalog.Schema { return t.schemas }
func (t *tables) Tables() []catalog.Table   { return t.tables }
func (t *tables) Objects() []catalog.Object { return t.objects }

// everyType is a table with a column of each type.
func everyType(tb testing.TB) catalog.Table {
	tb.Helper()
	t := catalog.Table{ID: 16390, Schema: "public", Name: "kinds"}
	for i, name := range []string{
		"boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric(18,4)", "text", "varchar(40)", "char(3)", "bytea",
		"date", "time", "timestamp", "timestamptz", "interval", "uuid", "json", "jsonb", "varchar", "bpchar",
	} {
		typ, err := columnar.TypeFromSQL(name, nil)
		require.NoError(tb, err)
		t.Columns = append(t.Columns, catalog.Column{
			ID: int64(i + 1), Name: string(rune('a' + i)), Type: typ, NotNull: name == "boolean" || name == "text",
		})
	}
	return t
}

// example has tables of one name in two schemas, and names that need quotes.
func example(tb testing.TB) *tables {
	tb.Helper()
	text := func(id int64, name string) catalog.Column {
		return catalog.Column{ID: id, Name: name, Type: columnar.Type{Kind: columnar.Text}}
	}
	table := func(id int64, schema, name string, columns ...catalog.Column) catalog.Table {
		return catalog.Table{ID: id, Schema: schema, Name: name, Columns: columns}
	}
	withDefault := text(2, "state")
	withDefault.Default = "'new'::text"
	return &tables{
		schemas: []catalog.Schema{{ID: 16385, Name: "journal"}, {ID: 16384, Name: "public"}, {ID: 16386, Name: "Straße"}, {ID: 16395, Name: "{classes}'"}},
		tables: []catalog.Table{
			table(16391, "Straße", "order", text(1, "Nr")),
			table(16387, "journal", "orders", text(1, "id"), withDefault),
			table(16392, "journal", "rides", text(1, "id")),
			everyType(tb),
			table(16393, "public", "orders", text(1, "id")),
			table(16394, "public", "pg_class", text(1, "hidden")),
		},
	}
}

// engine runs queries over the relations.
type engine struct {
	db      *duck.DB
	catalog *pgcatalog.Catalog
	state   pgcatalog.State

	mu    sync.Mutex
	scans map[string]duck.Scan
}

func newEngine(tb testing.TB) *engine {
	tb.Helper()
	e := &engine{scans: map[string]duck.Scan{}}
	var err error
	e.catalog, err = pgcatalog.New(pgcatalog.Config{
		Database: "postgres", Owner: "postgres", Version: "PostgreSQL 15.0 (test)",
		Others: []pgcatalog.Other{{Schema: "bs_catalog", Name: "journals", Columns: []columnar.Column{{Name: "journal", Type: columnar.Type{Kind: columnar.Text}}}}},
	})
	require.NoError(tb, err)
	e.state = pgcatalog.State{
		Tables: example(tb), Path: []string{"public"}, PID: 4711,
		Settings: func() []pgcatalog.Setting {
			return []pgcatalog.Setting{
				{Name: "DateStyle", Value: "ISO, MDY", Reset: "ISO, MDY", Boot: "ISO, MDY"},
				{Name: "application_name", Value: "a {types} b \\ 'c'", Reset: "", Boot: ""},
				{Name: "search_path", Value: "journal", Reset: "public", Boot: "public"},
				{Name: "server_encoding", Value: "UTF8", Reset: "UTF8", Boot: "UTF8", Fixed: true},
				{Name: "server_version", Value: "15.0", Reset: "15.0", Boot: "15.0", Fixed: true},
			}
		},
		Size: func(_ context.Context, t catalog.Table) (int64, error) { return t.ID * 1000, nil },
	}
	e.db, err = duck.Open(tb.Context(), duck.Config{Threads: 1, MemoryLimit: 256 << 20})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, e.db.Close()) })
	require.NoError(tb, e.db.RegisterScan("bs_scan", func(token string) (duck.Scan, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		s, ok := e.scans[token]
		if !ok {
			return duck.Scan{}, errors.New("no such scan")
		}
		return s, nil
	}))
	return e
}

// read makes a relation readable, and returns the call that reads it.
func (e *engine) read(r *pgcatalog.Relation) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	token := strconv.Itoa(len(e.scans))
	state := e.state
	e.scans[token] = duck.Scan{Columns: r.Scan(), Open: func(ctx context.Context, project []int) (duck.Source, error) {
		src := &source{project: project}
		return src, r.Rows(ctx, e.catalog, state, func(b *columnar.Batch) error {
			src.left = append(src.left, b)
			return nil
		})
	}}
	return "bs_scan('" + token + "')"
}

type source struct {
	project []int
	left    []*columnar.Batch
}

func (s *source) Next(context.Context) (*columnar.Batch, error) {
	if len(s.left) == 0 {
		return nil, io.EOF
	}
	b := s.left[0]
	s.left = s.left[1:]
	out := &columnar.Batch{Len: b.Len}
	for _, c := range s.project {
		out.Cols = append(out.Cols, b.Cols[c])
	}
	return out, nil
}

func (s *source) Close() error { return nil }

// target finds what a query names: a relation, or a table without rows.
func (e *engine) target(r parse.Relation) (parse.Target, error) {
	for _, x := range e.catalog.Relations() {
		if x.Name == r.Name.Name && (x.Schema == r.Schema || r.Schema == "" && x.Schema == "pg_catalog") {
			return parse.Target{
				SQL: "(" + x.Query("SELECT * FROM "+e.read(x)) + ")", Schema: x.Schema, Columns: x.Columns(), Hidden: x.Hidden(),
			}, nil
		}
	}
	for _, t := range e.state.Tables.Tables() {
		if t.Name == r.Name.Name && (t.Schema == r.Schema || r.Schema == "" && t.Schema == "public") {
			sql, err := duck.ReadJSON(nil, t.RowSchema())
			names := make([]string, len(t.Columns))
			for i, c := range t.Columns {
				names[i] = c.Name
			}
			return parse.Target{SQL: "(" + sql + ")", Schema: t.Schema, Columns: names}, err
		}
	}
	return parse.Target{}, &parse.Error{Code: parse.CodeUndefinedTable, Message: fmt.Sprintf("relation %q does not exist", r.String())}
}

// answer is what a query gives: the names of its columns, and rows as text.
type answer struct {
	columns []columnar.Column
	rows    [][]string
}

// printed is DuckDB's text of a query.
func (e *engine) printed(sql string, params ...string) (string, error) {
	pieces, err := parse.Split(sql)
	if err != nil {
		return "", err
	}
	if len(pieces) != 1 {
		return "", fmt.Errorf("%d statements", len(pieces))
	}
	st, err := parse.Parse(pieces[0])
	if err != nil {
		return "", err
	}
	q, ok := st.(*parse.Select)
	if !ok {
		return "", fmt.Errorf("%T is no query", st)
	}
	return q.SQL(parse.Binding{Relation: e.target, Dialect: e.catalog.Dialect(e.state, e.read), ParamTypes: params})
}

// query runs a query, with parameters that are text.
func (e *engine) query(ctx context.Context, sql string, args ...string) (*answer, error) {
	printed, err := e.printed(sql, slices.Repeat([]string{"text"}, len(args))...)
	if err != nil {
		return nil, err
	}
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	st, err := conn.Prepare(ctx, printed)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, printed)
	}
	if u := st.Unsupported(); len(u) > 0 {
		return nil, fmt.Errorf("column %q has type %s", u[0].Name, u[0].Type)
	}
	batch := &columnar.Batch{Len: 1}
	for _, a := range args {
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
		v.AppendString(a)
		batch.Cols = append(batch.Cols, v.Vector())
	}
	rows, err := st.Query(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, printed)
	}
	defer func() { _ = rows.Close() }()
	out := &answer{columns: st.Columns()}
	for {
		b, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w\n%s", err, printed)
		}
		for i := range b.Len {
			out.rows = append(out.rows, textRow(b, i))
		}
	}
}

func textRow(b *columnar.Batch, i int) []string {
	row := make([]string, len(b.Cols))
	for j := range b.Cols {
		row[j] = "NULL"
		if v := &b.Cols[j]; !v.IsNull(i) {
			row[j] = string(columnar.AppendText(nil, v, i))
		}
	}
	return row
}

// String is the answer as scenarios show it.
func (a *answer) String() string {
	var b strings.Builder
	names := make([]string, len(a.columns))
	for i, c := range a.columns {
		names[i] = c.Name
	}
	b.WriteString(strings.Join(names, " | ") + "\n")
	for _, row := range a.rows {
		b.WriteString(strings.Join(row, " | ") + "\n")
	}
	return b.String()
}
