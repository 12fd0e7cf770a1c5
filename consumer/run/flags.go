package run

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	clientflags "broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// flags of a program: those of Gazette's consumers, and our own.
type flags struct {
	dataDir string

	zone, id                        string
	host, port, bind, endpoint      string
	server, peer                    certs.Files
	authKeys                        string
	insecure                        bool
	allowOrigins                    []string
	limit, standbys, message        int
	watchDelay, hints, drain, grace time.Duration
	debugPort                       string
	debugPrivate                    bool

	broker clientflags.Brokers
	etcd   roles.Etcd
	log    roles.Log
}

func (f *flags) add(p *pflag.FlagSet, o Options) {
	p.StringVar(&f.dataDir, "data-dir", o.dataDir(), "directory of what outlives a restart, and of the files of shards while they run")
	p.StringVar(&f.zone, "consumer.zone", "local", "availability zone of this process")
	p.StringVar(&f.id, "consumer.id", "", "what names this process in its zone; by default it is made up at each start")
	p.StringVar(&f.host, "consumer.host", "", "host name or address that others reach this process by; by default that of the machine")
	p.StringVar(&f.port, "consumer.port", "0", "port to listen on, 0 for any that is free; or unix:///path")
	p.StringVar(&f.bind, "consumer.bind", "", "address of this machine to listen on; by default all")
	p.StringVar(&f.endpoint, "consumer.endpoint", "", "URL that others reach this process by; by default that of its host and port")
	p.StringVar(&f.server.Cert, "consumer.server-cert-file", "", "file of the certificate that is shown to clients and other processes")
	p.StringVar(&f.server.Key, "consumer.server-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.server.CA, "consumer.server-ca-file", "", "file of the authorities that clients' certificates have to be of")
	p.StringVar(&f.peer.Cert, "consumer.peer-cert-file", "", "file of the certificate that other processes are shown by this one as a client")
	p.StringVar(&f.peer.Key, "consumer.peer-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.peer.CA, "consumer.peer-ca-file", "", "file of the authorities that other processes' certificates have to be of")
	p.StringVar(&f.authKeys, "consumer.auth-keys", "", "keys that tokens are verified with; none asks for no token")
	settings.MarkSecret(p, "consumer.auth-keys")
	p.BoolVar(&f.insecure, "consumer.insecure", false, "let other machines reach a process, or its --debug.port, that asks nobody who they are")
	p.StringSliceVar(&f.allowOrigins, "consumer.allow-origin", nil, "origins whose pages may use the JSON gateway; * is all")
	p.IntVar(&f.limit, "consumer.limit", 1024, "most shards that this process takes")
	p.IntVar(&f.standbys, "consumer.max-hot-standbys", 3, "most hot standbys of a shard, whatever its spec says")
	p.IntVar(&f.message, "consumer.max-grpc-recv-size", 4<<20, "most bytes of a gRPC message")
	p.DurationVar(&f.watchDelay, "consumer.watch-delay", 30*time.Millisecond, "how long a change in etcd may wait for others")
	p.DurationVar(&f.hints, "consumer.hints-interval", 5*time.Minute, "how often a primary notes which part of its recovery log it needs")
	p.DurationVar(&f.drain, "consumer.drain", 5*time.Minute, "how long a process that is stopped may go on to hand its shards over; 0 is not at all")
	p.DurationVar(&f.grace, "consumer.grace", 15*time.Second, "how long transactions and requests may go on after that")
	p.StringVar(&f.debugPort, "debug.port", "", "a port of its own for diagnostics, which asks nobody who they are, on 127.0.0.1; or host:port, for which others have to be let in by --consumer.insecure")
	p.BoolVar(&f.debugPrivate, "debug.private", false, "serve metrics at that port only")
	f.broker.Add(p, "http://localhost:8080")
	f.broker.AddRouting(p)
	f.etcd.AddMember(p, roles.Member{Kind: "consumer", Has: "shards", Prefix: o.prefix()})
	f.log.Add(p)
}

// validate all that can be told before anything is touched.
func (f *flags) validate() error {
	for name, n := range map[string]int{"limit": f.limit, "max-grpc-recv-size": f.message} {
		if n < 1 {
			return fmt.Errorf("--consumer.%s: %d is less than 1", name, n)
		}
	}
	if f.standbys < 0 {
		return fmt.Errorf("--consumer.max-hot-standbys: %d is negative", f.standbys)
	}
	for name, d := range map[string]time.Duration{"watch-delay": f.watchDelay, "drain": f.drain, "grace": f.grace} {
		if d < 0 {
			return fmt.Errorf("--consumer.%s: %s is negative", name, d)
		}
	}
	if f.hints <= 0 {
		return fmt.Errorf("--consumer.hints-interval: %s isn't more than 0", f.hints)
	}
	if f.debugPrivate && f.debugPort == "" {
		return speech.WithHint(errors.New("--debug.private: there is no port for diagnostics"), "give one with --debug.port")
	}
	for name, files := range map[string]certs.Files{"server": f.server, "peer": f.peer} {
		if err := files.Validate(); err != nil {
			return fmt.Errorf("--consumer.%s-cert-file, --consumer.%s-cert-key-file: %w", name, name, err)
		}
	}
	if f.server.CA != "" && f.server.Cert == "" {
		return speech.WithHint(errors.New("--consumer.server-ca-file: there is no certificate of the server"), "give one with --consumer.server-cert-file")
	}
	if f.broker.CacheSize < 0 || f.broker.CacheTTL < 0 {
		return fmt.Errorf("--broker.cache.size, --broker.cache.ttl: %d or %s is negative", f.broker.CacheSize, f.broker.CacheTTL)
	}
	if f.broker.FileRoot != "" && f.broker.CacheSize == 0 {
		return speech.WithHint(errors.New("--broker.file-root: without a cache everything is read through the broker at the address"), "give --broker.cache.size")
	}
	return f.etcd.ValidateMember()
}

// identity of this process.
func (f *flags) identity() (*protocol.ProcessSpec_ID, error) {
	id := f.id
	if id == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // which doesn't fail
		id = "consumer-" + hex.EncodeToString(b[:])
	}
	out := &protocol.ProcessSpec_ID{Zone: f.zone, Suffix: id}
	if err := out.Validate(); err != nil {
		flag := "--consumer.id"
		if invalid, ok := errors.AsType[*protocol.ValidationError](err); ok && invalid.Path == "Zone" {
			flag = "--consumer.zone"
		}
		return nil, speech.WithHint(fmt.Errorf("consumer %s in zone %s: %w", id, f.zone, err), "choose another "+flag)
	}
	return out, nil
}

// keys that tokens are verified with; nil asks for none.
func (f *flags) keys() (*auth.Keyring, error) {
	if f.authKeys == "" {
		return nil, nil //nolint:nilnil // as is said above
	}
	keys, err := auth.ParseKeys(f.authKeys)
	if err != nil {
		return nil, fmt.Errorf("--consumer.auth-keys: %w", err)
	}
	return keys, nil
}

// secure sets who may use the host, and how its connections are protected.
func (f *flags) secure(cfg *consumer.Config, keys *auth.Keyring, log *slog.Logger) error {
	cfg.Keys = keys
	if f.server.Cert != "" {
		source, err := certs.Load(f.server, log)
		if err == nil {
			cfg.TLS, err = source.Server("http/1.1", "h2")
		}
		if err != nil {
			return fmt.Errorf("--consumer.server-cert-file: %w", err)
		}
	}
	if !f.peer.IsZero() {
		source, err := certs.Load(f.peer, log)
		if err != nil {
			return fmt.Errorf("--consumer.peer-cert-file: %w", err)
		}
		cfg.PeerTLS = source.Client()
	}
	return nil
}

// socketPath is the path of a port that is a unix socket.
func (f *flags) socketPath() (string, bool) { return strings.CutPrefix(f.port, "unix://") }

// endpointAt is the URL that others reach this process by, once it listens.
func (f *flags) endpointAt(ln net.Listener) (string, error) {
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
			return "", speech.WithHint(err, "say what others reach this process by with --consumer.host")
		}
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", fmt.Errorf("--consumer.port: %w", err)
	}
	scheme := "http"
	if f.server.Cert != "" {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}).String(), nil
}
