package sql_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// reaches are calls that would reach files, the network, extensions, settings, the process, or what others do: DuckDB's (in
// it or in an extension), and PostgreSQL's.
func reaches() []string {
	return []string{
		// Files.
		"read_csv('/etc/passwd')", "read_csv_auto('/etc/passwd')", `"read_csv"('/etc/passwd')`, "READ_CSV('/etc/passwd')", "pg_catalog.read_csv('/etc/passwd')",
		"read_text('/etc/passwd')", "read_blob('/etc/passwd')", "read_json('/etc/passwd')", "read_json_auto('/etc/passwd')", "read_json_objects('/etc/passwd')",
		"read_ndjson('/etc/passwd')", "read_ndjson_auto('/etc/passwd')", "read_ndjson_objects('/etc/passwd')", "read_parquet('/x')", "parquet_scan('/x')",
		"parquet_metadata('/x')", "parquet_schema('/x')", "parquet_file_metadata('/x')", "parquet_kv_metadata('/x')", "parquet_bloom_probe('/x', 'a', 1)",
		"read_duckdb('/x')", "read_xlsx('/x')", "sniff_csv('/etc/passwd')", "glob('/etc/*')",
		"pg_read_file('/etc/passwd')", "pg_read_binary_file('/etc/passwd')", "pg_ls_dir('/')", "pg_ls_logdir()", "pg_ls_waldir()", "pg_ls_tmpdir()",
		"pg_stat_file('/etc/passwd')", "pg_file_write('/x', 'y', false)", "lo_import('/etc/passwd')", "lo_export(1, '/x')", "lo_get(1)", "lo_from_bytea(0, '')",
		// The network, other databases, extensions.
		"read_csv('http://169.254.169.254/latest/meta-data')", "read_parquet('s3://bucket/x')", "http_get('http://169.254.169.254/')",
		"dblink('host=127.0.0.1', 'select 1')", "dblink_connect('x')", "postgres_scan('', 'public', 't')", "postgres_query('p', 'q')", "mysql_scan('a', 'b', 'c')",
		"sqlite_scan('/x', 't')", "iceberg_scan('/x')", "delta_scan('/x')", "st_read('/x')", "load_aws_credentials()", "which_secret('s3://x', 's3')",
		// Settings and the process.
		"getenv('HOME')", "getvariable('x')", "duckdb_settings()", "duckdb_secrets()", "duckdb_databases()", "duckdb_extensions()", "duckdb_functions()",
		"duckdb_tables()", "duckdb_memory()", "duckdb_temporary_files()", "duckdb_log_contexts()", "duckdb_logs()", "duckdb_variables()", "duckdb_optimizers()",
		"pragma_version()", "pragma_platform()", "pragma_database_size()", "pragma_storage_info('t')", "pragma_table_info('t')", "pragma_user_agent()",
		"set_config('memory_limit', '1TB', false)", "current_setting('temp_directory')", "pg_reload_conf()", "pg_rotate_logfile()",
		"enable_logging()", "disable_logging()", "truncate_duckdb_logs()", "enable_profiling()", "force_checkpoint()", "checkpoint()", "write_log('x')",
		"add_parquet_key('k', 'x')", "test_all_types()", "test_vector_types(1)", "user_agent()",
		// Other queries, and text that would run as one.
		"query('select 1')", "query_table('t')", "json_execute_serialized_sql('{}')", "json_serialize_sql('select 1')", "json_serialize_plan('select 1')",
		"json_deserialize_sql('{}')", "sql_auto_complete('x')", "check_peg_parser('x')", "current_query()", "from_substrait('')", "get_substrait('')",
		"seq_scan('t')", "arrow_scan(1, 2, 3)", "arrow_scan_dumb(1, 2, 3)", "bs_scan('token')", "summary('t')",
		"query_to_xml('select 1', true, true, '')", "database_to_xml(true, true, '')",
	}
}

// otherwise are attempts that another code is right for, which is PostgreSQL's.
func otherwise() map[string]string {
	return map[string]string{
		"current_setting('temp_directory')":     "42704", // it is a function of ours, and no parameter
		"UPDATE EXTENSIONS":                     "42601", // nor a statement for PostgreSQL
		"EXPLAIN ANALYZE COPY attempts TO '/x'": "42601",
	}
}

// notFunctions are those of them that are no functions for PostgreSQL or DuckDB as it is linked here, so that 42883 is as right as a
// refusal: it says no more than that there is no such function.
func notFunctions() []string {
	return []string{"bs_scan('token')", "http_get('http://169.254.169.254/')", "read_duckdb('/x')", "read_xlsx('/x')", "enable_profiling()", "checkpoint()"}
}

