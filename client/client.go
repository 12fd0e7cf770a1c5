package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/internal/task"
)

const (
	// maxMessage is the largest message that is sent or received, in bytes.
	maxMessage = 16 << 20
	// streamWindow and connWindow are how many bytes a broker may be ahead of a
	// reader, for one stream and for all.
	streamWindow, connWindow = 2 << 20, 32 << 20
	// minPause and maxPause bound the pauses between attempts.
	minPause, maxPause = 20 * time.Millisecond, 5 * time.Second
	// defaultKeepalive is beyond the five minutes that a gRPC server allows unless it
	// was told otherwise; a shorter one would have it close the connection.
	defaultKeepalive = 6 * time.Minute
	// explainedPatience is enough for an allocator to make room where that is possible.
	explainedPatience = 10 * time.Second
)

// Config of a Client.
type Config struct {
	// Endpoint of a broker: "http://host:port", "https://host:port" or "unix:///path". A
	// host in a unix URL is ignored, as it is in the endpoints of routes.
	Endpoint string
	// TLS of https endpoints; nil trusts what the system does. If Endpoint is https, no
	// broker is reached without TLS.
	TLS *tls.Config
	// Credentials of the process, if brokers ask for any.
	Credentials Credentials
	// Keepalive is how long a connection with running RPCs may be silent before it is
	// probed. 0 is six minutes; less asks for a server that allows it.
	Keepalive time.Duration
	// Routes are remembered, and brokers asked for what they have, if it has a size.
	Routes RouteCache
	// Fragments are read from their stores, by the URLs that brokers tell, instead of
	// through brokers, if it isn't nil. It needs Routes.
	Fragments *direct.Config
	// Patience is for how long a Barrier tries again what brokers refuse, or while none is reached, beginning with its
	// first failure; and for explainedPatience at most where a broker tells what the journal lacks, which lasts until
	// somebody acts. 0 is until its context ends.
	Patience time.Duration
	// AppendStreams lets Append send small appends, many at once, over one stream to each
	// broker that offers it.
	AppendStreams bool
	// Logger for what is retried; nil logs nothing.
	Logger *slog.Logger
	// Metrics to register the client's with; nil registers none.
	Metrics prometheus.Registerer
}

// Validate all that can be told without a broker.
func (c Config) Validate() error {
	if _, err := parseEndpoint(c.Endpoint); err != nil {
		return err
	}
	if c.Keepalive < 0 {
		return fmt.Errorf("keepalive %s: must not be negative", c.Keepalive)
	}
	if c.Patience < 0 {
		return fmt.Errorf("patience %s: must not be negative", c.Patience)
	}
	if err := c.Routes.Validate(); err != nil {
		return err
	}
	if c.Fragments == nil {
		return nil
	}
	if c.Routes.Size == 0 {
		return errors.New("fragments are read directly only with a route cache")
	}
	if err := c.Fragments.Validate(); err != nil {
		return fmt.Errorf("fragments: %w", err)
	}
	return nil
}

// Client talks to the brokers of one cluster: to the one of its endpoint, and with a
// route cache to all. Its methods may be called concurrently.
type Client struct {
	pool        *pool
	routes      *routes        // nil without a cache
	stores      *direct.Stores // nil if fragments aren't read from their stores
	streams     *streams       // nil without append streams
	tasks       *task.Group
	zone        string
	credentials Credentials
	metrics     *metrics
	log         *slog.Logger
	// pause before the attempt after the given one, counted from 0. It ends early with
	// the context's cause.
	pause    func(ctx context.Context, attempt int) error
	patience time.Duration // as of Config
	barriers barrierLines
}

// Dial returns a client of the broker at an endpoint. It doesn't wait for a
// connection: that is made, and made again when it is lost, as RPCs ask for it. The
// context bounds Dial only.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Endpoint, context.Cause(ctx))
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Keepalive == 0 {
		cfg.Keepalive = defaultKeepalive
	}
	c := &Client{
		routes: newRoutes(cfg.Routes), zone: cfg.Routes.Zone, credentials: cfg.Credentials,
		tasks: task.New(context.WithoutCancel(ctx), "client"), log: cfg.Logger, pause: pause, patience: cfg.Patience,
	}
	var err error
	if c.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Endpoint, err)
	}
	if cfg.Fragments != nil {
		if c.stores, err = direct.New(*cfg.Fragments); err != nil {
			return nil, fmt.Errorf("dial %s: fragments: %w", cfg.Endpoint, err)
		}
	}
	if c.pool, err = newPool(cfg); err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Endpoint, err)
	}
	if cfg.AppendStreams {
		c.streams = newStreams(c.tasks)
	}
	if c.routes != nil {
		c.tasks.Go("sweep", c.pool.sweep)
	}
	return c, nil
}

func dialOptions(cfg Config) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent("broadsheet"),
		// Brokers are reached directly, and no name server may change how.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minPause, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: maxPause,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: cfg.Keepalive, Timeout: 20 * time.Second}),
	}
}

// target is what gRPC dials, and how.
type target struct {
	grpc string
	tls  bool
}

// parseEndpoint returns what to dial for an endpoint.
func parseEndpoint(endpoint string) (target, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return target{}, fmt.Errorf("endpoint %q: isn't a URL", endpoint)
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return target{}, fmt.Errorf("endpoint %q: has more than a scheme, a host and a path", u.Redacted())
	case u.Scheme == "unix" && len(u.Path) > 1:
		return target{grpc: "unix://" + u.Path}, nil
	case u.Scheme == "unix":
		return target{}, fmt.Errorf("endpoint %q: names no socket", endpoint)
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, fmt.Errorf("endpoint %q: scheme %q isn't supported (expected http, https or unix)", endpoint, u.Scheme)
	case u.Hostname() == "" || u.Port() == "":
		return target{}, fmt.Errorf("endpoint %q: must name a host and a port", endpoint)
	case u.Path != "" && u.Path != "/":
		return target{}, fmt.Errorf("endpoint %q: has a path", endpoint)
	}
	return target{grpc: "dns:///" + u.Host, tls: u.Scheme == "https"}, nil
}

// Close ends all RPCs and the connections.
func (c *Client) Close() error {
	c.streams.close()
	c.tasks.Cancel()
	err := errors.Join(c.pool.close(), c.tasks.Wait())
	if c.stores != nil {
		c.stores.Close()
	}
	return err
}

// pause doubles from attempt to attempt, and is spread by a half so that clients
// which failed together don't come back together.
func pause(ctx context.Context, attempt int) error {
	d := min(maxPause, minPause<<min(attempt, 10))
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await pauses after a failed attempt. If the context ends first, its error wraps
// the failure too. It tells the log once that something lasts.
func (c *Client) await(ctx context.Context, attempt int, operation, journal string, failure error) error {
	const lasting = 6
	if attempt == lasting {
		c.log.LogAttrs(ctx, slog.LevelWarn, "broker keeps refusing, still trying",
			slog.String("operation", operation), slog.String("journal", journal), slog.String("error", failure.Error()))
	}
	if err := c.pause(ctx, attempt); err != nil {
		return fmt.Errorf("%w (last failure: %w)", err, failure)
	}
	return nil
}
