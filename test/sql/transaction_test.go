package sql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// TestDDLIsByItself: what can't be undone isn't part of a transaction.
func TestDDLIsByItself(t *testing.T) {
	conn := connect(t)
	exec(t, conn, "BEGIN")
	_, err := conn.Exec(t.Context(), "CREATE TABLE never (a int)")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "25001", e.Code)
	require.Equal(t, byte('E'), conn.PgConn().TxStatus())
	exec(t, conn, "ROLLBACK")
	require.Equal(t, "25001", code(t, conn, "SELECT 1; CREATE TABLE never (a int)", pgx.QueryExecModeSimpleProtocol))
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM pg_class WHERE relname = 'never'"))
}