// positions are where a call may stand. In each of them %s is a call as a value.
func positions() map[string]string {
	return map[string]string{
		"target":           "SELECT %s",
		"FROM":             "SELECT * FROM %s",
		"FROM, renamed":    "SELECT x.a FROM %s AS x(a)",
		"LATERAL":          "SELECT 1 FROM attempts a, LATERAL %s AS x",
		"ROWS FROM":        "SELECT 1 FROM ROWS FROM (%s) AS x",
		"JOIN ON":          "SELECT 1 FROM attempts a JOIN attempts b ON %s IS NULL",
		"WHERE":            "SELECT 1 FROM attempts WHERE %s IS NOT NULL",
		"GROUP BY":         "SELECT 1 FROM attempts GROUP BY %s",
		"HAVING":           "SELECT 1 FROM attempts HAVING max(id) > 0 AND %s IS NULL",
		"ORDER BY":         "SELECT 1 FROM attempts ORDER BY %s",
		"LIMIT":            "SELECT 1 FROM attempts LIMIT (SELECT 1 FROM %s AS x)",
		"OFFSET":           "SELECT 1 FROM attempts OFFSET (SELECT 1 FROM %s AS x)",
		"subquery":         "SELECT (SELECT x FROM %s AS x)",
		"EXISTS":           "SELECT 1 WHERE EXISTS (SELECT FROM %s AS x)",
		"IN":               "SELECT 1 WHERE 1 IN (SELECT 1 FROM %s AS x)",
		"ARRAY":            "SELECT ARRAY(SELECT 1 FROM %s AS x)",
		"FROM subquery":    "SELECT 1 FROM (SELECT * FROM %s AS x) y",
		"WITH":             "WITH q AS (SELECT * FROM %s AS x) SELECT 1 FROM q",
		"WITH RECURSIVE":   "WITH RECURSIVE q(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q, %s AS x) SELECT 1 FROM q",
		"unused WITH":      "WITH q AS (SELECT * FROM %s AS x) SELECT 1",
		"UNION":            "SELECT 1 UNION ALL SELECT 1 FROM %s AS x",
		"VALUES":           "VALUES (1), ((SELECT 1 FROM %s AS x))",
		"CASE":             "SELECT CASE WHEN false THEN (SELECT 1 FROM %s AS x) END",
		"argument":         "SELECT length(%s::text)",
		"aggregate filter": "SELECT count(*) FILTER (WHERE %s IS NULL) FROM attempts",
		"window":           "SELECT sum(id) OVER (PARTITION BY %s) FROM attempts",
		"cast":             "SELECT %s::text::regclass",
		"array index":      "SELECT (ARRAY[1])[%s::int]",
		"INSERT":           "INSERT INTO attempts (v) SELECT 'x' FROM %s AS x",
		"INSERT VALUES":    "INSERT INTO attempts (v) VALUES (%s::text)",
		"RETURNING":        "INSERT INTO attempts (v) VALUES ('x') RETURNING %s",
		"COPY":             "COPY (SELECT * FROM %s AS x) TO STDOUT",
		"DECLARE":          "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM %s AS x",
		"PREPARE":          "PREPARE p AS SELECT * FROM %s AS x",
		"EXECUTE":          "EXECUTE attempts_p(%s)",
		"view":             "CREATE VIEW attempts_v AS SELECT 1 AS a FROM %s AS x",
		"DEFAULT":          "CREATE TABLE attempts_d (a TEXT DEFAULT %s)",
		"CHECK":            "CREATE TABLE attempts_c (a TEXT CHECK (%s IS NULL))",
		"SUBSCRIBE":        "SUBSCRIBE TO (SELECT 1 FROM attempts WHERE %s IS NULL)",
	}
}

