package sql_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// waits until a session waits for a lock of another.
func waits(t *testing.T, conn, waiting, by *pgx.Conn) {
	t.Helper()
	require.Eventually(t, func() bool {
		return rows(t, conn, "SELECT pg_blocking_pids("+pidOf(waiting)+")")[0] == "{"+pidOf(by)+"}"
	}, time.Minute, 5*time.Millisecond)
}

// TestAdvisoryLocks: they are one session's at a time, are given back with the transaction or the session, and nobody waits for longer than lock_timeout,
// statement_timeout or the client says, or for itself.
func TestAdvisoryLocks(t *testing.T) {
	root, a, b := connect(t), connect(t), connect(t)
	try := "SELECT pg_try_advisory_lock(4711)"
	exec(t, a, "SELECT pg_advisory_lock($1)", 4711)
	require.Equal(t, []string{"f"}, rows(t, b, try))
	require.Equal(t, []string{"t"}, rows(t, b, "SELECT pg_try_advisory_lock(0, 4711)"), "two numbers are another lock than one")

	exec(t, b, "SET lock_timeout = '20ms'")
	require.Equal(t, "55P03 canceling statement due to lock timeout", says(t, b, "SELECT pg_advisory_lock(4711)"))
	exec(t, b, "SET lock_timeout = 0")
	exec(t, b, "SET statement_timeout = '20ms'")
	require.Equal(t, "57014 canceling statement due to statement timeout", says(t, b, "SELECT pg_advisory_lock(4711)"))
	exec(t, b, "SET lock_timeout = '1h'")
	require.Equal(t, "57014 canceling statement due to statement timeout", says(t, b, "SELECT pg_advisory_lock(4711)"))
	exec(t, b, "RESET ALL")

	taken := make(chan error, 1)
	wait := func() {
		go func() {
			_, err := b.Exec(context.WithoutCancel(t.Context()), "SELECT pg_advisory_lock(4711)", pgx.QueryExecModeSimpleProtocol)
			taken <- err
		}()
		waits(t, root, b, a)
	}
	wait()
	exec(t, root, "SELECT pg_cancel_backend($1)", b.PgConn().PID())
	var e *pgconn.PgError
	require.ErrorAs(t, <-taken, &e)
	require.Equal(t, "57014", e.Code)
	wait()
	require.Equal(t, []string{"t"}, rows(t, a, "SELECT pg_advisory_unlock(4711)"))
	require.NoError(t, <-taken)
	require.Equal(t, []string{"f"}, rows(t, a, try))

	// A transaction's go with it, those after a savepoint with its rollback; a session's stay.
	exec(t, b, "BEGIN; SELECT pg_advisory_xact_lock(1); SAVEPOINT s; SELECT pg_advisory_xact_lock(2), pg_advisory_lock(3); ROLLBACK TO s", pgx.QueryExecModeSimpleProtocol)
	free := "SELECT pg_try_advisory_xact_lock(1), pg_try_advisory_xact_lock(2), pg_try_advisory_xact_lock(3)"
	require.Equal(t, []string{"f|t|f"}, rows(t, a, free))
	exec(t, b, "ROLLBACK")
	require.Equal(t, []string{"t|t|f"}, rows(t, a, free))
	exec(t, b, "DISCARD ALL")
	require.Equal(t, []string{"t|t|t"}, rows(t, a, free))

	// Who would wait for itself is told so.
	exec(t, a, "SELECT pg_advisory_lock(4711)")
	wait()
	exec(t, a, "SELECT pg_advisory_unlock(4711)")
	require.NoError(t, <-taken)
	exec(t, a, "SELECT pg_advisory_lock(4712)")
	go func() {
		_, err := a.Exec(context.WithoutCancel(t.Context()), "SELECT pg_advisory_lock(4711)", pgx.QueryExecModeSimpleProtocol)
		taken <- err
	}()
	waits(t, root, a, b)
	require.Equal(t, "40P01 deadlock detected", says(t, b, "SELECT pg_advisory_lock(4712)"))
	require.NoError(t, b.Close(t.Context()))
	require.NoError(t, <-taken, "what it had is free")

	require.Equal(t, "0A000", code(t, a, "SELECT CASE WHEN pg_try_advisory_lock(1) THEN 1 END"))
	require.Equal(t, "0A000", code(t, a, "COPY (SELECT pg_advisory_lock(1)) TO STDOUT"))
	require.Equal(t, "42883", code(t, a, "SELECT pg_advisory_lock(1, 2, 3)"))
	require.Equal(t, "0A000", code(t, a, "CREATE TABLE advisory_d (x text DEFAULT set_config('my.own', 'x', false))"))
	require.Equal(t, "0A000", code(t, a, "CREATE TABLE advisory_c (x int CHECK (pg_try_advisory_lock(1)))"))
}

