package sql_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// sendCancel asks to cancel what a session does, and waits until the server has closed the connection, as libpq and pgjdbc do: a
// packet without TLS on a connection of its own.
func sendCancel(ctx context.Context, pid uint32, secret []byte) error {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.SQL)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	const code = 1234<<16 | 5678
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
	b = binary.BigEndian.AppendUint32(b, code)
	b = append(binary.BigEndian.AppendUint32(b, pid), secret...)
	if _, err := nc.Write(b); err != nil {
		return err
	}
	answer, err := io.ReadAll(nc)
	if err == nil && len(answer) > 0 {
		return fmt.Errorf("a cancel request was answered: %q", answer)
	}
	return err
}

// talk is one request to a server, answered message by message.
type talk struct {
	conn *pgconn.PgConn
	// begun is closed when the first message that matters to the test has come, or at once if there is none.
	begun chan struct{}
	once  sync.Once
	// then is sent when the server asks for data.
	then []pgproto3.FrontendMessage
	// after is the kind of message that begins it.
	after byte
}

// ends sends a query and returns the SQLSTATE with which it ends, and the status of the ReadyForQuery.
func (k *talk) ends(sql string) (string, byte, error) {
	f := k.conn.Frontend()
	f.Send(&pgproto3.Query{String: sql})
	if err := f.Flush(); err != nil {
		return "", 0, err
	}
	code := ""
	if k.after == 0 {
		k.once.Do(func() { close(k.begun) })
	}
	for {
		m, err := f.Receive()
		if err != nil {
			return code, 0, err
		}
		kind := byte(0)
		switch m := m.(type) {
		case *pgproto3.DataRow:
			kind = 'D'
		case *pgproto3.CopyData:
			kind = 'd'
		case *pgproto3.CopyOutResponse:
			kind = 'H'
		case *pgproto3.CopyInResponse:
			kind = 'G'
			for _, x := range k.then {
				f.Send(x)
			}
			if err := f.Flush(); err != nil {
				return code, 0, err
			}
		case *pgproto3.ErrorResponse:
			code = m.Code
		case *pgproto3.ReadyForQuery:
			return code, m.TxStatus, nil
		default:
		}
		if k.after != 0 && kind == k.after {
			k.once.Do(func() { close(k.begun) })
		}
	}
}

// cancelled begins a statement and cancels it, first with wrong secrets, as often as it takes.
func cancelled(t *testing.T, conn *pgconn.PgConn, sql string, after byte, then ...pgproto3.FrontendMessage) (string, byte) {
	t.Helper()
	k := &talk{conn: conn, begun: make(chan struct{}), after: after, then: then}
	type end struct {
		code   string
		status byte
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		code, status, err := k.ends(sql)
		ended <- end{code, status, err}
	}()
	select {
	case <-k.begun:
	case e := <-ended:
		require.Fail(t, "it ended before it began", "%s: %+v", sql, e)
	}
	wrong := append([]byte(nil), conn.SecretKey()...)
	wrong[len(wrong)-1] ^= 1
	require.NoError(t, sendCancel(t.Context(), conn.PID(), wrong))
	require.ErrorContains(t, sendCancel(t.Context(), conn.PID(), nil), "08P01", "without a secret")
	require.NoError(t, sendCancel(t.Context(), conn.PID()+1_000_000, conn.SecretKey()))
	select {
	case e := <-ended:
		require.Fail(t, "a wrong cancel request ended it", "%s: %+v", sql, e)
	default:
	}
	for { // it may not have begun yet
		require.NoError(t, sendCancel(t.Context(), conn.PID(), conn.SecretKey()))
		select {
		case e := <-ended:
			require.NoError(t, e.err, sql)
			return e.code, e.status
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// endlessRows never end, and have rows at once.
const endlessRows = "SELECT a FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"

// longCompute has one row, after years.
const longCompute = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"

// TestCancelEverywhere: wherever a statement is, a cancel request with the right secret ends it with 57014, and its session goes on; one
// with a wrong secret does nothing. Nothing is half done.
func TestCancelEverywhere(t *testing.T) {
	setup, holder := connect(t), connect(t)
	name := table(t, setup, "(id BIGINT, v TEXT)")
	exec(t, setup, "INSERT INTO "+name+" VALUES (1, 'x'), (2, 'y')")
	exec(t, holder, "SELECT pg_advisory_lock(8151)")
	line := &pgproto3.CopyData{Data: []byte("3\tz\n")}
	cases := []struct {
		name, before, sql string
		after             byte
		then              []pgproto3.FrontendMessage
	}{
		{name: "a long computation", sql: longCompute},
		{name: "rows without end", sql: endlessRows, after: 'D'},
		{name: "COPY IN", sql: "COPY " + name + " FROM STDIN", after: 'G', then: []pgproto3.FrontendMessage{line, line}},
		{name: "COPY IN without data", sql: "COPY " + name + " FROM STDIN (FORMAT binary)", after: 'G'},
		{name: "COPY OUT", sql: "COPY (" + endlessRows + ") TO STDOUT", after: 'd'},
		{name: "COPY OUT that computes", sql: "COPY (" + longCompute + ") TO STDOUT"},
		{name: "INSERT SELECT", sql: "INSERT INTO " + name + " (id) " + endlessRows},
		{name: "FETCH", before: "BEGIN; DECLARE c CURSOR FOR " + endlessRows, sql: "FETCH ALL FROM c", after: 'D'},
		{name: "MOVE", before: "BEGIN; DECLARE c CURSOR FOR " + endlessRows, sql: "MOVE ALL FROM c"},
		{name: "SUBSCRIBE", sql: "SUBSCRIBE TO " + name, after: 'D'},
		{name: "COPY of SUBSCRIBE", sql: "COPY (SUBSCRIBE TO " + name + ") TO STDOUT", after: 'd'},
		{name: "FETCH of SUBSCRIBE", before: "BEGIN; DECLARE c CURSOR FOR SUBSCRIBE TO " + name, sql: "FETCH 100 FROM c WITH (timeout = '1h')", after: 'D'},
		{name: "an advisory lock", sql: "SELECT pg_advisory_lock(8151)"},
		{name: "the second of two statements", sql: "SELECT 1; " + longCompute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t).PgConn()
			status := byte('I')
			if c.before != "" {
				_, err := conn.Exec(t.Context(), c.before).ReadAll()
				require.NoError(t, err)
				status = 'E'
			}
			for range 2 { // and once more
				code, got := cancelled(t, conn, c.sql, c.after, c.then...)
				require.Equal(t, "57014", code)
				require.Equal(t, string(status), string(got))
				if c.before != "" {
					_, err := conn.Exec(t.Context(), "ROLLBACK; "+c.before).ReadAll()
					require.NoError(t, err)
				}
			}
			_, err := conn.Exec(t.Context(), "ROLLBACK").ReadAll()
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), "SELECT 1").ReadAll()
			require.NoError(t, err)
			require.Equal(t, []string{"1|x", "2|y"}, rows(t, setup, "SELECT id, v FROM "+name+" ORDER BY id"))
		})
	}
}

