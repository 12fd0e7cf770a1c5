package sql

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/internal/task"
)

// address says which server, and as whom: flags before libpq's variables before what "serve" has.
type address struct{ url, host, port, user, database string }

func (a *address) add(p *pflag.FlagSet) {
	p.StringVar(&a.url, "url", "", "connection string: postgres://user@host:port/database?sslmode=... or libpq's key=value; other flags are not for it")
	p.StringVar(&a.host, "host", "", "host of the server; by default $PGHOST, or 127.0.0.1")
	p.StringVar(&a.port, "port", "", "port of the server; by default $PGPORT, or 5433")
	p.StringVar(&a.user, "username", "", "role to connect as; by default $PGUSER, or postgres")
	p.StringVar(&a.database, "dbname", "", "database; by default $PGDATABASE, or postgres")
}

// config of the connection. The password is libpq's: $PGPASSWORD, or the password file.
func (a *address) config() (*pgconn.Config, error) {
	var text strings.Builder
	text.WriteString(a.url)
	parts := []struct{ name, flag, value, variable, fallback string }{
		{"host", "host", a.host, "PGHOST", "127.0.0.1"},
		{"port", "port", a.port, "PGPORT", "5433"},
		{"user", "username", a.user, "PGUSER", "postgres"},
		{"dbname", "dbname", a.database, "PGDATABASE", "postgres"},
	}
	for _, p := range parts {
		switch {
		case a.url != "" && p.value != "":
			return nil, speech.WithHint(fmt.Errorf("sql: --%s and --url", p.flag), "name it in the URL")
		case a.url != "":
		case p.value != "":
			text.WriteString(p.name + "=" + quoteValue(p.value) + " ")
		case os.Getenv(p.variable) == "":
			text.WriteString(p.name + "=" + p.fallback + " ")
		}
	}
	c, err := pgconn.ParseConfig(text.String())
	if err != nil {
		return nil, fmt.Errorf("sql: %w", err) // pgconn leaves passwords out.
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "broadsheet sql"
	}
	return c, nil
}

// quoteValue for a connection string of libpq.
func quoteValue(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// conn is a connection on which one statement at a time is run.
type conn struct {
	tasks    *task.Group
	net      net.Conn
	config   *pgconn.Config
	tls      *tls.Config
	frontend *pgproto3.Frontend
	pid      uint32
	key      []byte
	status   byte // of the transaction
	messages chan pgproto3.BackendMessage
}

// dial the server. The connection lasts until close.
func dial(ctx context.Context, config *pgconn.Config) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(config, err)
	}
	h, err := pg.Hijack()
	if err != nil {
		return nil, fmt.Errorf("sql: %w", errors.Join(err, pg.Close(ctx)))
	}
	c := &conn{
		tasks: task.New(context.WithoutCancel(ctx), "sql"), net: h.Conn, config: h.Config, tls: h.TLSConfig, frontend: h.Frontend,
		pid: h.PID, key: h.SecretKey, status: h.TxStatus, messages: make(chan pgproto3.BackendMessage, 64),
	}
	c.tasks.Go("receive", c.receive)
	return c, nil
}

func connectError(config *pgconn.Config, err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &statementError{pg: e}
	}
	at := net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
	return speech.WithHint(&connectionError{at: at, err: err},
		"see that a server listens there: 'broadsheet serve' does on 127.0.0.1:5433; or name another with --host and --port, or --url")
}

// connectionError is of a server that can't be reached.
type connectionError struct {
	at  string
	err error
}

// Error is on one line: pgconn has one for each way that it tried.
func (e *connectionError) Error() string {
	lines := strings.Split(e.err.Error(), "\n")
	return "sql: connect to " + e.at + ": " + strings.TrimSpace(lines[len(lines)-1])
}

// Unwrap is pgconn's error.
func (e *connectionError) Unwrap() error { return e.err }

