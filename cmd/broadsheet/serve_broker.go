package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// servedBrokerFlags are those of serve that say who may use its broker, and which stores there are.
type servedBrokerFlags struct {
	host      string
	files     certs.Files
	authKeys  string
	limit     int
	stores    string
	defaults  []string
	cacheSize string
}

// servedJournals is the limit that isn't said: what half a GiB is enough for.
const servedJournals = 8192

func (f *servedBrokerFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.host, "broker.host", "", "host name or address that others reach --listen by; by default that of --listen, or of the machine if that is all addresses")
	p.StringVar(&f.files.Cert, "broker.server-cert-file", "", "file of the certificate that clients of --listen are shown; without it their connections aren't encrypted")
	p.StringVar(&f.files.Key, "broker.server-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.files.CA, "broker.server-ca-file", "", "file of the authorities that certificates of these clients have to be of")
	p.StringVar(&f.authKeys, "broker.auth-keys", "", "keys that their tokens are verified with; none asks for no token")
	settings.MarkSecret(p, "broker.auth-keys")
	p.IntVar(&f.limit, "broker.limit", servedJournals, "most journals, of all tables and views and others; each takes 60 KiB of memory and 3 open files")
	p.StringVar(&f.stores, "stores", "", "file that says which stores journals may name besides file:///, and how they are reached")
	p.StringSliceVar(&f.defaults, "default-stores", []string{"file:///"}, "names or URLs of the stores of tables that name none")
	p.StringVar(&f.cacheSize, "gateway.cache-size", "8GiB", "most bytes of copies of objects of other stores than file:///; with 0 there are none")
}

// servedBroker is what these flags come to.
type servedBroker struct {
	security auth.Security
	// own is a key of this server's alone, by which its gateway is known to its broker; "" if nobody is asked for tokens.
	own string
}

// read the flags, and hold them against the address that is listened on.
func (f *servedBrokerFlags) read(address string) (servedBroker, error) {
	s := servedBroker{security: auth.Security{Server: f.files}}
	if f.authKeys != "" {
		if _, err := auth.ParseKeys(f.authKeys); err != nil {
			return s, fmt.Errorf("--broker.auth-keys: %w", err)
		}
		var key [32]byte
		_, _ = rand.Read(key[:]) // which doesn't fail
		s.own = base64.StdEncoding.EncodeToString(key[:])
		var err error
		if s.security.Keys, err = auth.ParseKeys(f.authKeys + "," + s.own); err != nil {
			return s, fmt.Errorf("--broker.auth-keys: %w", err)
		}
	}
	if err := s.security.Validate(); err != nil {
		return s, fmt.Errorf("broker: %w", err)
	}
	if err := f.mayListen(s.security, address); err != nil {
		return s, err
	}
	if f.limit < 1 {
		return s, fmt.Errorf("--broker.limit: %d is less than 1", f.limit)
	}
	if len(f.defaults) == 0 {
		return s, errors.New("--default-stores is empty")
	}
	if _, err := parseBytes(f.cacheSize); err != nil {
		return s, fmt.Errorf("--gateway.cache-size: %w", err)
	}
	entries, err := readStores(f.stores, "files")
	if err != nil {
		return s, err
	}
	_, err = resolveDefaults(f.defaults, entries)
	return s, err
}

// mayListen refuses an address that others can reach unless they are asked who they are.
func (f *servedBrokerFlags) mayListen(s auth.Security, address string) error {
	notLoopback := loopbackOnly("listen", address)
	if _, _, err := net.SplitHostPort(address); notLoopback == nil || err != nil {
		return notLoopback
	}
	if err := s.CheckAddress("tcp", address); err != nil {
		return withHint(fmt.Errorf("--listen %s: it isn't a loopback address, and there is no authentication", address),
			"listen on 127.0.0.1 or [::1], or give --broker.auth-keys or --broker.server-ca-file")
	}
	return nil
}

// openStores makes the registry of the stores that journals may name.
func (f *servedBrokerFlags) openStores(root string) (*store.Registry, error) {
	drivers, err := cloud.Drivers(cloud.Config{})
	if err != nil {
		return nil, err
	}
	entries, err := readStores(f.stores, root)
	if err != nil {
		return nil, err
	}
	stores, err := store.NewRegistry(store.RegistryConfig{FileRoot: root, Entries: entries, Drivers: drivers})
	if err != nil {
		return nil, fmt.Errorf("stores: %w", err)
	}
	return stores, nil
}

// endpoint is the URL that others reach the broker by.
func (f *servedBrokerFlags) endpoint(at net.Addr, s auth.Security) (string, error) {
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return "", fmt.Errorf("--listen %s: %w", at, err)
	}
	switch ip := net.ParseIP(host); {
	case f.host != "":
		host = f.host
	case ip != nil && ip.IsUnspecified():
		if host, err = os.Hostname(); err != nil {
			return "", withHint(err, "say what others reach this machine by with --broker.host")
		}
	}
	return (&url.URL{Scheme: s.Scheme(), Host: net.JoinHostPort(strings.Trim(host, "[]"), port)}).String(), nil
}

// args are the flags of the gateway that is started. Secrets aren't among them.
func (f *servedBrokerFlags) args() []string {
	args := []string{"--default-stores", strings.Join(f.defaults, ","), "--cache-size", f.cacheSize}
	if f.stores != "" {
		args = append(args, "--stores", f.stores)
	}
	return args
}

// childEnv are variables of the gateway that is started: its key, and nothing of what this process's environment says to others
// about how brokers and etcd are reached. It reaches both by sockets of this server's.
func (s *servedBroker) childEnv() []string {
	env := []string{settings.EnvName("broker.auth-keys") + "=" + s.own}
	for _, flag := range []string{
		"broker.auth-token", "broker.cert-file", "broker.cert-key-file", "broker.trusted-ca-file",
		"etcd.cert-file", "etcd.cert-key-file", "etcd.trusted-ca-file", "data-dir", "cache-dir", "debug.port",
	} {
		env = append(env, settings.EnvName(flag)+"=")
	}
	return env
}
