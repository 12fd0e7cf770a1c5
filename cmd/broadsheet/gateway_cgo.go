//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/supervise"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// gatewayBuild tells whether this binary can serve SQL.
const gatewayBuild = "with the SQL gateway"

const canServeSQL = true

// gatewayFlags are the flags of the gateway role.
type gatewayFlags struct {
	etcd, prefix, broker string
	listen               string
	fragments, dir       string
	memory               string
	auth                 sqlAuthFlags
	log                  logFlags
}

func gatewayCommand() *cobra.Command {
	var f gatewayFlags
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Serve SQL over the journals of a cluster",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runGateway(cmd.Context(), &f) },
	}
	p := cmd.Flags()
	p.StringVar(&f.etcd, "etcd.address", "", "address of etcd: unix:///path, or http://host:port")
	p.StringVar(&f.prefix, "etcd.prefix", defaultCatalogPrefix, "prefix of the catalog's keys in etcd")
	p.StringVar(&f.broker, "broker.address", "", "address of a broker: unix:///path, or http://host:port")
	p.StringVar(&f.listen, "sql-listen", "127.0.0.1:5433", "address for Postgres clients, or fd:N for a listener that was handed down")
	p.StringVar(&f.fragments, "file-root", "", "directory that file:/// stores are rooted at")
	p.StringVar(&f.dir, "temp-dir", "", "directory of its own: for what doesn't fit into memory, and proofs of fragments")
	p.StringVar(&f.memory, "memory", "4GiB", "most memory of this process")
	f.auth.add(p)
	f.log.add(p)
	bindEnv(cmd, ourVariable)
	return cmd
}

func (f *gatewayFlags) validate() error {
	for name, v := range map[string]string{
		"etcd.address": f.etcd, "broker.address": f.broker, "file-root": f.fragments, "temp-dir": f.dir,
	} {
		if v == "" {
			return withHint(fmt.Errorf("gateway: --%s is missing", name), "'broadsheet serve' runs a gateway by itself; for a fleet, say where etcd and the brokers are")
		}
	}
	return nil
}

