package system_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// hello is what a client says first.
func hello(t *testing.T) []byte {
	t.Helper()
	b, err := (&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "postgres"}}).Encode(nil)
	require.NoError(t, err)
	return b
}

// dialSQL opens a connection, over which nothing was said.
func dialSQL(t *testing.T, s *system.Server) *reader {
	t.Helper()
	nc, err := net.Dial("tcp", s.SQL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	return &reader{Conn: nc, in: bufio.NewReaderSize(nc, 64<<10)}
}

// others ask small queries until the returned function is called, which tells how many were answered. Each has to be.
func others(t *testing.T, s *system.Server) func() int {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var n atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		conn := connect(t, s)
		all.Go(func() {
			for ctx.Err() == nil {
				var one int
				if err := conn.QueryRow(context.WithoutCancel(ctx), "SELECT count(*) FROM t").Scan(&one); err != nil || one != 3 {
					t.Errorf("another session: %d rows, %v", one, err)
					return
				}
				n.Add(1)
			}
		})
	}
	return func() int {
		stop()
		all.Wait()
		return int(n.Load())
	}
}

// TestFloods: whatever a client sends, and however, takes little memory and none of the others' turns.
func TestFloods(t *testing.T) {
	t.Parallel() // it waits most of the time: for requests to be taken, and for connections that say nothing to be closed
	s := start(t)
	run(t, s, "CREATE TABLE t (id BIGINT)")
	run(t, s, "INSERT INTO t VALUES (1), (2), (3)")
	for _, flood := range []struct {
		name  string
		flood func(t *testing.T, s *system.Server)
	}{
		{"a pipeline that isn't read", floodPipeline},
		{"a pipeline of errors", floodErrors},
		{"cancel requests", floodCancels},
		{"one byte at a time", floodBytes},
		{"messages that are too long", floodLong},
		{"connections that say nothing", floodSilence},
	} {
		t.Run(flood.name, func(t *testing.T) {
			gateway, err := s.GatewayPID()
			require.NoError(t, err)
			require.Len(t, ids(t, s, "SELECT id FROM t"), 3)
			before := resident(t, gateway)
			answered := others(t, s)
			flood.flood(t, s)
			n := answered()
			require.Positive(t, n, "queries of others")
			now, err := s.GatewayPID()
			require.NoError(t, err)
			require.Equal(t, gateway, now, "the gateway was started anew")
			grown := resident(t, gateway) - before
			t.Logf("it held %d MiB more afterwards; %d queries of others were answered", grown>>20, n)
			require.Less(t, grown, int64(192<<20))
		})
	}
}

// pipelined is how many statements are sent without reading an answer: more than sockets have room for the answers of.
const pipelined = 3_000

// floodPipeline sends statements, and reads only when no more of them are taken.
func floodPipeline(t *testing.T, s *system.Server) {
	t.Helper()
	r := dialSQL(t, s)
	b := hello(t)
	for range pipelined {
		for _, m := range []pgproto3.FrontendMessage{
			&pgproto3.Parse{Query: "SELECT repeat('x', 4000)"}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{},
		} {
			var err error
			b, err = m.Encode(b)
			require.NoError(t, err)
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := r.Write(b)
		sent <- err
	}()
	for ready := 0; ready < pipelined+1; {
		kind, err := r.next()
		require.NoError(t, err)
		require.NotEqual(t, byte('E'), kind, r.end)
		if kind == 'Z' {
			ready++
		}
	}
	require.NoError(t, <-sent)
	require.Equal(t, int64(pipelined), r.rows)
}

// floodErrors sends statements that fail, under names that stay free, and closes without a word.
func floodErrors(t *testing.T, s *system.Server) {
	t.Helper()
	r := dialSQL(t, s)
	b := hello(t)
	for range pipelined {
		for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "n", Query: "SELECT nosuch"}, &pgproto3.Bind{PreparedStatement: "n"}, &pgproto3.Sync{}} {
			var err error
			b, err = m.Encode(b)
			require.NoError(t, err)
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = r.Write(b) // it may be cut short
	}()
	for failed := 0; failed < pipelined/10; {
		kind, err := r.next()
		require.NoError(t, err)
		if kind == 'E' {
			require.Equal(t, "42703", r.end)
			failed++
		}
	}
	require.NoError(t, r.Close())
	<-sent
}

