package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// event is a message. It has no UUID where it was appended as it is: then it stands for itself.
type event struct {
	UUID message.UUID `json:"uuid"`
	Key  string       `json:"key"`
	N    int64        `json:"n"`
	Text string       `json:"text"`
}

func (e *event) GetUUID() message.UUID                   { return e.UUID }
func (e *event) SetUUID(u message.UUID)                  { e.UUID = u }
func (*event) NewAcknowledgement(string) message.Message { return new(event) }

// application adds numbers by key, and tells when it began to.
type application struct {
	kind  kind
	once  sync.Once
	began time.Time
	used  time.Duration // processor time of this process, when it began
}

func (a *application) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	return a.kind.open(ctx, shard)
}

func (*application) NewMessage(*protocol.JournalSpec) (message.Message, error) {
	return new(event), nil
}

func (a *application) ConsumeMessage(ctx context.Context, _ *consumer.Shard, st store.Store, env message.Envelope) error {
	a.once.Do(func() { a.began, a.used = time.Now(), cpuOf(os.Getpid()) })
	return st.(counter).add(ctx, env.Message.(*event))
}

func (*application) FinalizeTxn(ctx context.Context, shard *consumer.Shard, st store.Store) error {
	return st.(counter).flush(ctx, shard.Spec().GetId())
}

// host of shards in this process.
type host struct {
	*consumer.Host

	fleet   *fleet
	cfg     consumer.Config
	conn    *grpc.ClientConn
	metrics *prometheus.Registry
	running *task.Group
}

// host starts one of the hosts of a name, which share shards, and returns once it is given some.
func (f *fleet) host(ctx context.Context, name string, app consumer.Application) (*host, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.hosts++
	metrics := prometheus.NewRegistry()
	h := &host{fleet: f, metrics: metrics, cfg: consumer.Config{
		ID: &protocol.ProcessSpec_ID{Zone: "local", Suffix: fmt.Sprintf("host-%d", f.hosts)}, Endpoint: "http://" + ln.Addr().String(),
		Listeners: []net.Listener{ln}, Application: app, Etcd: f.keys, Prefix: "/gazette/consumers/" + name, WatchDelay: time.Millisecond,
		Grace: time.Second, Logger: slog.New(slog.DiscardHandler), Registerer: metrics,
	}}
	if h.cfg.Dir, err = os.MkdirTemp(f.dir, "host"); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if h.cfg.Brokers, err = client.Dial(ctx, client.Config{Endpoint: f.endpoint()}); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if h.conn, err = dial(ln.Addr().String()); err == nil {
		h.Host, err = consumer.New(h.cfg)
	}
	if err != nil {
		return nil, errors.Join(err, h.cfg.Brokers.Close(), ln.Close())
	}
	h.running = task.New(context.WithoutCancel(ctx), "bench")
	h.running.Go("serve", h.Serve)
	select {
	case <-h.Ready():
		return h, nil
	case <-h.running.Context().Done():
	case <-ctx.Done():
	}
	return nil, errors.Join(errors.New("the host isn't announced"), context.Cause(ctx), h.stop())
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// stop the host. What it has is left to others.
func (h *host) stop() error {
	h.running.Cancel()
	return errors.Join(h.running.Wait(), h.conn.Close(), h.cfg.Brokers.Close(), os.RemoveAll(h.cfg.Dir))
}

// die as if etcd had found that the host is gone.
func (h *host) die(ctx context.Context) error {
	key := allocator.MemberKey(h.cfg.Prefix, h.cfg.ID.GetZone(), h.cfg.ID.GetSuffix())
	r, err := h.fleet.keys.Get(ctx, key)
	if err == nil && len(r.Kvs) == 1 {
		_, err = h.fleet.keys.Revoke(ctx, clientv3.LeaseID(r.Kvs[0].GetLease()))
	}
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		err = nil
	}
	h.running.Cancel()
	return err
}

// spec of a shard that reads a journal, in short transactions.
func spec(id, source string, logged bool) *shards.ShardSpec {
	s := &shards.ShardSpec{
		Id: id, Sources: []*shards.ShardSpec_Source{{Journal: source}}, MaxTxnDuration: durationpb.New(time.Second),
	}
	if logged {
		s.RecoveryLogPrefix, s.HintPrefix, s.HintBackups = "recovery/logs", "/hints", 1
	}
	return s
}

// apply specs of shards by a host. Those that have a log get one, unless it is there.
func (f *fleet) apply(ctx context.Context, conn *grpc.ClientConn, specs ...*shards.ShardSpec) error {
	var logs []string
	req := new(shards.ApplyRequest)
	for _, s := range specs {
		if s.GetRecoveryLogPrefix() != "" {
			logs = append(logs, s.RecoveryLog())
		}
		req.Changes = append(req.Changes, &shards.ApplyRequest_Change{Upsert: s, ExpectModRevision: -1})
	}
	if err := f.createMissing(ctx, logs); err != nil {
		return err
	}
	r, err := shards.NewShardClient(conn).Apply(ctx, req)
	if err == nil && r.GetStatus() != shards.Status_OK {
		err = errors.New("shards: " + r.GetStatus().String())
	}
	return err
}

func (f *fleet) createMissing(ctx context.Context, logs []string) error {
	var missing []string
	for _, name := range logs {
		there, err := f.brokers.List(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelName, name)})
		if err != nil {
			return err
		}
		if len(there) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return f.create(ctx, message.RecoveryLog, missing...)
}
