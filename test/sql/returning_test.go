package sql_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// TestReturningTellsWhereRowsAre: _journal and _offset are those that a query tells of the rows.
func TestReturningTellsWhereRowsAre(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, v TEXT DEFAULT 'é') WITH (journals = 4, partition_by = 'id')")
	asked := func() []string { return rows(t, conn, "SELECT id, _journal, _offset FROM "+name+" ORDER BY id") }
	for _, insert := range []string{
		"VALUES (1)",
		"VALUES (5), (4), (3), (2), (6)",
		"SELECT g FROM generate_series(7, 5000) g",
	} {
		before := len(asked())
		told := rows(t, conn, "INSERT INTO "+name+" (id) "+insert+" RETURNING id, _journal, _offset")
		if before < 5 { // VALUES (5) comes first, as it was given
			require.Contains(t, told[0], map[int]string{0: "1|", 1: "5|"}[before])
		}
		require.ElementsMatch(t, asked()[before:], told)
	}
	require.Equal(t, []string{"5000|é|é!|NULL"}, rows(t, conn, "INSERT INTO "+name+" (id) VALUES (5000) RETURNING *, v || '!', _timestamp"))
}

// TestReturningByTheExtendedProtocol: a description has the types of parameters and columns, and rows come in the
// formats that were asked for, some at a time if that is.
func TestReturningByTheExtendedProtocol(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT NOT NULL, v VARCHAR(10), n NUMERIC(8,2))")
	sql := "INSERT INTO " + name + " VALUES ($1, $2, $3) RETURNING n, v || $4, id, _offset, _journal"
	d, err := conn.Prepare(t.Context(), "", sql)
	require.NoError(t, err)
	require.Equal(t, []uint32{pgtype.Int8OID, pgtype.VarcharOID, pgtype.NumericOID, pgtype.TextOID}, d.ParamOIDs)
	var oids []uint32
	for _, f := range d.Fields {
		oids = append(oids, f.DataTypeOID)
	}
	require.Equal(t, []uint32{pgtype.NumericOID, pgtype.TextOID, pgtype.Int8OID, pgtype.Int8OID, pgtype.TextOID}, oids)
	before := int64(-1)
	for i := range 3 {
		var (
			n          float64
			v, journal string
			id, offset int64
		)
		require.NoError(t, conn.QueryRow(t.Context(), sql, i, "x", 1.25, "y").Scan(&n, &v, &id, &offset, &journal))
		require.Equal(t, []any{1.25, "xy", int64(i)}, []any{n, v, id})
		require.Greater(t, offset, before)
		before = offset
		require.Equal(t, []string{fmt.Sprintf("%d|%s", offset, journal)}, rows(t, conn, fmt.Sprintf("SELECT _offset, _journal FROM %s WHERE id = %d", name, i)))
	}
}

// TestReturningInTransactions: rows come back before they are appended, but not where they will be. A statement that
// tells it is appended at once.
func TestReturningInTransactions(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT)")
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	var id int64
	var journal string
	require.NoError(t, tx.QueryRow(t.Context(), "INSERT INTO "+name+" VALUES (1) RETURNING id, _journal").Scan(&id, &journal))
	_, err = tx.Exec(t.Context(), "INSERT INTO "+name+" VALUES (2) RETURNING _offset")
	requireCode(t, err, "0A000")
	require.NoError(t, tx.Rollback(t.Context()))
	require.Empty(t, rows(t, conn, "SELECT id FROM "+name))

	_, err = conn.Exec(t.Context(), "INSERT INTO "+name+" VALUES (3); INSERT INTO "+name+" VALUES (4) RETURNING _offset", pgx.QueryExecModeSimpleProtocol)
	requireCode(t, err, "0A000")

	insert := func(b *pgx.Batch, id int, what string) {
		b.Queue(fmt.Sprintf("INSERT INTO %s VALUES ($1) RETURNING %s", name, what), id)
	}
	var batch pgx.Batch
	insert(&batch, 5, "id")
	insert(&batch, 6, "_offset") // the first one isn't appended yet
	requireCode(t, conn.SendBatch(t.Context(), &batch).Close(), "0A000")
	batch = pgx.Batch{}
	insert(&batch, 7, "_offset")
	insert(&batch, 8, "id")
	results := conn.SendBatch(t.Context(), &batch)
	var offset int64
	require.NoError(t, results.QueryRow().Scan(&offset))
	require.Zero(t, offset)
	require.NoError(t, results.QueryRow().Scan(&id))
	require.Equal(t, int64(8), id)
	require.NoError(t, results.Close())
	require.Equal(t, []string{"7", "8"}, rows(t, conn, "SELECT id FROM "+name+" ORDER BY id"))
}

// TestReturningIsBounded: what is held is, and nothing is appended of a statement that asks for more.
func TestReturningIsBounded(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(v TEXT)")
	_, err := conn.Exec(t.Context(), "INSERT INTO "+name+" SELECT repeat('x', 10000) FROM generate_series(1, 3000) RETURNING v")
	requireCode(t, err, "54000")
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM "+name))
	_, err = conn.Exec(t.Context(), "INSERT INTO "+name+" SELECT repeat('x', 10000) FROM generate_series(1, 100) RETURNING v")
	require.NoError(t, err)
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
}