// floodCancels sends a thousand at once, right and wrong, for a session that goes on.
func floodCancels(t *testing.T, s *system.Server) {
	t.Helper()
	victim := connect(t, s)
	pid, secret := victim.PgConn().PID(), victim.PgConn().SecretKey()
	request := func(secret []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(12+len(secret)))
		b = binary.BigEndian.AppendUint32(b, 1234<<16|5678)
		return append(binary.BigEndian.AppendUint32(b, pid), secret...)
	}
	var all sync.WaitGroup
	gate := make(chan struct{}, 100) // that are open at a time
	for i := range 1000 {
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			nc, err := net.Dial("tcp", s.SQL)
			if err != nil {
				t.Errorf("the server takes no connections: %v", err)
				return
			}
			defer func() { _ = nc.Close() }()
			right := append([]byte(nil), secret...)
			if i%2 == 0 {
				right[i%len(right)] ^= 0x55
			}
			_, _ = nc.Write(request(right))
			_, _ = io.Copy(io.Discard, nc) // closed, or refused for too many
		})
	}
	for range 20 {
		var n int
		err := victim.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n)
		if e := new(pgconn.PgError); errors.As(err, &e) {
			require.Equal(t, "57014", e.Code)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}
	all.Wait()
	_, err := victim.Exec(t.Context(), "SELECT 1", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// floodBytes sends everything in pieces of one byte.
func floodBytes(t *testing.T, s *system.Server) {
	t.Helper()
	r := dialSQL(t, s)
	require.NoError(t, r.Conn.(*net.TCPConn).SetNoDelay(true))
	b := hello(t)
	for range 20 {
		for _, m := range []pgproto3.FrontendMessage{
			&pgproto3.Query{String: "SELECT id FROM t"}, &pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
		} {
			var err error
			b, err = m.Encode(b)
			require.NoError(t, err)
		}
	}
	go func() {
		for i := range b {
			if _, err := r.Write(b[i : i+1]); err != nil {
				return
			}
		}
	}()
	for ready := 0; ready < 1+40; {
		kind, err := r.next()
		require.NoError(t, err)
		require.NotEqual(t, byte('E'), kind, r.end)
		if kind == 'Z' {
			ready++
		}
	}
	require.Equal(t, int64(20*4), r.rows)
}

// floodLong announces messages of two gigabytes, and begins to send them; the last words to each say why not.
func floodLong(t *testing.T, s *system.Server) {
	t.Helper()
	for _, kind := range []byte("QPBDEC") {
		r := dialSQL(t, s)
		_, err := r.Write(hello(t))
		require.NoError(t, err)
		for k := byte(0); k != 'Z'; {
			k, err = r.next()
			require.NoError(t, err)
		}
		_, err = r.Write(append([]byte{kind, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 100)...))
		require.NoError(t, err)
		for k := byte(0); k != 'E'; {
			k, err = r.next()
			require.NoError(t, err, "%c", kind)
		}
		require.Contains(t, []string{"08P01", "54000"}, r.end, "%c", kind)
	}
	for _, length := range []uint32{0, 3, 7, 10_001, 0x7fffffff, 0xffffffff} {
		r := dialSQL(t, s)
		_, err := r.Write(append(binary.BigEndian.AppendUint32(nil, length), 0, 3, 0, 0))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, r)
	}
}

// floodSilence opens connections over which nothing comes, or half of what is to come first: more than may be so at a time.
func floodSilence(t *testing.T, s *system.Server) {
	t.Helper()
	conn := connect(t, s) // further ones have to wait
	half := hello(t)
	half = half[:len(half)/2]
	for i := range 200 {
		r := dialSQL(t, s)
		if i%2 == 0 {
			_, _ = r.Write(half)
		}
	}
	var one int
	for range 20 {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT 1").Scan(&one))
	}
}
