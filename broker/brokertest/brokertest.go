package brokertest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// patience bounds each wait of the harness.
const patience = 30 * time.Second

// Config of a Broker. The zero value is a broker as serve runs it.
type Config struct {
	// Mode in which appends are acknowledged.
	Mode spool.Mode
	// FS that spools are kept in; nil is the operating system's.
	FS vfs.FS
	// Quiet logs nothing; otherwise the broker logs to the test's output.
	Quiet bool
	// Token that the harness's client sends with each request; empty sends none.
	Token string
	// Zone and Suffix are the broker's id. Default: local and broker.
	Zone, Suffix string
	// Join makes the broker one of the fleet that another is of: with its etcd and its stores.
	Join *Broker
	// Adjust changes the broker's own configuration; nil leaves it.
	Adjust func(*broker.Config)
}

// Broker under test.
type Broker struct {
	// Dir has what outlives a restart: broker, etcd and fragments, each a directory.
	Dir string
	// Etcd client, which lives as long as the test.
	Etcd *clientv3.Client
	// Metrics of the present run.
	Metrics *prometheus.Registry
	// Stores of the present run. file:/// is <Dir>/fragments.
	Stores *store.Registry

	store  string // directory that file:/// is
	tb     testing.TB
	cfg    Config
	log    *slog.Logger
	socket string
	port   string // host:port, once there is one
	conn   *grpc.ClientConn

	etcd    *embedetcd.Server // nil if it is another's
	fleet   []*Broker         // that it is of, with itself; nil if it is alone
	running *task.Group       // nil while the broker doesn't run
	gate    *gate
	broker  *broker.Broker
}

// runDir is a directory for sockets that goes with the test. Their paths are short,
// as those below a test's own directory may not be.
func runDir(tb testing.TB) string {
	tb.Helper()
	run, err := os.MkdirTemp("", "bs") //nolint:usetesting // as above
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, os.RemoveAll(run)) })
	return run
}

// Listen on a unix socket that goes with the test.
func Listen(tb testing.TB) net.Listener {
	tb.Helper()
	ln, err := net.Listen("unix", filepath.Join(runDir(tb), "s"))
	require.NoError(tb, err)
	return ln
}

// New starts a broker that ends with the test, and returns once it is ready.
func New(tb testing.TB, cfg Config) *Broker {
	tb.Helper()
	run := runDir(tb)
	b := &Broker{Dir: tb.TempDir(), tb: tb, cfg: cfg, socket: filepath.Join(run, "broker.sock")}
	b.log = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	if cfg.Quiet {
		b.log = slog.New(slog.DiscardHandler)
	}

	b.store = filepath.Join(b.Dir, "fragments")
	if cfg.Join != nil {
		b.Etcd, b.store = cfg.Join.Etcd, cfg.Join.store
	} else {
		b.startEtcd(run)
	}
	require.NoError(tb, os.MkdirAll(b.store, 0o750))

	b.conn = b.Dial(cfg.Token)

	b.Restart()
	tb.Cleanup(b.Stop)
	return b
}

// startEtcd starts an etcd that ends with the test.
func (b *Broker) startEtcd(run string) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.tb.Context(), patience)
	defer cancel()
	// Etcd has much to say of itself.
	etcd, err := embedetcd.Start(ctx, embedetcd.Config{
		Dir: filepath.Join(b.Dir, "etcd"), RunDir: run, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b.tb, err)
	b.etcd = etcd
	b.tb.Cleanup(b.StopEtcd)
	b.Etcd, err = etcd.Client(ctx)
	require.NoError(b.tb, err)
	b.tb.Cleanup(func() { require.NoError(b.tb, b.Etcd.Close()) })
}

// StopEtcd ends the etcd that was started with this broker, for good.
func (b *Broker) StopEtcd() { require.NoError(b.tb, b.etcd.Close()) }

