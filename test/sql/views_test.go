package sql_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// execAll runs statements that have to succeed.
func execAll(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		exec(t, conn, sql)
	}
}

// TestPrivilegesThroughViews: a view is asked for by who names it, and what it reads by its owner, or with security_invoker by
// who asks, however many views are between.
func TestPrivilegesThroughViews(t *testing.T) {
	root := connect(t)
	execAll(t, root,
		"CREATE ROLE vp_alice LOGIN", "CREATE ROLE vp_bob LOGIN", "CREATE SCHEMA vp", "GRANT USAGE, CREATE ON SCHEMA vp TO PUBLIC",
		"CREATE TABLE vp.secrets (id bigint, word text)", "INSERT INTO vp.secrets VALUES (1, 'x'), (2, 'y')",
		"CREATE VIEW vp.ids AS SELECT id FROM vp.secrets", "CREATE VIEW vp.asks WITH (security_invoker) AS SELECT id FROM vp.secrets",
		"CREATE VIEW vp.above AS SELECT id FROM vp.asks")
	alice, bob := as(t, "vp_alice"), as(t, "vp_bob")
	require.Equal(t, "42501 permission denied for view ids", says(t, alice, "SELECT * FROM vp.ids"))
	execAll(t, root, "GRANT SELECT ON vp.ids, vp.asks, vp.above TO vp_alice")
	require.Equal(t, []string{"1", "2"}, rows(t, alice, "SELECT id FROM vp.ids ORDER BY 1"))
	const noTable = "42501 permission denied for table secrets"
	for _, sql := range []string{
		"SELECT * FROM vp.asks", "SELECT * FROM vp.above", "SELECT word FROM vp.secrets", "SELECT 1 WHERE EXISTS (SELECT 1 FROM vp.asks)",
		"WITH q AS (SELECT id FROM vp.above) SELECT 1 FROM q", "COPY (SELECT id FROM vp.asks) TO STDOUT", "SELECT i.id FROM vp.ids i JOIN vp.secrets s ON s.id = i.id",
	} {
		require.Equal(t, noTable, says(t, alice, sql), sql)
	}
	// A view of one's own shows no more than oneself may see.
	exec(t, bob, "CREATE VIEW vp.peek AS SELECT word FROM vp.secrets")
	require.Equal(t, noTable, says(t, bob, "SELECT * FROM vp.peek"))
	exec(t, bob, "CREATE VIEW vp.lens AS SELECT * FROM vp.ids")
	require.Equal(t, "42501 permission denied for view ids", says(t, bob, "SELECT * FROM vp.lens"))
	exec(t, root, "GRANT SELECT ON vp.ids TO vp_bob")
	require.Equal(t, []string{"2"}, rows(t, bob, "SELECT count(*) FROM vp.lens"))
	// Who owns it decides, also when that changes.
	exec(t, root, "ALTER VIEW vp.peek OWNER TO postgres")
	require.Equal(t, "42501 permission denied for view peek", says(t, bob, "SELECT * FROM vp.peek"))
	execAll(t, root, "GRANT SELECT ON vp.peek TO vp_bob")
	require.Equal(t, []string{"x"}, rows(t, bob, "SELECT word FROM vp.peek WHERE word = 'x'"))
	for sql, want := range map[string]string{
		"DROP VIEW vp.peek": "42501 must be owner of view peek", "ALTER VIEW vp.peek RENAME TO other": "42501 must be owner of view peek",
		"CREATE OR REPLACE VIEW vp.peek AS SELECT word FROM vp.secrets": "42501 must be owner of view peek",
		"COMMENT ON VIEW vp.peek IS 'mine'":                             "42501 must be owner of view peek",
		"GRANT SELECT ON vp.peek TO vp_alice":                           "42501 permission denied for view peek",
		"ALTER VIEW vp.lens OWNER TO vp_alice":                          "42501 must be member of role \"vp_alice\"",
	} {
		require.Equal(t, want, says(t, bob, sql), sql)
	}
	// What was prepared is asked for again.
	_, err := alice.Prepare(t.Context(), "read", "SELECT id FROM vp.ids")
	require.NoError(t, err)
	exec(t, root, "REVOKE SELECT ON vp.ids FROM vp_alice")
	_, err = alice.Exec(t.Context(), "read")
	require.ErrorContains(t, err, "permission denied for view ids")
	require.Equal(t, "2BP01 role \"vp_bob\" cannot be dropped because some objects depend on it", says(t, root, "DROP ROLE vp_bob"))
	require.Equal(t, []string{"f|t"}, rows(t, root, "SELECT has_table_privilege('vp_alice', 'vp.ids', 'SELECT'), has_table_privilege('vp_bob', 'vp.ids', 'SELECT')"))
}

