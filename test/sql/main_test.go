package sql_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// server is the one of this package's tests.
var server *system.Server

func TestMain(m *testing.M) {
	os.Exit(system.Main(m, &server))
}

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := server.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) pgconn.CommandTag {
	t.Helper()
	tag, err := conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err, sql)
	return tag
}

// rows returns the rows of a query as psql would print them: NULL is "NULL".
func rows(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	args = append([]any{pgx.QueryExecModeSimpleProtocol}, args...)
	r, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err, sql)
	var out []string
	for r.Next() {
		var cells []string
		for _, v := range r.RawValues() {
			if v == nil {
				cells = append(cells, "NULL")
			} else {
				cells = append(cells, string(v))
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	require.NoError(t, r.Err(), sql)
	return out
}

// code runs a statement that has to fail, and returns its SQLSTATE; the connection has to be
// usable afterwards.
func code(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	args = append([]any{pgx.QueryExecModeExec}, args...)
	_, err := conn.Exec(t.Context(), sql, args...)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, sql)
	require.NotEqual(t, "XX000", e.Code, "%s: %s", sql, e.Message)
	var one int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT 1").Scan(&one), "after %s", sql)
	return e.Code
}

// blockCode runs a statement that fails in a transaction block, and returns its SQLSTATE.
func blockCode(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, sql)
	require.Equal(t, byte('E'), conn.PgConn().TxStatus(), sql)
	return e.Code
}

// table makes a table of a test, which is dropped at its end.
func table(t *testing.T, conn *pgx.Conn, columns string) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "_", "-", "_", "#", "_").Replace(t.Name()))
	exec(t, conn, "CREATE TABLE "+name+" "+columns)
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "DROP TABLE "+name)
		var gone *pgconn.PgError
		if err != nil && !errors.As(err, &gone) {
			t.Error(err)
		}
	})
	return name
}

func journal(t *testing.T, conn *pgx.Conn, table string) string {
	t.Helper()
	var j string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT min(journal) FROM bs_catalog.journals WHERE table_name = $1", table).Scan(&j))
	return j
}

// documented runs the example of a section of docs/sql.md: the rows of a query are what stands behind it.
func documented(t *testing.T, conn *pgx.Conn, heading string, queries int) {
	t.Helper()
	page, err := os.ReadFile("../../docs/sql.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "\n"+heading+"\n")
	require.True(t, ok)
	_, example, ok := strings.Cut(section, "```sql\n")
	require.True(t, ok)
	example, _, _ = strings.Cut(example, "```")
	for line := range strings.Lines(example) {
		sql, want, isQuery := strings.Cut(strings.TrimSpace(line), " -- ")
		if !isQuery {
			exec(t, conn, sql)
			continue
		}
		queries--
		require.Equal(t, []string{want}, rows(t, conn, sql), sql)
	}
	require.Zero(t, queries)
}
