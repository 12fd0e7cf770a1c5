package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/views/keep"
	"broadsheet.dev/broadsheet/views/viewspb"
)

// viewOf is the view that a shard keeps.
func viewOf(spec *shards.ShardSpec) (int64, error) {
	label := spec.GetLabels().ValueOf(keep.LabelView)
	id, err := strconv.ParseInt(label, 10, 64)
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("label %s: %q isn't the id of a view", keep.LabelView, label)
	}
	if spec.GetId() != keep.ShardID(id) {
		return 0, fmt.Errorf("label %s: the shard of view %d is %q, not %q", keep.LabelView, id, keep.ShardID(id), spec.GetId())
	}
	if len(spec.GetLabels().ValuesOf(consumer.LabelSkip)) > 0 { // whose messages are of one line each
		return 0, fmt.Errorf("label %s isn't for views: ALTER MATERIALIZED VIEW ... SKIP has a view do without a row", consumer.LabelSkip)
	}
	return id, nil
}

// App is the application of the shards that keep views, and the service by which these are read. Make it with New, give it to a
// consumer.Config as Application, with Register and Capabilities, and Attach the host before it serves. Close it once the host has stopped.
type App struct {
	cfg     Config
	scans   *scans
	blocks  *pebblestore.Cache // of all stores
	metrics *metrics
	service *service

	mu       sync.Mutex
	failures map[int64]error           // of shards here, the last one
	batches  map[int64]int             // of views that make much of few lines, how many bytes of these a transaction consumes
	kept     map[*consumer.Shard]*view // those that are open
}

// New returns an application. It registers its scan with the engine, once for each engine, and its metrics.
func New(cfg Config) (*App, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, scans: &scans{of: make(map[string]duck.Scan)}, metrics: newMetrics(), failures: make(map[int64]error), batches: make(map[int64]int), kept: make(map[*consumer.Shard]*view)}
	a.service = &service{app: a}
	a.blocks = pebblestore.NewCache(cfg.Blocks)
	if err := cfg.Engine.RegisterScan(scanFunction, a.scans.bind); err != nil {
		a.Close()
		return nil, fmt.Errorf("views: %w", err)
	}
	if err := a.metrics.register(cfg.Registerer); err != nil {
		a.Close()
		return nil, fmt.Errorf("views: metrics: %w", err)
	}
	return a, nil
}

// Close lets go of what views share.
func (a *App) Close() { a.blocks.Close() }

// Host is what the service needs of the host that runs the shards: a consumer.Host has it.
type Host interface {
	Resolve(ctx context.Context, args consumer.ResolveArgs) (consumer.Resolution, error)
	Peer(header *protocol.Header) (grpc.ClientConnInterface, error)
	Stopping() context.Context
}

// Attach the host.
func (a *App) Attach(h Host) { a.service.host.Store(&h) }

// Register the service: it is of consumer.Config.
func (a *App) Register(s grpc.ServiceRegistrar) { viewspb.RegisterViewsServiceServer(s, a.service) }

// Capabilities of the service's methods, of consumer.Config.
func Capabilities() map[string]auth.Capability {
	return map[string]auth.Capability{
		viewspb.ViewsService_Stat_FullMethodName:      auth.Read,
		viewspb.ViewsService_Read_FullMethodName:      auth.Read,
		viewspb.ViewsService_Subscribe_FullMethodName: auth.Read,
	}
}

// NewStore as of consumer.Application.
func (a *App) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	id, err := viewOf(shard.Spec())
	if err != nil {
		return nil, err
	}
	v, err := a.open(ctx, id, shard)
	a.told(ctx, id, err)
	if err != nil {
		return nil, fmt.Errorf("view %d: %w", id, err)
	}
	return v, nil
}

// told of how it went with a view.
func (a *App) told(ctx context.Context, id int64, err error) {
	if err != nil && ctx.Err() != nil {
		return // It was ended.
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.failures, id)
	} else {
		a.failures[id] = err
	}
}

// batchOf is how many bytes of lines a transaction of a view consumes at most.
func (a *App) batchOf(id int64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return cmp.Or(a.batches[id], a.cfg.Batch)
}

// cacheOf is how many bytes of groups a view may hold in memory.
func (a *App) cacheOf() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg.Cache / max(1, len(a.kept))
}

// failure of a view's shard here, the last one since it has done anything.
func (a *App) failure(id int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failures[id]
}

// NewMessage as of consumer.Application.
func (*App) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(lines), nil }

// NewCodec as of consumer.Framer.
func (a *App) NewCodec(shard *consumer.Shard, _ *protocol.JournalSpec, _ int64) (message.Codec, error) {
	a.mu.Lock()
	v := a.kept[shard]
	a.mu.Unlock()
	if v == nil {
		return nil, errNotKept
	}
	return &lineCodec{find: v.find, most: v.batch.most}, nil
}

// errNotKept is of a shard whose store isn't open.
var errNotKept = errors.New("the view isn't kept here")

// ConsumeMessage as of consumer.Application.
func (a *App) ConsumeMessage(ctx context.Context, _ *consumer.Shard, st store.Store, env message.Envelope) error {
	m, ok := env.Message.(*lines)
	if !ok {
		return errNotLines
	}
	v := st.(*view) //nolint:forcetypeassert // NewStore made it
	return v.consume(ctx, env.Journal, env.Begin, m)
}

// FinalizeTxn as of consumer.Application.
func (a *App) FinalizeTxn(ctx context.Context, _ *consumer.Shard, st store.Store) error {
	v := st.(*view) //nolint:forcetypeassert // as above
	err := v.wayOut(v.finish(ctx))
	a.told(ctx, v.id, err)
	return err
}

// FinishedTxn as of consumer.FinishedTxner.
func (*App) FinishedTxn(_ context.Context, _ *consumer.Shard, st store.Store) {
	v := st.(*view) //nolint:forcetypeassert // as above
	v.failed = v.publish()
}

var (
	_ consumer.Application   = (*App)(nil)
	_ consumer.FinishedTxner = (*App)(nil)
	_ consumer.Framer        = (*App)(nil)
	_ store.Store            = (*view)(nil)
)
