//go:build cgo

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
	"broadsheet.dev/broadsheet/sqlgw"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

// viewFlags are those of the host of materialized views.
type viewFlags struct {
	listen, endpoint string
	zone             string
	lease            time.Duration
	standbys         int
	server, peer     certs.Files
	authKeys         string
	insecure         bool
}

func (f *viewFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.listen, "views.listen", "", "address at which gateways reach the materialized views that this one keeps, as host:port, or unix:///path if all are of this machine; by default it keeps none, and knows none")
	p.StringVar(&f.endpoint, "views.endpoint", "", "URL that others reach that address by; by default that of the address, which has to name a host then")
	p.StringVar(&f.zone, "views.zone", "local", "availability zone of this process")
	p.DurationVar(&f.lease, "views.lease", 10*time.Second, "how long the views of a gateway that dies wait until others take them over")
	p.IntVar(&f.standbys, "views.max-hot-standbys", 3, "most hot standbys of a view, whatever it says")
	p.StringVar(&f.server.Cert, "views.server-cert-file", "", "file of the certificate that is shown to other gateways")
	p.StringVar(&f.server.Key, "views.server-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.server.CA, "views.server-ca-file", "", "file of the authorities that other gateways' certificates have to be of")
	p.StringVar(&f.peer.Cert, "views.peer-cert-file", "", "file of the certificate that other gateways are shown by this one as a client")
	p.StringVar(&f.peer.Key, "views.peer-cert-key-file", "", "file of that certificate's key")
	p.StringVar(&f.peer.CA, "views.peer-ca-file", "", "file of the authorities that other gateways' certificates are of")
	p.StringVar(&f.authKeys, "views.auth-keys", "", "keys that gateways prove to each other who they are with; none asks for no proof")
	settings.MarkSecret(p, "views.auth-keys")
	p.BoolVar(&f.insecure, "views.insecure", false, "let other machines reach an address that asks nobody who they are")
}

// minViewLease is what a lease lasts at least: it is renewed a few times meanwhile.
const minViewLease = time.Second

// security of the address, if what is said of it fits together.
func (f *viewFlags) security() (auth.Security, error) {
	s := auth.Security{Server: f.server, Peer: f.peer, Insecure: f.insecure}
	if f.listen == "" {
		if f.endpoint != "" || f.authKeys != "" || f.insecure || !f.server.IsZero() || !f.peer.IsZero() {
			return s, withHint(errors.New("views: there is no address"), "give it with --views.listen, or leave the other flags of views out")
		}
		return s, nil
	}
	if f.lease < minViewLease {
		return s, fmt.Errorf("--views.lease: %s is less than %s", f.lease, minViewLease)
	}
	if f.standbys < 0 {
		return s, fmt.Errorf("--views.max-hot-standbys: %d is negative", f.standbys)
	}
	if f.authKeys != "" {
		keys, err := auth.ParseKeys(f.authKeys)
		if err != nil {
			return s, fmt.Errorf("--views.auth-keys: %w", err)
		}
		if !keys.CanSign() {
			return s, withHint(errors.New("--views.auth-keys: none of the keys can sign"), "put a shared secret, or a private key, first")
		}
		s.Keys = keys
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("views: %w", err)
	}
	return s, f.checkAddress(s)
}

func (f *viewFlags) checkAddress(s auth.Security) error {
	if strings.HasPrefix(f.listen, unixScheme) {
		return nil
	}
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return withHint(fmt.Errorf("--views.listen: %w", err), "it is host:port, or unix:///path")
	}
	if ip := net.ParseIP(host); f.endpoint == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return withHint(fmt.Errorf("--views.listen: %s doesn't tell how others reach it", f.listen), "say so with --views.endpoint")
	}
	if err := s.CheckAddress("tcp", f.listen); err != nil {
		return withHint(fmt.Errorf("--views.listen: %w", err), "give --views.auth-keys or --views.server-ca-file, or say that you want it with --views.insecure")
	}
	return nil
}

