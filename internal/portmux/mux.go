package portmux

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"broadsheet.dev/broadsheet/internal/task"
)

// DefaultTimeout within which a connection must have sent enough to be decided on.
const DefaultTimeout = 10 * time.Second

// Bounds of the pause after an Accept that failed, as for want of descriptors.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Config of a Mux.
type Config struct {
	// Timeout within which a connection must have sent enough to be decided on.
	// Zero is DefaultTimeout.
	Timeout time.Duration
	// Logger of failures to accept. Nil discards them.
	Logger *slog.Logger
}

// Mux shares one listener. Make it with New.
type Mux struct {
	cfg   Config
	ln    net.Listener
	http2 *side
	http1 *side
}

// New returns a Mux over ln, which it owns from now on.
func New(ln net.Listener, cfg Config) *Mux {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Mux{cfg: cfg, ln: ln, http2: newSide(ln.Addr()), http1: newSide(ln.Addr())}
}

// HTTP2 is the listener of connections that began with the HTTP/2 preface.
func (m *Mux) HTTP2() net.Listener { return m.http2 }

// HTTP1 is the listener of all other connections.
func (m *Mux) HTTP1() net.Listener { return m.http1 }

// Serve accepts connections until ctx is done, or the listener fails for good.
// When it returns, both sides and the listener are closed, and no connection is
// left that wasn't handed over.
func (m *Mux) Serve(ctx context.Context) error {
	g := task.New(ctx, "portmux")
	ctx = g.Context()
	stop := context.AfterFunc(ctx, func() { _ = m.ln.Close() })
	defer stop()

	err := m.accept(ctx, g)
	_ = m.ln.Close()
	_ = m.http1.Close()
	_ = m.http2.Close()
	g.Cancel()
	return errors.Join(err, g.Wait())
}

func (m *Mux) accept(ctx context.Context, g *task.Group) error {
	pause := minPause
	for {
		conn, err := m.ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept on %s: %w", m.ln.Addr(), err)
		}
		if err == nil {
			pause = minPause
			g.Go("sniff", func(ctx context.Context) error {
				m.decide(ctx, conn)
				return nil
			})
			continue
		}
		m.cfg.Logger.WarnContext(ctx, "connection not accepted", slog.String("address", m.ln.Addr().String()),
			slog.Duration("pause", pause), slog.Any("error", err))
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
		pause = min(2*pause, maxPause)
	}
}

// decide hands conn to its side, or closes it.
func (m *Mux) decide(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	head, isHTTP2, err := sniff(conn, m.cfg.Timeout)
	// Once stop tells that it came too late, the connection is closed already.
	if !stop() || err != nil {
		_ = conn.Close()
		return
	}
	to := m.http1
	if isHTTP2 {
		to = m.http2
	}
	to.hand(&replayConn{Conn: conn, head: head})
}
