package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store/health"
	"broadsheet.dev/broadsheet/internal/calls"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
)

// Broker serves the journals that are assigned to it. Make it with New, run it with
// Serve.
//
// Its goroutines, all awaited by Serve:
//
//	goroutine             started by   ends with            owns
//	broker/keyspace       Serve        the broker           the mirror of etcd
//	broker/allocator      Serve        the broker           assignments, while this broker leads
//	broker/session        Serve        the broker           the lease and the announcement
//	broker/disk           Serve        the broker           trying a disk that was full
//	serving/reconcile     Serve        the serving          the roster, and who has which replica
//	servers/mux, …        Serve        the listeners        connections and requests
//	servers/debug         Serve        the listeners        requests of the debug port
//	append streams/…      an RPC       its connection       receiving on an append stream
//	append stream/…       an RPC       the RPC              sending results, a lane, settling, forwarding
//	replicas/close        reconcile    itself               a replica that was given up
//	replica/tend          reconcile    the replica          opening, flushing, advertising
//	replica/refresh       reconcile    the replica          the stored part of the index
//	replica/persist       reconcile    the replica          uploads, one at a time
//
// The replica's pipeline is a token: an append, or tend, takes it to write or roll.
type Broker struct {
	cfg       Config
	log       *slog.Logger
	gatherDir string
	gather    *budget
	seed      maphash.Seed
	contents  *contents
	applying  chan struct{} // cap 1: holds who applies

	health    *health.Checker // set by Serve before anything is served
	door      *door
	signer    *signer
	transport *transport

	calls          *calls.Recorder
	events         *events
	descriptors    *descriptors
	disk           *disk
	metrics        *metrics
	journalMetrics journalMetrics
	allocator      *allocator.Allocator

	// Set by Serve before anything is served.
	keys      *keyspace.KeySpace
	env       *replicaEnv
	receivers *task.Group // of append streams

	roster   atomic.Pointer[roster]
	lease    atomic.Pointer[allocator.Lease] // nil while there is none
	kicked   chan struct{}                   // cap 1: make a roster, though no key has changed
	ready    chan struct{}                   // closed once every journal that can be is served
	leaving  chan struct{}                   // closed when the broker begins to hand over what it has
	stopping chan struct{}                   // closed when the broker begins to stop
	life     context.Context                 //nolint:containedctx // ends then, too
	die      context.CancelFunc              // ends life
	served   atomic.Bool                     // Serve was called
}

// New returns a broker that Serve runs. It registers its metrics, and nothing else.
func New(cfg Config) (*Broker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		cfg:            cfg,
		gatherDir:      filepath.Join(cfg.Dir, "gather"),
		gather:         newBudget(cfg.GatherTotal),
		seed:           maphash.MakeSeed(),
		contents:       newContents(cfg.Stores),
		applying:       make(chan struct{}, 1),
		calls:          calls.New(),
		events:         new(events),
		metrics:        newMetrics(),
		journalMetrics: newJournalMetrics(),
		kicked:         make(chan struct{}, 1),
		ready:          make(chan struct{}),
		leaving:        make(chan struct{}),
		stopping:       make(chan struct{}),
	}
	b.log = b.events.tee(cfg.Logger)
	if err := b.cfg.limitJournals(b.log); err != nil {
		return nil, err
	}
	b.descriptors = newDescriptors(b.log)
	b.disk = newDisk(cfg.FS, cfg.Dir, b.descriptors, b.log)
	b.life, b.die = context.WithCancel(context.Background())
	cfg.Security.Warn(b.log)
	var err error
	if b.transport, err = newTransport(cfg.Security, b.log); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	b.door = &door{keys: cfg.Security.Keys, now: time.Now, denied: b.metrics.denied}
	b.signer = &signer{keys: cfg.Security.Keys, now: time.Now, who: memberID(cfg.ID).String()}
	if err := b.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("broker: metrics: %w", err)
	}
	return b, nil
}

// Ready is closed once the broker serves every journal that it can.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// errServed tells that a broker runs once.
var errServed = errors.New("broker was served already")

// Serve serves until ctx is done, and then stops in order: it says that it is
// leaving, serves on for up to Config.Drain until others have its journals, ends blocking
// reads and watches, lets other requests end for Config.Grace, and closes its spools
// cleanly. It returns nil then. An error is why it couldn't begin, go on or stop cleanly.
func (b *Broker) Serve(ctx context.Context) error {
	if b.served.Swap(true) {
		return errServed
	}
	defer closeListeners(append([]net.Listener{b.cfg.Debug.Listener}, b.cfg.Listeners...))
	unlock, err := lockDir(b.cfg.Dir)
	if err != nil {
		return err
	}
	err = b.open(ctx)
	switch {
	case ctx.Err() != nil:
		err = nil // It was stopped before it served.
	case err == nil:
		err = b.run(ctx)
	}
	return errors.Join(err, unlock())
}

