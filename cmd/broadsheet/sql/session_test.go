package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// played is a server whose part a function plays, once for each connection.
func played(t *testing.T, play func(*pgproto3.Backend, pgproto3.FrontendMessage)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := task.New(context.Background(), "played")
	g.Go("accept", func(context.Context) error {
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil //nolint:nilerr // the test has ended
			}
			g.Go("play", func(context.Context) error {
				defer func() { _ = c.Close() }()
				b := pgproto3.NewBackend(c, c)
				first, err := b.ReceiveStartupMessage()
				if err != nil {
					return nil
				}
				if _, ok := first.(*pgproto3.StartupMessage); !ok {
					play(b, first)
					return nil
				}
				b.Send(&pgproto3.AuthenticationOk{})
				b.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{0, 0, 0, 9}})
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				for b.Flush() == nil {
					m, err := b.Receive()
					if err != nil {
						return nil
					}
					play(b, m)
				}
				return nil
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		require.NoError(t, g.Wait())
	})
	return ln.Addr().String()
}

// connected is a session with a server.
func connected(t *testing.T, server, format string) (*session, *output) {
	t.Helper()
	t.Setenv("PGSSLMODE", "disable")
	host, port, err := net.SplitHostPort(server)
	require.NoError(t, err)
	a := address{host: host, port: port, user: "me", database: "db"}
	config, err := a.config()
	require.NoError(t, err)
	c, err := dial(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.close() })
	out := &output{written: make(chan struct{}, 1)}
	return &session{conn: c, out: out, err: out, print: newPrinter(format, out, false)}, out
}

// output says when it is written.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var oneColumn = &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("x"), DataTypeOID: pgtype.Int4OID}}}

// TestRowsAreShownAsTheyCome: a result that doesn't go on is printed, and its statement is ended by an interrupt.
func TestRowsAreShownAsTheyCome(t *testing.T) {
	cancelled := make(chan *pgproto3.CancelRequest, 1)
	server := played(t, func(b *pgproto3.Backend, m pgproto3.FrontendMessage) {
		switch m := m.(type) {
		case *pgproto3.Query:
			b.Send(&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "beware\x1b", Hint: "of dogs"})
			b.Send(oneColumn)
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("1")}})
			_ = b.Flush()
			c := <-cancelled
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: fmt.Sprintf("ended %d %d", c.ProcessID, c.SecretKey)})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'E'})
		case *pgproto3.CancelRequest:
			cancelled <- m
		}
	})
	s, out := connected(t, server, "table")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for !strings.Contains(out.String(), " 1\n") {
			<-out.written
		}
	}()
	err := s.run(ctx, "SUBSCRIBE TO t")
	require.EqualError(t, err, "ERROR: ended 7 [0 0 0 9] (SQLSTATE 57014)")
	require.Equal(t, byte('E'), s.conn.status)
	require.Equal(t, "NOTICE: beware\\x1B\nHINT: of dogs\n x\n---\n 1\n", strings.ReplaceAll(out.String(), " \n", "\n"))
}

// TestCopyIn: the data is what follows the statement, up to its mark; then come other statements.
func TestCopyIn(t *testing.T) {
	var got bytes.Buffer
	var statements []string
	server := played(t, func(b *pgproto3.Backend, m pgproto3.FrontendMessage) {
		switch m := m.(type) {
		case *pgproto3.Query:
			if statements = append(statements, m.String); strings.HasPrefix(m.String, "COPY") {
				b.Send(&pgproto3.CopyInResponse{})
				return
			}
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("OK")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case *pgproto3.CopyData:
			got.Write(m.Data)
		case *pgproto3.CopyFail:
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "57014", Message: m.Message})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case *pgproto3.CopyDone:
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("COPY 2")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	})
	s, out := connected(t, server, "table")
	text := "COPY t FROM STDIN; -- a comment\n1;2\n'\n\\.\nSELECT 1;COPY u FROM STDIN;\nlast"
	for _, size := range []int{1, 7, 1000} {
		got.Reset()
		statements = nil
		require.NoError(t, runScript(t.Context(), s, newScript(&slow{strings.NewReader(text), size})))
		require.Equal(t, "1;2\n'\nlast", got.String())
		require.Equal(t, []string{"COPY t FROM STDIN", "SELECT 1", "COPY u FROM STDIN"}, statements)
	}
	require.Equal(t, strings.Repeat("COPY 2\nOK\nCOPY 2\n", 3), out.String())
	s.in = pieces(io.MultiReader(strings.NewReader("1\n"), brokenReader{}))
	require.EqualError(t, s.run(t.Context(), "COPY t FROM STDIN"), "ERROR: the file broke (SQLSTATE 57014)")
}

