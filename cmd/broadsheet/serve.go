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
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/embedetcd"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/internal/supervise"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	dataDir, listen, sqlListen string
	ack                        string
	gatewayMemory              string
	allowedHosts               []string
	broker                     servedBrokerFlags
	auth                       sqlAuthFlags
	limits                     sqlLimitFlags
	log                        roles.Log
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run everything on this machine: etcd, a broker, a host of shards and the SQL gateway",
		Long: `Run everything on this machine: etcd inside this process, a broker, a host of shards whose applications
are programs in any language, and the SQL gateway as a child process that is restarted if it dies. Nothing
else needs to be installed.

It opens two TCP ports, gRPC and HTTP on one, Postgres on the other, and prints their addresses;
"ready" follows once all serve. SIGTERM or Ctrl-C stops it cleanly.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &f, cmd.OutOrStdout()) },
	}
	p := cmd.Flags()
	p.StringVar(&f.dataDir, "data-dir", "./data", "directory that everything is kept in")
	p.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address for gRPC and HTTP")
	p.StringVar(&f.sqlListen, "sql-listen", "127.0.0.1:5433", "address for Postgres clients")
	p.StringVar(&f.ack, "ack", "synced", "when an append is acknowledged: synced (it is on disk) or replicated (brokers hold it)")
	p.StringVar(&f.gatewayMemory, "gateway.memory", "4GiB", "most memory of the SQL gateway's process")
	p.StringSliceVar(&f.allowedHosts, "allowed-hosts", nil, "names by which HTTP may be asked for, besides localhost and addresses of loopback")
	f.broker.add(p)
	f.auth.add(p)
	f.limits.add(p)
	f.log.Add(p)
	roles.BindEnv(cmd, roles.OurVariable)
	return cmd
}

// leaseTTL is long: nobody waits for the lease of a server that was killed, because its next
// start revokes it, and a server that was suspended for less goes on as if nothing was.
const leaseTTL = 5 * time.Minute

// node is the running server: what serve opens, in this order, and closes in reverse.
type node struct {
	flags  *serveFlags
	served servedBroker
	// trusts tells that Postgres clients prove nothing.
	trusts bool
	log    *slog.Logger
	out    io.Writer

	dir  *datadir.Dir
	etcd *embedetcd.Server

	stores       *store.Registry
	shards       *shardHost
	broker, sql  net.Listener
	gatewayReady atomic.Bool
	gatewayUp    chan struct{} // closed when the gateway is ready for the first time
}

func serve(ctx context.Context, f *serveFlags, out io.Writer) error {
	if !canServeSQL {
		return withHint(errors.New("serve needs the SQL gateway, and this binary was built without it"), "build it with CGO_ENABLED=1: 'make build'")
	}
	log, err := f.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	served, err := f.broker.read(f.listen)
	if err != nil {
		return err
	}
	auth, err := f.auth.read(f.sqlListen, log)
	if err != nil {
		return err
	}
	if err := f.auth.checkPassword(ctx, log); err != nil {
		return err
	}
	if err := f.limits.validate(); err != nil {
		return err
	}
	if _, err := ackMode(f.ack); err != nil {
		return err
	}
	if _, err := memoryCeiling("gateway.memory", f.gatewayMemory); err != nil {
		return err
	}
	n := &node{flags: f, served: served, trusts: auth.rules == nil, log: log, out: out, gatewayUp: make(chan struct{})}
	if n.dir, err = roles.OpenDir(f.dataDir); err != nil {
		return err
	}
	return errors.Join(n.run(ctx), n.dir.Close())
}

// run starts etcd, the broker and the gateway, and serves until ctx is done.
func (n *node) run(ctx context.Context) error {
	etcdDir, err := n.dir.Sub("etcd")
	if err != nil {
		return err
	}
	etcd, err := embedetcd.Start(ctx, embedetcd.Config{Dir: etcdDir, RunDir: n.dir.Run(), Logger: n.log, Fatal: n.etcdFailed})
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	n.etcd = etcd
	if n.broker, err = listen("listen", n.flags.listen); err != nil {
		return err
	}
	if n.sql, err = listen("sql-listen", n.flags.sqlListen); err != nil {
		return errors.Join(err, n.broker.Close())
	}
	defer func() { _ = n.sql.Close() }()
	return n.serveRoles(ctx)
}

// etcdFailed ends the process, as etcd, which can't be stopped in order any more, asks for. What was acknowledged is on disk.
func (n *node) etcdFailed(err error) {
	hint := "what was acknowledged is on disk: start the server again"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		hint = "make room on the disk of " + n.dir.Path() + ", and start the server again: what was acknowledged is on it"
	}
	speech.Say(os.Stderr, "broadsheet", withHint(fmt.Errorf("etcd: %w", err), hint))
	os.Exit(1)
}

func listen(flag, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, withHint(fmt.Errorf("--%s: %w", flag, err), "choose another address with --"+flag+", or port 0 for any that is free")
	}
	return ln, nil
}

// serveRoles runs the broker and, once that is ready, the host of shards and the gateway. When ctx ends these
// go first, so that transactions and statements can still reach the broker.
func (n *node) serveRoles(ctx context.Context) error {
	defer func() { _ = n.broker.Close() }() // As a rule the broker has.
	endpoint, err := n.flags.broker.endpoint(n.broker.Addr(), n.served.security)
	if err != nil {
		return err
	}
	etcd, err := n.etcd.Client(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = etcd.Close() }()
	if n.shards, err = n.newShardHost(ctx, etcd, endpoint); err != nil {
		return err
	}
	defer n.shards.close()
	b, err := n.newBroker(etcd, endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = n.stores.Close() }()
	// The broker outlives ctx until its clients have ended.
	tasks := task.New(context.WithoutCancel(ctx), "serve")
	clients := task.New(ctx, "serve")
	context.AfterFunc(tasks.Context(), clients.Cancel)
	tasks.Go("broker", b.Serve)
	tasks.Go("sweep", func(ctx context.Context) error { return sweepStores(ctx, n.stores, n.log) })
	clients.Go("shards", func(ctx context.Context) error { return n.shards.serve(ctx, b.Ready()) })
	clients.Go("gateway", func(ctx context.Context) error {
		select {
		case <-b.Ready():
		case <-ctx.Done():
			return nil
		}
		return n.superviseGateway(ctx)
	})
	clients.Go("announce", func(ctx context.Context) error { return n.announce(ctx) })
	err = clients.Wait()
	tasks.Cancel()
	return errors.Join(err, tasks.Wait())
}

// announce prints the addresses, and that everything serves once it does.
func (n *node) announce(ctx context.Context) error {
	_, err := fmt.Fprintf(n.out, "broker %s\nsql %s\n", n.broker.Addr(), n.sql.Addr())
	if err != nil {
		return err
	}
	if n.trusts {
		n.log.LogAttrs(ctx, slog.LevelInfo, "SQL clients of this machine are trusted: whoever isn't a role is the superuser; --sql-hba asks them for proof")
	}
	for _, up := range []<-chan struct{}{n.gatewayUp, n.shards.Ready()} {
		select {
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
	_, err = fmt.Fprintln(n.out, "ready")
	return err
}

// sweepStores removes what uploads that a crash ended have left in the stores.
func sweepStores(ctx context.Context, stores *store.Registry, log *slog.Logger) error {
	removed, err := stores.Sweep(ctx)
	if err != nil && ctx.Err() == nil {
		log.LogAttrs(ctx, slog.LevelWarn, "unfinished uploads weren't removed from the store", slog.Any("error", err))
	}
	if removed > 0 {
		log.LogAttrs(ctx, slog.LevelInfo, "removed unfinished uploads from the store", slog.Int("files", removed))
	}
	return nil
}

// clientsState is what isn't ready besides the broker, for /debug/ready.
func (n *node) clientsState() string {
	select {
	case <-n.shards.Ready():
	default:
		return "the host of shards"
	}
	if n.gatewayReady.Load() {
		return ""
	}
	return "the gateway"
}

// brokerSocket is where the gateway reaches the broker.
func (n *node) brokerSocket() string { return filepath.Join(n.dir.Run(), "broker.sock") }

// newBroker makes the broker, at whose ports the host of shards is, and opens its stores.
func (n *node) newBroker(etcd *clientv3.Client, endpoint string) (*broker.Broker, error) {
	mode, err := ackMode(n.flags.ack)
	if err != nil {
		return nil, err
	}
	files, err := openFiles()
	if err != nil {
		return nil, err
	}
	dir, err := n.dir.Sub("broker")
	if err != nil {
		return nil, err
	}
	fragments, err := n.dir.Sub("fragments")
	if err != nil {
		return nil, err
	}
	socket, err := net.Listen("unix", n.brokerSocket())
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if n.stores, err = n.flags.broker.openStores(fragments); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	metrics := prometheus.NewRegistry()
	b, err := broker.New(broker.Config{
		ID:       &protocol.ProcessSpec_ID{Zone: "local", Suffix: "broker-1"},
		Endpoint: endpoint, Security: n.served.security, Listeners: []net.Listener{n.broker, socket},
		Etcd: etcd, Prefix: defaultBrokerPrefix, MaxTxnOps: embedetcd.MaxTxnOps, LeaseTTL: leaseTTL,
		JournalLimit: n.flags.broker.limit, Alone: true, OpenFiles: files, Dir: dir, Mode: mode, Stores: n.stores, AllowedHosts: n.flags.allowedHosts,
		Logger: n.log.With(slog.String("role", "broker")), Registerer: metrics, Gatherer: prometheus.Gatherers{metrics, n.shards.metrics},
		Neighbour: n.shards.neighbour(), AlsoReady: n.clientsState,
	})
	if err != nil {
		return nil, errors.Join(err, socket.Close(), n.stores.Close())
	}
	return b, nil
}

func ackMode(s string) (spool.Mode, error) {
	switch s {
	case "synced":
		return spool.Synced, nil
	case "replicated":
		return spool.Replicated, nil
	default:
		return 0, withHint(fmt.Errorf("--ack: unknown mode %q", s), "modes are synced and replicated")
	}
}

const unixScheme = "unix://"

// superviseGateway keeps the gateway's process alive. The listener is ours, so that clients
// who come while the gateway is away wait for the next one.
func (n *node) superviseGateway(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	temp, err := n.dir.Sub("gateway")
	if err != nil {
		return err
	}
	tcp, ok := n.sql.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("sql-listen: %s isn't TCP", n.sql.Addr())
	}
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("sql-listen: %w", err)
	}
	defer func() { _ = file.Close() }()
	up := sync.OnceFunc(func() { close(n.gatewayUp) })
	child := supervise.Child{
		Env:  append(n.served.childEnv(), allocators()...),
		Name: "gateway", Path: self, Files: []*os.File{file}, Stderr: os.Stderr, Logger: n.log,
		Args: append([]string{
			"gateway", "--sql-listen", "fd:" + strconv.Itoa(supervise.FirstFile),
			"--etcd.address", n.etcd.Endpoint(), "--etcd.prefix", defaultCatalogPrefix,
			"--broker.address", "unix://" + n.brokerSocket(),
			"--file-root", filepath.Join(n.dir.Path(), "fragments"), "--temp-dir", temp,
			"--views.listen", unixScheme + filepath.Join(n.dir.Run(), "views.sock"), "--views.max-hot-standbys", "0",
			"--memory", n.flags.gatewayMemory, "--grace", "0s", "--log.level", n.flags.log.Level, "--log.format", n.flags.log.Format,
		}, slices.Concat(n.flags.broker.args(), n.flags.auth.args(), n.flags.limits.args())...),
		OnExit: func(int) { n.gatewayReady.Store(false) },
		OnReady: func(pid int) {
			n.gatewayReady.Store(true)
			up()
			n.log.LogAttrs(ctx, slog.LevelInfo, "gateway is ready", slog.Int("pid", pid))
		},
	}
	return child.Run(ctx)
}
