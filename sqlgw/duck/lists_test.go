package duck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// TestLists: arrays go into DuckDB as lists, by parameters and by scans, and come back as they were.
func TestLists(t *testing.T) {
	for _, c := range []struct {
		typ   columnar.Type
		texts []string // "" is NULL
	}{
		{columnar.Type{Kind: columnar.Text}, []string{`{a,"b c",NULL}`, "", `{}`, `{"a text that is too long for its slot"}`, `{NULL}`}},
		{columnar.Type{Kind: columnar.Int16}, []string{`{1,2}`, `{3}`, "", `{-4,NULL,6}`}},
		{columnar.Type{Kind: columnar.Decimal, Precision: 12, Scale: 2}, []string{`{1.50,-0.05}`}},
		{columnar.Type{Kind: columnar.TimestampTZ}, []string{`{"2026-01-02 03:04:05+00"}`}},
		{columnar.Type{Kind: columnar.Bytea}, []string{`{"\\x0102"}`}},
		{columnar.Type{Kind: columnar.UUID}, []string{`{11111111-2222-3333-4444-555555555555}`}},
		{columnar.Type{Kind: columnar.Interval}, []string{`{"1 day"}`}},
	} {
		typ := columnar.ArrayOf(c.typ)
		into := columnar.NewVectorBuilder(typ)
		for _, s := range c.texts {
			if s == "" {
				into.AppendNull()
			} else {
				require.NoError(t, columnar.ParseText(typ, s, into))
			}
		}
		v := into.Vector()
		db := open(t, duck.Config{})
		conn := connect(t, db)
		for i, want := range c.texts {
			one := columnar.NewVectorBuilder(typ)
			one.AppendFrom(&v, i)
			args := &columnar.Batch{Len: 1, Cols: []columnar.Vector{one.Vector()}}
			require.Equal(t, []string{want}, arrays(t, conn, "SELECT CAST($1 AS "+typ.DuckDB()+")", args), want)
		}
		register(t, db, "lists", oneColumn(v, v.Len()))
		require.Equal(t, c.texts, arrays(t, conn, "SELECT * FROM lists('t')", nil))
	}
}

// TestListsOfNothing: what DuckDB has no element type for is an array of text; of lists and structs
// there are none.
func TestListsOfNothing(t *testing.T) {
	conn := connect(t, open(t, duck.Config{}))
	require.Equal(t, []string{"{}"}, arrays(t, conn, "SELECT []", nil))
	stmt, err := conn.Prepare(t.Context(), "SELECT [[1]], [{'a': 1}]")
	require.NoError(t, err)
	require.Len(t, stmt.Unsupported(), 2)
}

// arrays are the values of a query's one column.
func arrays(t *testing.T, conn *duck.Conn, sql string, args *columnar.Batch) []string {
	t.Helper()
	batches, err := query(t.Context(), conn, sql, args)
	require.NoError(t, err, sql)
	var out []string
	for _, b := range batches {
		for i := range b.Len {
			out = append(out, string(columnar.AppendText(nil, &b.Cols[0], i)))
		}
	}
	return out
}