// runGateway serves until ctx is done or the parent is gone.
func runGateway(ctx context.Context, f *gatewayFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	log, err := f.log.logger(os.Stderr)
	if err != nil {
		return err
	}
	log = log.With(slog.String("role", "gateway"))
	if err := supervise.Lifeline(func() { os.Exit(1) }); err != nil {
		return err
	}
	ceiling, err := memoryCeiling("memory", f.memory)
	if err != nil {
		return err
	}
	if err := limitMemory(ceiling); err != nil {
		return err
	}
	ln, auth, err := f.openSQL(log)
	if err != nil {
		return err
	}
	return serveGateway(ctx, f, gatewaySetup{ceiling: ceiling, ln: ln, auth: auth}, log)
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

// gatewaySetup is what a gateway's flags have come to.
type gatewaySetup struct {
	ceiling int64 // of memory
	ln      net.Listener
	auth    sqlAuth
}

// newWire returns the server of the Postgres port, having set the first password.
func newWire(ctx context.Context, backend pgwire.Backend, tables *catalog.Catalog, auth sqlAuth, log *slog.Logger) (*pgwire.Server, error) {
	users := sqlgw.Users{Catalog: tables}
	secret, err := tables.Secret(ctx)
	if err != nil {
		return nil, err
	}
	if auth.password != nil {
		set, err := users.SetFirstPassword(ctx, auth.password)
		if err != nil {
			return nil, err
		}
		if set {
			log.LogAttrs(ctx, slog.LevelInfo, "the role postgres has its first password")
		}
	}
	return pgwire.New(pgwire.Config{Backend: backend, Logger: log, TLS: auth.tls, Rules: auth.rules, Users: users, MockSecret: secret})
}

// serveGateway opens what the gateway works with, in order, and closes it in reverse.
func serveGateway(ctx context.Context, f *gatewayFlags, setup gatewaySetup, log *slog.Logger) error {
	// Errors of etcd are returned; the client would also print them, as JSON, to standard error,
	// where this program's log is: even those of statements that were cancelled.
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{f.etcd}, Context: ctx, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("etcd %s: %w", f.etcd, err)
	}
	defer func() { _ = etcd.Close() }()
	brokers, err := client.Dial(ctx, client.Config{Endpoint: f.broker})
	if err != nil {
		return fmt.Errorf("broker %s: %w", f.broker, err)
	}
	defer func() { _ = brokers.Close() }()
	tables, err := catalog.Open(ctx, catalog.Config{Etcd: etcd, Prefix: f.prefix, Journals: brokers, Stores: []string{"file:///"}, Logger: log})
	if err != nil {
		return err
	}
	stores, err := store.NewRegistry(store.RegistryConfig{FileRoot: f.fragments})
	if err != nil {
		return err
	}
	// DuckDB gets two fifths of the process: the rest is for decoded heads, results on their
	// way, and what it doesn't count.
	memory := setup.ceiling / 5 * 2
	engine, err := duck.Open(ctx, duck.Config{
		MemoryLimit: memory, Threads: engineThreads, TempDir: filepath.Join(f.dir, "duckdb"), FragmentRoot: f.fragments, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { _ = engine.Close() }()
	gateway, err := sqlgw.New(sqlgw.Config{
		Brokers: brokers, Catalog: tables, Engine: engine, Stores: stores, Database: "postgres",
		Queries: openQueries(memory), Unread: openQueries(memory), HeadCache: setup.ceiling / 8, Dir: filepath.Join(f.dir, "proofs"), Logger: log,
		Fatal: func(error) { os.Exit(1) }, // it was logged; whoever started this process starts another
	})
	if err != nil {
		return err
	}
	server, err := newWire(ctx, gateway, tables, setup.auth, log)
	if err != nil {
		return err
	}
	g := task.New(ctx, "gateway")
	g.Go("catalog", tables.Run)
	g.Go("sql", gateway.Run)
	g.Go("wire", func(ctx context.Context) error { return server.Serve(ctx, setup.ln) })
	log.LogAttrs(ctx, slog.LevelInfo, "serving SQL", slog.String("address", setup.ln.Addr().String()))
	if err := supervise.Ready(); err != nil {
		g.Cancel()
		return errors.Join(err, g.Wait())
	}
	return g.Wait()
}

const engineThreads = 2

// openQueries is how many queries may read tables with half of the engine's memory: as many work
// at a time, and as many wait for their clients. It is eight, if they are sure to find theirs.
func openQueries(memory int64) int {
	const each = engineThreads * 2 * columnar.MaxLine // to read files in place
	return int(min(8, memory/2/each))
}

// reserved is how much address space may be taken beyond the ceiling: by code, and by what is
// reserved and never used, such as the stacks of threads.
const reserved = 4 << 30

// limitMemory makes the kernel refuse this process more writable memory than the ceiling,
// which DuckDB reports as being out of memory, and bounds its address space. Go collects
// garbage harder as it gets near its share.
func limitMemory(ceiling int64) error {
	limits := map[int]uint64{unix.RLIMIT_DATA: uint64(ceiling), unix.RLIMIT_AS: uint64(ceiling) + reserved}
	for resource, most := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("memory ceiling: %w", err)
		}
		most = min(most, now.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("memory ceiling: %w", err)
		}
	}
	debug.SetMemoryLimit(ceiling / 4)
	return nil
}

// listenSQL listens on an address, or takes a listener over that the parent opened.
func listenSQL(address string) (net.Listener, error) {
	text, handed := strings.CutPrefix(address, "fd:")
	if !handed {
		return net.Listen("tcp", address)
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("--sql-listen: %q isn't a descriptor", address)
	}
	file := os.NewFile(uintptr(fd), "sql-listen")
	ln, err := net.FileListener(file)
	return ln, errors.Join(err, file.Close())
}
