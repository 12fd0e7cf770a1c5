package consumertest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// patience bounds each wait of the harness.
const patience = 60 * time.Second

// Prefix of the keys of hosts under test.
const Prefix = "/gazette/consumers/test"

// Config of a Host.
type Config struct {
	// Etcd and the Endpoint of a broker: those of a brokertest.Broker, say.
	Etcd     *clientv3.Client
	Endpoint string
	// Application of the host.
	Application consumer.Application
	// Zone and Suffix are the host's id. Default: local and consumer.
	Zone, Suffix string
	// Logs logs to the test's output.
	Logs bool
	// Adjust changes the host's own configuration; nil leaves it.
	Adjust func(*consumer.Config)
}

// Host under test.
type Host struct {
	*consumer.Host

	// Etcd of the host.
	Etcd *clientv3.Client
	// Brokers that it uses.
	Brokers *client.Client
	// Metrics of it.
	Metrics *prometheus.Registry

	tb      testing.TB
	id      *protocol.ProcessSpec_ID
	address string
	conn    *grpc.ClientConn
	running *task.Group // nil once it was stopped
}

// New starts a host that ends with the test, and returns once it is announced.
func New(tb testing.TB, cfg Config) *Host {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	brokers, err := client.Dial(tb.Context(), client.Config{Endpoint: cfg.Endpoint})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, brokers.Close()) })
	h := &Host{Etcd: cfg.Etcd, Brokers: brokers, Metrics: prometheus.NewRegistry(), tb: tb, address: ln.Addr().String()}
	log := slog.New(slog.DiscardHandler)
	if cfg.Logs {
		log = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	c := consumer.Config{
		ID:          &protocol.ProcessSpec_ID{Zone: cmp.Or(cfg.Zone, "local"), Suffix: cmp.Or(cfg.Suffix, "consumer")},
		Endpoint:    h.URL(),
		Listeners:   []net.Listener{ln},
		Application: cfg.Application,
		Brokers:     brokers,
		Etcd:        cfg.Etcd,
		Prefix:      Prefix,
		Dir:         tb.TempDir(),
		Drain:       patience,
		WatchDelay:  time.Millisecond,
		Logger:      log,
		Registerer:  h.Metrics,
		Gatherer:    h.Metrics,
	}
	if cfg.Adjust != nil {
		cfg.Adjust(&c)
	}
	h.id = c.ID
	h.Host, err = consumer.New(c)
	require.NoError(tb, err)
	h.running = task.New(context.WithoutCancel(tb.Context()), "consumertest")
	h.running.Go("serve", h.Serve)
	tb.Cleanup(h.Stop)
	h.conn, err = grpc.NewClient("passthrough:///"+h.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, h.conn.Close()) })
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	select {
	case <-h.Ready():
	case <-h.running.Context().Done():
		require.NoError(tb, h.running.Wait(), "host ended before it was announced")
	case <-ctx.Done():
		tb.Fatal("host isn't announced")
	}
	return h
}

// URL of the host's port, without a final slash.
func (h *Host) URL() string { return "http://" + h.address }

// Client of the host.
func (h *Host) Client() shards.ShardClient { return shards.NewShardClient(h.conn) }

// HTTP returns a client whose idle connections are closed with the test.
func (h *Host) HTTP() *http.Client {
	transport := &http.Transport{}
	h.tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Stop stops the host in order, if it runs: it hands over what others can take.
func (h *Host) Stop() {
	h.tb.Helper()
	if h.running != nil {
		h.running.Cancel()
		require.NoError(h.tb, h.running.Wait())
		h.running = nil
	}
}

// Kill ends the host by force, if it runs: its lease is revoked, whoever has its shards as their standby takes them at once, and
// what it does is cancelled after its Grace, whatever that is. It may be called on any goroutine.
func (h *Host) Kill(ctx context.Context) error {
	running := h.running
	if running == nil {
		return nil
	}
	h.running = nil
	running.Cancel() // It may be announced again then, but as one that leaves.
	key := allocator.MemberKey(Prefix, h.id.GetZone(), h.id.GetSuffix())
	r, err := h.Etcd.Get(ctx, key)
	if err == nil && len(r.Kvs) == 1 {
		_, err = h.Etcd.Revoke(ctx, clientv3.LeaseID(r.Kvs[0].GetLease()))
	}
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		err = nil // The host has ended it already.
	}
	return errors.Join(err, running.Wait())
}

// Spec of a shard that reads journals, in short transactions.
func Spec(id string, sources ...string) *shards.ShardSpec {
	spec := &shards.ShardSpec{Id: id, MaxTxnDuration: durationpb.New(time.Second)}
	for _, s := range sources {
		spec.Sources = append(spec.Sources, &shards.ShardSpec_Source{Journal: s})
	}
	return spec
}

// Apply puts specs, whatever is there.
func (h *Host) Apply(specs ...*shards.ShardSpec) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), patience)
	defer cancel()
	req := new(shards.ApplyRequest)
	for _, s := range specs {
		req.Changes = append(req.Changes, &shards.ApplyRequest_Change{Upsert: s, ExpectModRevision: -1})
	}
	r, err := h.Client().Apply(ctx, req)
	require.NoError(h.tb, err)
	require.NoError(h.tb, r.Validate())
	require.Equal(h.tb, shards.Status_OK, r.GetStatus())
}

// List returns a shard as the host lists it; nil if it doesn't.
func (h *Host) List(ctx context.Context, id string) *shards.ListResponse_Shard {
	h.tb.Helper()
	r, err := h.Client().List(ctx, &shards.ListRequest{
		Selector: &protocol.LabelSelector{Include: protocol.MustLabelSet(shards.MetaLabelID, id)},
	})
	require.NoError(h.tb, err)
	require.NoError(h.tb, r.Validate())
	for _, s := range r.GetShards() {
		if s.GetSpec().GetId() == id {
			return s
		}
	}
	return nil
}

// Await returns a shard once the host lists it as is wanted.
func (h *Host) Await(id string, wanted func(*shards.ListResponse_Shard) bool) *shards.ListResponse_Shard {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), patience)
	defer cancel()
	changes := h.Etcd.Watch(ctx, Prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	var last *shards.ListResponse_Shard
	for range changes {
		// What the change is of may not be known to the host yet: a request waits for it.
		now, err := h.Etcd.Get(ctx, Prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		require.NoError(h.tb, err)
		require.NoError(h.tb, h.AwaitRevision(ctx, now.Header.GetRevision()))
		if last = h.List(ctx, id); last != nil && wanted(last) {
			return last
		}
	}
	require.FailNow(h.tb, "shard isn't as wanted", "%v", last)
	return nil
}

// AwaitCode waits until a replica of the shard has told a status, and returns it.
func (h *Host) AwaitCode(id string, code shards.ReplicaStatus_Code) *shards.ReplicaStatus {
	h.tb.Helper()
	var out *shards.ReplicaStatus
	h.Await(id, func(s *shards.ListResponse_Shard) bool {
		for _, r := range s.GetStatus() {
			if r.GetCode() == code {
				out = r
				return true
			}
		}
		return false
	})
	return out
}
