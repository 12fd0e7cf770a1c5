package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
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

	dir      *datadir.Dir
	listener net.Listener
	debug    net.Listener // nil is none
	stores   *store.Registry
}

func runBroker(ctx context.Context, f *brokerFlags, out io.Writer) error {
	log, err := f.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	security, err := f.security()
	if err != nil {
		return err
	}
	m := &member{flags: f, log: log, out: out}
	if err := m.listen(security); err != nil {
		return err
	}
	defer m.closeListeners()
	if m.dir, err = datadir.Open(f.dataDir); err != nil {
		return dataDirHint(err)
	}
	return errors.Join(m.run(ctx, security), m.dir.Close())
}

// listen on the broker's port, and on that of diagnostics.
func (m *member) listen(security broker.Security) error {
	network, address := "tcp", net.JoinHostPort(m.flags.bind, m.flags.port)
	if path, ok := m.flags.socketPath(); ok {
		network, address = "unix", path
		removeStale(path)
	}
	if err := security.CheckAddress(network, address); err != nil {
		return withHint(fmt.Errorf("--broker.bind: %w", err),
			"give --broker.auth-keys or --broker.server-ca-file, or listen on 127.0.0.1, or say that you want it with --broker.insecure")
	}
	debug, err := m.debugAddress(security)
	if err != nil {
		return err
	}
	if m.listener, err = net.Listen(network, address); err != nil {
		return withHint(fmt.Errorf("--broker.port: %w", err), "choose another with --broker.port, or 0 for any that is free")
	}
	if debug == "" {
		return nil
	}
	if m.debug, err = net.Listen("tcp", debug); err != nil {
		return errors.Join(withHint(fmt.Errorf("--debug.port: %w", err), "choose another with --debug.port"), m.listener.Close())
	}
	return nil
}

// debugAddress is where diagnostics get a port of their own, which asks nobody who they are: "" is nowhere.
func (m *member) debugAddress(security broker.Security) (string, error) {
	address := m.flags.debug.port
	if address == "" {
		return "", nil
	}
	if !strings.Contains(address, ":") {
		address = net.JoinHostPort("127.0.0.1", address)
	}
	if err := security.CheckDebugAddress("tcp", address); err != nil {
		return "", withHint(fmt.Errorf("--debug.port: %w", err),
			"give the port alone, which is of 127.0.0.1, or say that you want it with --broker.insecure")
	}
	return address, nil
}

// removeStale removes a socket on which nobody listens, as a broker that was killed leaves it.
func removeStale(path string) {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close() // It is in use, as is about to be found.
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // If that fails so does to listen there.
	}
}

func (m *member) closeListeners() {
	for _, ln := range []net.Listener{m.listener, m.debug} {
		if ln != nil {
			_ = ln.Close() // As a rule the broker has.
		}
	}
}

// run the broker until ctx is done.
func (m *member) run(ctx context.Context, security broker.Security) error {
	etcd, err := m.flags.etcd.Dial(ctx, m.log)
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
func (m *member) config(security broker.Security) (broker.Config, error) {
	f := m.flags
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
	suffix, err := brokerName(dir, f.zone, f.id)
	if err != nil {
		return broker.Config{}, err
	}
	endpoint, err := f.endpointAt(portOf(m.listener), security.Scheme())
	if err != nil {
		return broker.Config{}, err
	}
	metrics := prometheus.NewRegistry()
	return broker.Config{
		ID:       &protocol.ProcessSpec_ID{Zone: f.zone, Suffix: suffix},
		Endpoint: endpoint, Listeners: []net.Listener{m.listener},
		Prefix: f.etcd.Prefix, MaxTxnOps: f.etcd.MaxTxnOps, LeaseTTL: f.etcd.Lease, WatchDelay: f.watchDelay,
		JournalLimit: f.limits.journals, OpenFiles: files, MaxReplication: f.limits.replication, MaxMessage: f.limits.message, MaxUploads: f.limits.uploads,
		MaxAppendRate: f.limits.maxRate, MinAppendRate: f.limits.minRate, AutoSuspend: f.autoSuspend,
		Dir: dir, Mode: mode, Stores: m.stores, GatherTotal: memory, IdleTimeout: f.limits.idle, Grace: f.grace, Drain: f.drain,
		Security: security, AllowOrigins: f.allowOrigins, AllowedHosts: f.allowedHosts,
		Debug:  broker.Debug{Listener: m.debug, Private: f.debug.private, Profiling: f.debug.profiling},
		Logger: m.log.With(slog.String("role", "broker")), Registerer: metrics, Gatherer: metrics,
	}, nil
}

// announce prints where the broker is, and that it serves once it does.
func (m *member) announce(ctx context.Context, b *broker.Broker) error {
	if _, err := fmt.Fprintf(m.out, "broker %s\n", m.listener.Addr()); err != nil {
		return err
	}
	if m.debug != nil {
		if _, err := fmt.Fprintf(m.out, "debug %s\n", m.debug.Addr()); err != nil {
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
