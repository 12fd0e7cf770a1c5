package sql_test

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// heard is the next notification of a connection.
func heard(t *testing.T, conn *pgx.Conn) *pgconn.Notification {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := conn.WaitForNotification(ctx)
	require.NoError(t, err)
	return n
}

// hearsUntil takes notifications of a channel until the query at their cut has this many rows.
func hearsUntil(t *testing.T, conn, reader *pgx.Conn, channel, table string, want int) {
	t.Helper()
	for {
		n := heard(t, conn)
		require.Equal(t, channel, n.Channel)
		require.Zero(t, n.PID, "nobody's process")
		got, err := strconv.Atoi(rows(t, reader, "SELECT count(*) FROM "+table+" AS OF CUT '"+n.Payload+"'")[0])
		require.NoError(t, err)
		require.LessOrEqual(t, got, want)
		if got == want {
			return
		}
	}
}

// TestListenToTable: a channel named like a table tells of its appends, with the cut at which they are seen.
func TestListenToTable(t *testing.T) {
	writer, plain, qualified := connect(t), connect(t), connect(t)
	name := table(t, writer, "(id bigint) WITH (journals = 2)")
	exec(t, writer, "INSERT INTO "+name+" VALUES (1)")
	exec(t, plain, "LISTEN "+name)
	exec(t, qualified, `LISTEN "public.`+name+`"`)
	for i := range 5 {
		exec(t, writer, "INSERT INTO "+name+" VALUES ($1)", i)
		hearsUntil(t, plain, writer, name, name, 2+i)
		hearsUntil(t, qualified, writer, "public."+name, name, 2+i)
	}

	// A session that doesn't take them is told of the last one only, and of what others say on the channel.
	exec(t, plain, "BEGIN")
	for range 20 {
		exec(t, writer, "INSERT INTO "+name+" VALUES (7)")
	}
	exec(t, writer, "SELECT pg_notify($1, 'said')", name)
	hearsUntil(t, qualified, writer, "public."+name, name, 26)
	exec(t, plain, "COMMIT")
	require.Equal(t, "said", heard(t, plain).Payload)
	hearsUntil(t, plain, writer, name, name, 26)

	// UNLISTEN, and a LISTEN that was rolled back, hear nothing.
	exec(t, plain, "UNLISTEN *")
	exec(t, plain, "BEGIN; LISTEN "+name+"; ROLLBACK; LISTEN other", pgx.QueryExecModeSimpleProtocol)
	exec(t, writer, "INSERT INTO "+name+" VALUES (8)")
	hearsUntil(t, qualified, writer, "public."+name, name, 27)
	exec(t, writer, "NOTIFY other")
	require.Equal(t, "other", heard(t, plain).Channel)

	// Its end is told once.
	exec(t, writer, "DROP TABLE "+name)
	for n := heard(t, qualified); n.Payload != ""; n = heard(t, qualified) {
		require.Equal(t, "public."+name, n.Channel)
	}
	exec(t, writer, `NOTIFY "public.`+name+`", 'still a channel'`)
	require.Equal(t, "still a channel", heard(t, qualified).Payload)
}

// TestListenNeedsPrivilege: who may not read a table isn't told of its appends, nor who loses that.
func TestListenNeedsPrivilege(t *testing.T) {
	root := connect(t)
	exec(t, root, "CREATE ROLE listen_u LOGIN")
	t.Cleanup(func() { _, _ = root.Exec(context.Background(), "DROP ROLE listen_u") })
	name := table(t, root, "(id bigint)")
	user := as(t, "listen_u")
	exec(t, user, "LISTEN "+name)
	exec(t, root, "INSERT INTO "+name+" VALUES (1)")
	exec(t, root, "NOTIFY "+name+", 'but of this'")
	require.Equal(t, "but of this", heard(t, user).Payload)

	exec(t, root, "GRANT SELECT ON "+name+" TO listen_u")
	exec(t, user, "LISTEN "+name)
	exec(t, root, "INSERT INTO "+name+" VALUES (2)")
	hearsUntil(t, user, root, name, name, 2)
	exec(t, root, "REVOKE SELECT ON "+name+" FROM listen_u")
	for n := heard(t, user); n.Payload != ""; n = heard(t, user) {
		require.Equal(t, name, n.Channel)
	}
	exec(t, root, "INSERT INTO "+name+" VALUES (3)")
	exec(t, root, "NOTIFY "+name+", 'the last'")
	require.Equal(t, "the last", heard(t, user).Payload)
}

// TestStatActivity has PostgreSQL's columns. What others ask isn't shown.
func TestStatActivity(t *testing.T) {
	root, other := connect(t), connect(t)
	exec(t, root, "CREATE ROLE activity_u LOGIN")
	t.Cleanup(func() { _, _ = root.Exec(context.Background(), "DROP ROLE activity_u") })
	user := as(t, "activity_u")
	exec(t, user, "SELECT 'a secret'", pgx.QueryExecModeSimpleProtocol)
	exec(t, other, "SELECT pg_advisory_lock(123)", pgx.QueryExecModeSimpleProtocol)
	of := func(conn *pgx.Conn) string {
		return "SELECT datname, usename, client_addr, client_port > 0, state, wait_event, query, backend_type, xact_start, query_start >= backend_start FROM pg_stat_activity WHERE pid = " + pidOf(conn)
	}
	require.Equal(t, []string{"postgres|activity_u|127.0.0.1|t|idle|ClientRead|SELECT 'a secret'|client backend|NULL|t"}, rows(t, root, of(user)))
	require.Equal(t, []string{"postgres|" + root.Config().User + "|NULL|NULL|NULL|NULL|<insufficient privilege>|NULL|NULL|NULL"}, rows(t, user, of(root)))
	require.Equal(t, []string{"t"}, rows(t, user, "SELECT state = 'active' AND usesysid = 'activity_u'::regrole::oid FROM pg_stat_activity WHERE pid = pg_backend_pid()"))
	require.Equal(t, []string{"f|NULL"}, rows(t, root, "SELECT ssl, version FROM pg_stat_ssl WHERE pid = "+pidOf(user)))
	var address netip.Addr
	require.NoError(t, root.QueryRow(t.Context(), "SELECT client_addr FROM pg_stat_activity WHERE pid = pg_backend_pid()").Scan(&address))
	require.Equal(t, "127.0.0.1", address.String(), "also in binary")

	waited := make(chan error, 1)
	go func() {
		_, err := user.Exec(context.WithoutCancel(t.Context()), "SELECT pg_advisory_lock(123)", pgx.QueryExecModeSimpleProtocol)
		waited <- err
	}()
	require.Eventually(t, func() bool {
		return len(rows(t, root, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory' AND pid = "+pidOf(user))) == 1
	}, time.Minute, 5*time.Millisecond)
	require.Equal(t, []string{"t"}, rows(t, root, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory' AND pid = "+pidOf(user)))
	var e *pgconn.PgError
	require.ErrorAs(t, <-waited, &e)
	require.Equal(t, "57014", e.Code)
}
