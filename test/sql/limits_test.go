package sql_test

import (
	"context"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// TestLimitsOfAStatement: a query doesn't return more rows than the server's flag lets it, or than the session asked for, by whatever way; what
// isn't returned isn't counted. A timeout is the flag's until the session says another.
func TestLimitsOfAStatement(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir()+"/data", "--sql-max-rows", "5000", "--sql-statement-timeout", "10m", "--sql-max-statement-timeout", "20m", "--sql-max-queries", "2")
	require.NoError(t, err)
	t.Cleanup(s.Kill)
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	refused := func(err error) {
		t.Helper()
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "53400", e.Code, e.Message)
		require.NotEmpty(t, e.Hint)
	}
	require.Equal(t, []string{"10min|5000"}, rows(t, conn, "SELECT current_setting('statement_timeout'), current_setting('broadsheet.max_rows')"))
	require.Len(t, rows(t, conn, "SELECT i FROM generate_series(1, 5000) i"), 5000)
	_, err = conn.Exec(t.Context(), "SELECT i FROM generate_series(1, 5001) i")
	refused(err)
	require.Equal(t, []string{"1000000"}, rows(t, conn, "SELECT count(*) FROM generate_series(1, 1000000) i"), "only what is returned counts")

	exec(t, conn, "CREATE TABLE limited (i BIGINT)")
	require.Equal(t, "INSERT 0 6000", exec(t, conn, "INSERT INTO limited SELECT i FROM generate_series(1, 6000) i").String())
	for _, sql := range []string{"COPY limited TO STDOUT", "COPY (SELECT i FROM limited) TO STDOUT (FORMAT csv)"} {
		_, err = conn.PgConn().CopyTo(t.Context(), io.Discard, sql)
		refused(err)
	}
	_, err = conn.Exec(t.Context(), "SELECT i FROM limited WHERE i > $1", 0)
	refused(err)

	exec(t, conn, "SET broadsheet.max_rows = 10")
	exec(t, conn, "BEGIN")
	exec(t, conn, "DECLARE c CURSOR FOR SELECT i FROM limited")
	require.Len(t, rows(t, conn, "FETCH 6 FROM c"), 6)
	require.Len(t, rows(t, conn, "FETCH 4 FROM c"), 4)
	_, err = conn.Exec(t.Context(), "FETCH 1 FROM c")
	refused(err)
	exec(t, conn, "ROLLBACK")
	for _, more := range []string{"5001", "0"} {
		require.Equal(t, "22023", code(t, conn, "SET broadsheet.max_rows = "+more))
	}
	exec(t, conn, "RESET broadsheet.max_rows")
	require.Len(t, rows(t, conn, "SELECT i FROM limited LIMIT 5000"), 5000)
}
