package sql_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestTemporaryTables: made, filled, changed, read beside journals, and dropped.
func TestTemporaryTables(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT, v TEXT)")
	exec(t, conn, "INSERT INTO "+name+" VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	exec(t, conn, "CREATE TEMP TABLE tt (id INT NOT NULL, n NUMERIC(8,2) DEFAULT 1.5, v VARCHAR(5), at TIMESTAMPTZ)")
	exec(t, conn, "CREATE TEMPORARY TABLE IF NOT EXISTS tt (x INT)")
	require.Equal(t, "42P07", code(t, conn, "CREATE TEMP TABLE tt (x INT)"))
	require.Equal(t, "INSERT 0 2", exec(t, conn, "INSERT INTO tt (id, v) VALUES (1, 'one'), (2, NULL)").String())
	require.Equal(t, "INSERT 0 1", exec(t, conn, "INSERT INTO tt VALUES ($1, $2, $3)", 3, "2.25", "drei").String())
	require.Equal(t, "INSERT 0 3", exec(t, conn, "INSERT INTO pg_temp.tt (id, v) SELECT id + 10, v FROM "+name).String())
	require.Equal(t, []string{"1|1.50|one", "2|1.50|NULL", "3|2.25|drei", "11|1.50|a", "12|1.50|b", "13|1.50|c"}, rows(t, conn, "SELECT id, n, v FROM tt ORDER BY id"))
	require.Equal(t, []string{"1|one|a", "2|NULL|b", "3|drei|c"}, rows(t, conn, "SELECT tt.id, tt.v, j.v FROM tt JOIN "+name+" j USING (id) ORDER BY 1"))

	require.Equal(t, "UPDATE 2", exec(t, conn, "UPDATE tt SET n = n * 2, v = $2 WHERE id > $1 AND v IS DISTINCT FROM 'a'", 11, "x").String())
	require.Equal(t, []string{"11|1.50|a", "12|3.00|x", "13|3.00|x"}, rows(t, conn, "SELECT id, n, v FROM tt WHERE id > 10 ORDER BY id"))
	require.Equal(t, "UPDATE 1", exec(t, conn, "UPDATE tt AS x SET id = 0, at = '2026-01-01' WHERE x.v = (SELECT max(v) FROM tt WHERE v < 'e')").String())
	require.Equal(t, "DELETE 1", exec(t, conn, "DELETE FROM tt WHERE v IS NULL").String())
	require.Equal(t, "UPDATE 0", exec(t, conn, "UPDATE tt SET id = 1 / (id - id) WHERE id < -5").String(), "values are made for the rows that change only")
	require.Equal(t, "UPDATE 5", exec(t, conn, "UPDATE tt SET id = id + 100").String())
	require.Equal(t, "DELETE 4", exec(t, conn, "DELETE FROM tt t WHERE t.id IN (SELECT id + 100 FROM generate_series(0, 12) g(id))").String())
	require.Equal(t, []string{"113"}, rows(t, conn, "SELECT id FROM tt"))
	for sql, want := range map[string]string{
		"INSERT INTO tt (v) VALUES ('x')":               "23502",
		"UPDATE tt SET id = NULL":                       "23502",
		"UPDATE tt SET v = 'too long'":                  "22001",
		"UPDATE tt SET nosuch = 1":                      "42703",
		"UPDATE tt SET id = 1, id = 2":                  "42601",
		"UPDATE tt SET id = 1 / (id - id)":              "22012",
		"UPDATE tt SET id = 'x'":                        "22P02",
		"UPDATE tt SET id = 1 RETURNING id":             "0A000",
		"DELETE FROM tt USING " + name:                  "0A000",
		"INSERT INTO tt (id) VALUES (1) RETURNING id":   "0A000",
		"SELECT _offset FROM tt":                        "42703",
		"SELECT * FROM tt AS OF TIMESTAMP now()":        "0A000",
		"SUBSCRIBE TO tt":                               "0A000",
		"CREATE INDEX ON tt (id)":                       "0A000",
		"CREATE VIEW vv AS SELECT * FROM tt":            "0A000",
		"CREATE TEMP TABLE public.x (a INT)":            "42P16",
		"CREATE TABLE x (a INT) ON COMMIT DROP":         "42P16",
		"CREATE TEMP TABLE x (a INT) WITH (codec=none)": "0A000",
		"CREATE TEMP TABLE x AS SELECT 1 AS a, 2 AS a":  "42701",
		"CREATE TABLE x AS SELECT 1 AS a":               "0A000",
		"UPDATE " + name + " SET id = 1":                "0A000",
		"DELETE FROM " + name:                           "0A000",
		"TRUNCATE tt, " + name:                          "0A000",
		"DROP TABLE tt, " + name:                        "0A000",
	} {
		require.Equal(t, want, code(t, conn, sql), sql)
	}
	require.Equal(t, []string{"113"}, rows(t, conn, "SELECT id FROM tt"), "nothing of that did anything")
	require.Equal(t, "TRUNCATE TABLE", exec(t, conn, "TRUNCATE tt").String())
	require.Empty(t, rows(t, conn, "SELECT id FROM tt"))
	exec(t, conn, "DROP TABLE tt")
	require.Equal(t, "42P01", code(t, conn, "SELECT * FROM tt"))
}