// TestCancelInTheQueue: a query that waits until others have had their turn.
func TestCancelInTheQueue(t *testing.T) {
	setup := connect(t)
	name := table(t, setup, "(id BIGINT)")
	exec(t, setup, "INSERT INTO "+name+" VALUES (1)")
	const crowd = 24
	long := "SELECT count(*) FROM " + name + ", generate_series(1, 1000000) a, generate_series(1, 1000000) b"
	var conns []*pgconn.PgConn
	codes := make(chan string, crowd)
	for range crowd {
		conn := connect(t).PgConn()
		conns = append(conns, conn)
		go func() {
			code, _, err := (&talk{conn: conn, begun: make(chan struct{})}).ends(long)
			if err != nil {
				code = err.Error()
			}
			codes <- code
		}()
	}
	require.Eventually(t, func() bool {
		return rows(t, setup, "SELECT count(*) FROM bs_catalog.sessions WHERE state = 'active' AND query LIKE 'SELECT count(*) FROM "+name+",%'")[0] == strconv.Itoa(crowd)
	}, time.Minute, 10*time.Millisecond)
	waiting := connect(t).PgConn()
	code, status := cancelled(t, waiting, long, 0)
	require.Equal(t, "57014 I", code+" "+string(status))
	for n := 0; n < crowd; {
		for _, c := range conns {
			require.NoError(t, sendCancel(t.Context(), c.PID(), c.SecretKey()))
		}
		for more := true; more; {
			select {
			case code := <-codes:
				require.Equal(t, "57014", code)
				n++
			case <-time.After(50 * time.Millisecond):
				more = false
			}
		}
	}
	require.Equal(t, []string{"1"}, rows(t, setup, "SELECT count(*) FROM "+name))
}

// TestCancelOfAListener: one that waits for notifications isn't in a call, and isn't disturbed.
func TestCancelOfAListener(t *testing.T) {
	conn, other := connect(t), connect(t)
	exec(t, conn, "LISTEN cancel_of_a_listener")
	for range 20 {
		require.NoError(t, sendCancel(t.Context(), conn.PgConn().PID(), conn.PgConn().SecretKey()))
	}
	exec(t, other, "NOTIFY cancel_of_a_listener, 'it hears'")
	n, err := conn.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, "it hears", n.Payload)
	exec(t, conn, "SELECT 1")
}
