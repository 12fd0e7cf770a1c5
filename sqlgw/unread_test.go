package sqlgw

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
)

// tableless lets clients query a gateway without brokers, as if it read tables.
type tableless struct{ gateway *Gateway }

func (b tableless) Open(context.Context, pgwire.Startup) (pgwire.Session, error) {
	return &tablelessSession{b.gateway.testSession()}, nil
}

type tablelessSession struct{ *session }

func (s *tablelessSession) Parse(_ context.Context, sql string, _ []uint32) ([]pgwire.Statement, error) {
	return []pgwire.Statement{&tablelessStatement{session: s.session, sql: sql}}, nil
}

type tablelessStatement struct {
	session *session
	sql     string
	columns []pgwire.Column
}

func (s *tablelessStatement) Params() []uint32         { return nil }
func (s *tablelessStatement) Columns() []pgwire.Column { return s.columns }
func (s *tablelessStatement) Close()                   {}

func (s *tablelessStatement) Bind(ctx context.Context, _ []pgwire.Arg) (pgwire.Portal, error) {
	var e *queryExecution
	err := s.session.guard(ctx, func() error {
		var err error
		e, err = s.session.testQuery(ctx, s.sql)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.columns = describe(e.rows.Columns())
	return &portal{session: s.session, execution: e}, nil
}

// served is the address at which a gateway is served over loopback.
func served(t *testing.T, g *Gateway) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, err := pgwire.New(pgwire.Config{Backend: tableless{g}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return ln.Addr().String()
}

// stalledClient has asked for a result, and read the first row.
type stalledClient struct {
	net.Conn
	*pgproto3.Frontend
}

func stall(t *testing.T, address, sql string) *stalledClient {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	c := &stalledClient{nc, pgproto3.NewFrontend(nc, nc)}
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "u"}})
	c.Send(&pgproto3.Query{String: sql})
	require.NoError(t, c.Flush())
	for {
		m, err := c.Receive()
		require.NoError(t, err)
		if _, ok := m.(*pgproto3.DataRow); ok {
			return c
		}
	}
}

// readOn reads what is left, and returns how many rows there are in all, and how it ended.
func (c *stalledClient) readOn(t *testing.T) (int, string) {
	t.Helper()
	end := ""
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	for rows := 1; ; {
		m, err := c.Receive()
		require.NoError(t, err)
		switch m := m.(type) {
		case *pgproto3.DataRow:
			rows++
		case *pgproto3.CommandComplete:
			end = string(m.CommandTag)
		case *pgproto3.ErrorResponse:
			end = m.Code
		case *pgproto3.ReadyForQuery:
			return rows, end
		}
	}
}

// wide is a result of many rows of a thousand bytes.
const wide = "SELECT a.a, repeat('x', 984) FROM test.source a, (SELECT a FROM test.source LIMIT 20) b"

// stallGateway has a relation of a thousand rows, and so many turns and other places.
func stallGateway(t *testing.T, queries, unread int) (*Gateway, string) {
	t.Helper()
	g := engineGateway(t, queries, func(_ context.Context, add func(*columnar.Batch) error) error { return add(numbers(1000)) })
	g.turns.places = queries + unread
	return g, served(t, g)
}

// answered is how long a short query takes.
func answered(t *testing.T, address string) time.Duration {
	t.Helper()
	began := time.Now()
	c := stall(t, address, "SELECT count(*) FROM test.source")
	rows, end := c.readOn(t)
	require.Equal(t, 1, rows)
	require.Equal(t, "SELECT 1", end)
	require.NoError(t, c.Close())
	return time.Since(began)
}

// TestStalledClientsHoldNoTurn: others are answered, and who reads on gets every row.
func TestStalledClientsHoldNoTurn(t *testing.T) {
	g, address := stallGateway(t, 2, 6)
	var stalled []*stalledClient
	for range 6 {
		stalled = append(stalled, stall(t, address, wide))
	}
	for range 3 {
		require.Less(t, answered(t, address), unreadAtMost, "without an end of any")
	}
	for _, c := range stalled {
		rows, end := c.readOn(t)
		require.Equal(t, "SELECT 20000", end)
		require.Equal(t, 20_000, rows)
	}
	requireNothingHeld(t, g)
}

// TestMoreStalledClientsThanPlaces: the first ones are ended when others begin, and are told
// when they read on.
func TestMoreStalledClientsThanPlaces(t *testing.T) {
	g, address := stallGateway(t, 1, 2)
	var stalled []*stalledClient
	for range 5 {
		stalled = append(stalled, stall(t, address, wide))
	}
	require.Less(t, answered(t, address), 2*unreadAtMost)
	ends := map[string]int{}
	for _, c := range stalled {
		rows, end := c.readOn(t)
		if end == "53000" {
			require.Less(t, rows, 20_000)
		} else {
			require.Equal(t, 20_000, rows)
		}
		ends[end]++
	}
	require.Equal(t, map[string]int{"53000": 3, "SELECT 20000": 2}, ends)
	requireNothingHeld(t, g)
}

// TestStalledClientsThatGoAway end their queries at once, with all that they hold.
func TestStalledClientsThatGoAway(t *testing.T) {
	g, address := stallGateway(t, 2, 6)
	for _, reset := range []bool{false, true} {
		var stalled []*stalledClient
		for range 6 {
			stalled = append(stalled, stall(t, address, wide))
		}
		for _, c := range stalled {
			if reset {
				require.NoError(t, c.Conn.(*net.TCPConn).SetLinger(0))
			}
			require.NoError(t, c.Close())
		}
		// Nobody waits for their places, so that nothing else would end them.
		require.Eventually(t, func() bool { return g.open.Load() == 0 }, time.Minute, time.Millisecond)
		requireNothingHeld(t, g)
	}
}
