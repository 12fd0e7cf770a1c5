package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client"
	clientflags "broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Options of a program. The zero value has a name that is the executable's.
type Options struct {
	// Name of the application: that of the command, and the last part of its keys' prefix in etcd.
	Name string
	// Short and Long tell in the command's help what the application does.
	Short, Long string
	// Prefix of its keys in etcd. Default: /gazette/consumers/<Name>.
	Prefix string
	// DataDir is the default of --data-dir. Default: ./<Name>-data.
	DataDir string

	// Flags adds flags of the application's own.
	Flags func(*pflag.FlagSet)
	// Init is called once flags are known, and before anything is served: it may change the configuration, by which the
	// application registers services, say, or say why it can't be.
	Init func(ctx context.Context, cfg *consumer.Config) error
	// Bind is called with the host before it serves: to resolve shards, it is needed by services of the application.
	Bind func(*consumer.Host)
	// Close is called once the host serves no more, if Init was called and returned no error.
	Close func() error
}

func (o Options) name() string    { return cmp.Or(o.Name, filepath.Base(os.Args[0])) }
func (o Options) prefix() string  { return cmp.Or(o.Prefix, "/gazette/consumers/"+o.name()) }
func (o Options) dataDir() string { return cmp.Or(o.DataDir, "./"+o.name()+"-data") }

// Main runs the program and ends it: with 0, or with 1 and the error on standard error.
func Main(app consumer.Application, o Options) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	cmd := Command(app, o)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return speech.WithHint(err, "run '"+c.CommandPath()+" --help' to see its flags")
	})
	if err := cmd.ExecuteContext(ctx); err != nil {
		speech.Say(os.Stderr, o.name(), err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// Command that runs the shards of an application until its context is done. The application may be nil if Init sets it.
func Command(app consumer.Application, o Options) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: o.name(), Short: o.Short, Long: o.Long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := &program{flags: &f, options: o, app: app, out: cmd.OutOrStdout()}
			return p.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd.Flags(), o)
	if o.Flags != nil {
		o.Flags(cmd.Flags())
	}
	roles.BindEnv(cmd, roles.MemberVariables)
	return cmd
}

// program that runs: what it opens, in this order, and closes in reverse.
type program struct {
	flags   *flags
	options Options
	app     consumer.Application
	log     *slog.Logger
	out     io.Writer

	listeners *clientflags.Listeners
	dir       *datadir.Dir
}

func (p *program) run(ctx context.Context, stderr io.Writer) error {
	log, err := p.flags.process.Log.Logger(stderr)
	if err != nil {
		return err
	}
	p.log = log.With(slog.String("role", "consumer"))
	if err := p.flags.validate(); err != nil {
		return err
	}
	security, err := p.flags.process.Security()
	if err != nil {
		return err
	}
	cfg := consumer.Config{Application: p.app}
	if err := cfg.Secure("consumer", security, p.log); err != nil {
		return err
	}
	if cfg.ID, err = p.flags.process.Identity(p.flags.process.ID); err != nil {
		return err
	}
	if p.listeners, err = p.flags.process.Listen(security); err != nil {
		return err
	}
	defer p.listeners.Close()
	if cfg.Endpoint, err = p.flags.process.EndpointAt(p.listeners.Shared, security); err != nil {
		return err
	}
	if p.dir, err = roles.OpenDir(p.flags.dataDir); err != nil {
		return err
	}
	return errors.Join(p.connect(ctx, cfg), p.dir.Close())
}