// NewFleet starts brokers that share an etcd and a store, one in each zone. They end with the test.
func NewFleet(tb testing.TB, cfg Config, zones ...string) []*Broker {
	tb.Helper()
	var fleet []*Broker
	for _, zone := range zones {
		c := cfg
		c.Zone, c.Suffix = zone, "broker"
		if len(fleet) > 0 {
			c.Join = fleet[0]
		}
		fleet = append(fleet, New(tb, c))
	}
	for _, b := range fleet {
		b.fleet = fleet
	}
	return fleet
}

// ID of the broker.
func (b *Broker) ID() *protocol.ProcessSpec_ID {
	return &protocol.ProcessSpec_ID{Zone: cmp.Or(b.cfg.Zone, "local"), Suffix: cmp.Or(b.cfg.Suffix, "broker")}
}

// Endpoint of the broker's unix socket: unix:// and its path.
func (b *Broker) Endpoint() string { return "unix://" + b.socket }

// URL of the broker's port: http://127.0.0.1 and the port, without a final slash.
func (b *Broker) URL() string { return "http://" + b.port }

// Client of the broker. Its connection lives as long as the test, over restarts.
func (b *Broker) Client() protocol.JournalClient { return protocol.NewJournalClient(b.conn) }

// Dial returns a connection to the broker's unix socket which sends a token with each
// request, or none if it is empty. It lives as long as the test.
func (b *Broker) Dial(token string) *grpc.ClientConn {
	b.tb.Helper()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient("unix://"+b.socket, options...)
	require.NoError(b.tb, err)
	b.tb.Cleanup(func() { require.NoError(b.tb, conn.Close()) })
	return conn
}

// bearer is a token that goes with each request.
type bearer string

