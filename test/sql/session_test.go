package sql_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// TestNotify: what a transaction says is heard when it is committed, once each and in order, by those
// who listen; not what was rolled back.
func TestNotify(t *testing.T) {
	conn, other := connect(t), connect(t)
	exec(t, conn, "LISTEN news")
	exec(t, conn, `LISTEN "other news"`)
	exec(t, other, "BEGIN")
	exec(t, other, "NOTIFY news, 'one'")
	exec(t, other, "NOTIFY news, 'one'")
	exec(t, other, "SAVEPOINT s")
	exec(t, other, "NOTIFY news, 'rolled back'")
	exec(t, other, "ROLLBACK TO s")
	exec(t, other, `NOTIFY "other news"`)
	exec(t, other, "COMMIT")
	exec(t, other, "BEGIN; NOTIFY news, 'lost'; ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	exec(t, other, "NOTIFY unheard, 'x'")
	exec(t, other, "NOTIFY news, 'two'")
	for _, want := range []string{"news one", "other news ", "news two"} {
		n, err := conn.WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n.Channel+" "+n.Payload)
		require.Equal(t, other.PgConn().PID(), n.PID)
	}
	exec(t, conn, "UNLISTEN *")
	exec(t, conn, "BEGIN; LISTEN news; ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	exec(t, other, "NOTIFY news, 'three'")
	exec(t, conn, "LISTEN mine")
	exec(t, conn, "NOTIFY mine, 'to myself'")
	n, err := conn.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, "to myself", n.Payload)
	require.Equal(t, "22023", code(t, conn, fmt.Sprintf("NOTIFY mine, '%08000d'", 0)))
}

// TestIdleTimeouts: a session that keeps others waiting for too long is told why it ends.
func TestIdleTimeouts(t *testing.T) {
	for sql, want := range map[string]string{
		"SET idle_session_timeout = '10ms'":                       "57P05",
		"SET idle_in_transaction_session_timeout = '10ms'; BEGIN": "25P03",
	} {
		conn := connect(t)
		exec(t, conn, sql, pgx.QueryExecModeSimpleProtocol)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := conn.WaitForNotification(ctx)
		var e *pgconn.PgError
		require.ErrorAs(t, err, &e, sql)
		require.Equal(t, want, e.Code)
	}
	conn := connect(t)
	exec(t, conn, "SET idle_in_transaction_session_timeout = '10ms'")
	require.Equal(t, []string{"10ms"}, rows(t, conn, "SHOW idle_in_transaction_session_timeout"), "there is no transaction")
}

// TestPreparedStatementsAreSeen: whoever runs one is active with its text, not with what it was sent last, and in a transaction.
func TestPreparedStatementsAreSeen(t *testing.T) {
	conn := connect(t)
	const mine = "SELECT state, query, xact_start >= backend_start FROM bs_catalog.sessions WHERE pid = pg_backend_pid()"
	const want = "active|" + mine + "|t"
	require.Equal(t, []string{want}, rows(t, conn, mine), "in its first message")
	_, err := conn.Prepare(t.Context(), "mine", mine)
	require.NoError(t, err)
	for _, other := range []string{"SELECT 'other'", "BEGIN", "COMMIT AND CHAIN"} {
		exec(t, conn, other, pgx.QueryExecModeSimpleProtocol)
		result := conn.PgConn().ExecPrepared(t.Context(), "mine", nil, nil, nil).Read()
		require.NoError(t, result.Err)
		require.Equal(t, want, string(bytes.Join(result.Rows[0], []byte("|"))))
	}
}

