package views

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// host plays one that keeps views of the form SELECT k, count(*) FROM t GROUP BY k: its states are rows of k and count.
type host struct {
	mu      sync.Mutex
	read    func(ctx context.Context, atLeast map[string]int64) (state, error)
	changes chan sqlgw.ViewPart
	open    int // readings and followings
}

type state struct {
	cut  map[string]int64
	rows [][2]int64
}

func stateColumns() []columnar.Column {
	return []columnar.Column{{Name: "k0", Type: columnar.Type{Kind: columnar.Int64}}, {Name: "a0", Type: columnar.Type{Kind: columnar.Int64}}}
}

func batchOf(rows ...[2]int64) *columnar.Batch {
	b := &columnar.Batch{Len: len(rows), Cols: make([]columnar.Vector, 2)}
	for i := range b.Cols {
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Int64})
		for _, r := range rows {
			v.AppendInt64(r[i])
		}
		b.Cols[i] = v.Vector()
	}
	return b
}

func stateTypes() []string { return []string{"BIGINT", "BIGINT"} }

func (h *host) opened(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open += n
}

func (h *host) Read(ctx context.Context, _ int64, atLeast map[string]int64) (sqlgw.ViewReading, error) {
	s, err := h.read(ctx, maps.Clone(atLeast))
	if err != nil {
		return nil, err
	}
	h.opened(1)
	return &reading{host: h, state: s}, nil
}

func (h *host) Follow(ctx context.Context, _ int64) (sqlgw.ViewChanges, error) {
	h.opened(1)
	return &following{ctx: ctx, host: h}, nil
}

func (h *host) Stat(context.Context, int64) (sqlgw.ViewStat, error) {
	return sqlgw.ViewStat{Epoch: 1, Cut: map[string]int64{}, Rows: 2}, nil
}

func (h *host) Members(context.Context) (map[int64][]sqlgw.ViewMember, error) { return nil, nil }

type reading struct {
	host  *host
	state state
	once  sync.Once
	sent  bool
}

func (r *reading) Epoch() uint64              { return 1 }
func (r *reading) Cut() map[string]int64      { return r.state.cut }
func (r *reading) Columns() []columnar.Column { return stateColumns() }
func (r *reading) Types() []string            { return stateTypes() }
func (r *reading) Close() error {
	r.once.Do(func() { r.host.opened(-1) })
	return nil
}

func (r *reading) Next() (*columnar.Batch, error) {
	if r.sent {
		return nil, io.EOF
	}
	r.sent = true
	return batchOf(r.state.rows...), nil
}

type following struct {
	ctx  context.Context
	host *host
	once sync.Once
}

func (f *following) Columns() []columnar.Column { return stateColumns() }
func (f *following) Types() []string            { return stateTypes() }
func (f *following) Close() error {
	f.once.Do(func() { f.host.opened(-1) })
	return nil
}

func (f *following) Next() (sqlgw.ViewPart, error) {
	select {
	case p, ok := <-f.host.changes:
		if !ok {
			return p, errors.New("the host is gone")
		}
		return p, nil
	case <-f.ctx.Done():
		return sqlgw.ViewPart{}, context.Cause(f.ctx)
	}
}

// world is a gateway, and what it works with.
type world struct {
	t       *testing.T
	host    *host
	broker  *brokertest.Broker
	tables  *catalog.Catalog
	tasks   *task.Group // that the gateway's need
	brokers *client.Client
	address string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := newStores(t)
	w.host = &host{changes: make(chan sqlgw.ViewPart)}
	t.Cleanup(func() { // before the gateway's
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		require.Zero(t, w.host.open, "readings that nobody closed")
	})
	w.serve(w.host)
	return w
}

// newStores is a world without a gateway.
func newStores(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, broker: brokertest.New(t, brokertest.Config{Quiet: true}), tasks: task.New(context.WithoutCancel(t.Context()), "gateway")}
	var err error
	w.brokers, err = client.Dial(t.Context(), client.Config{Endpoint: w.broker.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.brokers.Close()) })
	w.tables, err = catalog.Open(t.Context(), catalog.Config{
		Etcd: w.broker.Etcd, Prefix: "/bs", Journals: w.brokers, Stores: []string{"file:///"}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	w.tasks.Go("catalog", func(ctx context.Context) error { return ended(ctx, w.tables.Run(ctx)) })
	t.Cleanup(func() {
		w.tasks.Cancel()
		require.NoError(t, w.tasks.Wait())
	})
	return w
}

// newEngine is one that is closed once nothing of the test holds any of it.
func (w *world) newEngine() *duck.DB {
	t := w.t
	engine, err := duck.Open(t.Context(), duck.Config{Threads: 2, FragmentRoot: filepath.Join(w.broker.Dir, "fragments")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close(), "the engine still holds something") })
	return engine
}

// serve a gateway that reads views so.
func (w *world) serve(views sqlgw.Views) {
	t, log := w.t, slog.New(slog.DiscardHandler)
	g, err := sqlgw.New(sqlgw.Config{
		Brokers: w.brokers, Catalog: w.tables, Engine: w.newEngine(), Stores: w.broker.Stores, Database: "postgres", Logger: log, Views: views, TempDir: t.TempDir(),
	})
	require.NoError(t, err)
	server, err := pgwire.New(pgwire.Config{Backend: g, Logger: log, MaxSessions: 16, MaxStarting: 16, StartupTimeout: time.Minute})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.address = ln.Addr().String()
	tasks := task.New(context.WithoutCancel(t.Context()), "gateway")
	tasks.Go("gateway", func(ctx context.Context) error { return ended(ctx, g.Run(ctx)) })
	tasks.Go("server", func(ctx context.Context) error { return ended(ctx, server.Serve(ctx, ln)) })
	t.Cleanup(func() {
		tasks.Cancel()
		require.NoError(t, tasks.Wait())
	})
}

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was to end
	}
	return err
}

func (w *world) connect() *pgx.Conn {
	w.t.Helper()
	c, err := pgx.Connect(w.t.Context(), "postgres://postgres@"+w.address+"/postgres?sslmode=disable")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close(context.WithoutCancel(w.t.Context())) })
	return c
}

// run statements, each of which has to succeed.
func (w *world) run(c *pgx.Conn, statements ...string) {
	w.t.Helper()
	for _, sql := range statements {
		_, err := c.Exec(w.t.Context(), sql)
		require.NoError(w.t, err, sql)
	}
}

// rows of a query, as text.
func (w *world) rows(c *pgx.Conn, sql string) []string {
	w.t.Helper()
	out, err := rowsOf(w.t.Context(), c, sql)
	require.NoError(w.t, err, sql)
	return out
}

func rowsOf(ctx context.Context, c *pgx.Conn, sql string) ([]string, error) {
	results, err := c.PgConn().Exec(ctx, sql).ReadAll()
	var out []string
	for _, r := range results {
		for _, row := range r.Rows {
			out = append(out, string(bytes.Join(row, []byte("|"))))
		}
	}
	slices.Sort(out)
	return out, err
}

// fails requires that a statement fails with a code, and returns what it says.
func (w *world) fails(c *pgx.Conn, code, sql string) string {
	w.t.Helper()
	_, err := rowsOf(w.t.Context(), c, sql)
	e, ok := errors.AsType[*pgconn.PgError](err)
	require.True(w.t, ok, "%s: %v", sql, err)
	require.Equal(w.t, code, e.Code, "%s: %s", sql, e.Message)
	return e.Message
}