// TestTemporaryTablesOfQueries: AS SELECT takes the types of the results; COPY goes in and out.
func TestTemporaryTablesOfQueries(t *testing.T) {
	conn := connect(t)
	const every = `SELECT 1::int2 AS a, 2::int8 AS b, 1.5::float8 AS c, 1.25::numeric(10,2) AS d, 'x'::text AS e, true AS f, '2026-01-02'::date AS g,
		'2026-01-02 03:04:05+00'::timestamptz AS h, '1 day'::interval AS i, '\x01'::bytea AS j, ARRAY[1, 2] AS k, NULL::text AS l, '{"a": 1}'::json AS m`
	require.Equal(t, "SELECT 1", exec(t, conn, "CREATE TEMP TABLE every AS "+every).String())
	require.Equal(t, rows(t, conn, every), rows(t, conn, "SELECT * FROM every"))
	require.Equal(t, "CREATE TABLE AS", exec(t, conn, "CREATE TEMP TABLE none (x) AS SELECT 1, 2 AS y WITH NO DATA").String())
	require.Empty(t, rows(t, conn, "SELECT x, y FROM none"))
	require.Equal(t, "SELECT 100000", exec(t, conn, "CREATE TEMP TABLE many AS SELECT i, 'row ' || i AS v FROM generate_series(1, 100000) i").String())
	require.Equal(t, []string{"100000|5000050000|100000"}, rows(t, conn, "SELECT count(*), sum(i), count(DISTINCT v) FROM many"))
	tag, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("1\t2\n3\t\\N\n"), "COPY none FROM STDIN")
	require.NoError(t, err)
	require.Equal(t, "COPY 2", tag.String())
	var out strings.Builder
	_, err = conn.PgConn().CopyTo(t.Context(), &out, "COPY none TO STDOUT")
	require.NoError(t, err)
	require.Equal(t, "1\t2\n3\t\\N\n", out.String())
	_, err = conn.PgConn().CopyFrom(t.Context(), strings.NewReader("1\t2\n3\tx\n"), "COPY none FROM STDIN")
	require.Error(t, err)
	require.Len(t, rows(t, conn, "SELECT x FROM none"), 2, "all of a COPY, or nothing")
}

// TestTemporaryTablesAreTheSessions: nobody else sees them, they come before what has their name, and go with the session.
func TestTemporaryTablesAreTheSessions(t *testing.T) {
	conn, other := connect(t), connect(t)
	name := table(t, conn, "(id BIGINT)")
	exec(t, conn, "INSERT INTO "+name+" VALUES (7)")
	exec(t, conn, "CREATE TEMP TABLE "+name+" AS SELECT 1 AS own")
	exec(t, conn, "CREATE TEMP TABLE pg_class (a INT)")
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT * FROM "+name))
	require.Equal(t, []string{"7"}, rows(t, conn, "SELECT * FROM public."+name))
	require.Empty(t, rows(t, conn, "SELECT * FROM pg_class"))
	require.Equal(t, []string{"7"}, rows(t, other, "SELECT * FROM "+name))
	const mine = "SELECT c.relname, c.relpersistence, n.nspname LIKE 'pg_temp_%' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence = 't' ORDER BY 1"
	require.Equal(t, []string{"pg_class|t|t", name + "|t|t"}, rows(t, conn, mine))
	require.Empty(t, rows(t, other, mine))
	require.Equal(t, []string{"own"}, rows(t, conn, "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = '"+name+"'::regclass AND attnum > 0"))
	require.Equal(t, []string{"public|t"}, rows(t, conn, "SELECT current_schema(), (current_schemas(true))[1] LIKE 'pg_temp_%'"))
	require.Equal(t, "42P01", code(t, other, "SELECT * FROM pg_temp."+name))
	schema := rows(t, conn, "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname LIKE 'pg_temp_%'")[0]
	require.Equal(t, []string{"1"}, rows(t, conn, "SELECT * FROM "+schema+"."+name))
	require.Equal(t, "42P01", code(t, other, "SELECT * FROM "+schema+"."+name))

	exec(t, conn, "DISCARD TEMP")
	require.Equal(t, []string{"7"}, rows(t, conn, "SELECT * FROM "+name))
	exec(t, conn, "CREATE TEMP TABLE tt (a INT)")
	exec(t, conn, "DISCARD ALL")
	require.Equal(t, "42P01", code(t, conn, "SELECT * FROM tt"))
	require.Empty(t, rows(t, conn, mine))

	// The session's end gives back all that it had, so that many such sessions don't fill the gateway.
	for range 8 {
		c, err := server.Connect(t.Context())
		require.NoError(t, err)
		exec(t, c, "CREATE TEMP TABLE big AS SELECT repeat('x', 1000) AS v FROM generate_series(1, 40000)")
		require.NoError(t, c.Close(context.Background()))
	}
}

