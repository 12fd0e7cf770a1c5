package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
)

func consumerCommand() *cobra.Command {
	var f consumerFlags
	cmd := &cobra.Command{
		Use:   "consumer",
		Short: "Run shards whose applications are programs in any language, as one host of a fleet",
		Long: `Run shards whose applications are programs in any language, as one host of a fleet that an etcd
coordinates. Programs reach their shards over gRPC (broadsheet.shard.v1) or in JSON (/v1/shards/transaction, commit and
state), at any of the hosts.

It prints its address; "ready" follows once it is given shards. SIGTERM or Ctrl-C makes it leave: it goes on
until others have its shards, or nobody can take them, for --consumer.drain at most. A second one ends it at
once: what wasn't committed is consumed again by who has the shard next.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runConsumer(cmd.Context(), &f, cmd.OutOrStdout()) },
	}
	f.add(cmd.Flags())
	roles.BindEnv(cmd, roles.MemberVariables)
	return cmd
}

// hostRole is a running consumer: what the role opens, in this order, and closes in reverse.
type hostRole struct {
	flags    *consumerFlags
	security broker.Security
	log      *slog.Logger
	out      io.Writer

	listener net.Listener
	dir      *datadir.Dir
	etcd     *clientv3.Client
	brokers  *client.Client
}

func runConsumer(ctx context.Context, f *consumerFlags, out io.Writer) error {
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
	r := &hostRole{flags: f, security: security, log: log, out: out}
	if err := r.listen(); err != nil {
		return err
	}
	defer func() { _ = r.listener.Close() }() // As a rule the host has.
	if r.dir, err = datadir.Open(f.dataDir); err != nil {
		return dataDirHint(err)
	}
	return errors.Join(r.run(ctx), r.dir.Close())
}

func (r *hostRole) listen() error {
	network, address := r.flags.address()
	if network == "unix" {
		removeStale(address)
	}
	if err := r.security.CheckAddress(network, address); err != nil {
		return withHint(fmt.Errorf("--consumer.bind: %w", err),
			"give --consumer.auth-keys or --consumer.server-ca-file, or listen on 127.0.0.1, or say that you want it with --consumer.insecure")
	}
	var err error
	if r.listener, err = net.Listen(network, address); err != nil {
		return withHint(fmt.Errorf("--consumer.port: %w", err), "choose another with --consumer.port, or 0 for any that is free")
	}
	return nil
}

// run the host until ctx is done.
func (r *hostRole) run(ctx context.Context) error {
	var err error
	if r.etcd, err = r.flags.etcd.Dial(ctx, r.log); err != nil {
		return err
	}
	defer func() { _ = r.etcd.Close() }() // Its error is that of a context.
	metrics := prometheus.NewRegistry()
	brokers, err := r.flags.broker.Config(r.log)
	if err != nil {
		return err
	}
	brokers.Metrics = metrics
	if r.brokers, err = client.Dial(ctx, brokers); err != nil {
		return fmt.Errorf("--broker.address: %w", err)
	}
	defer func() { _ = r.brokers.Close() }() // All RPCs have ended.
	cfg, err := r.config(metrics)
	if err != nil {
		return err
	}
	app, err := guest.New(guest.Config{Logger: cfg.Logger, Registerer: metrics})
	if err != nil {
		return err
	}
	defer app.Close()
	app.Configure(&cfg)
	host, err := consumer.New(cfg)
	if err != nil {
		return err
	}
	app.Bind(host)
	return r.serve(ctx, host)
}

// serve until ctx is done, in order then, or the announcement has failed.
func (r *hostRole) serve(ctx context.Context, host *consumer.Host) error {
	tasks := task.New(context.WithoutCancel(ctx), "consumer")
	serving, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(tasks.Context(), end)()
	tasks.Go("serve", func(context.Context) error {
		defer tasks.Cancel()
		return etcdHint(host.Serve(serving))
	})
	tasks.Go("announce", func(ctx context.Context) error { return r.announce(ctx, host) })
	return tasks.Wait()
}

// announce prints where the consumer is, and that it is given shards once it is.
func (r *hostRole) announce(ctx context.Context, host *consumer.Host) error {
	if _, err := fmt.Fprintf(r.out, "consumer %s\n", r.listener.Addr()); err != nil {
		return err
	}
	select {
	case <-host.Ready():
		_, err := fmt.Fprintln(r.out, "ready")
		return err
	case <-ctx.Done():
		return nil
	}
}

// config of the host, but for its application.
func (r *hostRole) config(metrics *prometheus.Registry) (consumer.Config, error) {
	f := r.flags
	dir, err := r.dir.Sub("consumer")
	if err != nil {
		return consumer.Config{}, err
	}
	id, err := f.processID()
	if err != nil {
		return consumer.Config{}, err
	}
	endpoint, err := f.endpointAt(portOf(r.listener), r.security.Scheme())
	if err != nil {
		return consumer.Config{}, err
	}
	log := r.log.With(slog.String("role", "consumer"))
	server, peer, err := certificates(r.security, log)
	if err != nil {
		return consumer.Config{}, err
	}
	return consumer.Config{
		ID: id, Endpoint: endpoint, Listeners: []net.Listener{r.listener}, Brokers: r.brokers,
		Etcd: r.etcd, Prefix: f.etcd.Prefix, MaxTxnOps: f.etcd.MaxTxnOps, LeaseTTL: f.etcd.Lease, WatchDelay: f.watchDelay,
		ShardLimit: f.limit, MaxHotStandbys: cmp.Or(f.hotStandbys, -1), HintsInterval: f.hintsInterval, Dir: dir,
		Keys: r.security.Keys, TLS: server, PeerTLS: peer, AllowOrigins: f.allowOrigins, Grace: f.grace, Drain: f.drain,
		Logger: log, Registerer: metrics, Gatherer: metrics,
	}, nil
}

// processID names the consumer: as it was told to, or for this life only, as nothing outlives a consumer but what is in etcd and journals.
func (f *consumerFlags) processID() (*protocol.ProcessSpec_ID, error) {
	name := f.id
	if name == "" {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		name = "consumer-" + hex.EncodeToString(b[:])
	}
	id := &protocol.ProcessSpec_ID{Zone: f.zone, Suffix: name}
	if err := id.Validate(); err != nil {
		return nil, withHint(fmt.Errorf("consumer %s in zone %s: %w", name, f.zone, err), "choose another --consumer.id or --consumer.zone")
	}
	return id, nil
}

// certificates of listeners, and of connections to other consumers: each nil if it is none of ours.
func certificates(s broker.Security, log *slog.Logger) (*tls.Config, *tls.Config, error) {
	var server, peer *tls.Config
	if !s.Server.IsZero() {
		source, err := certs.Load(s.Server, log)
		if err != nil {
			return nil, nil, fmt.Errorf("--consumer.server-cert-file: %w", err)
		}
		if server, err = source.Server("h2", "http/1.1"); err != nil {
			return nil, nil, fmt.Errorf("--consumer.server-cert-file: %w", err)
		}
	}
	if !s.Peer.IsZero() {
		source, err := certs.Load(s.Peer, log)
		if err != nil {
			return nil, nil, fmt.Errorf("--consumer.peer-cert-file: %w", err)
		}
		peer = source.Client()
	}
	return server, peer, nil
}
