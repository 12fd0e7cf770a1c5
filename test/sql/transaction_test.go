package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestPipelineIsOneTransaction: the messages up to a Sync are all done, or none is.
func TestPipelineIsOneTransaction(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER NOT NULL)")
	var batch pgx.Batch
	for i := range 50 {
		batch.Queue("INSERT INTO "+name+" VALUES ($1)", i)
	}
	batch.Queue("SELECT count(*) FROM " + name)
	results := conn.SendBatch(t.Context(), &batch)
	for range 50 {
		_, err := results.Exec()
		require.NoError(t, err)
	}
	var seen int
	require.NoError(t, results.QueryRow().Scan(&seen))
	require.Equal(t, 50, seen, "a transaction sees what it writes")
	require.NoError(t, results.Close())

	batch = pgx.Batch{}
	for i := range 5 {
		batch.Queue("INSERT INTO "+name+" VALUES ($1)", 100+i)
	}
	batch.Queue("INSERT INTO " + name + " VALUES (NULL)")
	require.Error(t, conn.SendBatch(t.Context(), &batch).Close())
	require.Equal(t, []string{"50"}, rows(t, conn, "SELECT count(*) FROM "+name))
}

// TestCuts: READ COMMITTED takes a cut for each statement, REPEATABLE READ and READ ONLY one for all.
func TestCuts(t *testing.T) {
	conn, other := connect(t), connect(t)
	name := table(t, conn, "(id INTEGER)")
	second := name + "_second"
	exec(t, conn, "CREATE TABLE "+second+" (id INTEGER)")
	defer exec(t, conn, "DROP TABLE "+second)
	for i, c := range []struct {
		modes pgx.TxOptions
		one   bool
	}{
		{pgx.TxOptions{}, false},
		{pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, true},
		{pgx.TxOptions{AccessMode: pgx.ReadOnly}, true},
		{pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}, true},
	} {
		tx, err := conn.BeginTx(t.Context(), c.modes)
		require.NoError(t, err)
		see := func(table string) int {
			var n int
			require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
			return n
		}
		require.Equal(t, i, see(name))
		exec(t, other, "INSERT INTO "+name+" VALUES (1)")
		exec(t, other, "INSERT INTO "+second+" VALUES (1)")
		if c.one {
			require.Equal(t, i, see(name), "%+v", c.modes)
			require.Equal(t, i, see(second), "%+v: it is in the cut, too", c.modes)
		} else {
			require.Equal(t, i+1, see(name))
		}
		require.NoError(t, tx.Commit(t.Context()))
	}
	require.Equal(t, "0A000", code(t, conn, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
}

// TestLargeTransaction is more than is held in memory, over several journals, with savepoints.
func TestLargeTransaction(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER NOT NULL, filler TEXT) WITH (journals = 3, partition_by = 'id')")
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	filler := strings.Repeat("x", 1000)
	for part := range 4 {
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		var lines strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&lines, "%d\t%s\n", part*1000+i, filler)
		}
		_, err = inner.Conn().PgConn().CopyFrom(t.Context(), strings.NewReader(lines.String()), "COPY "+name+" FROM STDIN")
		require.NoError(t, err)
		if part%2 == 0 {
			require.NoError(t, inner.Commit(t.Context()))
		} else {
			require.NoError(t, inner.Rollback(t.Context()))
		}
	}
	const ask = "SELECT count(*), min(id), max(id), count(DISTINCT id), sum(length(filler))::bigint FROM "
	want := []string{"2000|0|2999|2000|2000000"}
	require.Equal(t, want, rows(t, conn, ask+name))
	require.Equal(t, []string{"0|NULL|NULL|0|NULL"}, rows(t, connect(t), ask+name))
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, want, rows(t, connect(t), ask+name))
}

