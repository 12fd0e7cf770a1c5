package consumer

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Config of a Host. Fields with a default take it when they are zero.
type Config struct {
	// ID of this process: its zone, and what is unique there.
	ID *protocol.ProcessSpec_ID
	// Endpoint URL at which clients and other hosts reach this one.
	Endpoint string
	// Listeners that gRPC and HTTP/1 share. The host closes them. If there are none, what Host.RegisterServices and Host.Handler
	// have is served by somebody else at the Endpoint.
	Listeners []net.Listener
	// Application that the shards run.
	Application Application
	// Brokers that journals are read and appended by. The caller closes it after Serve has returned.
	Brokers *client.Client
	// RecoveryLogs plays them; nil has those that are journals of the Brokers.
	RecoveryLogs RecoveryLogs

	// Etcd client. The caller closes it after Serve has returned.
	Etcd *clientv3.Client
	// Prefix of the application's keys in etcd, as /gazette/consumers/<application>.
	Prefix string
	// MaxTxnOps that etcd allows in a transaction. Default: that of etcd.
	MaxTxnOps int
	// LeaseTTL is how long assignments outlive a process that dies. Default: 20 s.
	LeaseTTL time.Duration
	// WatchDelay is how long a change in etcd may wait for others. Default: keyspace.DefaultBatchDelay.
	WatchDelay time.Duration
	// ShardLimit is the most shards that this process takes. Default: 1024.
	ShardLimit int
	// MaxHotStandbys caps how many standbys a shard has, whatever its spec says. Default: 3; less than 0 is none.
	MaxHotStandbys int
	// HintsInterval is how often a primary writes its hints. Default: 5 minutes.
	HintsInterval time.Duration

	// MaxMessage is the most bytes that a gRPC message to us may have. Default: 4 MiB.
	MaxMessage int

	// Dir is the host's directory: files of shards while they run, and its lease. One process has it at a time.
	Dir string

	// Register adds the application's own services to the gRPC server, and Capabilities says what a token must allow for
	// each of their methods; those that it doesn't name are refused while Keys are set.
	Register     func(s grpc.ServiceRegistrar)
	Capabilities map[string]auth.Capability
	// Handlers are what the application serves over HTTP.
	Handlers []Handler
	// Keys that tokens are signed and verified with. Nil demands no token.
	Keys *auth.Keyring
	// TLS of the listeners, but of unix sockets; PeerTLS of connections to other hosts. Nil is none, and that of the
	// system.
	TLS, PeerTLS *tls.Config
	certified    bool // clients have to show a certificate; set by Secure
	// AllowOrigins are the origins whose pages may use the JSON gateway ("*" is all). A port that asks nobody who they are refuses
	// the requests of other pages.
	AllowOrigins []string
	// AllowedHosts are names, besides those of loopback and of the Endpoint, by which HTTP may be asked for on a
	// listener of loopback that asks nobody who they are.
	AllowedHosts []string

	// Grace is how long a shard that is taken away has for its transactions under way, and running requests once the
	// host stops. Default: 15 s.
	Grace time.Duration
	// Drain bounds how long a host that is to stop goes on until others have its shards. 0 stops at once.
	Drain time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil is none
	Gatherer   prometheus.Gatherer   // served at /debug/metrics; nil is none
}

// Handler of the application's own requests over HTTP. It is called with the context of a request that was let in, and
// pages of the AllowOrigins may use it.
type Handler struct {
	http.Handler

	// Method and Path of its requests.
	Method, Path string
	// Wants is what a token must allow.
	Wants auth.Capability
}

// Defaults of a Config.
const (
	defaultLeaseTTL   = 20 * time.Second
	defaultShardLimit = 1024
	defaultStandbys   = 3
	defaultHints      = 5 * time.Minute
	defaultGrace      = 15 * time.Second
	defaultMaxMessage = 4 << 20
)

func (c Config) withDefaults() Config {
	c.LeaseTTL = cmp.Or(c.LeaseTTL, defaultLeaseTTL)
	c.WatchDelay = cmp.Or(c.WatchDelay, keyspace.DefaultBatchDelay)
	c.ShardLimit = cmp.Or(c.ShardLimit, defaultShardLimit)
	c.MaxHotStandbys = max(0, cmp.Or(c.MaxHotStandbys, defaultStandbys))
	c.HintsInterval = cmp.Or(c.HintsInterval, defaultHints)
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	c.MaxMessage = cmp.Or(c.MaxMessage, defaultMaxMessage)
	return c
}

// Validate tells what is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Application == nil:
		return errors.New("consumer: Application is missing")
	case c.Brokers == nil:
		return errors.New("consumer: Brokers are missing")
	case c.Etcd == nil:
		return errors.New("consumer: Etcd is missing")
	case c.Prefix == "":
		return errors.New("consumer: Prefix is missing")
	case c.Dir == "":
		return errors.New("consumer: Dir is missing")
	case c.Logger == nil:
		return errors.New("consumer: Logger is missing")
	case c.ShardLimit < 0:
		return fmt.Errorf("consumer: ShardLimit: %d is negative", c.ShardLimit)
	case c.MaxMessage < 0:
		return fmt.Errorf("consumer: MaxMessage: %d is negative", c.MaxMessage)
	case c.HintsInterval < 0 || c.Grace < 0 || c.Drain < 0:
		return fmt.Errorf("consumer: HintsInterval, Grace, Drain: %v, %v or %v is negative", c.HintsInterval, c.Grace, c.Drain)
	}
	if err := auth.ValidateHosts(c.AllowedHosts); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	if err := c.spec(false).Validate(); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	return nil
}

// spec that the host announces.
func (c Config) spec(exiting bool) *shards.ConsumerSpec {
	return &shards.ConsumerSpec{
		ProcessSpec: &protocol.ProcessSpec{Id: c.ID, Endpoint: c.Endpoint},
		ShardLimit:  uint32(min(c.ShardLimit, 1<<31)), //nolint:gosec // it isn't negative
		Exiting:     exiting,
	}
}