// TestViewsHaveOneCut: what a statement reads through several views and by itself is one moment's.
func TestViewsHaveOneCut(t *testing.T) {
	root, writer := connect(t), connect(t)
	execAll(t, root, "CREATE TABLE vc_t (id bigint)", "CREATE VIEW vc_a AS SELECT id FROM vc_t", "CREATE VIEW vc_b AS SELECT a.id FROM vc_a a")
	done := make(chan error, 1)
	go func() {
		for i := range 60 {
			if _, err := writer.Exec(t.Context(), fmt.Sprintf("INSERT INTO vc_t VALUES (%d)", i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
		}
		got := rows(t, root, "SELECT (SELECT count(*) FROM vc_a), (SELECT count(*) FROM vc_b), (SELECT count(*) FROM vc_t)")
		counts := strings.Split(got[0], "|")
		require.Equal(t, counts[0], counts[1])
		require.Equal(t, counts[0], counts[2])
	}
	// A transaction's own rows are among them.
	execAll(t, root, "BEGIN", "INSERT INTO vc_t VALUES (1000)")
	require.Equal(t, []string{"1000"}, rows(t, root, "SELECT max(id) FROM vc_b"))
	exec(t, root, "ROLLBACK")
	require.Equal(t, []string{"59"}, rows(t, root, "SELECT max(id) FROM vc_b"))
	// A view at an earlier cut reads its tables there.
	cut := rows(t, root, "SHOW broadsheet.last_cut")[0]
	exec(t, root, "INSERT INTO vc_t VALUES (2000)")
	require.Equal(t, []string{"59|2000"}, rows(t, root, "SELECT (SELECT max(id) FROM vc_b AS OF CUT '"+cut+"'), (SELECT max(id) FROM vc_b)"))
	require.Equal(t, "0A000", code(t, root, "CREATE VIEW vc_old AS SELECT id FROM vc_t AS OF CUT '"+cut+"'"))
}

// TestViewBombs: views that name others twice each are refused before they are anything, and so are chains.
func TestViewBombs(t *testing.T) {
	root := connect(t)
	execAll(t, root, "CREATE TABLE vb0 (id bigint)")
	var refused string
	for i := range 40 {
		_, err := root.Exec(t.Context(), fmt.Sprintf("CREATE VIEW vb%d AS SELECT a.id FROM vb%d a JOIN vb%d b ON a.id = b.id", i+1, i, i))
		if err != nil {
			var e *pgconn.PgError
			require.ErrorAs(t, err, &e)
			refused = e.Code
			break
		}
	}
	require.Equal(t, "54000", refused)
	exec(t, root, "CREATE VIEW vd0 AS SELECT id FROM vb0")
	for i := range 60 {
		_, err := root.Exec(t.Context(), fmt.Sprintf("CREATE VIEW vd%d AS SELECT id FROM vd%d", i+1, i))
		if err != nil {
			var e *pgconn.PgError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "54001", e.Code)
			require.Greater(t, i, 40)
			require.Equal(t, []string{"0"}, rows(t, root, fmt.Sprintf("SELECT count(*) FROM vd%d", i)))
			return
		}
	}
	require.Fail(t, "a chain of views without end")
}

// TestViewsFollowWhatTheyRead: what a view means is fixed when it is made, and doesn't change with the search path.
func TestViewsFollowWhatTheyRead(t *testing.T) {
	root := connect(t)
	execAll(t, root,
		"CREATE SCHEMA vf", "CREATE TABLE vf.t (a bigint, b numeric(9,3))", "INSERT INTO vf.t VALUES (1, 2.5)",
		"SET search_path = vf", "CREATE VIEW v (x) AS SELECT *, _offset, a IS NULL AS c FROM t", "CREATE VIEW public.vf_w AS SELECT x, b FROM v", "RESET search_path")
	require.Equal(t, []string{"1|2.500|0|f"}, rows(t, root, "SELECT x, b, _offset, c FROM vf.v"))
	require.Equal(t, []string{"1|2.500"}, rows(t, root, "SELECT * FROM vf_w"))
	exec(t, root, "ALTER VIEW vf.v RENAME TO renamed")
	exec(t, root, "ALTER VIEW vf.renamed SET SCHEMA public")
	require.Equal(t, []string{"1"}, rows(t, root, "SELECT x FROM vf_w"))
	require.Equal(t, []string{" SELECT v.x,\n    v.b\n   FROM renamed v;"}, rows(t, root, "SELECT pg_get_viewdef('vf_w'::regclass)"))
	require.Equal(t, []string{"x|bigint", "b|numeric(9,3)"},
		rows(t, root, "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'vf_w'::regclass AND attnum > 0 ORDER BY attnum"))
	require.Equal(t, "2BP01", code(t, root, "DROP TABLE vf.t"))
	require.Equal(t, "2BP01", code(t, root, "DROP VIEW renamed RESTRICT"))
	require.Equal(t, "55000", code(t, root, "INSERT INTO vf_w VALUES (1, 2)"))
	require.Equal(t, "55000", code(t, root, "INSERT INTO vf_w SELECT 1, 2"))
	require.Equal(t, "0A000", code(t, root, "SUBSCRIBE TO vf_w"))
	require.Equal(t, "42P07", code(t, root, "CREATE TABLE vf_w (a int)"))
	require.Equal(t, "42P17", code(t, root, "CREATE OR REPLACE VIEW renamed AS SELECT x, b, 1::bigint AS _offset, true AS c FROM vf_w"))
	require.Equal(t, []string{"vf|t"}, rows(t, root, "SELECT table_schema, table_name FROM information_schema.view_table_usage WHERE view_name = 'renamed'"))
	exec(t, root, "DROP TABLE vf.t CASCADE")
	require.Empty(t, rows(t, root, "SELECT relname FROM pg_class WHERE relname IN ('renamed', 'vf_w')"))
}

// TestDocumentedViews runs the example of docs/sql.md: the rows of a query are what stands behind it.
func TestDocumentedViews(t *testing.T) {
	root := connect(t)
	documented(t, root, "## Views", 1)
}

// TestMaterializedViews: what docs/sql.md shows, and what bs_catalog tells.
func TestMaterializedViews(t *testing.T) {
	root := connect(t)
	documented(t, root, "## Materialized views", 2)
	exec(t, root, "CREATE TABLE kept (k TEXT, n BIGINT)")
	exec(t, root, "INSERT INTO kept VALUES ('a', 1), ('b', 2)")
	exec(t, root, "CREATE MATERIALIZED VIEW kept_sums AS SELECT k, sum(n) AS n FROM kept GROUP BY k")
	var rows, lag int64
	var status, told string
	require.NoError(t, root.QueryRow(t.Context(), "SELECT k || n FROM kept_sums ORDER BY 1 LIMIT 1").Scan(&told))
	require.Equal(t, "a1", told)
	require.NoError(t, root.QueryRow(t.Context(),
		"SELECT status, kept_rows, lag_bytes FROM bs_catalog.materialized_views WHERE view_name = 'kept_sums'").Scan(&status, &rows, &lag))
	require.Equal(t, "kept", status)
	require.EqualValues(t, 2, rows)
	require.Zero(t, lag)
	// The view is read where its shard is; what is told of shards comes by way of etcd.
	require.Eventually(t, func() bool {
		require.NoError(t, root.QueryRow(t.Context(), "SELECT status FROM bs_catalog.shards WHERE view_name = 'kept_sums'").Scan(&status))
		return status == "primary"
	}, time.Minute, time.Millisecond)
	exec(t, root, "DROP MATERIALIZED VIEW kept_sums")
	exec(t, root, "DROP TABLE kept")
}

// TestVerifyInAnyZone: a view is right whatever zone its reader is in, and VERIFY says so.
func TestVerifyInAnyZone(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE TABLE zoned (at TIMESTAMPTZ)")
	exec(t, root, "INSERT INTO zoned VALUES ('2026-01-01 23:30:00Z'), ('2026-01-02 02:00:00Z'), ('2026-01-02 12:00:00Z')")
	exec(t, root, "CREATE MATERIALIZED VIEW zoned_days AS SELECT at::date AS day, count(*) AS n, max(at)::text AS newest FROM zoned GROUP BY 1")
	exec(t, root, "SET TimeZone = 'America/New_York'")
	require.Empty(t, rows(t, root, "VERIFY MATERIALIZED VIEW zoned_days"))
	require.Equal(t, []string{"2026-01-01|1", "2026-01-02|2"}, rows(t, root, "SELECT day, n FROM zoned_days ORDER BY 1"))
	exec(t, root, "RESET TimeZone")
	exec(t, root, "DROP TABLE zoned CASCADE")
}

// TestMaterializedViewsOfOwnersWithoutRights: who loses the right to read a table sees nothing of it by a view of theirs.
func TestMaterializedViewsOfOwnersWithoutRights(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE ROLE kept_owner")
	exec(t, root, "CREATE TABLE secrets (s TEXT)")
	exec(t, root, "INSERT INTO secrets VALUES ('a')")
	exec(t, root, "CREATE MATERIALIZED VIEW told AS SELECT s, count(*) FROM secrets GROUP BY s")
	exec(t, root, "GRANT SELECT ON secrets TO kept_owner")
	exec(t, root, "ALTER MATERIALIZED VIEW told OWNER TO kept_owner")
	require.Equal(t, []string{"a|1"}, rows(t, root, "SELECT * FROM told"))
	exec(t, root, "REVOKE SELECT ON secrets FROM kept_owner")
	exec(t, root, "SET ROLE kept_owner")
	for _, sql := range []string{"SELECT * FROM told", "SUBSCRIBE TO told", "VERIFY MATERIALIZED VIEW told"} {
		require.Equal(t, "42501", code(t, root, sql), sql)
	}
	exec(t, root, "RESET ROLE")
	exec(t, root, "DROP TABLE secrets CASCADE")
	exec(t, root, "DROP ROLE kept_owner")
}