// open makes what Serve needs, once the directory is ours.
func (b *Broker) open(ctx context.Context) error {
	if err := os.MkdirAll(b.gatherDir, 0o750); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	spools, err := spool.Open(ctx, spool.Config{
		FS: b.cfg.FS, Dir: filepath.Join(b.cfg.Dir, "spool"), Mode: b.cfg.Mode, Logger: b.log, Registerer: b.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	b.keys, err = keyspace.Load(ctx, keyspace.Config{
		Client: b.cfg.Etcd, Prefix: b.cfg.Prefix, Decode: decodeKey(b.cfg.Prefix, b.cfg.MaxReplication),
		BatchDelay: b.cfg.WatchDelay, Logger: b.log,
	})
	if err != nil {
		return err
	}
	if err := checkEtcd(b.cfg.Dir, b.cfg.Prefix, b.keys.View()); err != nil {
		return err
	}
	persister, err := persist.New(persist.Config{
		Stores: b.cfg.Stores, MaxUploads: b.cfg.MaxUploads, TempDir: b.gatherDir, Logger: b.log, Registerer: b.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	b.allocator, err = allocator.New(allocator.Config{
		Client: b.cfg.Etcd, KeySpace: b.keys, Prefix: b.cfg.Prefix, Self: memberID(b.cfg.ID),
		MaxTxnOps: b.cfg.MaxTxnOps, Logger: b.log, Registerer: b.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	b.health, err = health.New(health.Config{Stores: b.cfg.Stores, Logger: b.log, Registerer: b.cfg.Registerer})
	if err != nil {
		return err
	}
	peers := newPeers(b.transport, b.signer, b.cfg.MaxMessage)
	b.env = &replicaEnv{
		spools: spools, mode: b.cfg.Mode, stores: b.cfg.Stores, persister: persister,
		peers: peers, members: peers, chunks: newChunkPool(), logger: b.log, metrics: b.metrics, disk: b.disk,
		contents: b.contents, now: time.Now, retentionGrace: b.cfg.RetentionGrace, autoSuspend: b.cfg.AutoSuspend,
		self:        b.cfg.ID,
		member:      epoch.Member{Broker: brokerOf(b.cfg.ID), Disk: spools.Disk()},
		directories: b,
	}
	b.roster.Store(newRoster(directory{b.cfg.Prefix, b.keys.View()}))
	return nil
}

func (b *Broker) journalExists(name string) bool {
	_, ok := directory{b.cfg.Prefix, b.keys.View()}.journal(name)
	return ok
}

// run runs all tasks, until ctx is done or one of them fails, and then ends them in
// the reverse order.
func (b *Broker) run(ctx context.Context) error {
	// A stop is in order: what is needed for it isn't ended by ctx.
	core := task.New(context.WithoutCancel(ctx), "broker")
	b.receivers = task.New(context.WithoutCancel(ctx), "append streams")
	core.Go("keyspace", b.keys.Watch)
	core.Go("allocator", b.allocator.Run)
	announced := newSession(b)
	core.Go("session", announced.run)
	core.Go("disk", b.disk.run)

	serving := task.New(context.WithoutCancel(ctx), "serving")
	serving.Go("reconcile", newReconciler(b).run)

	servers := newServers(b)
	servers.start(serving.Context())

	select {
	case <-ctx.Done():
	case <-core.Context().Done():
	case <-serving.Context().Done():
	case <-servers.group.Context().Done():
	}
	close(b.leaving)
	announced.leave()
	b.drain(core.Context(), serving.Context(), servers.group.Context())
	b.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "broker is stopping")
	close(b.stopping)
	b.die()
	errs := []error{servers.stop(b.cfg.Grace), b.receivers.Wait()}
	serving.Cancel()
	errs = append(errs, serving.Wait(), b.env.peers.close(), b.health.Close())
	core.Cancel()
	errs = append(errs, core.Wait())
	return errors.Join(errs...)
}

// checkReady tells, once, that every journal which this broker can serve is served,
// or is known to fail.
func (b *Broker) checkReady(r *roster) {
	if isClosed(b.ready) || b.lease.Load() == nil {
		return
	}
	for _, e := range r.entries {
		if !isClosed(e.replica.opened) && !isClosed(e.replica.failed) {
			return
		}
	}
	if len(r.entries) < b.cfg.JournalLimit && r.hasUnassigned() {
		return
	}
	close(b.ready)
}

// hasUnassigned tells whether a journal is about to be assigned to its only broker.
func (d directory) hasUnassigned() bool {
	found := false
	d.journals("", func(j journal) {
		found = found || j.DesiredReplication() == 1 && len(d.assignments(j.spec.GetName())) == 0
	})
	return found
}

// leaseID is that of our present lease; 0 is none.
func (b *Broker) leaseID() int64 {
	if l := b.lease.Load(); l != nil {
		return int64(l.ID())
	}
	return 0
}

// leaseIsValid tells whether nobody else can have been given our journals.
func (b *Broker) leaseIsValid() bool {
	l := b.lease.Load()
	return l != nil && l.Valid()
}
