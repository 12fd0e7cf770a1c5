package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// brokerFlags are the flags of broker: those of Gazette's brokers, and our own.
type brokerFlags struct {
	dataDir, ack string

	zone, id                   string
	host, port, bind, endpoint string
	server, peer               certs.Files
	authKeys                   string
	insecure                   bool
	allowOrigins, allowedHosts []string
	fileRoot, storesFile       string
	fileOnly                   bool
	autoSuspend                bool
	limits                     brokerLimits
	watchDelay, drain, grace   time.Duration

	etcd  roles.Etcd
	debug debugFlags
	log   roles.Log
}

// brokerLimits are what a broker takes.
type brokerLimits struct {
	journals, replication, message, uploads int
	maxRate, minRate                        int64
	appendMemory                            string
	idle                                    time.Duration
}

// debugFlags say where diagnostics are.
type debugFlags struct {
	port      string
	private   bool
	profiling bool
}

func (f *brokerFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.dataDir, "data-dir", "./data", "directory of the spools, and of what else outlives a restart")
	p.StringVar(&f.ack, "ack", "replicated", "when an append is acknowledged: replicated (all its brokers hold it) or synced (it is on their disks)")
	p.StringVar(&f.zone, "broker.zone", "local", "availability zone of this broker")
	p.StringVar(&f.id, "broker.id", "", "what names this broker in its zone; by default it is made up at the first start, and kept")
	p.StringVar(&f.host, "broker.host", "", "host name or address that others reach this broker by; by default that of the machine")
	p.StringVar(&f.port, "broker.port", "0", "port to listen on, 0 for any that is free; or unix:///path")
	p.StringVar(&f.bind, "broker.bind", "", "address of this machine to listen on; by default all")
	p.StringVar(&f.endpoint, "broker.endpoint", "", "URL that others reach this broker by; by default that of its host and port")
	p.StringVar(&f.server.Cert, "broker.server-cert-file", "", "file of the certificate that is shown to clients and other brokers")
	p.StringVar(&f.server.Key, "broker.server-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.server.CA, "broker.server-ca-file", "", "file of the authorities that clients' certificates have to be of")
	p.StringVar(&f.peer.Cert, "broker.peer-cert-file", "", "file of the certificate that other brokers are shown by this one as a client")
	p.StringVar(&f.peer.Key, "broker.peer-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.peer.CA, "broker.peer-ca-file", "", "file of the authorities that other brokers' certificates have to be of")
	p.StringVar(&f.authKeys, "broker.auth-keys", "", "keys that tokens are signed and verified with; none asks for no token")
	settings.MarkSecret(p, "broker.auth-keys")
	p.BoolVar(&f.insecure, "broker.insecure", false, "let other machines reach a broker, or its --debug.port, that asks nobody who they are")
	p.StringSliceVar(&f.allowOrigins, "broker.allow-origin", nil, "origins whose pages may use the JSON gateway; * is all")
	p.StringSliceVar(&f.allowedHosts, "allowed-hosts", nil, "names by which HTTP may be asked for on loopback, besides localhost and --broker.endpoint's, at ports that ask nobody for a token")
	p.StringVar(&f.fileRoot, "broker.file-root", "", "directory that file:/// stores are rooted at; by default there are none")
	p.BoolVar(&f.fileOnly, "broker.file-only", false, "keep all stores, of whatever scheme, in that directory")
	p.StringVar(&f.storesFile, "stores", "", "file that says which stores journals may name, and how they are reached; by default file:/// only")
	p.BoolVar(&f.autoSuspend, "broker.auto-suspend", false, "suspend journals all of which is stored for longer than they take to flush")
	p.DurationVar(&f.watchDelay, "broker.watch-delay", 30*time.Millisecond, "how long a change in etcd may wait for others")
	p.DurationVar(&f.drain, "broker.drain", 5*time.Minute, "how long a broker that is stopped may serve on to hand its journals over; 0 is not at all")
	p.DurationVar(&f.grace, "broker.grace", 15*time.Second, "how long requests may go on after that")
	f.limits.add(p)
	f.etcd.AddMember(p, roles.Member{Kind: "broker", Has: "journals", Prefix: defaultBrokerPrefix})
	p.StringVar(&f.debug.port, "debug.port", "", "a port of its own for diagnostics, which asks nobody who they are, on 127.0.0.1; or host:port, for which others have to be let in by --broker.insecure")
	p.BoolVar(&f.debug.private, "debug.private", false, "serve diagnostics at that port only")
	p.BoolVar(&f.debug.profiling, "debug.profiling", false, "serve profiles at the broker's port too")
	f.log.Add(p)
}

func (l *brokerLimits) add(p *pflag.FlagSet) {
	p.IntVar(&l.journals, "broker.limit", 1024, "most journals that this broker takes")
	p.IntVar(&l.replication, "broker.max-replication", 9, "most brokers that hold a journal, whatever its spec says")
	p.IntVar(&l.message, "broker.max-grpc-recv-size", 4<<20, "most bytes of a gRPC message")
	p.IntVar(&l.uploads, "broker.max-uploads", 0, "most fragments that are stored at a time; 0 is a default")
	p.Int64Var(&l.maxRate, "broker.max-append-rate", 0, "bytes a second to which the rate of journals that bound it is lowered; 0 lowers none")
	p.Int64Var(&l.minRate, "broker.min-append-rate", 0, "bytes a second that a client has to send of an append; 0 asks for none")
	p.StringVar(&l.appendMemory, "broker.append-memory", "64MiB", "most memory of all appends that are being received; beyond it they are in files")
	p.DurationVar(&l.idle, "broker.idle-timeout", time.Minute, "how long an append may send nothing before it is ended")
}

// security of the broker.
func (f *brokerFlags) security() (broker.Security, error) {
	s := broker.Security{Server: f.server, Peer: f.peer, Insecure: f.insecure}
	if f.authKeys != "" {
		keys, err := auth.ParseKeys(f.authKeys)
		if err != nil {
			return s, fmt.Errorf("--broker.auth-keys: %w", err)
		}
		s.Keys = keys
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("broker: %w", err)
	}
	return s, nil
}

// socketPath is the path of a port that is a unix socket.
func (f *brokerFlags) socketPath() (string, bool) { return strings.CutPrefix(f.port, "unix://") }

// endpointAt is the URL that others reach the broker by, once it listens on a port.
func (f *brokerFlags) endpointAt(port, scheme string) (string, error) {
	if f.endpoint != "" {
		return f.endpoint, nil
	}
	if path, ok := f.socketPath(); ok {
		return "unix://" + path, nil
	}
	host := f.host
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil {
			return "", withHint(err, "say what others reach this broker by with --broker.host")
		}
	}
	return (&url.URL{Scheme: scheme, Host: joinHostPort(host, port)}).String(), nil
}

// validate all that can be told before anything is touched.
func (f *brokerFlags) validate() error {
	if _, err := ackMode(f.ack); err != nil {
		return err
	}
	if _, err := parseBytes(f.limits.appendMemory); err != nil {
		return fmt.Errorf("--broker.append-memory: %w", err)
	}
	for name, n := range map[string]int{
		"broker.limit": f.limits.journals, "broker.max-replication": f.limits.replication, "broker.max-grpc-recv-size": f.limits.message,
	} {
		if n < 1 {
			return fmt.Errorf("--%s: %d is less than 1", name, n)
		}
	}
	for name, n := range map[string]int64{"broker.max-append-rate": f.limits.maxRate, "broker.min-append-rate": f.limits.minRate} {
		if n < 0 {
			return fmt.Errorf("--%s: %d is negative", name, n)
		}
	}
	if err := f.etcd.ValidateMember(); err != nil {
		return err
	}
	if f.fileOnly && f.fileRoot == "" {
		return withHint(errors.New("--broker.file-only: there is no root for file stores"), "give one with --broker.file-root")
	}
	if f.debug.private && f.debug.port == "" {
		return withHint(errors.New("--debug.private: there is no port for diagnostics"), "give one with --debug.port")
	}
	return nil
}
