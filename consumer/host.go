package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/calls"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
)

// Host runs the shards that are assigned to its process. Make it with New, run it with Serve.
//
// Its goroutines, all awaited by Serve:
//
//	goroutine              started by   ends with       owns
//	consumer/keyspace      Serve        the host        the mirror of etcd
//	consumer/allocator     Serve        the host        assignments, while this host leads
//	consumer/session       Serve        the host        the lease and the announcement
//	serving/assign         Serve        the serving     which replicas there are
//	replicas/<shard>       assign       the replica     the shard, see replica
//	replicas/leave <shard> assign       the replica     that it ends in time
//	servers/mux, …         Serve        the listeners   connections and requests
type Host struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	calls   *calls.Recorder // of the host's own servers
	door    *door
	gate    *gate
	service *service

	keys      *keyspace.KeySpace   // set by Serve before anything is served
	allocator *allocator.Allocator // as above
	appends   *async.Service       // as above
	logs      RecoveryLogs         // as above
	peers     *peers

	lease    atomic.Pointer[allocator.Lease] // nil while there is none
	sources  atomic.Pointer[sourceIndex]
	replicas atomic.Pointer[map[string]*replica] // by shard; the map is never changed
	ready    chan struct{}                       // closed once the host is announced
	readied  sync.Once
	leaving  chan struct{}   // closed when the host begins to hand over what it has
	stopping chan struct{}   // closed when the host begins to stop
	ending   context.Context //nolint:containedctx // done then, too
	end      context.CancelFunc
	served   atomic.Bool
}

// New returns a host that Serve runs. It registers its metrics, and nothing else.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, log: cfg.Logger, metrics: newMetrics(), calls: calls.New(),
		ready: make(chan struct{}), leaving: make(chan struct{}), stopping: make(chan struct{}),
	}
	h.ending, h.end = context.WithCancel(context.Background())
	h.peers = newPeers(cfg.PeerTLS)
	h.door, h.gate, h.service = newDoor(cfg, h.metrics), newGate(), &service{host: h}
	h.replicas.Store(&map[string]*replica{})
	if err := h.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("consumer: metrics: %w", err)
	}
	if cfg.Registerer != nil && len(cfg.Listeners) > 0 { // Whoever else serves it counts its calls.
		if err := cfg.Registerer.Register(h.calls); err != nil {
			return nil, fmt.Errorf("consumer: metrics: %w", err)
		}
	}
	return h, nil
}

// Ready is closed once the host is announced, so that it is given shards.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Stopping is done when the host begins to stop: calls of the application's services that don't end by themselves end then.
func (h *Host) Stopping() context.Context { return h.ending }

// Requests is a page of the calls of gRPC that the host's own servers have, and had.
func (h *Host) Requests() http.Handler { return h.calls.Page() }

func (h *Host) announced() { h.readied.Do(func() { close(h.ready) }) }

// errServed tells that a host runs once.
var errServed = errors.New("consumer was served already")

// Serve serves until ctx is done, and then stops in order: it says that it is leaving, goes on for up to Config.Drain
// until others have its shards, ends the transactions of those that it still has, and lets requests end. It
// returns nil then. An error is why it couldn't begin, go on or stop cleanly.
func (h *Host) Serve(ctx context.Context) error {
	if h.served.Swap(true) {
		return errServed
	}
	defer func() {
		for _, ln := range h.cfg.Listeners {
			_ = ln.Close()
		}
	}()
	if err := h.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // It was stopped before it served.
		}
		return err
	}
	return errors.Join(h.run(ctx), h.appends.Close())
}

// open makes what Serve needs.
func (h *Host) open(ctx context.Context) error {
	if err := os.MkdirAll(h.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(h.cfg.Dir, "shard-*"))
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	for _, dir := range left { // of a process that was killed
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("consumer: %w", err)
		}
	}
	h.keys, err = keyspace.Load(ctx, keyspace.Config{
		Client: h.cfg.Etcd, Prefix: h.cfg.Prefix, Decode: shards.Decode(h.cfg.Prefix, h.cfg.MaxHotStandbys),
		BatchDelay: h.cfg.WatchDelay, Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.allocator, err = allocator.New(allocator.Config{
		Client: h.cfg.Etcd, KeySpace: h.keys, Prefix: h.cfg.Prefix, Self: shards.MemberID(h.cfg.ID),
		MaxTxnOps: h.cfg.MaxTxnOps, Logger: h.log, Registerer: h.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	h.appends, err = async.New(context.WithoutCancel(ctx), h.cfg.Brokers, async.Config{Dir: h.cfg.Dir, Metrics: h.cfg.Registerer})
	if h.logs = h.cfg.RecoveryLogs; h.logs == nil {
		h.logs = &brokerLogs{journals: recoverylog.Brokers(h.cfg.Brokers), appends: h.appends, log: h.log, played: h.metrics.played}
	}
	return err
}

// run runs all tasks, until ctx is done or one of them fails, and then ends them in the reverse order.
func (h *Host) run(ctx context.Context) error {
	// A stop is in order: what is needed for it isn't ended by ctx.
	core := task.New(context.WithoutCancel(ctx), "consumer")
	core.Go("keyspace", h.keys.Watch)
	core.Go("allocator", h.allocator.Run)
	announced := newSession(h)
	core.Go("session", announced.run)

	serving := task.New(context.WithoutCancel(ctx), "serving")
	serving.Go("assign", newAssigner(h).run)

	h.gate.open()
	servers := newServers(h)
	servers.start(serving.Context())
	select {
	case <-ctx.Done():
	case <-core.Context().Done():
	case <-serving.Context().Done():
	case <-servers.group.Context().Done():
	}
	close(h.leaving)
	announced.leave()
	h.drain(core.Context(), serving.Context(), servers.group.Context())
	h.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "consumer is stopping")
	close(h.stopping)
	h.end()
	serving.Cancel()
	errs := []error{serving.Wait(), servers.stop(h.cfg.Grace)}
	h.gate.close(h.cfg.Grace)
	errs = append(errs, h.peers.close())
	core.Cancel()
	return errors.Join(append(errs, core.Wait())...)
}

// drain goes on, once etcd was told that the host is leaving, until others have what they can take of its shards; for
// Config.Drain at most, and while none of what serves has failed.
func (h *Host) drain(serving ...context.Context) {
	if h.cfg.Drain == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Drain)
	defer cancel()
	for _, s := range serving {
		defer context.AfterFunc(s, cancel)()
	}
	// Who has just come may take what we have.
	if r, err := h.cfg.Etcd.Get(ctx, h.cfg.Prefix, clientv3.WithCountOnly()); err == nil {
		_ = h.keys.WaitForRevision(ctx, r.Header.GetRevision()) // or is judged by what was known
	}
	tick := time.NewTicker(time.Second) // A lease may be lost meanwhile.
	defer tick.Stop()
	for {
		changed := h.keys.Changed()
		held := h.directory().handsOver(shards.MemberID(h.cfg.ID))
		if lease := h.lease.Load(); held == 0 || lease == nil || !lease.Valid() {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			h.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelWarn, "consumer isn't drained", slog.Int("shards", held))
			return
		}
	}
}

// directory of what etcd says now.
func (h *Host) directory() directory { return directory{h.cfg.Prefix, h.keys.View()} }
