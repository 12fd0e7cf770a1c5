package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Config of a Broker. Fields with a default take it when they are zero.
type Config struct {
	// ID of this broker: its zone, and what is unique there.
	ID *protocol.ProcessSpec_ID
	// Endpoint URL at which clients and brokers reach this one.
	Endpoint string
	// Listeners that gRPC and HTTP/1 share. The broker closes them.
	Listeners []net.Listener

	// Etcd client. The caller closes it after Serve has returned.
	Etcd *clientv3.Client
	// Prefix of keys in etcd. Default: DefaultPrefix.
	Prefix string
	// MaxTxnOps that etcd allows in a transaction. Default: that of etcd.
	MaxTxnOps int
	// LeaseTTL is how long assignments outlive a broker that dies and isn't started
	// again; whole seconds. Default: 20 s.
	LeaseTTL time.Duration
	// WatchDelay is how long a change in etcd may wait for others, to be taken in with
	// them. Default: keyspace.DefaultBatchDelay.
	WatchDelay time.Duration
	// JournalLimit is the most journals that this broker takes. Default: 1024.
	JournalLimit int
	// Alone tells that no other broker can join: changes that ask for more journals than JournalLimit are refused. In
	// a fleet they are taken, and what has no room waits for the broker that brings it.
	Alone bool
	// OpenFiles is how many files and connections the process may have open: the JournalLimit is lowered to what they
	// are enough for. 0 is unknown.
	OpenFiles int

	// MaxReplication caps how many brokers hold a journal, whatever its spec says. Default: 5.
	MaxReplication int

	// Dir is the broker's directory: its spools, gathered appends and lease.
	Dir string
	// FS that spools are kept in. Default: the operating system's.
	FS vfs.FS
	// Mode says when an append is acknowledged.
	Mode spool.Mode
	// Stores that journals may name.
	Stores *store.Registry
	// AutoSuspend suspends journals all of which is stored for longer than they take to flush.
	AutoSuspend bool
	// RetentionGrace is how long a fragment is kept beyond its journal's retention, so that who has just been
	// told of it can read it. Default: 1 hour.
	RetentionGrace time.Duration
	// MaxUploads of fragments at a time. Default: that of persist.
	MaxUploads int

	// MaxMessage is the most bytes that a gRPC message to us may have. Default: 4 MiB.
	MaxMessage int
	// GatherMemory is the most memory that one append is gathered in, before it goes
	// to a file; GatherTotal is the most for all appends. Defaults: 1 MiB and 64 MiB.
	GatherMemory, GatherTotal int64
	// MaxAppendRate lowers the rate, in bytes a second, of journals whose specs bound it. 0 lowers none.
	MaxAppendRate int64
	// MinAppendRate is how many bytes a second a client has to send of an append, while we wait for
	// it. In Gazette a slow client holds up all others of its journal; here it only holds
	// memory and a place, so that 0, the default, asks for none.
	MinAppendRate int64
	// IdleTimeout ends an append or HTTP request of which nothing was received, and an
	// HTTP response of which nothing could be sent, for so long. Default: 1 minute.
	IdleTimeout time.Duration
	// Grace is how long running requests may go on once the broker stops. Default: 15 s.
	Grace time.Duration
	// Drain bounds how long a broker that is to stop serves on, until others have its
	// journals and what only it has is stored. 0 stops at once.
	Drain time.Duration
	// Security says who may use the broker, and how its connections are protected.
	Security auth.Security
	// AllowOrigins are the origins whose pages may use the JSON gateway ("*" is all).
	AllowOrigins []string
	// AllowedHosts are names, besides those of loopback and of the Endpoint, by which HTTP may be asked for on a
	// loopback address of a port that lets in everyone: no page that a browser shows is to reach it by another.
	AllowedHosts []string
	// Debug says where diagnostics are served.
	Debug Debug
	// Neighbour is what else is served at the Listeners; nil is nothing.
	Neighbour *Neighbour
	// AlsoReady names what else of the process isn't ready yet, "" if all is: then only
	// does /debug/ready answer 200. Nil is nothing else.
	AlsoReady func() string

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil is none
	Gatherer   prometheus.Gatherer   // served at /debug/metrics; nil is none
}