// TestSessionsOfOthers are seen, and their statements and they themselves can be ended.
func TestSessionsOfOthers(t *testing.T) {
	conn, other := connect(t), connect(t)
	name := table(t, conn, "(id INTEGER)")
	pid := strconv.Itoa(int(other.PgConn().PID()))
	exec(t, other, "SET application_name = 'seen'; BEGIN; SELECT 'what it asked'", pgx.QueryExecModeSimpleProtocol)
	require.Equal(t, []string{"seen|idle in transaction|t|t|t"}, rows(t, conn, "SELECT application_name, state, query LIKE '%what it asked%',"+
		" xact_start >= backend_start, client_addr = '127.0.0.1' FROM bs_catalog.sessions WHERE pid = "+pid))
	require.Equal(t, []string{"f"}, rows(t, conn, "SELECT pg_cancel_backend(2147483647)"))
	for _, arg := range []any{2147483647, nil} { // as knex calls it
		var done *bool
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_cancel_backend($1)", arg).Scan(&done))
		require.Equal(t, map[bool]*bool{true: nil, false: new(false)}[arg == nil], done)
	}
	var canceled bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_cancel_backend($1)", other.PgConn().PID()).Scan(&canceled))
	require.True(t, canceled, "it rests, and nothing happens to it")

	exec(t, other, "ROLLBACK")
	ended := make(chan error, 1)
	go func() {
		_, err := other.Exec(context.WithoutCancel(t.Context()), "SUBSCRIBE TO "+name, pgx.QueryExecModeSimpleProtocol)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		return len(rows(t, conn, "SELECT 1 FROM bs_catalog.sessions WHERE state = 'active' AND query LIKE 'SUBSCRIBE%' AND pid = "+pid)) == 1
	}, time.Minute, 5*time.Millisecond)
	var e *pgconn.PgError
	for end := false; !end; {
		require.Equal(t, []string{"t"}, rows(t, conn, "SELECT pg_cancel_backend("+pid+")"))
		select {
		case err := <-ended:
			require.ErrorAs(t, err, &e)
			require.Equal(t, "57014", e.Code)
			end = true
		case <-time.After(10 * time.Millisecond): // it hadn't begun yet
		}
	}
	exec(t, other, "SELECT 1")
	require.Equal(t, []string{"t"}, rows(t, conn, "SELECT pg_catalog.pg_terminate_backend("+pid+")"))
	_, err := other.WaitForNotification(t.Context())
	require.ErrorAs(t, err, &e)
	require.Equal(t, "57P01", e.Code)
	require.Eventually(t, func() bool {
		return len(rows(t, conn, "SELECT 1 FROM bs_catalog.sessions WHERE pid = "+pid)) == 0
	}, time.Minute, 5*time.Millisecond)
}

// TestNoticesAreLetThrough where client_min_messages does, whatever statement they are of.
func TestNoticesAreLetThrough(t *testing.T) {
	cfg, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	var told []string
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { told = append(told, n.Code+" "+n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	name := table(t, conn, "(id INTEGER)")
	exec(t, conn, "CREATE INDEX notices_i ON "+name+" (id)")
	exec(t, conn, "CREATE SEQUENCE notices_s")
	exec(t, conn, "CREATE ROLE notices_r")
	defer exec(t, conn, "DROP ROLE notices_r, notices_m")
	exec(t, conn, "CREATE ROLE notices_m IN ROLE notices_r")
	statements := map[string]string{
		"CREATE INDEX IF NOT EXISTS notices_i ON " + name + " (id)": `42P07 relation "notices_i" already exists, skipping`,
		"CREATE SEQUENCE IF NOT EXISTS notices_s":                   `42P07 relation "notices_s" already exists, skipping`,
		"DROP INDEX IF EXISTS notices_none":                         `00000 index "notices_none" does not exist, skipping`,
		"ALTER TABLE IF EXISTS notices_none ADD PRIMARY KEY (id)":   `00000 relation "notices_none" does not exist, skipping`,
		"DROP ROLE IF EXISTS notices_none":                          `00000 role "notices_none" does not exist, skipping`,
		"GRANT notices_r TO notices_m":                              `00000 role "notices_m" is already a member of role "notices_r"`,
	}
	for _, level := range []string{"notice", "warning"} {
		exec(t, conn, "SET client_min_messages = "+level)
		for sql, want := range statements {
			told = nil
			exec(t, conn, sql)
			if level == "notice" {
				require.Equal(t, []string{want}, told, sql)
			} else {
				require.Empty(t, told, sql)
			}
		}
	}
	exec(t, conn, "DROP SEQUENCE notices_s")
}
