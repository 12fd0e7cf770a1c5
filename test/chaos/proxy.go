package chaos

import (
	"context"
	"net"
	"sync"

	"broadsheet.dev/broadsheet/internal/task"
)

// proxy stands before a broker, at the address by which others reach it. While it is cut nothing
// passes, in either direction, and nobody is told.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	open  chan struct{} // closed while it isn't cut
	conns map[net.Conn]struct{}
}

func newProxy(address, target string) (*proxy, error) {
	ln, err := net.Listen("tcp", address) //nolint:noctx // it is local
	if err != nil {
		return nil, err
	}
	open := make(chan struct{})
	close(open)
	return &proxy{listener: ln, target: target, open: open, conns: make(map[net.Conn]struct{})}, nil
}

// cut the connection to the broker.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// heal what was cut. Connections that were open break, as those do that were cut for long.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		return
	default:
	}
	close(p.open)
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) passes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// serve until ctx is done.
func (p *proxy) serve(ctx context.Context) error {
	group := task.New(ctx, "proxy")
	defer context.AfterFunc(ctx, func() {
		_ = p.listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.conns {
			_ = c.Close()
		}
	})()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			group.Cancel()
			return group.Wait()
		}
		group.Go("connection", func(ctx context.Context) error { p.connect(ctx, client); return nil })
	}
}

// connect a client with the broker, until either has gone.
func (p *proxy) connect(ctx context.Context, client net.Conn) {
	defer p.hold(client)()
	if !p.await(ctx) {
		return
	}
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer p.hold(server)()
	pair := task.New(ctx, "pair")
	pair.Go("up", func(ctx context.Context) error { p.copy(ctx, server, client); return nil })
	pair.Go("down", func(ctx context.Context) error { p.copy(ctx, client, server); return nil })
	_ = pair.Wait()
}

// hold a connection, which is closed by what is returned.
func (p *proxy) hold(c net.Conn) func() {
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
		_ = c.Close()
	}
}

func (p *proxy) await(ctx context.Context) bool {
	select {
	case <-p.passes():
		return true
	case <-ctx.Done():
		return false
	}
}

// copy what comes, and close both when no more does.
func (p *proxy) copy(ctx context.Context, to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.await(ctx) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