// slow gives at most size bytes at a time.
type slow struct {
	io.Reader
	size int
}

func (s *slow) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), s.size)]) }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the file broke") }

// TestErrors: a script ends with the first, which tells the place; a server that goes away says why.
func TestErrors(t *testing.T) {
	server := played(t, func(b *pgproto3.Backend, m pgproto3.FrontendMessage) {
		if q, ok := m.(*pgproto3.Query); ok {
			e := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "42601", Message: "no", Detail: "why", Hint: "try", Position: 10}
			if q.String == "die" {
				e.Severity, e.Position = "FATAL", 0
			}
			b.Send(e)
			if q.String == "die" {
				_ = b.Flush()
				return
			}
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	})
	s, _ := connected(t, server, "table")
	err := runScript(t.Context(), s, newScript(strings.NewReader("SELECT\n\tü + nope;\nnever")))
	require.EqualError(t, err, "ERROR: no (why) (SQLSTATE 42601) at line 2, column 3")
	require.True(t, isMistake(err))
	err = runScript(t.Context(), s, newScript(strings.NewReader("  \\d t\nSELECT 1;")))
	require.EqualError(t, err, `sql: \d t is a command of psql`)
	require.True(t, isMistake(err))
	require.NoError(t, runScript(t.Context(), s, newScript(strings.NewReader("/* nothing */;\n \\q\nSELECT 1;"))))
}

// TestServerIsGone: the connection's end is an error, and comes at once.
func TestServerIsGone(t *testing.T) {
	gone := make(chan net.Conn, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := task.New(t.Context(), "gone")
	g.Go("accept", func(context.Context) error {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return err
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		gone <- c
		return b.Flush()
	})
	s, _ := connected(t, ln.Addr().String(), "table")
	require.NoError(t, g.Wait())
	require.NoError(t, (<-gone).Close())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorContains(t, s.run(ctx, "SELECT 1"), "sql")
	require.NoError(t, ctx.Err())
	require.NoError(t, ln.Close())
}

// TestAddress: flags come before the environment, and that before the server's own defaults; a URL is for itself.
func TestAddress(t *testing.T) {
	for _, v := range []string{"PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE"} {
		t.Setenv(v, "")
	}
	c, err := (&address{}).config()
	require.NoError(t, err)
	require.Equal(t, []any{"127.0.0.1", uint16(5433), "postgres", "postgres"}, []any{c.Host, c.Port, c.User, c.Database})
	t.Setenv("PGHOST", "db.example")
	t.Setenv("PGUSER", "eve")
	c, err = (&address{port: "6000", user: `o'\neil`}).config()
	require.NoError(t, err)
	require.Equal(t, []any{"db.example", uint16(6000), `o'\neil`, "postgres"}, []any{c.Host, c.Port, c.User, c.Database})
	c, err = (&address{url: "postgres://u@h:1/d"}).config()
	require.NoError(t, err)
	require.Equal(t, []any{"h", uint16(1), "u", "d"}, []any{c.Host, c.Port, c.User, c.Database})
	_, err = (&address{url: "postgres://u@h:1/d", host: "x"}).config()
	require.EqualError(t, err, "sql: --host and --url")
	_, err = (&address{url: "postgres://u:secret@h:port/d"}).config()
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