// connect to etcd and brokers, and serve.
func (p *program) connect(ctx context.Context, cfg consumer.Config) error {
	metrics := prometheus.NewRegistry()
	p.flags.broker.Zone = p.flags.process.Zone
	brokersConfig, err := p.flags.broker.Config(p.log)
	if err != nil {
		return err
	}
	brokersConfig.Metrics = metrics
	if cfg.Etcd, err = p.flags.process.Etcd.Dial(ctx, p.log); err != nil {
		return err
	}
	defer func() { _ = cfg.Etcd.Close() }() // Its error is that of a context.
	if cfg.Brokers, err = client.Dial(ctx, brokersConfig); err != nil {
		return speech.WithHint(fmt.Errorf("--broker.address: %w", err), "say where a broker is with --broker.address")
	}
	defer func() { _ = cfg.Brokers.Close() }() // All RPCs have ended.
	if err := p.complete(&cfg, metrics); err != nil {
		return err
	}
	if p.options.Init != nil {
		if err := p.options.Init(ctx, &cfg); err != nil {
			return err
		}
	}
	err = p.serve(ctx, cfg, metrics)
	if p.options.Close != nil {
		err = errors.Join(err, p.options.Close())
	}
	return err
}

// complete the configuration by what flags say.
func (p *program) complete(cfg *consumer.Config, metrics *prometheus.Registry) error {
	f := p.flags
	var err error
	if cfg.Dir, err = p.dir.Sub("consumer"); err != nil {
		return err
	}
	cfg.Listeners = []net.Listener{p.listeners.Shared}
	cfg.Prefix, cfg.MaxTxnOps, cfg.LeaseTTL = f.process.Etcd.Prefix, f.process.Etcd.MaxTxnOps, f.process.Etcd.Lease
	cfg.ShardLimit, cfg.HintsInterval, cfg.MaxMessage = f.limit, f.hints, f.message
	if cfg.MaxHotStandbys = f.standbys; f.standbys == 0 {
		cfg.MaxHotStandbys = -1
	}
	cfg.WatchDelay, cfg.AllowOrigins, cfg.Drain, cfg.Grace = f.process.WatchDelay, f.process.AllowOrigins, f.process.Drain, f.process.Grace
	cfg.Logger, cfg.Registerer, cfg.AllowedHosts = p.log, metrics, f.allowedHosts
	if !f.process.DebugPrivate {
		cfg.Gatherer = metrics
	}
	return nil
}

// serve until ctx is done, in order then, or what serves has failed.
func (p *program) serve(ctx context.Context, cfg consumer.Config, metrics *prometheus.Registry) error {
	host, err := consumer.New(cfg)
	if err != nil {
		return err
	}
	if p.options.Bind != nil {
		p.options.Bind(host)
	}
	tasks := task.New(context.WithoutCancel(ctx), "consumer")
	serving, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(tasks.Context(), end)()
	tasks.Go("serve", func(context.Context) error {
		defer tasks.Cancel()
		return etcdHint(host.Serve(serving))
	})
	tasks.Go("announce", func(ctx context.Context) error { return p.announce(ctx, host) })
	if p.listeners.Debug != nil {
		tasks.Go("debug", func(ctx context.Context) error {
			return p.serveDebug(ctx, serving, host, metrics, auth.NewVisitors(cfg.Endpoint, cfg.AllowedHosts, cfg.AllowOrigins))
		})
	}
	return tasks.Wait()
}

// announce prints where the process is, and that it serves once it does.
func (p *program) announce(ctx context.Context, host *consumer.Host) error {
	if _, err := fmt.Fprintf(p.out, "consumer %s\n", p.listeners.Shared.Addr()); err != nil {
		return err
	}
	if p.listeners.Debug != nil {
		if _, err := fmt.Fprintf(p.out, "debug %s\n", p.listeners.Debug.Addr()); err != nil {
			return err
		}
	}
	select {
	case <-host.Ready():
		_, err := fmt.Fprintln(p.out, "ready")
		return err
	case <-ctx.Done():
		return nil
	}
}

// etcdHint says what to do about an etcd that is refused.
func etcdHint(err error) error {
	if _, ok := errors.AsType[*keyspace.VersionError](err); ok {
		return speech.WithHint(err, "upgrade etcd, or say where another is with --etcd.address")
	}
	return err
}
