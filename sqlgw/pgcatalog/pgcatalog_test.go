package pgcatalog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// postgres is a PostgreSQL 15 that the scenarios are held against:
//
//	go test ./sqlgw/pgcatalog -run TestSame -postgres 'host=/socket/dir user=postgres' -rewrite
//	go test ./sqlgw/pgcatalog -run TestPsql -postgres 'host=/socket/dir user=postgres'
var postgres = flag.String("postgres", "", "connection `string` of a PostgreSQL 15")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oracle asks PostgreSQL.
type oracle struct{ conn *pgconn.PgConn }

func newOracle(t *testing.T) *oracle {
	t.Helper()
	if *postgres == "" {
		return nil
	}
	conn, err := pgconn.Connect(t.Context(), *postgres)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return &oracle{conn: conn}
}

// query gives the names of the columns and the rows.
func (o *oracle) query(t *testing.T, sql string) (string, string) {
	t.Helper()
	r := o.conn.ExecParams(t.Context(), strings.TrimSuffix(strings.TrimSpace(sql), ";"), nil, nil, nil, nil)
	var names []string
	for _, f := range r.FieldDescriptions() {
		names = append(names, f.Name)
	}
	var rows strings.Builder
	for r.NextRow() {
		cells := make([]string, len(names))
		for i, cell := range r.Values() {
			cells[i] = "NULL"
			if cell != nil {
				cells[i] = string(cell)
			}
		}
		rows.WriteString(strings.Join(cells, " | ") + "\n")
	}
	_, err := r.Close()
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return "", fmt.Sprintf("%s: %s\n", e.Code, e.Message)
	}
	require.NoError(t, err)
	return strings.Join(names, " | ") + "\n", rows.String()
}

// result of a query as scenarios show it.
func (e *engine) result(ctx context.Context, sql string, args ...string) (string, string) {
	a, err := e.query(ctx, sql, args...)
	if refused, ok := errors.AsType[*parse.Error](err); ok {
		return "", fmt.Sprintf("%s: %s\n", refused.Code, refused.Message)
	}
	if failed, ok := errors.AsType[*duck.Error](err); ok && failed.SQLSTATE != "" {
		return "", fmt.Sprintf("%s: %s\n", failed.SQLSTATE, failed.Message)
	}
	if err != nil {
		message, _, _ := strings.Cut(err.Error(), "\n") // the query follows
		return "", "error: " + message + "\n"
	}
	names, rows, _ := strings.Cut(a.String(), "\n")
	return names + "\n", rows
}

// TestSame: the answers are PostgreSQL's own.
func TestSame(t *testing.T) {
	e, pg := newEngine(t), newOracle(t)
	datadriven.Walk(t, "testdata/same", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			var names, rows string
			if pg != nil {
				names, rows = pg.query(t, d.Input)
			} else {
				names, rows = e.result(t.Context(), d.Input)
			}
			return names + rows
		})
	})
}

// TestOurs: what is ours alone. Arguments of a command are the parameters of the query.
func TestOurs(t *testing.T) {
	e := newEngine(t)
	datadriven.Walk(t, "testdata/ours", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			if d.Cmd == "path" {
				e.state.Path = strings.Fields(d.Input)
				return ""
			}
			var args []string
			for _, a := range d.CmdArgs {
				args = append(args, a.Vals...)
			}
			names, rows := e.result(t.Context(), d.Input, args...)
			return names + rows
		})
	})
}

// TestPsql: statements that psql 15 sends. Their columns have the names that PostgreSQL gives
// them.
func TestPsql(t *testing.T) {
	e, pg := newEngine(t), newOracle(t)
	datadriven.Walk(t, "testdata/psql", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			names, rows := e.result(t.Context(), d.Input)
			if pg != nil {
				theirs, _ := pg.query(t, d.Input)
				require.Equal(t, theirs, names, d.Input)
			}
			return names + rows
		})
	})
}

// TestOperandsKeepTheirNames: a column of the user's is what an operand means, although the template
// has a name like it.
func TestOperandsKeepTheirNames(t *testing.T) {
	e := newEngine(t)
	for _, call := range []string{
		"%s::regclass", "format_type(%s, -1)", "pg_table_size(%s)", "pg_table_is_visible(%s)", "%s::regtype", "quote_ident(%[1]s::text)",
		"pg_get_userbyid(%s)", "pg_size_pretty(%s)", "pg_relation_is_updatable(%s, false)",
	} {
		for _, name := range []string{"bs_oid", "bs_asked", "bs_class", "bs_name", "bs_size", "bs_type"} {
			query := "SELECT %s FROM (SELECT 16387 AS %s) AS t"
			_, ours := e.result(t.Context(), fmt.Sprintf(query, fmt.Sprintf(call, name), name))
			_, plain := e.result(t.Context(), fmt.Sprintf(query, fmt.Sprintf(call, "x"), "x"))
			require.Equal(t, plain, ours, "%s of %s", call, name)
			require.NotContains(t, ours, "error")
		}
	}
}

// TestSizesAreAsked: of the tables that are asked for, and what goes wrong is told.
func TestSizesAreAsked(t *testing.T) {
	e := newEngine(t)
	var asked []string
	e.state.Size = func(_ context.Context, table catalog.Table) (int64, error) {
		asked = append(asked, table.Schema+"."+table.Name)
		if table.Name == "rides" {
			return 0, errors.New("no broker")
		}
		return 5, nil
	}
	_, rows := e.result(t.Context(), "SELECT pg_table_size('journal.orders')")
	require.Equal(t, "5\n", rows)
	require.Equal(t, []string{"journal.orders"}, asked)
	_, rows = e.result(t.Context(), "SELECT pg_table_size(oid) FROM pg_class")
	require.Contains(t, rows, "no broker")
}

// TestConfig: what is missing is told.
func TestConfig(t *testing.T) {
	_, err := pgcatalog.New(pgcatalog.Config{Database: "postgres"})
	require.ErrorContains(t, err, "Owner")
	_, err = pgcatalog.New(pgcatalog.Config{
		Database: "d", Owner: "o", Version: "v", Others: []pgcatalog.Other{{Schema: "a", Name: "x"}, {Schema: "b", Name: "y"}},
	})
	require.ErrorContains(t, err, "b.y")
}
