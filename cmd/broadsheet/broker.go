package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol/auth"
)

func brokerCommand() *cobra.Command {
	var f brokerFlags
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Serve journals, as one broker of a fleet",
		Long: `Serve journals, as one broker of a fleet that an etcd coordinates.

It prints its address; "ready" follows once it serves. SIGTERM or Ctrl-C makes it leave: it serves on
until others have its journals, or nobody can take them, for --broker.drain at most. A second one ends
it at once, which loses nothing either.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBroker(cmd.Context(), &f, cmd.OutOrStdout()) },
	}
	f.add(cmd.Flags())
	roles.BindEnv(cmd, roles.MemberVariables)
	return cmd
}

// member is a running broker: what the role opens, in this order, and closes in reverse.
type member struct {
	flags *brokerFlags
	log   *slog.Logger
	out   io.Writer

	dir       *datadir.Dir
	listeners *flags.Listeners
	stores    *store.Registry
}

func runBroker(ctx context.Context, f *brokerFlags, out io.Writer) error {
	log, err := f.process.Log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	security, err := f.process.Security()
	if err != nil {
		return err
	}
	m := &member{flags: f, log: log, out: out}
	if m.listeners, err = f.process.Listen(security); err != nil {
		return err
	}
	defer m.listeners.Close()
	if m.dir, err = roles.OpenDir(f.dataDir); err != nil {
		return err
	}
	return errors.Join(m.run(ctx, security), m.dir.Close())
}

// run the broker until ctx is done.
func (m *member) run(ctx context.Context, security auth.Security) error {
	etcd, err := m.flags.process.Etcd.Dial(ctx, m.log)
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }() // Its error is that of a context.
	if err := m.openStores(); err != nil {
		return err
	}
	defer func() { _ = m.stores.Close() }() // Nothing is stored any more.
	cfg, err := m.config(security)
	if err != nil {
		return err
	}
	cfg.Etcd = etcd
	b, err := broker.New(cfg)
	if err != nil {
		return err
	}
	// The broker serves until ctx is done, in order then, or another role has failed.
	tasks := task.New(context.WithoutCancel(ctx), "broker")
	serving, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(tasks.Context(), end)()
	tasks.Go("serve", func(context.Context) error {
		defer tasks.Cancel()
		return etcdHint(b.Serve(serving))
	})
	tasks.Go("sweep", func(ctx context.Context) error { return sweepStores(ctx, m.stores, m.log) })
	tasks.Go("announce", func(ctx context.Context) error { return m.announce(ctx, b) })
	return tasks.Wait()
}

// etcdHint says what to do about an etcd that is refused.
func etcdHint(err error) error {
	if _, ok := errors.AsType[*keyspace.VersionError](err); ok {
		return withHint(err, "upgrade etcd, or say where another is with --etcd.address")
	}
	switch {
	case errors.Is(err, broker.ErrOtherPrefix):
		return withHint(err, "give the prefix that the directory was used with as --etcd.prefix, or another --data-dir")
	case errors.Is(err, broker.ErrOtherEtcd), errors.Is(err, broker.ErrOlderEtcd):
		return withHint(err, "say where the etcd is that the directory was used with by --etcd.address, or give another --data-dir")
	}
	return err
}

// openStores makes the registry of the stores that journals may name.
func (m *member) openStores() error {
	drivers, err := cloud.Drivers(cloud.Config{})
	if err != nil {
		return err
	}
	cfg := store.RegistryConfig{FileRoot: m.flags.fileRoot, FileOnly: m.flags.fileOnly, Drivers: drivers}
	if m.flags.storesFile != "" {
		if cfg.Entries, err = store.ReadEntries(m.flags.storesFile); err != nil {
			return fmt.Errorf("--stores: %w", err)
		}
	}
	if m.stores, err = store.NewRegistry(cfg); err != nil {
		return fmt.Errorf("stores: %w", err)
	}
	return nil
}

// config of the broker, but for etcd.
func (m *member) config(security auth.Security) (broker.Config, error) {
	f, p := m.flags, &m.flags.process
	mode, err := ackMode(f.ack)
	if err != nil {
		return broker.Config{}, err
	}
	memory, err := parseBytes(f.limits.appendMemory)
	if err != nil {
		return broker.Config{}, err
	}
	files, err := openFiles()
	if err != nil {
		return broker.Config{}, err
	}
	dir, err := m.dir.Sub("broker")
	if err != nil {
		return broker.Config{}, err
	}
	id, err := brokerID(dir, &f.process)
	if err != nil {
		return broker.Config{}, err
	}
	endpoint, err := f.process.EndpointAt(m.listeners.Shared, security)
	if err != nil {
		return broker.Config{}, err
	}
	metrics := prometheus.NewRegistry()
	return broker.Config{
		ID: id, Endpoint: endpoint, Listeners: []net.Listener{m.listeners.Shared},
		Prefix: p.Etcd.Prefix, MaxTxnOps: p.Etcd.MaxTxnOps, LeaseTTL: p.Etcd.Lease, WatchDelay: p.WatchDelay,
		JournalLimit: f.limits.journals, OpenFiles: files, MaxReplication: f.limits.replication, MaxMessage: f.limits.message, MaxUploads: f.limits.uploads,
		MaxAppendRate: f.limits.maxRate, MinAppendRate: f.limits.minRate, AutoSuspend: f.autoSuspend,
		Dir: dir, Mode: mode, Stores: m.stores, GatherTotal: memory, IdleTimeout: f.limits.idle, Grace: p.Grace, Drain: p.Drain,
		Security: security, AllowOrigins: p.AllowOrigins, AllowedHosts: f.allowedHosts,
		Debug:  broker.Debug{Listener: m.listeners.Debug, Private: p.DebugPrivate, Profiling: f.profiling},
		Logger: m.log.With(slog.String("role", "broker")), Registerer: metrics, Gatherer: metrics,
	}, nil
}

// announce prints where the broker is, and that it serves once it does.
func (m *member) announce(ctx context.Context, b *broker.Broker) error {
	if _, err := fmt.Fprintf(m.out, "broker %s\n", m.listeners.Shared.Addr()); err != nil {
		return err
	}
	if m.listeners.Debug != nil {
		if _, err := fmt.Fprintf(m.out, "debug %s\n", m.listeners.Debug.Addr()); err != nil {
			return err
		}
	}
	select {
	case <-b.Ready():
		_, err := fmt.Fprintln(m.out, "ready")
		return err
	case <-ctx.Done():
		return nil
	}
}
