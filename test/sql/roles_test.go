package sql_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// as connects as a role, which a server that trusts believes.
func as(t *testing.T, role string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	cfg.User = role
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// says is the SQLSTATE and message of a statement that has to fail.
func says(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e, sql)
	return e.Code + " " + e.Message
}

// TestPrivileges: what a role may do is what was granted to it, to its roles and to everybody, whatever
// form a statement has that reads or writes a table.
func TestPrivileges(t *testing.T) {
	root := connect(t)
	for _, sql := range []string{
		"CREATE SCHEMA priv", "CREATE ROLE priv_readers", "CREATE USER priv_alice IN ROLE priv_readers PASSWORD 'x'", "CREATE ROLE priv_bob LOGIN",
		"CREATE TABLE priv.secrets (id bigint)", "INSERT INTO priv.secrets VALUES (1)", "CREATE TABLE priv.open (id bigint)",
	} {
		exec(t, root, sql)
	}
	alice, bob := as(t, "priv_alice"), as(t, "priv_bob")
	for conn, want := range map[*pgx.Conn]string{alice: "priv_alice off", bob: "priv_bob off", root: "postgres on", as(t, "priv_nobody"): "postgres on"} {
		require.Equal(t, want, conn.PgConn().ParameterStatus("session_authorization")+" "+conn.PgConn().ParameterStatus("is_superuser"))
		require.Equal(t, strings.Fields(want), append(rows(t, conn, "SHOW session_authorization"), rows(t, conn, "SHOW is_superuser")...))
	}
	const noSchema = "42501 permission denied for schema priv"
	require.Equal(t, noSchema, says(t, alice, "SELECT * FROM priv.secrets"))
	exec(t, root, "GRANT USAGE ON SCHEMA priv TO PUBLIC")
	const no = "42501 permission denied for table secrets"
	reads := []string{
		"SELECT * FROM priv.secrets", "SELECT 1 WHERE EXISTS (SELECT 1 FROM priv.secrets)", "WITH q AS (SELECT id FROM priv.secrets) SELECT 1 FROM q",
		"SELECT (SELECT max(id) FROM priv.secrets)", "SELECT 1 FROM priv.open o JOIN priv.secrets s ON o.id = s.id", "TABLE priv.secrets",
		"SELECT 1 UNION ALL SELECT id FROM priv.secrets", "SELECT * FROM (SELECT * FROM priv.secrets) x", "COPY priv.secrets TO STDOUT",
		"COPY (SELECT id FROM priv.secrets) TO STDOUT", "SUBSCRIBE TO priv.secrets", "COPY (SUBSCRIBE TO priv.secrets) TO STDOUT",
		"SELECT 1 FROM generate_series(1, (SELECT max(id) FROM priv.secrets))", "SELECT * FROM priv.secrets LIMIT 0",
	}
	writes := []string{"INSERT INTO priv.secrets VALUES (1)", "INSERT INTO priv.secrets SELECT 1", "COPY priv.secrets FROM STDIN"}
	exec(t, root, "GRANT SELECT, INSERT ON priv.open TO PUBLIC")
	for _, sql := range append(append([]string{"INSERT INTO priv.open SELECT id FROM priv.secrets"}, reads...), writes...) {
		require.Equal(t, no, says(t, alice, sql), sql)
	}
	exec(t, root, "GRANT SELECT ON priv.secrets TO priv_readers")
	require.Equal(t, []string{"1"}, rows(t, alice, "SELECT id FROM priv.secrets"))
	exec(t, alice, "INSERT INTO priv.open SELECT id FROM priv.secrets")
	for _, sql := range writes {
		require.Equal(t, no, says(t, alice, sql), sql)
	}
	require.Equal(t, no, says(t, bob, "SELECT * FROM priv.secrets"))

	// Sessions of others are none of anybody's business.
	var pid string
	require.NoError(t, root.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
	require.Equal(t, "42501 must be a superuser to cancel superuser query", says(t, bob, "SELECT pg_cancel_backend("+pid+")"))
	require.Equal(t, "42501 must be a superuser to terminate superuser process", says(t, bob, "SELECT pg_terminate_backend("+pid+")"))
	hers := strconv.Itoa(int(alice.PgConn().PID()))
	require.Equal(t, "42501 must be a member of the role whose query is being canceled or member of pg_signal_backend", says(t, bob, "SELECT pg_cancel_backend("+hers+")"))
	require.Equal(t, "42501 must be a member of the role whose process is being terminated or member of pg_signal_backend", says(t, bob, "SELECT pg_terminate_backend("+hers+")"))
	require.Equal(t, []string{"t"}, rows(t, root, "SELECT pg_cancel_backend("+hers+")"))
	require.Equal(t, []string{"<insufficient privilege>"}, rows(t, bob, "SELECT query FROM bs_catalog.sessions WHERE pid = "+pid))

	// What was prepared is asked for again.
	_, err := alice.Prepare(t.Context(), "read", "SELECT id FROM priv.secrets")
	require.NoError(t, err)
	_, err = alice.Prepare(t.Context(), "follow", "SUBSCRIBE TO priv.secrets")
	require.NoError(t, err)
	exec(t, root, "REVOKE priv_readers FROM priv_alice")
	for _, prepared := range []string{"read", "follow"} {
		_, err = alice.Exec(t.Context(), prepared)
		require.ErrorContains(t, err, "permission denied for table secrets", prepared)
	}

	// The system's catalogs tell of it.
	exec(t, root, "GRANT priv_readers TO priv_alice")
	tell := "SELECT has_table_privilege('priv.secrets', 'SELECT'), has_table_privilege('priv.secrets', 'INSERT'), has_schema_privilege('priv', 'CREATE')," +
		" has_table_privilege('postgres', 'priv.secrets', 'INSERT'), current_user"
	require.Equal(t, []string{"t|f|f|t|priv_alice"}, rows(t, alice, tell))
	require.Equal(t, []string{"t|t|t|t|postgres"}, rows(t, root, tell))
	var aliceID string
	require.NoError(t, root.QueryRow(t.Context(), "SELECT oid::text FROM pg_roles WHERE rolname = 'priv_alice'").Scan(&aliceID))
	for sql, want := range map[string]string{
		"has_table_privilege('public', 'priv.secrets', 'SELECT')": "f", "has_table_privilege('public', 'priv.open', 'SELECT')": "t",
		"has_table_privilege(" + aliceID + ", 'priv.secrets', 'SELECT')": "t", "has_table_privilege(" + aliceID + ", 'priv.secrets', 'INSERT')": "f",
		"has_table_privilege(10, 'priv.secrets', 'INSERT')": "t", "has_table_privilege(1, 'priv.secrets', 'SELECT')": "f",
		"has_table_privilege(current_user, 'priv.secrets', 'SELECT')": "f", "has_table_privilege(current_user, 'priv.open', 'select')": "t",
		"has_table_privilege('pg_class', 'SELECT')": "t", "has_table_privilege('pg_class', 'INSERT')": "f",
		"has_table_privilege(NULL, 'priv.open', 'SELECT')": "NULL", "has_table_privilege('priv.open', NULL)": "NULL",
		"has_database_privilege('postgres', 'CREATE')": "f", "has_database_privilege('postgres', 'connect')": "t",
		"has_database_privilege('postgres', 'postgres', 'CREATE')": "t", "has_database_privilege('public', 'postgres', 'CREATE')": "f",
		"(SELECT has_database_privilege(oid, 'CREATE') FROM pg_database)": "f",
		"has_tablespace_privilege('pg_default', 'CREATE')":                "f", "has_schema_privilege('pg_catalog', 'usage')": "t",
		"has_schema_privilege('pg_catalog', 'CREATE')": "f", "has_type_privilege('int4', 'USAGE')": "t",
	} {
		require.Equal(t, []string{want}, rows(t, bob, "SELECT "+sql), sql)
	}
	for sql, want := range map[string]string{
		"SELECT has_table_privilege(rolname, 'priv.secrets', 'SELECT') FROM pg_roles":  "0A000 function has_table_privilege of a user that isn't a constant is not supported",
		"SELECT has_table_privilege('priv.secrets', p) FROM (VALUES ('INSERT')) x (p)": "0A000 function has_table_privilege of a privilege that isn't a constant is not supported",
		"SELECT has_table_privilege('nobody_else', 'priv.secrets', 'SELECT')":          `42704 role "nobody_else" does not exist`,
	} {
		require.Equal(t, want, says(t, bob, sql), sql)
	}
	require.Equal(t, []string{"t"}, rows(t, root, "SELECT has_table_privilege('priv.secrets', p) FROM (VALUES ('INSERT')) x (p)"))
	require.Equal(t, []string{"open|t", "secrets|f"}, rows(t, bob, "SELECT relname, has_table_privilege(oid, 'SELECT') FROM pg_class WHERE relnamespace = 'priv'::regnamespace ORDER BY 1"))
	require.Equal(t, []string{"open|f|postgres", "secrets|f|postgres"}, rows(t, bob, "SELECT relname, has_table_privilege(oid, 'DELETE'), pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'priv'::regnamespace ORDER BY 1"))
	require.Equal(t, []string{"priv_alice|f|t", "priv_bob|f|t", "priv_readers|f|f"}, rows(t, bob, "SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolname LIKE 'priv%' ORDER BY 1"))
	require.Equal(t, []string{"priv_readers|priv_alice"}, rows(t, bob, "SELECT roleid::regrole, member::regrole FROM pg_auth_members"))
	require.Equal(t, []string{"priv_alice", "priv_readers"}, rows(t, alice, "SELECT role_name FROM information_schema.enabled_roles ORDER BY 1"))
	grants := "SELECT table_name, grantor, grantee, privilege_type, is_grantable FROM information_schema.table_privileges WHERE table_schema = 'priv' ORDER BY 1, 3, 4"
	public := []string{"open|postgres|PUBLIC|INSERT|NO", "open|postgres|PUBLIC|SELECT|NO"}
	require.Equal(t, append(public, "secrets|postgres|priv_readers|SELECT|NO"), rows(t, alice, grants))
	require.Equal(t, public, rows(t, bob, grants))
	require.Empty(t, rows(t, bob, strings.Replace(grants, "table_privileges", "role_table_grants", 1)))
	require.Len(t, rows(t, root, grants), 17) // the owner has seven privileges of each table, and three were granted
	exec(t, root, "REVOKE priv_readers FROM priv_alice")

	// Tables belong to who made them.
	require.Equal(t, "42501 must be owner of table secrets", says(t, alice, "DROP TABLE priv.secrets"))
	require.Equal(t, noSchema, says(t, alice, "CREATE TABLE priv.hers (id bigint)"))
	require.Equal(t, "42501 permission denied for schema public", says(t, alice, "CREATE TABLE hers (id bigint)"))
	exec(t, root, "GRANT CREATE ON SCHEMA priv TO priv_alice")
	exec(t, alice, "CREATE TABLE priv.hers (id bigint)")
	exec(t, alice, "INSERT INTO priv.hers VALUES (7)")
	require.Equal(t, []string{"hers|priv_alice", "open|postgres"}, rows(t, bob, "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'priv' AND tablename <> 'secrets' ORDER BY 1"))
	require.Equal(t, []string{"priv_alice"}, rows(t, bob, "SELECT relowner::regrole FROM pg_class WHERE relname = 'hers'"))
	require.Equal(t, []string{"postgres"}, rows(t, bob, "SELECT schema_owner FROM information_schema.schemata WHERE schema_name = 'priv'"))
	require.Equal(t, rows(t, bob, "SELECT oid, rolname FROM pg_roles ORDER BY 1"), rows(t, bob, "SELECT oid, rolname FROM pg_authid ORDER BY 1"))
	require.Equal(t, "42501 permission denied for table hers", says(t, bob, "SELECT * FROM priv.hers"))
	exec(t, alice, "GRANT ALL ON priv.hers TO priv_bob")
	require.Equal(t, []string{"7"}, rows(t, bob, "SELECT id FROM priv.hers"))
	require.Equal(t, "42501 permission denied for table hers", says(t, bob, "GRANT SELECT ON priv.hers TO PUBLIC"))
	require.Equal(t, "42501 permission denied for table open", says(t, alice, "GRANT SELECT ON ALL TABLES IN SCHEMA priv TO priv_bob"))
	require.Contains(t, says(t, alice, "CREATE TABLE priv.theirs (id bigint) ON JOURNALS 'priv/'"), "42501 permission denied to lay a table over journals")
	for _, sql := range []string{"COMMENT ON TABLE priv.secrets IS 'x'", "CREATE INDEX ON priv.secrets (id)"} {
		require.Equal(t, "42501 must be owner of table secrets", says(t, alice, sql), sql)
	}
	for sql, want := range map[string]string{
		"COMMENT ON SCHEMA priv IS 'x'": "42501 must be owner of schema priv", "CREATE SEQUENCE public.s": "42501 permission denied for schema public", "CREATE SCHEMA other": "42501 permission denied for database postgres", "DROP SCHEMA priv": "42501 must be owner of schema priv",
		"GRANT USAGE ON SCHEMA priv TO priv_bob": "42501 permission denied for schema priv", "CREATE ROLE x": "42501 permission denied to create role",
		"ALTER ROLE priv_bob PASSWORD 'x'": "42501 permission denied to alter role", "ALTER ROLE postgres PASSWORD 'x'": "42501 must be superuser to alter superusers",
		"ALTER ROLE priv_alice SUPERUSER": "42501 must be superuser to alter superusers", "DROP ROLE priv_bob": "42501 permission denied to drop role",
		"GRANT postgres TO priv_alice": `42501 must have admin option on role "postgres"`,
	} {
		require.Equal(t, want, says(t, alice, sql), sql)
	}
	exec(t, alice, "ALTER ROLE CURRENT_USER PASSWORD 'mine'")

	exec(t, root, "CREATE ROLE priv_boss CREATEROLE LOGIN")
	boss := as(t, "priv_boss")
	exec(t, boss, "CREATE ROLE priv_new ROLE priv_bob")
	require.Equal(t, "42501 must be superuser to create superusers", says(t, boss, "CREATE ROLE priv_x SUPERUSER"))
	require.Equal(t, `42501 must have admin option on role "postgres"`, says(t, boss, "GRANT postgres TO priv_boss"))
	require.Equal(t, `0LP01 role "priv_new" is a member of role "priv_new"`, says(t, boss, "GRANT priv_new TO priv_new"))
	require.Equal(t, `0LP01 role "priv_bob" is a member of role "priv_new"`, says(t, boss, "GRANT priv_bob TO priv_new"))
	require.Equal(t, "55006 current user cannot be dropped", says(t, boss, "DROP ROLE priv_boss"))

	require.Equal(t, `2BP01 role "priv_alice" cannot be dropped because some objects depend on it`, says(t, root, "DROP ROLE priv_alice"))
	require.Equal(t, `42704 role "nobody_else" does not exist`, says(t, root, "GRANT SELECT ON priv.open TO nobody_else"))
	require.Equal(t, `42710 role "priv_bob" already exists`, says(t, root, "CREATE ROLE priv_bob"))
	require.Equal(t, "42P01", strings.Fields(says(t, root, "GRANT SELECT ON priv.nothing TO PUBLIC"))[0])
	exec(t, root, "DROP TABLE priv.hers, priv.secrets, priv.open")
	exec(t, root, "DROP SCHEMA priv")
	exec(t, root, "DROP ROLE priv_alice, priv_bob, priv_readers, priv_boss, priv_new")
	require.Equal(t, `42704 role "priv_bob" does not exist`, says(t, root, "DROP ROLE priv_bob"))
	exec(t, root, "DROP ROLE IF EXISTS priv_bob")
}

// TestRoleClausesAreRefusedByName where they aren't acted on.
func TestRoleClausesAreRefusedByName(t *testing.T) {
	conn := connect(t)
	exec(t, conn, "CREATE TABLE refused_grants (id bigint)")
	for sql, want := range map[string]string{
		"CREATE ROLE x VALID UNTIL 'infinity'": "VALID UNTIL", "CREATE ROLE x CONNECTION LIMIT 3": "CONNECTION LIMIT", "CREATE ROLE x NOINHERIT": "NOINHERIT",
		"CREATE ROLE x REPLICATION": "REPLICATION", "CREATE ROLE x BYPASSRLS": "BYPASSRLS", "GRANT SELECT ON refused_grants TO PUBLIC WITH GRANT OPTION": "GRANT OPTION",
		"GRANT UPDATE ON refused_grants TO PUBLIC": "privilege UPDATE", "GRANT SELECT (id) ON refused_grants TO PUBLIC": "privileges on columns",
		"GRANT ALL ON DATABASE postgres TO PUBLIC": "privileges on a database", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC": "ALTER DEFAULT PRIVILEGES",
		"REASSIGN OWNED BY postgres TO postgres": "REASSIGN OWNED", "GRANT postgres TO postgres WITH ADMIN OPTION": "ADMIN OPTION",
		"REVOKE SELECT ON refused_grants FROM PUBLIC CASCADE": "CASCADE",
	} {
		require.Equal(t, "0A000 "+want+" is not supported", strings.Replace(says(t, conn, sql), " are not supported", " is not supported", 1), sql)
	}
	exec(t, conn, "DROP TABLE refused_grants")
}
