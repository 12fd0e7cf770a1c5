//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/objectcache"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/supervise"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// gatewayBuild tells whether this binary can serve SQL.
const gatewayBuild = "with the SQL gateway"

const canServeSQL = true

func gatewayCommand() *cobra.Command {
	var f gatewayFlags
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Serve SQL over the journals of a fleet",
		Long: `Serve SQL over the journals of a fleet, as one of any number of gateways.

It prints its address; "ready" follows once it serves. SIGTERM or Ctrl-C stops it: sessions may go on for
--grace, and are ended with 57P01 then. A second one ends it at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGateway(cmd.Context(), &f, cmd.OutOrStdout()) },
	}
	f.add(cmd.Flags())
	roles.BindEnv(cmd, roles.OurVariable)
	return cmd
}

// runGateway serves until ctx is done or the parent, if there is one, is gone.
func runGateway(ctx context.Context, f *gatewayFlags, out io.Writer) error {
	if err := f.validate(); err != nil {
		return err
	}
	log, err := f.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	log = log.With(slog.String("role", "gateway"))
	if err := withAllocators(); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "memory is allocated as the environment says, and more of it is kept that isn't used", slog.Any("error", err))
	}
	if err := supervise.Lifeline(func() { os.Exit(1) }); err != nil {
		return err
	}
	r := &gatewayRole{flags: f, log: log, out: out, metrics: prometheus.NewRegistry()}
	if r.ceiling, err = memoryCeiling("memory", f.memory); err != nil {
		return err
	}
	if r.writable, err = limitMemory(ctx, r.ceiling, f.limits.sessions); err != nil {
		return err
	}
	return errors.Join(r.run(ctx), r.close())
}

// openSQL listens, and reads who may connect. Where the listener was handed down its address is looked at all the same:
// the rules may be others than those that the parent has read.
func (f *gatewayFlags) openSQL(log *slog.Logger) (net.Listener, sqlAuth, error) {
	ln, err := listenSQL(f.listen)
	if err != nil {
		return nil, sqlAuth{}, err
	}
	auth, err := f.auth.read(ln.Addr().String(), log)
	if err != nil {
		return nil, sqlAuth{}, errors.Join(err, ln.Close())
	}
	return ln, auth, nil
}

// gatewayRole is a running gateway: what it opens, and closes in reverse.
type gatewayRole struct {
	flags    *gatewayFlags
	log      *slog.Logger
	out      io.Writer
	metrics  *prometheus.Registry
	ceiling  int64 // of memory
	writable int64 // with the stacks of threads
	closers  []func() error

	listener, debug net.Listener // debug may be nil
	auth            sqlAuth
	dir             string
	etcd            *clientv3.Client
	brokers         *client.Client
	stores          *store.Registry
	objects         *objectcache.Cache // may be nil
	tables          *catalog.Catalog
	gateway         *sqlgw.Gateway
	views           *viewHost // may be nil
	server          *pgwire.Server
	ready           atomic.Bool
}

// closing notes what is to be closed at the end.
func (r *gatewayRole) closing(fn func() error) { r.closers = append(r.closers, fn) }

func (r *gatewayRole) close() error {
	var errs []error
	for _, closer := range slices.Backward(r.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// run opens what the gateway works with, in order, and serves.
func (r *gatewayRole) run(ctx context.Context) error {
	for _, open := range []func(context.Context) error{
		r.listen, r.openDir, r.openEtcd, r.openBrokers, r.openStores, r.openTables, r.openGateway, r.openWire,
	} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return r.serve(ctx)
}

func (r *gatewayRole) listen(context.Context) error {
	var err error
	if r.listener, r.auth, err = r.flags.openSQL(r.log); err != nil {
		return err
	}
	ln := r.listener
	r.closing(func() error { _ = ln.Close(); return nil }) // as a rule the server has
	if r.flags.debugPort == "" {
		return nil
	}
	if r.debug, err = net.Listen("tcp", r.flags.debugAddress()); err != nil {
		return withHint(fmt.Errorf("--debug.port: %w", err), "choose another with --debug.port")
	}
	debug := r.debug
	r.closing(func() error { _ = debug.Close(); return nil }) // as a rule the server has
	return nil
}

// openDir takes hold of the directory.
func (r *gatewayRole) openDir(context.Context) error {
	if r.dir = r.flags.dir; r.dir != "" {
		return nil
	}
	data, err := roles.OpenDir(r.flags.dataDir)
	if err != nil {
		return err
	}
	r.closing(data.Close)
	r.dir, err = data.Sub("gateway")
	return err
}

func (r *gatewayRole) openEtcd(ctx context.Context) error {
	var err error
	if r.etcd, err = r.flags.etcd.Dial(ctx, r.log); err != nil {
		return err
	}
	r.closing(func() error { _ = r.etcd.Close(); return nil }) // its error is that of a context
	return nil
}

// patience is for how long a statement waits for the brokers of its journals: longer than it takes until others have those of one
// that died.
const patience = time.Minute

func (r *gatewayRole) openBrokers(ctx context.Context) error {
	cfg, err := r.flags.broker.Config(r.log)
	if err != nil {
		return err
	}
	cfg.Metrics, cfg.Patience = r.metrics, patience
	if r.brokers, err = client.Dial(ctx, cfg); err != nil {
		return fmt.Errorf("--broker.address: %w", err)
	}
	r.closing(func() error { _ = r.brokers.Close(); return nil }) // all RPCs have ended
	return nil
}

// openStores makes the registry of stores, and the cache of what isn't in files.
func (r *gatewayRole) openStores(context.Context) error {
	drivers, err := cloud.Drivers(cloud.Config{})
	if err != nil {
		return err
	}
	entries, err := readStores(r.flags.stores, r.flags.fileRoot)
	if err != nil {
		return err
	}
	cfg := store.RegistryConfig{FileRoot: r.flags.fileRoot, Entries: entries, Drivers: drivers, Registerer: r.metrics}
	if r.stores, err = store.NewRegistry(cfg); err != nil {
		return fmt.Errorf("stores: %w", err)
	}
	r.closing(r.stores.Close)
	bound, err := r.flags.cacheBound()
	if err != nil || bound == 0 || r.flags.stores == "" {
		return err
	}
	dir := r.flags.cacheDir
	if dir == "" {
		dir = filepath.Join(r.dir, "objects")
	}
	r.objects, err = objectcache.Open(objectcache.Config{Dir: dir, Bound: bound, Stores: r.stores, Logger: r.log, Registerer: r.metrics})
	if err != nil {
		return withHint(err, "give each gateway a directory of its own, with --data-dir or --cache-dir")
	}
	r.flags.cacheDir = dir
	r.closing(r.objects.Close)
	return nil
}

func (r *gatewayRole) openTables(ctx context.Context) error {
	entries, err := readStores(r.flags.stores, r.flags.fileRoot)
	if err != nil {
		return err
	}
	defaults, err := resolveDefaults(r.flags.defaults, entries)
	if err != nil {
		return err
	}
	r.tables, err = catalog.Open(ctx, catalog.Config{Etcd: r.etcd, Prefix: r.flags.etcd.Prefix, Journals: r.brokers, Stores: defaults, Logger: r.log})
	return err
}

// openGateway opens the engine and the gateway. DuckDB gets two fifths of the process: the rest is for decoded heads, results on their
// way, and what it doesn't count.
func (r *gatewayRole) openGateway(ctx context.Context) error {
	memory := r.ceiling / 5 * 2
	cfg := duck.Config{
		MemoryLimit: memory, Threads: engineThreads, TempDir: filepath.Join(r.dir, "duckdb"), FragmentRoot: r.flags.fileRoot,
		Logger: r.log, Registerer: r.metrics,
	}
	if r.objects != nil {
		cfg.CacheDir = r.flags.cacheDir
	}
	engine, err := duck.Open(ctx, cfg)
	if err != nil {
		return err
	}
	r.closing(func() error { _ = engine.Close(); return nil }) // nothing is lost by it
	if err := r.openViews(engine); err != nil {
		return err
	}
	limits := r.flags.limits.statements
	queries := openQueries(memory)
	if limits.queries > 0 {
		queries = min(queries, limits.queries)
	}
	r.gateway, err = sqlgw.New(sqlgw.Config{
		Views: r.views.reads(), Brokers: r.brokers, Catalog: r.tables, Engine: engine, Stores: r.stores, Objects: r.objects, Database: "postgres",
		Queries: queries, Unread: openQueries(memory), Limits: sqlgw.Limits{Rows: limits.rows, Timeout: limits.timeout, MaxTimeout: limits.maxTimeout},
		HeadCache: r.ceiling / 8, Parsing: r.ceiling / 4, Dir: filepath.Join(r.dir, "proofs"), Logger: r.log,
		Fatal: func(error) { os.Exit(1) }, // it was logged; whoever started this process starts another
	})
	return err
}

// openWire makes the server of the Postgres port, having set the first password.
func (r *gatewayRole) openWire(ctx context.Context) error {
	users := sqlgw.Users{Catalog: r.tables}
	secret, err := r.tables.Secret(ctx)
	if err != nil {
		return err
	}
	if r.auth.password != nil {
		set, err := users.SetFirstPassword(ctx, r.auth.password)
		if err != nil {
			return err
		}
		if set {
			r.log.LogAttrs(ctx, slog.LevelInfo, "the role postgres has its first password")
		}
	}
	limits := r.flags.limits
	r.server, err = pgwire.New(pgwire.Config{
		Backend: r.gateway, Logger: r.log, TLS: r.auth.tls, Rules: r.auth.rules, Users: users, MockSecret: secret,
		MaxSessions: limits.sessions, MaxStarting: limits.starting, StartupTimeout: limits.startup,
		MaxPerAddress: limits.perAddress, MaxStartingPerAddress: limits.startingPerAddress,
	})
	return err
}