// TestTerminateWaits for the end of a session, if it is told for how long.
func TestTerminateWaits(t *testing.T) {
	root, other := connect(t), connect(t)
	exec(t, other, "SELECT pg_advisory_lock(99)")
	var done bool
	require.NoError(t, root.QueryRow(t.Context(), "SELECT pg_terminate_backend(pid, 60000) FROM bs_catalog.sessions WHERE pid = $1", other.PgConn().PID()).Scan(&done))
	require.True(t, done)
	require.Empty(t, rows(t, root, "SELECT 1 FROM bs_catalog.sessions WHERE pid = "+pidOf(other)))
	require.Equal(t, []string{"t"}, rows(t, root, "SELECT pg_try_advisory_xact_lock(99)"))
}

// TestSettingsOfStartup: options of the startup packet are settings, and less than those by name.
func TestSettingsOfStartup(t *testing.T) {
	cfg, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	cfg.RuntimeParams["options"] = `-c statement_timeout=7s --application-name=less -c my.own=a\ b`
	cfg.RuntimeParams["application_name"] = "more"
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.Equal(t, []string{"7s|more|a b"}, rows(t, conn, "SELECT current_setting('statement_timeout'), current_setting('application_name'), current_setting('my.own')"))
	exec(t, conn, "SET statement_timeout = 0; RESET statement_timeout", pgx.QueryExecModeSimpleProtocol)
	require.Equal(t, []string{"7s"}, rows(t, conn, "SHOW statement_timeout"))
	for options, want := range map[string]string{"-c nothing=1": "42704", "-c statement_timeout=x": "22023", "-d": "42601", "-c server_version=9": "55P02"} {
		cfg.RuntimeParams["options"] = options
		_, err := pgx.ConnectConfig(t.Context(), cfg)
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e, options)
		require.Equal(t, want, e.Code, options)
	}
}

// TestPrivilegesFollowTheRole that SET ROLE says, in every kind of statement, also in those that were prepared.
func TestPrivilegesFollowTheRole(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE ROLE follow_r")
	exec(t, root, "CREATE ROLE follow_u LOGIN IN ROLE follow_r")
	t.Cleanup(func() { _, _ = root.Exec(context.Background(), "DROP ROLE follow_r, follow_u") })
	name := table(t, root, "(id bigint)")
	exec(t, root, "INSERT INTO "+name+" VALUES (1)")
	exec(t, root, "GRANT INSERT ON "+name+" TO follow_r")
	_, err := root.Prepare(t.Context(), "read", "SELECT id FROM "+name)
	require.NoError(t, err)
	exec(t, root, "SET ROLE follow_r")
	require.Equal(t, "off", root.PgConn().ParameterStatus("is_superuser"))
	require.Equal(t, "postgres", root.PgConn().ParameterStatus("session_authorization"))
	_, err = root.Exec(t.Context(), "read")
	require.ErrorContains(t, err, "permission denied for table "+name)
	require.Equal(t, "42501 permission denied for table "+name, says(t, root, "SELECT * FROM "+name))
	exec(t, root, "INSERT INTO "+name+" VALUES (2)")
	require.Equal(t, "42501 permission denied to create role", says(t, root, "CREATE ROLE follow_x"))
	require.Equal(t, []string{"f|t|follow_r"}, rows(t, root, "SELECT has_table_privilege('"+name+"', 'SELECT'), has_table_privilege('"+name+"', 'INSERT'), current_user"))
	exec(t, root, "RESET ROLE")
	require.Equal(t, "on", root.PgConn().ParameterStatus("is_superuser"))
	require.Equal(t, []string{"1", "2"}, rows(t, root, "SELECT id FROM "+name+" ORDER BY 1"))

	user := as(t, "follow_u")
	exec(t, user, "SET ROLE follow_r")
	require.Equal(t, `42501 permission denied to set role "postgres"`, says(t, user, "SET ROLE postgres"))
	require.Equal(t, "42501 permission denied to set session authorization", says(t, user, "SET SESSION AUTHORIZATION postgres"))
	exec(t, user, "SET SESSION AUTHORIZATION follow_u")
	require.Equal(t, []string{"follow_u"}, rows(t, user, "SELECT current_user"))
	exec(t, user, "SET ROLE follow_r")
	exec(t, root, "SET SESSION AUTHORIZATION follow_u")
	require.Equal(t, "follow_u off", root.PgConn().ParameterStatus("session_authorization")+" "+root.PgConn().ParameterStatus("is_superuser"))
	require.Equal(t, `42501 permission denied to set role "postgres"`, says(t, root, "SET ROLE postgres"))
	exec(t, root, "SET SESSION AUTHORIZATION postgres")
	require.Equal(t, "postgres on", root.PgConn().ParameterStatus("session_authorization")+" "+root.PgConn().ParameterStatus("is_superuser"))
}

func pidOf(conn *pgx.Conn) string { return strconv.Itoa(int(conn.PgConn().PID())) }