// TestStagedRowsHaveDefaults: rows that a transaction stages get the defaults of columns that a statement leaves
// out, and are held to NOT NULL, as those of a statement by itself are.
func TestStagedRowsHaveDefaults(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER PRIMARY KEY, k TEXT NOT NULL DEFAULT 'x', n INTEGER DEFAULT 2 + 3, made TIMESTAMPTZ NOT NULL DEFAULT now())")
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		"INSERT INTO " + name + " VALUES (1)",
		"INSERT INTO " + name + " (n, id) VALUES (DEFAULT, 2), (7, 3)",
		"INSERT INTO " + name + " (id, n) SELECT 4, NULL",
		"PREPARE staged AS INSERT INTO " + name + " (id) VALUES ($1)",
		"EXECUTE staged (5)",
	} {
		exec(t, conn, sql)
	}
	_, err = conn.PgConn().CopyFrom(t.Context(), strings.NewReader("6\ty\n"), "COPY "+name+" (id, k) FROM STDIN")
	require.NoError(t, err)
	want := []string{"1|x|5|t", "2|x|5|t", "3|x|7|t", "4|x|NULL|t", "5|x|5|t", "6|y|5|t"}
	ask := "SELECT id, k, n, made > now() - interval '1 hour' FROM " + name + " ORDER BY id"
	require.Equal(t, want, rows(t, conn, ask))
	for _, sql := range []string{
		"INSERT INTO " + name + " (id, k) VALUES (7, NULL)", "INSERT INTO " + name + " (k) VALUES ('y')", "INSERT INTO " + name + " (id, made) SELECT 8, NULL",
	} {
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		require.Equal(t, "23502", blockCode(t, conn, sql), sql)
		require.NoError(t, inner.Rollback(t.Context()))
	}
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, want, rows(t, connect(t), ask))
}

// TestDDLIsByItself: what can't be undone isn't part of a transaction.
func TestDDLIsByItself(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(a int)")
	for _, sql := range []string{
		"CREATE TABLE never (a int)", "DROP TABLE " + name, "CREATE SCHEMA never", "DROP SCHEMA never",
		"CREATE INDEX never ON " + name + " (a)", "ALTER TABLE " + name + " ADD CONSTRAINT never UNIQUE (a)", "CREATE SEQUENCE never",
		"CREATE FUNCTION never() RETURNS int LANGUAGE sql AS 'select 1'", "COMMENT ON TABLE " + name + " IS 'never'",
		"DROP INDEX never", "DROP SEQUENCE never", "DROP FUNCTION never", "VACUUM " + name,
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeDescribeExec, pgx.QueryExecModeSimpleProtocol} {
			exec(t, conn, "BEGIN")
			require.Equal(t, "25001", blockCode(t, conn, sql, mode), sql)
			exec(t, conn, "ROLLBACK")
		}
		require.Equal(t, "25001", code(t, conn, "SELECT 1; "+sql, pgx.QueryExecModeSimpleProtocol), sql)
	}
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM pg_class WHERE relname = 'never'"))
	require.Equal(t, []string{"NULL"}, rows(t, conn, "SELECT obj_description('"+name+"'::regclass)"))
	exec(t, conn, "BEGIN")
	exec(t, conn, "ANALYZE "+name)
	exec(t, conn, "COMMIT")
}

// TestDeclarationsWrite: a transaction that only reads declares nothing.
func TestDeclarationsWrite(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(a int)")
	exec(t, conn, "SET default_transaction_read_only = on")
	for _, sql := range []string{"CREATE INDEX ON " + name + " (a)", "CREATE SEQUENCE never", "COMMENT ON TABLE " + name + " IS 'never'"} {
		require.Equal(t, "25006", code(t, conn, sql), sql)
	}
	exec(t, conn, "VACUUM "+name)
	exec(t, conn, "RESET default_transaction_read_only")
}

// TestExecuteTakesNames: what EXECUTE gives to a parameter of a type of OIDs may be the name of what has it.
func TestExecuteTakesNames(t *testing.T) {
	conn := connect(t)
	exec(t, conn, "PREPARE named AS SELECT relname FROM pg_class WHERE oid = $1")
	exec(t, conn, "PREPARE told AS SELECT relname FROM pg_class WHERE oid = $1::regclass")
	require.Equal(t, []string{"pg_type"}, rows(t, conn, "EXECUTE named (1247)"))
	require.Equal(t, []string{"pg_type"}, rows(t, conn, "EXECUTE told ('pg_type')"))
	require.Equal(t, "42P01", code(t, conn, "EXECUTE told ('nowhere')"))
}