// open listens, and returns the URL that others reach it by.
func (f *viewFlags) open(s auth.Security) (net.Listener, string, error) {
	if path, ok := strings.CutPrefix(f.listen, unixScheme); ok {
		flags.RemoveStale(path)
		ln, err := net.Listen("unix", path)
		if err != nil {
			return nil, "", withHint(fmt.Errorf("--views.listen: %w", err), "another gateway may have it: give each one of its own")
		}
		return ln, unixScheme + "localhost" + path, nil // URLs of processes have a host
	}
	ln, err := net.Listen("tcp", f.listen)
	if err != nil {
		return nil, "", withHint(fmt.Errorf("--views.listen: %w", err), "choose another address, or port 0 for any that is free")
	}
	if f.endpoint != "" {
		return ln, f.endpoint, nil
	}
	host, _, _ := net.SplitHostPort(f.listen) // it was looked at
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, "", errors.Join(err, ln.Close())
	}
	return ln, (&url.URL{Scheme: s.Scheme(), Host: net.JoinHostPort(host, port)}).String(), nil
}

// viewHost keeps materialized views: a host of their shards, and the keeper that lets shards follow the catalog.
type viewHost struct {
	host   *consumer.Host
	keeper *keep.Keeper
	client *views.Client // of the host
}

// openViews makes the host of materialized views, if there is to be one. It serves from serve on.
func (r *gatewayRole) openViews(engine *duck.DB) error {
	f := &r.flags.views
	security, err := f.security()
	if err != nil || f.listen == "" {
		return err
	}
	log := r.log.With(slog.String("part", "views"))
	definitions := views.NewCatalog(r.tables)
	app, err := views.New(views.Config{Definitions: definitions, Engine: engine, Logger: log, Registerer: r.metrics})
	if err != nil {
		return err
	}
	r.closing(func() error { app.Close(); return nil })
	prefix := r.flags.etcd.Prefix + "-views"
	cfg := consumer.Config{
		ID: &protocol.ProcessSpec_ID{Zone: f.zone, Suffix: "gateway-" + randomName()}, Application: app, Brokers: r.brokers,
		Etcd: r.etcd, Prefix: prefix, LeaseTTL: f.lease, Dir: filepath.Join(r.dir, "views"), Drain: r.flags.grace,
		Register: app.Register, Capabilities: views.Capabilities(), Logger: log, Registerer: r.metrics,
	}
	if cfg.MaxHotStandbys = f.standbys; f.standbys == 0 {
		cfg.MaxHotStandbys = -1
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := cfg.Secure("views", security, log); err != nil {
		return err
	}
	ln, endpoint, err := f.open(security)
	if err != nil {
		return err
	}
	r.closing(func() error { _ = ln.Close(); return nil }) // as a rule the host has
	cfg.Listeners, cfg.Endpoint = []net.Listener{ln}, endpoint
	host, err := consumer.New(cfg)
	if err != nil {
		return err
	}
	app.Attach(host)
	conn, err := host.Self()
	if err != nil {
		return err
	}
	conn = signedConn{conn, security.Keys}
	r.views = &viewHost{host: host, client: views.NewClient(conn), keeper: keep.New(keep.Config{
		Entries: keep.EntriesOf(r.tables), Changed: r.tables.Changed, Shards: shards.NewShardClient(conn), Journals: r.brokers,
		Etcd: r.etcd, HintPrefix: prefix + "-hints", Logger: log,
	})}
	return nil
}

// randomName of a process among those that have been.
func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// reads are what the gateway reads views by; nil, as v is, are none.
func (v *viewHost) reads() sqlgw.Views {
	if v == nil {
		return nil
	}
	return sqlgw.ViewsBy(v.client)
}

// serve runs the host and, once that is ready, the keeper.
func (v *viewHost) serve(g *task.Group) {
	g.Go("views", v.host.Serve)
	g.Go("keeper", func(ctx context.Context) error {
		select {
		case <-v.host.Ready():
			return v.keeper.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
}

// signedConn is a connection whose requests have a token, if there are keys to make one with.
type signedConn struct {
	grpc.ClientConnInterface

	keys *auth.Keyring
}

// viewTokenTTL is how long a subscription to a view may last, whose token isn't renewed.
const viewTokenTTL = 30 * 24 * time.Hour

func (c signedConn) sign(ctx context.Context) (context.Context, error) {
	if c.keys == nil {
		return ctx, nil
	}
	now := time.Now()
	token, err := c.keys.Sign(auth.Claims{Capability: auth.List | auth.Read | auth.Apply, Expiry: now.Add(viewTokenTTL)}, now)
	if err != nil {
		return ctx, fmt.Errorf("sign a token: %w", err)
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), nil
}

// Invoke as of grpc.ClientConnInterface.
func (c signedConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx, err := c.sign(ctx)
	if err != nil {
		return err
	}
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// NewStream as of grpc.ClientConnInterface.
func (c signedConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.sign(ctx)
	if err != nil {
		return nil, err
	}
	return c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}
