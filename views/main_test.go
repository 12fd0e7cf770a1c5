package views_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// tableColumns are those of the table t of tests.
func tableColumns() []columnar.Column {
	return []columnar.Column{
		{Name: "k", Type: columnar.Type{Kind: columnar.Int64}},
		{Name: "v", Type: columnar.Type{Kind: columnar.Int64}},
		{Name: "s", Type: columnar.Type{Kind: columnar.Text}},
		{Name: "f", Type: columnar.Type{Kind: columnar.Float64}},
	}
}

// parsed is a query.
func parsed(tb testing.TB, sql string) *parse.Select {
	tb.Helper()
	pieces, err := parse.Split(sql)
	require.NoError(tb, err)
	require.Len(tb, pieces, 1)
	st, err := parse.Parse(pieces[0])
	require.NoError(tb, err, sql)
	q, ok := st.(*parse.Select)
	require.True(tb, ok, "%T", st)
	return q
}

// groupsPlan is one of groups, or of a single row, whose queries are given.
func groupsPlan(tb testing.TB, keys int, partial, merge string) views.Plan {
	tb.Helper()
	kind := views.Groups
	if keys == 0 {
		kind = views.Single
	}
	return views.Plan{
		Kind: kind, Keys: keys, Partial: parsed(tb, partial),
		Merge: func([]string) (*parse.Select, error) { return parsed(tb, merge), nil },
		Groups: func(scan string, printed parse.Printed, types []string) parse.Target {
			var columns, names []string
			for i := range types {
				name := fmt.Sprintf("c%d", i)
				names = append(names, name)
				columns = append(columns, fmt.Sprintf("%s::%s AS %s", name, types[i], name))
			}
			return parse.Target{SQL: "(SELECT " + strings.Join(columns, ", ") + " FROM " + scan + ")", Columns: names, Types: printed.Types}
		},
	}
}

// sums is the plan of "select k, count(*), sum(v), min(s), max(s), count(v) from t where v <> 13 group by k".
func sums(tb testing.TB) views.Plan {
	tb.Helper()
	return groupsPlan(tb, 1,
		"select k as c0, count(*) as c1, sum(v) as c2, min(s) as c3, max(s) as c4, sum(f) as c5 from public.t where v is null or v <> 13 group by k",
		"select c0, sum(c1)::int8 as c1, sum(c2) as c2, min(c3) as c3, max(c4) as c4, sum(c5) as c5 from groups group by c0")
}

// definitions of the views of a test.
type definitions struct {
	mu sync.Mutex
	of map[int64]views.Definition
}

func (d *definitions) View(_ context.Context, id int64) (views.Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	def, ok := d.of[id]
	if !ok {
		return def, views.ErrNoView
	}
	return def, nil
}

func (d *definitions) put(id int64, plan views.Plan, adjust func(*views.Definition)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	def := views.Definition{
		Version: d.of[id].Version + 1, Name: "public.v", Lines: columnar.Schema{Columns: tableColumns()},
		Table: parse.Target{Schema: "public", Columns: []string{"k", "v", "s", "f"}, Types: []string{"int8", "int8", "text", "float8"}},
		Plan:  plan,
	}
	if adjust != nil {
		adjust(&def)
	}
	d.of[id] = def
}

// world is a broker with journals, and views.
type world struct {
	t           testing.TB
	broker      *brokertest.Broker
	client      *client.Client
	definitions *definitions
	source      views.Definitions // what hosts ask; definitions unless it is set
	journals    []string
	hosts       atomic.Int64
	adjust      func(*views.Config) // of all hosts; nil leaves it
	pointer     string              // of UUIDs in lines
}

const viewID = 16400

func newWorld(tb testing.TB, journals int) *world {
	tb.Helper()
	w := &world{t: tb, broker: brokertest.New(tb, brokertest.Config{Quiet: true}), definitions: &definitions{of: map[int64]views.Definition{}}}
	for i := range journals {
		w.journals = append(w.journals, fmt.Sprintf("public/t/%d", i))
		w.broker.Create(brokertest.Spec(w.journals[i]))
	}
	var err error
	w.client, err = client.Dial(tb.Context(), client.Config{Endpoint: w.broker.Endpoint()})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, w.client.Close()) })
	return w
}

