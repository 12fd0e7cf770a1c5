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
	clientflags "broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// defaultConsumerPrefix is where the hosts of shards that programs do have their keys.
const defaultConsumerPrefix = "/gazette/consumers/broadsheet"

// consumerFlags are the flags of consumer: those of Gazette's consumers, and our own.
type consumerFlags struct {
	dataDir string

	zone, id                   string
	host, port, bind, endpoint string
	server, peer               certs.Files
	authKeys                   string
	insecure                   bool
	allowOrigins               []string
	limit, hotStandbys         int
	hintsInterval              time.Duration
	watchDelay, drain, grace   time.Duration

	etcd   roles.Etcd
	broker clientflags.Brokers
	log    roles.Log
}

func (f *consumerFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.dataDir, "data-dir", "./data", "directory of shards' files while they run here; another consumer or broker has another one")
	p.StringVar(&f.zone, "consumer.zone", "local", "availability zone of this consumer")
	p.StringVar(&f.id, "consumer.id", "", "what names this consumer in its zone; by default it is made up at each start")
	p.StringVar(&f.host, "consumer.host", "", "host name or address that others reach this consumer by; by default that of the machine")
	p.StringVar(&f.port, "consumer.port", "0", "port to listen on, 0 for any that is free; or unix:///path")
	p.StringVar(&f.bind, "consumer.bind", "", "address of this machine to listen on; by default all")
	p.StringVar(&f.endpoint, "consumer.endpoint", "", "URL that others reach this consumer by; by default that of its host and port")
	p.StringVar(&f.server.Cert, "consumer.server-cert-file", "", "file of the certificate that is shown to clients and other consumers")
	p.StringVar(&f.server.Key, "consumer.server-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.server.CA, "consumer.server-ca-file", "", "file of the authorities that clients' certificates have to be of")
	p.StringVar(&f.peer.Cert, "consumer.peer-cert-file", "", "file of the certificate that other consumers are shown by this one as a client")
	p.StringVar(&f.peer.Key, "consumer.peer-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.peer.CA, "consumer.peer-ca-file", "", "file of the authorities that other consumers' certificates have to be of")
	p.StringVar(&f.authKeys, "consumer.auth-keys", "", "keys that tokens are signed and verified with; none asks for no token")
	settings.MarkSecret(p, "consumer.auth-keys")
	p.BoolVar(&f.insecure, "consumer.insecure", false, "let other machines reach a consumer that asks nobody who they are")
	p.StringSliceVar(&f.allowOrigins, "consumer.allow-origin", nil, "origins whose pages may use the JSON gateway; * is all")
	p.IntVar(&f.limit, "consumer.limit", 1024, "most shards that this consumer takes")
	p.IntVar(&f.hotStandbys, "consumer.max-hot-standbys", 3, "most hot standbys of a shard, whatever its spec says")
	p.DurationVar(&f.hintsInterval, "consumer.hints-interval", 5*time.Minute, "how often a shard notes from where its recovery log has to be read")
	p.DurationVar(&f.watchDelay, "consumer.watch-delay", 30*time.Millisecond, "how long a change in etcd may wait for others")
	p.DurationVar(&f.drain, "consumer.drain", 5*time.Minute, "how long a consumer that is stopped may go on to hand its shards over; 0 is not at all")
	p.DurationVar(&f.grace, "consumer.grace", 15*time.Second, "how long transactions and requests may go on after that")
	f.etcd.AddConnection(p, []string{"http://localhost:2379"})
	p.DurationVar(&f.etcd.Lease, "etcd.lease", 20*time.Second, "how long a consumer that died keeps its shards")
	p.StringVar(&f.etcd.Prefix, "etcd.prefix", defaultConsumerPrefix, "prefix of the application's keys: its consumers have it in common")
	p.IntVar(&f.etcd.MaxTxnOps, "etcd.max-txn-ops", 0, "etcd's --max-txn-ops; 0 is its default")
	f.broker.Add(p, "")
	f.log.Add(p)
}

// security of the consumer, which is that of a broker: who is asked for what.
func (f *consumerFlags) security() (broker.Security, error) {
	s := broker.Security{Server: f.server, Peer: f.peer, Insecure: f.insecure}
	if f.authKeys != "" {
		keys, err := auth.ParseKeys(f.authKeys)
		if err != nil {
			return s, fmt.Errorf("--consumer.auth-keys: %w", err)
		}
		s.Keys = keys
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("consumer: %w", err)
	}
	return s, nil
}

// address to listen on.
func (f *consumerFlags) address() (string, string) {
	if path, ok := f.socketPath(); ok {
		return "unix", path
	}
	return "tcp", joinHostPort(f.bind, f.port)
}

// socketPath is the path of a port that is a unix socket.
func (f *consumerFlags) socketPath() (string, bool) { return strings.CutPrefix(f.port, "unix://") }

// endpointAt is the URL that others reach the consumer by, once it listens on a port.
func (f *consumerFlags) endpointAt(port, scheme string) (string, error) {
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
			return "", withHint(err, "say what others reach this consumer by with --consumer.host")
		}
	}
	return (&url.URL{Scheme: scheme, Host: joinHostPort(host, port)}).String(), nil
}

// validate all that can be told before anything is touched.
func (f *consumerFlags) validate() error {
	if len(f.etcd.Addresses) == 0 {
		return errors.New("--etcd.address is empty")
	}
	if f.broker.Address == "" {
		return withHint(errors.New("consumer: --broker.address is missing"), "say where the brokers of its journals are")
	}
	if f.limit < 1 {
		return fmt.Errorf("--consumer.limit: %d is less than 1", f.limit)
	}
	if f.hotStandbys < 0 {
		return fmt.Errorf("--consumer.max-hot-standbys: %d is negative", f.hotStandbys)
	}
	for name, d := range map[string]time.Duration{"drain": f.drain, "grace": f.grace, "watch-delay": f.watchDelay} {
		if d < 0 {
			return fmt.Errorf("--consumer.%s: %s is negative", name, d)
		}
	}
	if f.hintsInterval <= 0 {
		return fmt.Errorf("--consumer.hints-interval: %s isn't positive", f.hintsInterval)
	}
	if f.etcd.Lease < time.Second || f.etcd.Lease%time.Second != 0 {
		return fmt.Errorf("--etcd.lease: %s isn't a number of whole seconds", f.etcd.Lease)
	}
	return nil
}
