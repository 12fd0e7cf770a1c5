package pgwire

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/internal/task"
)

// Server accepts connections. Make it with New.
type Server struct {
	cfg      Config
	starting chan struct{} // a place for each connection that isn't a session yet
	refusals *refusals     // connections for which there was none
	open     *addresses
	networks *networks
	guesses  guesses
	pool     *pool

	mu       sync.Mutex
	sessions map[uint32]*conn // and those about to be, by process id
	nextPID  uint32
}

// New returns a server that isn't serving yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Server{
		cfg: cfg, starting: make(chan struct{}, cfg.MaxStarting), refusals: newRefusals(), open: newAddresses(&cfg), networks: newNetworks(), pool: newPool(),
		sessions: map[uint32]*conn{},
	}, nil
}

// Serve accepts connections from ln until ctx is done, then ends every session with
// 57P01 and returns when all have ended. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	g := task.New(ctx, "pgwire")
	open := &connections{conns: map[*conn]struct{}{}}
	g.Go("watch", func(ctx context.Context) error {
		open.watch(ctx)
		_ = ln.Close()
		open.shutDown()
		return nil
	})
	g.Go("accept", func(ctx context.Context) error { return s.accept(ctx, g, ln, open) })
	return g.Wait()
}

// accept starts a task for each connection. Errors that may pass, such as too many open
// files, are waited out.
func (s *Server) accept(ctx context.Context, g *task.Group, ln net.Listener, open *connections) error {
	var wait time.Duration
	for {
		nc, err := ln.Accept()
		if err == nil {
			wait = 0
			s.admit(g, nc, open)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept on %s: %w", ln.Addr(), cmp.Or(ctx.Err(), err))
		}
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a connection could not be accepted",
			slog.Any("error", err), slog.Duration("retry_in", wait))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// admit serves a connection in a task of its own, or refuses it there if too many are starting, or are of its address.
func (s *Server) admit(g *task.Group, nc net.Conn, open *connections) {
	c := newConn(g.Context(), &s.cfg, s.pool, nc)
	serve, started, leave := s.connection, func() {}, func() {}
	if p, err := s.place(nc); err != nil {
		s.refusals.enter(c, err)
		serve, leave = func(c *conn, _ func()) { s.refuse(c, err) }, func() { s.refusals.leave(c) }
	} else {
		started = sync.OnceFunc(func() { <-s.starting; p.started() })
		leave = func() { started(); p.leave() }
	}
	g.Go("connection", func(context.Context) error {
		defer leave()
		if !open.add(c) {
			_ = nc.Close()
			return nil
		}
		defer open.remove(c)
		serve(c, started)
		return nil
	})
}

// place takes one for a connection that starts, and one of its address.
func (s *Server) place(nc net.Conn) (*place, error) {
	p, err := s.open.enter(nc.RemoteAddr())
	if err != nil {
		return nil, err
	}
	select {
	case s.starting <- struct{}{}:
		return p, nil
	default:
		p.leave()
		return nil, s.errNoPlace()
	}
}

func tooMany(hint string) *Error {
	return &Error{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already", Hint: hint}
}

// connection does the startup and runs the session to its end. A connection counts as a
// session until all that it has is released.
func (s *Server) connection(c *conn, started func()) {
	err := c.guarded(func() error { return s.start(c) })
	if err == nil {
		started()
		c.life.allow(0)
		err = c.guarded(c.serve)
	}
	c.finish(err)
	s.forget(c)
}

// start makes a session of a connection.
func (s *Server) start(c *conn) error {
	until := time.Now().Add(s.cfg.StartupTimeout)
	c.life.allow(s.cfg.StartupTimeout)
	p, err := c.readStartup()
	if err != nil {
		return err
	}
	if p.cancel {
		return s.cancel(c, p, s.cfg.StartupTimeout)
	}
	ctx, cancel := context.WithTimeoutCause(c.life.ctx, s.cfg.StartupTimeout, errTooSlow)
	defer cancel()
	c.negotiate(p)
	if err := c.authenticate(ctx, p, s.networks); err != nil {
		return late(ctx, until, err)
	}
	if err := s.register(c, p); err != nil { // only those who may have a session take the place of one
		return err
	}
	return late(ctx, time.Time{}, c.open(ctx, s.cfg.Backend, p))
}

// late is an error of a startup, or the reason for which its time is over. A client that proves who it is
// too slowly is told so.
func late(ctx context.Context, until time.Time, err error) error {
	switch {
	case errors.Is(err, errGone) && !until.IsZero() && !time.Now().Before(until):
		return errTooSlow
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// register gives the connection a process id, if there is room for a session.
func (s *Server) register(c *conn, p *startupPacket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.cfg.MaxSessions {
		return tooMany(fmt.Sprintf("The server takes %d sessions at a time.", s.cfg.MaxSessions))
	}
	for {
		s.nextPID = s.nextPID%0x7fff_fffe + 1
		if _, taken := s.sessions[s.nextPID]; !taken {
			break
		}
	}
	minor, _ := p.negotiated()
	c.pid, c.secret = s.nextPID, newSecret(minor)
	s.sessions[c.pid] = c
	return nil
}

// Sessions is how many there are, with those that are about to be.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.pid] == c {
		delete(s.sessions, c.pid)
	}
}

// cancel ends the running call of a session, if the secret is right. There is no reply
// either way, and the time doesn't tell how much of the secret was right. If many secrets were
// wrong of late it waits, and for more than most it isn't done.
func (s *Server) cancel(from *conn, p *startupPacket, most time.Duration) error {
	wait, ok := s.guesses.reserve(time.Now(), most)
	if !ok {
		return errTerminate
	}
	if wait > 0 {
		select {
		case <-from.life.ctx.Done():
			return context.Cause(from.life.ctx)
		case <-time.After(wait):
		}
	}
	s.mu.Lock()
	c := s.sessions[p.pid]
	s.mu.Unlock()
	if c != nil && subtle.ConstantTimeCompare(c.secret, p.secret) == 1 {
		s.guesses.forgive()
		c.life.cancel()
	}
	return errTerminate
}