// viewHost is a host of views.
type viewHost struct {
	*consumertest.Host

	client   *views.Client
	conn     *grpc.ClientConn
	registry *prometheus.Registry
}

// host of views, with an engine of its own.
func (w *world) host() *viewHost {
	w.t.Helper()
	engine, err := duck.Open(w.t.Context(), duck.Config{Threads: 2})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, engine.Close(), "the engine still holds something") })
	registry := prometheus.NewRegistry()
	source := w.source
	if source == nil {
		source = w.definitions
	}
	cfg := views.Config{Definitions: source, Engine: engine, Logger: slog.New(slog.DiscardHandler), Registerer: registry}
	if w.adjust != nil {
		w.adjust(&cfg)
	}
	app, err := views.New(cfg)
	require.NoError(w.t, err)
	w.t.Cleanup(app.Close)
	n := w.hosts.Add(1)
	h := consumertest.New(w.t, consumertest.Config{
		Etcd: w.broker.Etcd, Endpoint: w.broker.Endpoint(), Application: app, Zone: fmt.Sprintf("zone-%d", n%2), Suffix: fmt.Sprintf("host-%d", n), Logs: true,
		Adjust: func(c *consumer.Config) {
			c.Register, c.Capabilities = app.Register, views.Capabilities()
			c.HintsInterval, c.Grace = 50*time.Millisecond, time.Second
		},
	})
	app.Attach(h.Host)
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(h.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, conn.Close()) })
	return &viewHost{Host: h, client: views.NewClient(conn), conn: conn, registry: registry}
}

// spec of a view's shard. Its log is made if it isn't there.
func (w *world) spec(id int64) *shards.ShardSpec {
	w.t.Helper()
	spec := consumertest.Spec(keep.ShardID(id), w.journals...)
	spec.MaxTxnDuration = durationpb.New(250 * time.Millisecond)
	spec.RecoveryLogPrefix, spec.HintPrefix, spec.HintBackups = "recovery/views", "/hints", 2
	spec.Labels = protocol.MustLabelSet(keep.LabelView, keep.ShardID(id))
	return spec
}

// keep a view by a host.
func (w *world) keep(h *viewHost, id int64, plan views.Plan, standbys uint32) {
	w.t.Helper()
	w.definitions.put(id, plan, func(d *views.Definition) { d.Lines.Messages = w.pointer })
	w.shard(h, id, standbys)
}

// shard of a view, and its log.
func (w *world) shard(h *viewHost, id int64, standbys uint32) {
	w.t.Helper()
	spec := w.spec(id)
	log := brokertest.Spec(spec.RecoveryLog())
	log.Labels = protocol.MustLabelSet("content-type", "application/x-gazette-recoverylog")
	w.broker.Create(log)
	spec.HotStandbys = standbys
	h.Apply(spec)
}

// append lines to a journal, and return where it ends then.
func (w *world) append(journal int, text string) int64 {
	w.t.Helper()
	r, err := w.client.Append(w.t.Context(), client.AppendParams{Journal: w.journals[journal]}, strings.NewReader(text))
	require.NoError(w.t, err)
	return r.GetCommit().GetEnd()
}

// heads of all journals.
func (w *world) heads() map[string]int64 {
	w.t.Helper()
	out := map[string]int64{}
	for _, j := range w.journals {
		b, err := w.client.Barrier(w.t.Context(), j)
		require.NoError(w.t, err)
		out[j] = b.Head
	}
	return out
}

// line of the table.
func line(k, v int, s string) string {
	return fmt.Sprintf(`{"k":%d,"v":%d,"s":%q,"f":%d.5}`+"\n", k, v, s, v)
}

// read a view at a cut or a later one.
func (w *world) read(h *viewHost, id int64, cut map[string]int64) (views.State, []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	r, err := h.client.Read(ctx, id, cut)
	require.NoError(w.t, err)
	defer r.Close()
	var out []string
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(w.t, err)
		out = append(out, texts(b)...)
	}
	slices.Sort(out)
	require.Len(w.t, out, int(r.Rows))
	return r.State, out
}

