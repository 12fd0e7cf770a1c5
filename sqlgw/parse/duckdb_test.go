package parse

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	_ "github.com/duckdb/duckdb-go/v2" // the DuckDB that queries are printed for
	"github.com/stretchr/testify/require"
)

// openDuckDB opens a DuckDB with the tables that the result files name.
func openDuckDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"set timezone = 'UTC'",
		// What sqlgw/duck adds, as far as these tests need it.
		`create macro bs_text(x) as case typeof(x) when 'BLOB' then '\\x' || lower(hex(x::varchar::blob))
			when 'DATE' then replace(x::varchar, ' (BC)', ' BC') else x::varchar end`,
		"create macro bs_jsonb(x) as x::json",
		"create macro bs_json_length(x) as json_array_length(x)::int4",
		"create macro bs_whole(x) as x::decimal(18, 0)",
		"create macro bs_micros(x) as x::decimal(22, 6)",
		"create macro bs_jsonb_text(x) as x::varchar",
		"create macro bs_jsonb_value(x) as x ->> '$'",
		"create macro bs_bytea(x) as x::blob",
		"create macro bs_divisor(x) as list_transform([x], lambda d: case when d = 0 then error('SQLSTATE 22012: division by zero') else d end)[1]",
		"create table t (a int, b text, c double)", "insert into t values (1, 'x', 1.5), (2, 'y', null), (null, 'z', 3), (10, 'x', 0)",
		"create table u (a int, d text)", "insert into u values (1, 'one'), (2, 'two'), (2, 'zwei'), (5, null)",
		"create table v (a int, b text, e date)", "insert into v values (1, 'x', '2020-01-01'), (3, 'y', null)",
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	return db
}

// firstColumnOf reads all values of the one column of a query.
func firstColumnOf(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var values []string
	for rows.Next() {
		var v string
		require.NoError(t, rows.Scan(&v))
		values = append(values, v)
	}
	require.NoError(t, rows.Err())
	return values
}