// statements reach as much without a call.
func statements(dir string) []string {
	file := filepath.Join(dir, "made")
	return []string{
		"SELECT * FROM '/etc/passwd'", "SELECT * FROM 'x.csv'", "SELECT * FROM attempts JOIN 'x.parquet' ON true", "TABLE 'x.json'",
		"COPY attempts TO '" + file + "'", "COPY attempts FROM '/etc/passwd'", "COPY (SELECT 1) TO '" + file + "'", "COPY (SELECT 1) TO '" + file + "' (FORMAT parquet)",
		"COPY attempts TO PROGRAM 'cat > " + file + "'", "COPY attempts FROM PROGRAM 'id'", "COPY FROM DATABASE a TO b",
		"ATTACH '" + file + "' AS x", "ATTACH ':memory:' AS x", "ATTACH DATABASE '" + file + "'", "DETACH x", "USE x",
		"INSTALL httpfs", "FORCE INSTALL httpfs FROM 'http://127.0.0.1/'", "LOAD httpfs", "LOAD '/tmp/x.duckdb_extension'", "UPDATE EXTENSIONS",
		"CREATE EXTENSION dblink", "CREATE EXTENSION plpython3u", "CREATE SERVER s FOREIGN DATA WRAPPER w", "CREATE FOREIGN TABLE f (a int) SERVER s",
		"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", "EXPORT DATABASE '" + dir + "'", "IMPORT DATABASE '" + dir + "'",
		"CREATE SECRET s (TYPE s3)", "CREATE PERSISTENT SECRET s (TYPE s3)", "DROP SECRET s", "CREATE MACRO m() AS 1",
		"CREATE TABLESPACE t LOCATION '" + dir + "'", "DO $$ BEGIN PERFORM pg_read_file('/etc/passwd'); END $$",
		"CREATE FUNCTION attempts_f() RETURNS text LANGUAGE c AS '/lib/x.so', 'f'", "CREATE LANGUAGE plpython3u",
		"PRAGMA enable_profiling", "PRAGMA database_list", "PRAGMA memory_limit='10GB'", "CALL enable_logging(storage='file')", "CALL pragma_version()",
		"SET memory_limit = '100GB'", "SET threads = 100", "SET enable_external_access = true", "SET lock_configuration = false",
		"SET allowed_directories = '/'", "SET temp_directory = '/tmp'", "SET custom_extension_repository = 'http://127.0.0.1'", "SET GLOBAL threads = 4",
		"SET VARIABLE x = 1", "SET profiling_output = '" + file + "'", "SET log_query_path = '" + file + "'", "SET streaming_buffer_size = '1GB'",
		"RESET lock_configuration", "RESET memory_limit", "SHOW threads", "SHOW temp_directory", "ALTER SYSTEM SET work_mem = '1GB'", "ALTER DATABASE postgres SET work_mem = '1GB'",
		"CHECKPOINT", "LOCK TABLE attempts", "SECURITY LABEL ON TABLE attempts IS 'x'",
		"SELECT * INTO attempts_i FROM attempts", "EXPLAIN ANALYZE COPY attempts TO '/x'", "EXPLAIN ANALYZE SELECT * FROM read_csv('/etc/passwd')",
	}
}

// door is a way to give a statement to the server.
type door func(ctx context.Context, conn *pgx.Conn, sql string) error

func doors() map[string]door {
	return map[string]door{
		"simple": func(ctx context.Context, conn *pgx.Conn, sql string) error {
			_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
			return err
		},
		"extended": func(ctx context.Context, conn *pgx.Conn, sql string) error {
			return conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Read().Err
		},
		"named": func(ctx context.Context, conn *pgx.Conn, sql string) error {
			if _, err := conn.PgConn().Prepare(ctx, "attempt", sql, nil); err != nil {
				return err
			}
			defer func() { _ = conn.PgConn().Exec(ctx, "DEALLOCATE attempt").Close() }()
			return conn.PgConn().ExecPrepared(ctx, "attempt", nil, nil, nil).Read().Err
		},
		"COPY": func(ctx context.Context, conn *pgx.Conn, sql string) error {
			_, err := conn.PgConn().CopyTo(ctx, io.Discard, sql)
			return err
		},
	}
}

// refusal is the SQLSTATE of an attempt; "" if it wasn't refused.
func refusal(t *testing.T, err error, what string) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, what)
	require.NotContains(t, e.Message, "root:", what)
	return e.Code
}

