package sql_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// TestSubscribeByCursor: FETCH takes what there is of an endless result, waits as it is told, and is
// ended by a cancel like anything else.
func TestSubscribeByCursor(t *testing.T) {
	conn, other := connect(t), connect(t)
	name := table(t, other, "(id INTEGER)")
	exec(t, other, "INSERT INTO "+name+" VALUES (1), (2), (3)")
	exec(t, conn, "BEGIN")
	exec(t, conn, "DECLARE c CURSOR FOR SUBSCRIBE TO "+name)
	require.Equal(t, []string{"1", "2"}, rows(t, conn, "FETCH 2 FROM c"))
	require.Equal(t, []string{"3"}, rows(t, conn, "FETCH 100 FROM c"), "those that are there")
	require.Empty(t, rows(t, conn, "FETCH 100 FROM c WITH (timeout = '0s')"))
	require.Empty(t, rows(t, conn, "FETCH ALL FROM c WITH (timeout = '20ms')"))
	exec(t, other, "INSERT INTO "+name+" VALUES (4)")
	require.Equal(t, []string{"4"}, rows(t, conn, "FETCH c"), "the next one, however long it takes")
	exec(t, conn, "SET LOCAL broadsheet.fetch_timeout = '10ms'")
	require.Empty(t, rows(t, conn, "FETCH 5 FROM c"))
	exec(t, other, "INSERT INTO "+name+" VALUES (5), (6)")
	require.Equal(t, "MOVE 1", exec(t, conn, "SET LOCAL broadsheet.fetch_timeout = none; MOVE 1 FROM c", pgx.QueryExecModeSimpleProtocol).String())
	require.Equal(t, []string{"6"}, rows(t, conn, "FETCH 1 FROM c WITH (timeout = '1h')"))

	exec(t, conn, "SET LOCAL statement_timeout = '20ms'")
	_, err := conn.Exec(t.Context(), "FETCH c", pgx.QueryExecModeSimpleProtocol)
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "57014", e.Code)
	exec(t, conn, "ROLLBACK")
	exec(t, conn, "DECLARE h CURSOR WITH HOLD FOR SUBSCRIBE TO "+name)
	require.Equal(t, "22023", code(t, conn, "FETCH h WITH (timeout = 'soon')"))
	exec(t, conn, "CLOSE h")
}

// TestSubscribeByPortal: a limited Execute is suspended with exactly as many rows as it asked for,
// however long they take.
func TestSubscribeByPortal(t *testing.T) {
	conn, other := connect(t), connect(t)
	name := table(t, other, "(id INTEGER)")
	exec(t, other, "INSERT INTO "+name+" VALUES (1), (2), (3)")
	f := conn.PgConn().Frontend()
	f.Send(&pgproto3.Parse{Query: "SUBSCRIBE TO " + name})
	f.Send(&pgproto3.Bind{})
	f.Send(&pgproto3.Execute{MaxRows: 2})
	f.Send(&pgproto3.Execute{MaxRows: 2})
	f.Send(&pgproto3.Flush{})
	require.NoError(t, f.Flush())
	receive := func() string {
		m, err := f.Receive()
		require.NoError(t, err)
		switch m := m.(type) {
		case *pgproto3.DataRow:
			return string(m.Values[0])
		case *pgproto3.PortalSuspended:
			return "suspended"
		case *pgproto3.ErrorResponse:
			return m.Code
		}
		return ""
	}
	var got []string
	for len(got) < 4 {
		if m := receive(); m != "" {
			got = append(got, m)
		}
	}
	require.Equal(t, []string{"1", "2", "suspended", "3"}, got)
	exec(t, other, "INSERT INTO "+name+" VALUES (4)")
	require.Equal(t, "4", receive())
	require.Equal(t, "suspended", receive())
	f.Send(&pgproto3.Sync{})
	require.NoError(t, f.Flush())
	_, err := f.Receive()
	require.NoError(t, err)
}

// TestManyCursors: they are read in turn, each at its own pace, up to a limit that has a name.
func TestManyCursors(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER)")
	exec(t, conn, "INSERT INTO "+name+" SELECT g FROM generate_series(1, 5000) g")
	ctx := context.WithoutCancel(t.Context())
	tx, err := conn.Begin(ctx)
	require.NoError(t, err)
	for _, c := range []string{"a", "b", "c"} {
		_, err := tx.Exec(ctx, "DECLARE "+c+" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT id FROM "+name+" WHERE id > $1 ORDER BY id", 10)
		require.NoError(t, err)
	}
	for i := range 3 {
		for _, c := range []string{"a", "b", "c"} {
			r, err := tx.Query(ctx, "FETCH FORWARD 1000 FROM "+c)
			require.NoError(t, err)
			ids, err := pgx.CollectRows(r, pgx.RowTo[int32])
			require.NoError(t, err)
			require.Len(t, ids, 1000)
			require.Equal(t, int32(11+1000*i), ids[0])
		}
	}
	require.NoError(t, tx.Rollback(ctx))
	exec(t, conn, "BEGIN")
	for i := range 17 {
		_, err = conn.Exec(ctx, "DECLARE c"+string(rune('a'+i))+" CURSOR FOR SELECT id FROM "+name)
	}
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "54000", e.Code)
	exec(t, conn, "ROLLBACK")
	require.Equal(t, []string{"5000"}, rows(t, conn, "SELECT count(*) FROM "+name))
}