// DefaultPrefix of brokers' keys in etcd.
const DefaultPrefix = "/gazette/cluster"

// Defaults of a Config.
const (
	defaultLeaseTTL     = 20 * time.Second
	defaultJournalLimit = 1024
	defaultReplication  = 5
	defaultRetention    = time.Hour
	defaultMaxMessage   = 4 << 20
	defaultGatherMemory = 1 << 20
	defaultGatherTotal  = 64 << 20
	defaultIdleTimeout  = time.Minute
	defaultGrace        = 15 * time.Second
)

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = defaultLeaseTTL
	}
	if c.WatchDelay == 0 {
		c.WatchDelay = keyspace.DefaultBatchDelay
	}
	if c.JournalLimit == 0 {
		c.JournalLimit = defaultJournalLimit
	}
	if c.MaxReplication == 0 {
		c.MaxReplication = defaultReplication
	}
	if c.RetentionGrace == 0 {
		c.RetentionGrace = defaultRetention
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMaxMessage
	}
	if c.GatherMemory == 0 {
		c.GatherMemory = defaultGatherMemory
	}
	if c.GatherTotal == 0 {
		c.GatherTotal = defaultGatherTotal
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	return c
}

// Validate tells what is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case len(c.Listeners) == 0:
		return errors.New("broker: Listeners are missing")
	case c.Etcd == nil:
		return errors.New("broker: Etcd is missing")
	case c.Dir == "":
		return errors.New("broker: Dir is missing")
	case c.Stores == nil:
		return errors.New("broker: Stores are missing")
	case c.Logger == nil:
		return errors.New("broker: Logger is missing")
	case c.JournalLimit < 0:
		return fmt.Errorf("broker: JournalLimit: %d is negative", c.JournalLimit)
	case c.OpenFiles < 0:
		return fmt.Errorf("broker: OpenFiles: %d is negative", c.OpenFiles)
	case c.MaxReplication < 0:
		return fmt.Errorf("broker: MaxReplication: %d is negative", c.MaxReplication)
	case c.RetentionGrace < 0:
		return fmt.Errorf("broker: RetentionGrace: %v is negative", c.RetentionGrace)
	case c.MaxMessage < 0:
		return fmt.Errorf("broker: MaxMessage: %d is negative", c.MaxMessage)
	case c.GatherMemory < 0 || c.GatherTotal < 0:
		return fmt.Errorf("broker: GatherMemory, GatherTotal: %d or %d is negative", c.GatherMemory, c.GatherTotal)
	case c.MaxAppendRate < 0 || c.MinAppendRate < 0:
		return fmt.Errorf("broker: MaxAppendRate, MinAppendRate: %d or %d is negative", c.MaxAppendRate, c.MinAppendRate)
	case c.IdleTimeout < 0 || c.Grace < 0 || c.Drain < 0:
		return fmt.Errorf("broker: IdleTimeout, Grace, Drain: %v, %v or %v is negative", c.IdleTimeout, c.Grace, c.Drain)
	}
	return c.validateParts()
}

func (c Config) validateParts() error {
	for _, err := range []error{
		c.spec(false).Validate(),
		c.Security.Validate(),
		c.Debug.Validate(),
		c.Neighbour.Validate(),
		validateOrigins(c.AllowOrigins),
		auth.ValidateHosts(c.AllowedHosts),
		c.Security.Check(c.Endpoint, c.Listeners, c.Debug.Listener),
	} {
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	return nil
}

// spec that the broker announces.
func (c Config) spec(exiting bool) *protocol.BrokerSpec {
	return &protocol.BrokerSpec{
		ProcessSpec:  &protocol.ProcessSpec{Id: c.ID, Endpoint: c.Endpoint},
		JournalLimit: uint32(min(c.JournalLimit, 1<<31)), //nolint:gosec // it isn't negative
		Exiting:      exiting,
	}
}