// TestNothingElseIsReached: no file, network, extension, setting or other query can be reached, by whatever call and statement, in
// whatever place, through whatever door. Each attempt is refused with 42501 or 0A000; 42883 is right only for what is no function.
func TestNothingElseIsReached(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	exec(t, conn, "CREATE TABLE attempts (id BIGINT, v TEXT)")
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP TABLE attempts") })
	exec(t, conn, "PREPARE attempts_p(text) AS SELECT $1")
	dir := t.TempDir()
	attempts := map[string][]string{}
	for _, call := range reaches() {
		codes := []string{"42501", "0A000"}
		if slices.Contains(notFunctions(), call) {
			codes = append(codes, "42883")
		}
		if code, ok := otherwise()[call]; ok {
			codes = append(codes, code)
		}
		for where, text := range positions() {
			attempts[fmt.Sprintf(text, call)+" -- "+where] = codes
		}
	}
	for _, sql := range statements(dir) {
		attempts[sql] = []string{"42501", "0A000"}
		if code, ok := otherwise()[sql]; ok {
			attempts[sql] = []string{code}
		}
	}
	wrong := map[string][]string{}
	for name, through := range doors() {
		for sql, codes := range attempts {
			if name == "COPY" && !strings.HasPrefix(sql, "COPY") {
				continue
			}
			if code := refusal(t, through(t.Context(), conn, sql), sql); !slices.Contains(codes, code) {
				wrong[name+" "+code] = append(wrong[name+" "+code], sql)
			}
		}
	}
	for code, list := range wrong {
		slices.Sort(list)
		t.Errorf("%s: %d, as\n%s", code, len(list), strings.Join(list[:min(len(list), 40)], "\n"))
	}
	made, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, made, "files were made")
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM attempts"))
	t.Logf("%d attempts", len(attempts))
}

// TestOthersAreNotReached: a role without rights finds no row of another's table, and not what others ask or have set.
func TestOthersAreNotReached(t *testing.T) {
	root := connect(t)
	for _, sql := range []string{
		"CREATE ROLE attempts_bob LOGIN", "CREATE TABLE attempts_own (id BIGINT, v TEXT)", "INSERT INTO attempts_own VALUES (1, 'planted')",
		"CREATE VIEW attempts_view AS SELECT * FROM attempts_own", "SET myapp.secret = 'planted'",
	} {
		exec(t, root, sql)
	}
	t.Cleanup(func() {
		for _, sql := range []string{"DROP VIEW attempts_view", "DROP TABLE attempts_own", "DROP ROLE attempts_bob"} {
			_, _ = root.Exec(context.Background(), sql)
		}
	})
	bob := as(t, "attempts_bob")
	for where, text := range positions() {
		switch where {
		case "target", "GROUP BY", "HAVING", "JOIN ON", "WHERE", "ORDER BY", "argument", "aggregate filter", "window", "cast", "array index", "ROWS FROM",
			"INSERT", "INSERT VALUES", "RETURNING", "EXECUTE", "DEFAULT", "CHECK", "SUBSCRIBE", "LATERAL", "FROM, renamed", "LIMIT", "OFFSET":
			continue // of values, or of tables that bob hasn't either
		}
		for _, name := range []string{"attempts_own", "public.attempts_own", "attempts_view"} {
			for door, through := range doors() {
				if door == "COPY" && where != "COPY" {
					continue
				}
				code := refusal(t, through(t.Context(), bob, fmt.Sprintf(text, name)), name)
				require.Equal(t, "42501", code, "%s, %s, %s", where, name, door)
			}
		}
	}
	for _, sql := range []string{
		"INSERT INTO attempts_own VALUES (2, 'x')", "COPY attempts_own FROM STDIN", "COPY attempts_own TO STDOUT", "SUBSCRIBE TO attempts_own",
		"COPY (SUBSCRIBE TO attempts_own) TO STDOUT", "DROP TABLE attempts_own", "GRANT SELECT ON attempts_own TO attempts_bob",
		"ALTER ROLE attempts_bob SUPERUSER", "CREATE ROLE attempts_other SUPERUSER",
	} {
		require.Equal(t, "42501", says(t, bob, sql)[:5], sql)
	}
	// What others do isn't told, but that they are there.
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	busy := connect(t)
	go func() {
		_, err := busy.Exec(ctx, "SELECT 'planted', count(*) FROM generate_series(1, 1000000000000) s")
		done <- err
	}()
	for _, sql := range []string{
		"SELECT * FROM pg_stat_activity", "SELECT * FROM bs_catalog.sessions", "SELECT * FROM bs_catalog.subscriptions", "SELECT * FROM bs_catalog.rejects",
		"SELECT * FROM pg_settings", "SELECT * FROM pg_prepared_statements", "SELECT * FROM pg_cursors", "SELECT * FROM pg_authid", "SELECT * FROM pg_shadow",
	} {
		r, err := bob.PgConn().Exec(t.Context(), sql).ReadAll()
		if e, ok := errors.AsType[*pgconn.PgError](err); ok {
			require.Contains(t, []string{"42501", "42P01"}, e.Code, sql)
			continue
		}
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprintf("%s", r[0].Rows), "planted", sql)
		require.NotContains(t, fmt.Sprintf("%s", r[0].Rows), "SCRAM-SHA-256$", sql)
	}
	cancel()
	require.Error(t, <-done)
}
