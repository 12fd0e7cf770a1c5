package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"broadsheet.dev/broadsheet/protocol"
)

// A connection that nothing uses is closed after idleConn to 2 × idleConn.
const idleConn = time.Minute

// errPoolClosed is of an RPC that begins after Close.
var errPoolClosed = errors.New("client is closed")

// pool has a connection to each broker that is used. The one to home, which the
// configuration names, is there from the start and stays; others come as routes
// name them, and go when they were idle.
type pool struct {
	home string // target of the configured endpoint
	tls  bool   // home is reached by TLS, so that nothing is sent without it
	cfg  Config

	first *conn // to home

	mu     sync.Mutex
	conns  map[string]*conn // by target
	closed bool
}

// conn is a connection that is shared. It is closed while nothing uses it, only.
type conn struct {
	grpc     *grpc.ClientConn
	journals protocol.JournalClient
	users    int
	idle     bool // at the last sweep, and not used since
}

func newPool(cfg Config) (*pool, error) {
	t, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	p := &pool{home: t.grpc, tls: t.tls, cfg: cfg, conns: make(map[string]*conn)}
	c, err := p.dial(t)
	if err != nil {
		return nil, err
	}
	c.users = 1 // the pool itself
	p.conns[p.home], p.first = c, c
	return p, nil
}

func (p *pool) dial(t target) (*conn, error) {
	creds := insecure.NewCredentials()
	if t.tls {
		creds = credentials.NewTLS(tlsConfig(p.cfg.TLS))
	}
	cc, err := grpc.NewClient(t.grpc, append(dialOptions(p.cfg), grpc.WithTransportCredentials(creds))...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", t.grpc, err)
	}
	return &conn{grpc: cc, journals: protocol.NewJournalClient(cc)}, nil
}

func tlsConfig(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return cfg.Clone()
}

// take a connection to an endpoint, "" is home, to give it back by its release once.
func (p *pool) take(endpoint string) (*conn, error) {
	t := target{grpc: p.home}
	if endpoint != "" {
		var err error
		if t, err = parseEndpoint(endpoint); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errPoolClosed
	}
	c := p.conns[t.grpc]
	if c == nil {
		var err error
		if c, err = p.dial(t); err != nil {
			return nil, err
		}
		p.conns[t.grpc] = c
	}
	c.users++
	c.idle = false
	return c, nil
}

// homeJournals is the service of the broker at home, whose connection lasts.
func (p *pool) homeJournals() protocol.JournalClient { return p.first.journals }

// hold a connection that was taken already, for another user that releases it too.
func (p *pool) hold(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users++
}

func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
}

// usable reports whether an endpoint that a broker told may be used: it is of a kind
// that can be reached, keeps to TLS if home does, and didn't just prove unreachable.
func (p *pool) usable(endpoint string) bool {
	t, err := parseEndpoint(endpoint)
	if err != nil || p.tls && !t.tls {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.conns[t.grpc]
	return c == nil || c.grpc.GetState() != connectivity.TransientFailure
}

// sweep closes connections that are idle for long, until the context ends.
func (p *pool) sweep(ctx context.Context) error {
	t := time.NewTicker(idleConn)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			p.sweepOnce()
		}
	}
}

func (p *pool) sweepOnce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, c := range p.conns {
		switch {
		case c.users != 0:
		case c.idle:
			_ = c.grpc.Close()
			delete(p.conns, t)
		default:
			c.idle = true
		}
	}
}

// close all connections, which ends their RPCs.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errPoolClosed
	}
	p.closed = true
	var failed error
	for t, c := range p.conns {
		if err := c.grpc.Close(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("close %s: %w", t, err))
		}
	}
	return failed
}