// TestTemporaryTablesInTransactions go back with the transaction, or to a savepoint, and end as they were made to.
func TestTemporaryTablesInTransactions(t *testing.T) {
	conn := connect(t)
	exec(t, conn, "CREATE TEMP TABLE kept (a INT)")
	exec(t, conn, "INSERT INTO kept VALUES (1)")
	sum := func() string { return strings.Join(rows(t, conn, "SELECT a FROM kept ORDER BY a"), ",") }
	for _, sql := range []string{"INSERT INTO kept VALUES (2)", "UPDATE kept SET a = 5", "DELETE FROM kept", "TRUNCATE kept", "DROP TABLE kept"} {
		exec(t, conn, "BEGIN")
		exec(t, conn, sql)
		exec(t, conn, "CREATE TEMP TABLE gone (a INT)")
		exec(t, conn, "ROLLBACK")
		require.Equal(t, "1", sum(), sql)
		require.Equal(t, "42P01", code(t, conn, "SELECT * FROM gone"))
	}
	exec(t, conn, "BEGIN")
	exec(t, conn, "INSERT INTO kept VALUES (2)")
	exec(t, conn, "SAVEPOINT s")
	exec(t, conn, "DELETE FROM kept WHERE a = 1")
	require.Equal(t, "2", sum())
	exec(t, conn, "DECLARE c CURSOR FOR SELECT a FROM kept")
	exec(t, conn, "TRUNCATE kept")
	require.Equal(t, []string{"2"}, rows(t, conn, "FETCH ALL FROM c"), "a query reads what it began with")
	require.Equal(t, "42703", blockCode(t, conn, "UPDATE kept SET nosuch = 1"))
	exec(t, conn, "ROLLBACK TO s")
	require.Equal(t, "1,2", sum())
	exec(t, conn, "COMMIT")
	require.Equal(t, "1,2", sum())

	exec(t, conn, "BEGIN")
	exec(t, conn, "CREATE TEMP TABLE dropped ON COMMIT DROP AS SELECT 1 AS a")
	exec(t, conn, "CREATE TEMP TABLE emptied (a INT) ON COMMIT DELETE ROWS")
	exec(t, conn, "INSERT INTO emptied VALUES (1)")
	require.Len(t, rows(t, conn, "SELECT a FROM dropped UNION ALL SELECT a FROM emptied"), 2)
	exec(t, conn, "COMMIT")
	require.Equal(t, "42P01", code(t, conn, "SELECT * FROM dropped"))
	require.Empty(t, rows(t, conn, "SELECT * FROM emptied"))
	exec(t, conn, "INSERT INTO emptied VALUES (1)")
	require.Empty(t, rows(t, conn, "SELECT * FROM emptied"), "each statement is a transaction")
}

// TestTemporaryTablesAreBounded: in bytes for a session, which come back, and for all sessions.
func TestTemporaryTablesAreBounded(t *testing.T) {
	const much = "INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 40000)"
	conn := connect(t)
	exec(t, conn, "CREATE TEMP TABLE big (v TEXT)")
	for range 3 {
		exec(t, conn, much)
		require.Equal(t, "53400", code(t, conn, much))
		require.Equal(t, []string{"40000"}, rows(t, conn, "SELECT count(*) FROM big"))
		exec(t, conn, "TRUNCATE big")
	}
	exec(t, conn, "BEGIN") // what it had counts until the transaction ends
	exec(t, conn, much)
	exec(t, conn, "TRUNCATE big")
	require.Equal(t, "53400", blockCode(t, conn, much))
	exec(t, conn, "ROLLBACK")
	exec(t, conn, much)

	var full *pgconn.PgError
	var all []*pgx.Conn
	for range 20 {
		c := connect(t)
		all = append(all, c)
		exec(t, c, "CREATE TEMP TABLE big (v TEXT)")
		if _, err := c.Exec(t.Context(), much); err != nil {
			require.ErrorAs(t, err, &full)
			break
		}
	}
	require.NotNil(t, full, "the gateway's bound")
	require.Equal(t, "53400", full.Code)
	require.Contains(t, full.Message, "all sessions")
	for _, c := range all {
		require.NoError(t, c.Close(context.Background()))
	}
	exec(t, conn, "DISCARD TEMP")
	require.Equal(t, "53400", code(t, conn, func() string {
		for i := range 1000 {
			exec(t, conn, fmt.Sprintf("CREATE TEMP TABLE t%d (a INT)", i))
		}
		return "CREATE TEMP TABLE one_more (a INT)"
	}()))
}