// GetRequestMetadata as of credentials.PerRPCCredentials.
func (t bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

// RequireTransportSecurity as of credentials.PerRPCCredentials: unix sockets have none.
func (bearer) RequireTransportSecurity() bool { return false }

// HTTP returns a client whose idle connections are closed with the test.
func (b *Broker) HTTP() *http.Client {
	transport := &http.Transport{}
	b.tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Logger that the broker writes to: the test's output.
func (b *Broker) Logger() *slog.Logger { return b.log }

// Broker that runs now.
func (b *Broker) Broker() *broker.Broker { return b.broker }

// Restart stops the broker, if it runs, and starts it again over what it left. It
// returns once the broker is ready.
func (b *Broker) Restart() {
	b.tb.Helper()
	b.Stop()
	require.NoError(b.tb, b.start())
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-b.broker.Ready():
	case <-b.running.Context().Done():
		err := b.running.Wait()
		b.running = nil
		require.NoError(b.tb, err, "broker ended before it was ready")
	case <-timer.C:
		b.tb.Fatal("broker isn't ready")
	}
	// The client may have found the door closed meanwhile, and be about to try later.
	ctx, cancel := context.WithTimeout(b.tb.Context(), patience)
	defer cancel()
	b.conn.ResetConnectBackoff()
	for s := b.conn.GetState(); s != connectivity.Ready; s = b.conn.GetState() {
		b.conn.Connect()
		require.True(b.tb, b.conn.WaitForStateChange(ctx, s), "broker can't be reached")
	}
}

// start begins to serve.
func (b *Broker) start() error {
	listeners, err := b.listen()
	if err != nil {
		return err
	}
	b.Metrics = prometheus.NewRegistry()
	b.Stores, err = store.NewRegistry(store.RegistryConfig{FileRoot: b.store, Registerer: b.Metrics})
	if err != nil {
		return err
	}
	fs := b.cfg.FS
	if fs == nil {
		fs = vfs.Default
	}
	b.gate = &gate{FS: fs}
	cfg := broker.Config{
		ID:         b.ID(),
		Endpoint:   b.URL(),
		Listeners:  listeners,
		Etcd:       b.Etcd,
		Dir:        filepath.Join(b.Dir, "broker"),
		FS:         b.gate,
		Mode:       b.cfg.Mode,
		Stores:     b.Stores,
		Logger:     b.log,
		Registerer: b.Metrics,
		Gatherer:   b.Metrics,
	}
	if b.cfg.Adjust != nil {
		b.cfg.Adjust(&cfg)
	}
	b.broker, err = broker.New(cfg)
	if err != nil {
		return err
	}
	b.running = task.New(context.WithoutCancel(b.tb.Context()), "brokertest")
	stores := b.Stores
	b.running.Go("serve", func(ctx context.Context) error {
		return errors.Join(b.broker.Serve(ctx), stores.Close())
	})
	return nil
}

// listen opens the broker's addresses, which are the same at each start.
func (b *Broker) listen() ([]net.Listener, error) {
	local, err := net.Listen("unix", b.socket)
	if err != nil {
		return nil, err
	}
	address := b.port
	if address == "" {
		address = "127.0.0.1:0"
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errors.Join(err, local.Close())
	}
	b.port = tcp.Addr().String()
	return []net.Listener{local, tcp}, nil
}

// Stop stops the broker in order, if it runs.
func (b *Broker) Stop() {
	b.tb.Helper()
	if b.running != nil {
		b.running.Cancel()
		require.NoError(b.tb, b.running.Wait())
		b.running = nil
	}
}

// Kill ends the broker as a SIGKILL would: nothing that it writes from now on reaches
// its spools. Requests that run fail.
func (b *Broker) Kill() {
	b.tb.Helper()
	require.NotNil(b.tb, b.running, "broker doesn't run")
	b.gate.dead.Store(true)
	b.running.Cancel()
	_ = b.running.Wait() // It couldn't stop in order.
	b.running = nil
}

// Spec of a journal with one replica, in the store file:///, and fragments that are
// closed by length or by what the test does.
func Spec(name string) *protocol.JournalSpec {
	return &protocol.JournalSpec{
		Name:        name,
		Replication: 1,
		Fragment: &protocol.JournalSpec_Fragment{
			Length:           1 << 20,
			CompressionCodec: protocol.CompressionCodec_ZSTANDARD,
			Stores:           []string{"file:///"},
			RefreshInterval:  durationpb.New(time.Minute),
		},
	}
}

// Create makes journals, and returns once they are served, and every broker of the fleet knows.
func (b *Broker) Create(specs ...*protocol.JournalSpec) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.tb.Context(), patience)
	defer cancel()
	req := new(protocol.ApplyRequest)
	for _, s := range specs {
		req.Changes = append(req.Changes, &protocol.ApplyRequest_Change{Upsert: s})
	}
	r, err := b.Client().Apply(ctx, req)
	require.NoError(b.tb, err)
	require.Equal(b.tb, protocol.Status_OK, r.GetStatus())
	for _, s := range specs {
		b.awaitServed(ctx, s.GetName())
		for _, other := range b.fleet {
			if other.running != nil {
				other.awaitServed(ctx, s.GetName())
			}
		}
	}
}

// awaitServed waits until the broker has told etcd that it serves the journal.
func (b *Broker) awaitServed(ctx context.Context, name string) {
	b.tb.Helper()
	watch, err := b.Client().List(ctx, &protocol.ListRequest{
		Watch: true,
		Selector: &protocol.LabelSelector{
			Include: &protocol.LabelSet{Labels: []*protocol.Label{{Name: protocol.MetaLabelName, Value: name}}},
		},
	})
	require.NoError(b.tb, err)
	for {
		r, err := watch.Recv()
		require.NoError(b.tb, err, "journal %s isn't served", name)
		for _, j := range r.GetJournals() {
			if j.GetSpec().GetName() == name && j.GetRoute().GetPrimary() != -1 {
				return
			}
		}
	}
}

// SpoolFiles are the names of the files that the broker keeps of a journal's newest
// content: data and log of each fragment that isn't stored.
func (b *Broker) SpoolFiles(journal string) []string {
	b.tb.Helper()
	found, err := filepath.Glob(filepath.Join(b.Dir, "broker", "spool", strings.ReplaceAll(journal, "/", "_")+".*", "*"))
	require.NoError(b.tb, err)
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

// Metric is the sum of a counter or gauge of the present run over all its labels.
func (b *Broker) Metric(name string) float64 {
	b.tb.Helper()
	families, err := b.Metrics.Gather()
	require.NoError(b.tb, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}