// texts of rows. Floats are rounded.
func texts(b *columnar.Batch) []string {
	if b == nil {
		return nil
	}
	var out []string
	for i := range b.Len {
		var row []string
		for c := range b.Cols {
			v := &b.Cols[c]
			switch {
			case v.IsNull(i):
				row = append(row, "NULL")
			case v.Type.Kind == columnar.Float64:
				row = append(row, fmt.Sprintf("%.10g", v.F64[i]))
			default:
				row = append(row, string(columnar.AppendText(nil, v, i)))
			}
		}
		out = append(out, strings.Join(row, "|"))
	}
	return out
}

// expect what a plan's first query makes of the table at a cut: of all rows at once, it is what is kept.
func (w *world) expect(plan views.Plan, cut map[string]int64) []string {
	w.t.Helper()
	db, err := duck.Open(w.t.Context(), duck.Config{Threads: 1})
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, db.Close()) }()
	var rows []*columnar.Batch
	for _, j := range w.journals {
		if cut[j] > 0 {
			rows = append(rows, w.tableAt(j, cut[j])...)
		}
	}
	require.NoError(w.t, db.RegisterScan("t_rows", func(string) (duck.Scan, error) {
		return duck.Scan{Columns: tableColumns(), Open: func(_ context.Context, project []int) (duck.Source, error) {
			return &batches{rows: rows, project: project}, nil
		}}, nil
	}))
	conn, err := db.Conn(w.t.Context())
	require.NoError(w.t, err)
	defer conn.Close()
	text, err := plan.Partial.SQL(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) {
		return parse.Target{SQL: "t_rows('')", Schema: "public", Columns: []string{"k", "v", "s", "f"}, Types: []string{"int8", "int8", "text", "float8"}}, nil
	}})
	require.NoError(w.t, err)
	stmt, err := conn.Prepare(w.t.Context(), text)
	require.NoError(w.t, err)
	result, err := stmt.Query(w.t.Context(), nil)
	require.NoError(w.t, err)
	var out []string
	for {
		b, err := result.Next(w.t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(w.t, err)
		out = append(out, texts(b)...)
	}
	slices.Sort(out)
	return out
}

// tableAt is the content of a journal at a cut, as the gateway would read it.
func (w *world) tableAt(journal string, cut int64) []*columnar.Batch {
	w.t.Helper()
	ctx := w.t.Context()
	source := func(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
		return w.client.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: begin, EndOffset: end, Block: true}), nil
	}
	all, err := source(ctx, 0, cut)
	require.NoError(w.t, err)
	defer all.Close()
	content, err := io.ReadAll(all)
	require.NoError(w.t, err)
	kept := func(int64) bool { return true }
	if w.pointer != "" {
		p, err := committed.ParsePointer(w.pointer)
		require.NoError(w.t, err)
		index := committed.NewIndex(0, p.UUID, 1<<30)
		require.NoError(w.t, index.Extend(ctx, source, cut))
		holes, err := index.Holes(cut)
		require.NoError(w.t, err)
		kept = func(offset int64) bool {
			for range holes.Rows([]int64{offset}) {
				return true
			}
			return false
		}
	}
	s := columnar.NewScanner(bytes.NewReader(content), columnar.ScanOptions{
		Journal: journal, End: int64(len(content)), Schema: columnar.Schema{Columns: tableColumns(), Messages: w.pointer},
	})
	var out []*columnar.Batch
	for {
		b, _, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(w.t, err)
		for i, offset := range b.Offsets {
			if kept(offset) {
				out = append(out, b.Slice(i, i+1))
			}
		}
	}
}

// batches is a source of rows.
type batches struct {
	rows    []*columnar.Batch
	project []int
}

func (s *batches) Next(context.Context) (*columnar.Batch, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	b := s.rows[0]
	s.rows = s.rows[1:]
	return b.Project(s.project), nil
}

func (*batches) Close() error { return nil }

// exact requires that a view is just what its query is over the table at the view's cut, and returns its state.
func (w *world) exact(h *viewHost, id int64, plan views.Plan, cut map[string]int64) views.State {
	w.t.Helper()
	state, got := w.read(h, id, cut)
	require.Equal(w.t, w.expect(plan, state.Cut), got, "epoch %d at %v", state.Epoch, state.Cut)
	return state
}