// answer prints a query, and gives what DuckDB answers as text. Every table has metadata
// columns, which no result may show.
func answer(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	pieces, err := Split(query)
	require.NoError(t, err)
	require.Len(t, pieces, 1)
	q, err := queryOfPiece(pieces[0])
	if err != nil {
		return describe(err)
	}
	text, err := q.SQL(Binding{Relation: func(r Relation) (Target, error) {
		cols, ok := tables()[r.Name.Name]
		if !ok {
			return Target{}, errorf(CodeUndefinedTable, "relation %q does not exist", r.String())
		}
		return Target{
			SQL:    "(select *, 'j' as _journal, 1 as _offset, null::timestamptz as _timestamp from main." + r.Name.Name + ")",
			Schema: "public", Columns: cols, Hidden: metaColumns(),
		}, nil
	}})
	if err != nil {
		return describe(err)
	}
	rows, err := db.Query(text)
	if err != nil {
		return "DuckDB: " + strings.Split(err.Error(), "\n")[0] + "\n"
	}
	defer func() { require.NoError(t, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(t, err)
	types, err := rows.ColumnTypes()
	require.NoError(t, err)
	var out strings.Builder
	out.WriteString(strings.Join(names, "|") + "\n")
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		for i, v := range values {
			if i > 0 {
				out.WriteByte('|')
			}
			out.WriteString(asText(v, types[i].DatabaseTypeName()))
		}
		out.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		return "DuckDB: " + strings.Split(err.Error(), "\n")[0] + "\n"
	}
	return out.String()
}

// asText prints a value as psql does.
func asText(v any, typ string) string {
	switch x := v.(type) {
	case nil:
		return "NULL"
	case bool:
		return strconv.FormatBool(x)[:1]
	case time.Time:
		switch typ {
		case "DATE":
			return x.Format(time.DateOnly)
		case "TIMESTAMPTZ":
			return x.Format(time.DateTime + "-07")
		}
		return x.Format(time.DateTime)
	}
	return fmt.Sprint(v)
}

// TestResults runs queries in DuckDB. In the files other than "differs", the answers are those of
// PostgreSQL 15. Their commands:
//
//	query    names and rows of one query
//	values   for each line, an expression: its value as text
func TestResults(t *testing.T) {
	db := openDuckDB(t)
	datadriven.Walk(t, "testdata/results", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "query":
				return answer(t, db, d.Input)
			case "values":
				var out strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					value := answer(t, db, "select ("+line+")::text as x")
					out.WriteString(strings.TrimPrefix(value, "x\n"))
				}
				return out.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

// TestFunctionsExist: DuckDB has every function that queries may call, by the name and of the kind
// that the list says.
func TestFunctionsExist(t *testing.T) {
	db := openDuckDB(t)
	have := firstColumnOf(t, db, "select distinct function_name || ' ' || function_type from duckdb_functions()")
	windows := []string{"row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "first_value", "last_value", "lag", "lead", "nth_value"}
	for name, f := range functionList {
		kinds := []string{"scalar", "macro"}
		switch {
		case slices.Contains(windows, f.duck), f.withinGroup, f.duck == "unnest", // of the grammar, not of the catalog
			strings.HasPrefix(f.duck, "bs_"): // added by sqlgw/duck
			continue
		case f.kind == aggregateFunction && !f.plain:
			kinds = []string{"aggregate"}
		}
		require.True(t, slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(have, f.duck+" "+k) }), "%s is %s", name, f.duck)
	}
}

// TestAggregates: DuckDB's aggregates take everything that PostgreSQL's take.
func TestAggregates(t *testing.T) {
	db := openDuckDB(t)
	for name, f := range functionList {
		if f.kind != aggregateFunction || f.withinGroup || f.plain || f.min == 0 {
			continue
		}
		arg := map[bool]string{true: "a > 1", false: "a"}[strings.HasPrefix(name, "bool_") || name == "every"]
		args := arg + strings.Repeat(", a", f.min-1)
		if name == "string_agg" {
			args = "b, ','"
		}
		for _, tail := range []string{"", " filter (where a > 1)", " over (partition by b order by a)"} {
			require.NotContains(t, answer(t, db, "select "+name+"("+args+")"+tail+" from t"), "DuckDB: ", name+tail)
		}
		require.NotContains(t, answer(t, db, "select "+name+"("+args+" order by b desc), "+name+"(distinct "+args+") from t"), "DuckDB: ", name)
	}
}

// TestNames: what is known not to be supported is what DuckDB has, and nothing else can be told
// from a name that doesn't exist. A new DuckDB fails here until the lists are renewed.
func TestNames(t *testing.T) {
	db := openDuckDB(t)
	for _, name := range firstColumnOf(t, db, "select distinct function_name from duckdb_functions()") {
		if !isWordStart(name[0]) || strings.HasPrefix(name, "__") || strings.HasPrefix(name, "bs_") {
			continue // operators, what the optimizer makes, and what openDuckDB does
		}
		if lookupFunction(name) != nil {
			continue
		}
		e := unlistedFunction(name, nil)
		require.NotEqual(t, CodeUndefinedFunction, e.Code, name)
	}
	// Every table function and pragma that reads anything is forbidden, not only missing.
	for _, name := range firstColumnOf(t, db, "select distinct function_name from duckdb_functions() where function_type in ('table', 'table_macro', 'pragma')") {
		if lookupFunction(name) == nil && !slices.Contains([]string{"range", "repeat", "json_each", "json_tree", "histogram", "histogram_values", "pg_timezone_names"}, name) {
			require.True(t, isForbidden(name) || isPlainPragma(name), name)
		}
	}
	for _, name := range firstColumnOf(t, db, "select lower(name) from duckdb_settings() where lower(name) not in ('timezone', 'search_path')") {
		require.True(t, isDuckSetting(name), name)
	}
	require.False(t, isDuckSetting("search_path"))
	require.False(t, isDuckSetting(""))
	require.False(t, hasLine(duckDBFunctions, "abs\nacos"))
}

// isPlainPragma tells whether a pragma can't be called as a function anyway.
func isPlainPragma(name string) bool {
	return slices.Contains([]string{"collations", "functions", "show", "show_databases", "show_tables", "show_tables_expanded", "version"}, name)
}

// TestKeywords: every word of DuckDB's grammar can be the name of a column and of a table.
func TestKeywords(t *testing.T) {
	db := openDuckDB(t)
	words := firstColumnOf(t, db, "select keyword_name from duckdb_keywords()")
	require.Greater(t, len(words), 400)
	for _, w := range words {
		query := fmt.Sprintf(`select %[1]q.%[1]q, x.%[1]q as %[1]q, %[1]q.*, 1 as %[1]q from (select 1 as %[1]q) as %[1]q, (select 2) as x(%[1]q) order by %[1]q.%[1]q`, w)
		require.Equal(t, strings.Repeat(w+"|", 3)+w+"\n1|2|1|1\n", answer(t, db, query), w)
	}
}

// TestPrintedIsOneQuery: what is printed is one SELECT also for DuckDB's parser, and all that it names
// are the targets' scans and functions of the list.
func TestPrintedIsOneQuery(t *testing.T) {
	db := openDuckDB(t)
	for _, query := range everything() {
		q := mustQuery(t, query)
		text, err := q.SQL(bindTo(q, nil))
		require.NoError(t, err)
		var parsed string
		require.NoError(t, db.QueryRow("select json_serialize_sql(?::varchar)::varchar", text).Scan(&parsed))
		var tree struct {
			Error      bool
			Statements []struct{ Node struct{ Type string } }
		}
		require.NoError(t, json.Unmarshal([]byte(parsed), &tree))
		require.False(t, tree.Error, text)
		require.Len(t, tree.Statements, 1, text)
		require.Contains(t, []string{"SELECT_NODE", "SET_OPERATION_NODE"}, tree.Statements[0].Node.Type)
	}
}

// TestRaised: the error of a bound that is checked while running is known again.
func TestRaised(t *testing.T) {
	db := openDuckDB(t)
	raised := answer(t, db, "select s from (select 20000 as n) x, generate_series(1, n) s")
	require.Contains(t, raised, "DuckDB: ")
	e := Raised(raised)
	require.NotNil(t, e)
	require.Equal(t, CodeLimit, e.Code)
	require.Nil(t, Raised("Conversion Error: x"))
	require.Equal(t, "s\n1\n2\n", answer(t, db, "select s from (select 2 as n) x, generate_series(1, n) s order by s"))
}