// receive hands on copies of what the server sends: the messages' own bytes are used anew.
func (c *conn) receive(ctx context.Context) error {
	defer close(c.messages)
	for {
		m, err := c.frontend.Receive()
		if err != nil {
			if ctx.Err() != nil {
				return nil // It was closed.
			}
			return fmt.Errorf("the connection broke: %w", err)
		}
		select {
		case c.messages <- copied(m):
		case <-ctx.Done():
			return nil
		}
	}
}

func copied(m pgproto3.BackendMessage) pgproto3.BackendMessage {
	switch m := m.(type) {
	case *pgproto3.DataRow:
		row := &pgproto3.DataRow{Values: make([][]byte, len(m.Values))}
		for i, v := range m.Values {
			row.Values[i] = bytes.Clone(v)
		}
		return row
	case *pgproto3.RowDescription:
		d := &pgproto3.RowDescription{Fields: append([]pgproto3.FieldDescription(nil), m.Fields...)}
		for i := range d.Fields {
			d.Fields[i].Name = bytes.Clone(d.Fields[i].Name)
		}
		return d
	case *pgproto3.CopyData:
		return &pgproto3.CopyData{Data: bytes.Clone(m.Data)}
	case *pgproto3.CommandComplete:
		return &pgproto3.CommandComplete{CommandTag: bytes.Clone(m.CommandTag)}
	case *pgproto3.ErrorResponse:
		e := *m
		return &e
	case *pgproto3.NoticeResponse:
		e := *m
		return &e
	case *pgproto3.NotificationResponse:
		n := *m
		return &n
	case *pgproto3.ReadyForQuery:
		return &pgproto3.ReadyForQuery{TxStatus: m.TxStatus}
	default:
		return m // Nothing of these is looked at but their kind.
	}
}

// cancelPatience is how long asking the server to end a statement may take, and then the server to do it.
const cancelPatience = 5 * time.Second

// cancel asks the server to end the statement that runs, by a connection of its own as the protocol has it.
func (c *conn) cancel() error {
	ctx, stop := context.WithTimeout(context.Background(), cancelPatience)
	defer stop()
	at := c.net.RemoteAddr()
	to, err := c.config.DialFunc(ctx, at.Network(), at.String())
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	if err := to.SetDeadline(time.Now().Add(cancelPatience)); err != nil {
		return err
	}
	if c.tls != nil {
		if to, err = c.encrypted(ctx, to); err != nil {
			return err
		}
	}
	request, err := (&pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: c.key}).Encode(nil)
	if err != nil {
		return err
	}
	if _, err := to.Write(request); err != nil {
		return err
	}
	_, _ = to.Read(make([]byte, 1)) // The server closes it once it has looked at the request.
	return nil
}

// encrypted asks for TLS on a connection, as the one that is to be cancelled has it.
func (c *conn) encrypted(ctx context.Context, to net.Conn) (net.Conn, error) {
	if c.config.SSLNegotiation != "direct" {
		request, err := (&pgproto3.SSLRequest{}).Encode(nil)
		if err != nil {
			return nil, err
		}
		if _, err := to.Write(request); err != nil {
			return nil, err
		}
		answer := make([]byte, 1)
		if _, err := to.Read(answer); err != nil {
			return nil, err
		}
		if answer[0] != 'S' {
			return nil, errors.New("the server doesn't encrypt connections any more")
		}
	}
	encrypted := tls.Client(to, c.tls)
	return encrypted, encrypted.HandshakeContext(ctx)
}

// close ends the session, and waits for its task.
func (c *conn) close() error {
	c.tasks.Cancel()
	c.frontend.Send(&pgproto3.Terminate{})
	_ = c.net.SetWriteDeadline(time.Now().Add(time.Second))
	_ = c.frontend.Flush() // The server may be gone.
	_ = c.net.Close()
	for range c.messages { // what nobody wants any more
	}
	return c.tasks.Wait()
}
