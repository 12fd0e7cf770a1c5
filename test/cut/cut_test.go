package cut

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	queries   = flag.Int64("cut.queries", 150, "how many queries to ask, at least")
	retention = flag.Duration("cut.retention", 4*time.Second, "how long rows are kept; 0 keeps them for ever")
	still     = flag.Bool("cut.still", false, "leave brokers alone, as one does to see what queries take")
	seed      = flag.Uint64("cut.seed", 0, "seed of what is done; 0 takes the time")
)

const (
	sessions   = 8
	fleetLease = 2 * time.Second
	// leastMoves of brokers are in every run.
	leastMoves = 3
	// reportEvery so often it is told how far the run is.
	reportEvery = 10 * time.Second
	// stamps of stored fragments are whole seconds, rounded down.
	stamps = time.Second
)

// TestCut: see the package comment.
func TestCut(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) //nolint:gosec // any will do
	}
	t.Logf("-cut.seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 1)) //nolint:gosec // not a secret
	fleet := brokertest.NewFleet(t, brokertest.Config{Quiet: true, Adjust: func(c *broker.Config) {
		c.LeaseTTL, c.Grace, c.RetentionGrace = fleetLease, time.Second, time.Second
	}}, "a", "b", "c")
	journals := createJournals(t, fleet[0])
	g := task.New(context.WithoutCancel(t.Context()), "cut")
	defer func() { // what a failed assertion leaves behind
		g.Cancel()
		require.NoError(t, g.Wait())
	}()
	ctx := g.Context()
	urls := []string{startGateway(t, g, fleet[0], 0), startGateway(t, g, fleet[0], 1)}
	conn, err := pgx.Connect(ctx, urls[0])
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "CREATE TABLE t (j bigint, seq bigint, pad text) ON JOURNALS 'cut/' FORMAT JSON")
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))

	writing, stop := context.WithCancel(ctx)
	defer stop()
	ledgers := make([]*ledger, len(journals))
	for i, j := range journals {
		ledgers[i] = new(ledger)
		c := dial(t, fleet[0])
		g.Go("write "+j, func(context.Context) error { return write(writing, c, j, i, ledgers[i]) })
	}
	counts := newTally(*queries, leastMoves, len(journals))
	keep := *retention - stamps
	if *retention == 0 {
		keep, counts.expiring = time.Hour, 0
	}
	if *still {
		counts.moved = 0
	}
	asking := task.New(ctx, "ask")
	for i := range sessions {
		a := &asker{
			url: urls[i%len(urls)], ledgers: ledgers, keep: keep, tally: counts,
			rand: rand.New(rand.NewPCG(*seed, uint64(i)+2)), //nolint:gosec // not a secret
		}
		asking.Go(fmt.Sprintf("session %d", i), a.ask)
	}
	move(asking.Context(), t, fleet[1:], r, counts)
	require.NoError(t, asking.Wait(), "seed %d", *seed)
	stop()
	t.Log(counts)
	require.Less(t, counts.failures(), counts.most/20+20, "%v", counts)
}

// createJournals makes one of each codec.
func createJournals(t *testing.T, b *brokertest.Broker) []string {
	t.Helper()
	var specs []*protocol.JournalSpec
	var names []string
	for i, codec := range []protocol.CompressionCodec{
		protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD, protocol.CompressionCodec_SNAPPY,
	} {
		s := brokertest.Spec(fmt.Sprintf("cut/%d", i))
		s.Replication = 2
		s.Fragment.Length, s.Fragment.CompressionCodec = 4<<10, codec
		s.Fragment.RefreshInterval = durationpb.New(time.Second)
		s.Labels = protocol.MustLabelSet("content-type", "application/x-ndjson")
		if *retention > 0 {
			s.Fragment.Retention = durationpb.New(*retention)
			s.Labels = protocol.MustLabelSet("content-type", "application/x-ndjson", broker.LabelRetention, broker.RetentionEnforced)
		}
		specs, names = append(specs, s), append(names, s.GetName())
	}
	b.Create(specs...)
	return names
}

func dial(t *testing.T, b *brokertest.Broker) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint(), Routes: client.RouteCache{Size: 64}, AppendStreams: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// startGateway starts one of the fleet's, and returns the URL of its Postgres port.
func startGateway(t *testing.T, g *task.Group, b *brokertest.Broker, number int) string {
	t.Helper()
	return startGatewayOver(t, g, b, number, store.RegistryConfig{FileRoot: filepath.Join(b.Dir, "fragments")})
}

// startGatewayOver starts one that has the files of stores elsewhere than the broker.
func startGatewayOver(t *testing.T, g *task.Group, b *brokertest.Broker, number int, files store.RegistryConfig) string {
	t.Helper()
	ctx, dir, log := g.Context(), t.TempDir(), slog.New(slog.DiscardHandler)
	brokers := dial(t, b)
	tables, err := catalog.Open(ctx, catalog.Config{Etcd: b.Etcd, Prefix: "/cuts", Journals: brokers, Stores: []string{"file:///"}, Logger: log})
	require.NoError(t, err)
	stores, err := store.NewRegistry(files)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stores.Close()) })
	engine, err := duck.Open(ctx, duck.Config{MemoryLimit: 512 << 20, Threads: 1, TempDir: filepath.Join(dir, "duckdb"), FragmentRoot: files.FileRoot, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	gateway, err := sqlgw.New(sqlgw.Config{
		Brokers: brokers, Catalog: tables, Engine: engine, Stores: stores, Database: "postgres", HeadCache: 16 << 20, Queries: 2, Unread: 2,
		Dir: filepath.Join(dir, "proofs"), Logger: log,
	})
	require.NoError(t, err)
	server, err := pgwire.New(pgwire.Config{Backend: gateway, Logger: log})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.Go(fmt.Sprintf("catalog %d", number), tables.Run)
	g.Go(fmt.Sprintf("sql %d", number), gateway.Run)
	g.Go(fmt.Sprintf("wire %d", number), func(ctx context.Context) error { return server.Serve(ctx, ln) })
	return "postgres://postgres@" + ln.Addr().String() + "/postgres?sslmode=disable"
}

// move brokers until enough was asked: they leave in order, or are killed, and come back.
func move(ctx context.Context, t *testing.T, brokers []*brokertest.Broker, r *rand.Rand, counts *tally) {
	t.Helper()
	begun := time.Now()
	told := begun
	for ctx.Err() == nil && !counts.enough() {
		// In a long run brokers are left alone for longer, as queries wait for those that are away.
		rest := time.Second
		if counts.most >= 1000 {
			rest = 5 * time.Second
		}
		pause(ctx, rest+time.Duration(r.Int64N(int64(rest))))
		if time.Since(told) > reportEvery {
			told = time.Now()
			t.Log(counts.progress(begun))
		}
		if *still || ctx.Err() != nil {
			continue
		}
		b := brokers[r.IntN(len(brokers))]
		if r.IntN(2) == 0 {
			b.Kill()
			pause(ctx, time.Duration(r.Int64N(int64(2*fleetLease))))
		}
		b.Restart()
		counts.move()
	}
}

// pause for a time, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
