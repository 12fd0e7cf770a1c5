package pgwire

import (
	"bufio"
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

// Config of a Server. Backend and Logger are needed.
type Config struct {
	Backend Backend
	Logger  *slog.Logger
	// MaxSessions bounds the sessions at one time; zero is 100. Further ones are refused
	// with 53300.
	MaxSessions int
	// MaxStarting bounds connections that aren't sessions yet; zero is 100. Further ones
	// are closed.
	MaxStarting int
	// StartupTimeout bounds the time until a connection is a session; zero is 10 s.
	StartupTimeout time.Duration
	// MaxMessage bounds a message of a client, in bytes; zero is 64 MiB.
	MaxMessage int
	// MaxPrepared bounds the prepared statements, and the open portals, of a session; zero
	// is 4096.
	MaxPrepared int
}

// Validate tells what is missing.
func (c *Config) Validate() error {
	if c.Backend == nil || c.Logger == nil {
		return errors.New("pgwire: a Backend and a Logger are needed")
	}
	return nil
}

func (c *Config) withDefaults() Config {
	d := *c
	def := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	def(&d.MaxSessions, 100)
	def(&d.MaxStarting, 100)
	def(&d.MaxMessage, 64<<20)
	def(&d.MaxPrepared, 4096)
	if d.StartupTimeout == 0 {
		d.StartupTimeout = 10 * time.Second
	}
	return d
}

// Server accepts connections. Make it with New.
type Server struct {
	cfg      Config
	starting chan struct{} // a place for each connection that isn't a session yet

	mu      sync.Mutex
	conns   map[uint32]*conn // sessions, and those about to be, by process id
	nextPID uint32
}

// New returns a server that isn't serving yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Server{cfg: cfg, starting: make(chan struct{}, cfg.MaxStarting), conns: map[uint32]*conn{}}, nil
}

// Serve accepts connections from ln until ctx is done, then ends every session with
// 57P01 and returns when all have ended. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	g := task.New(ctx, "pgwire")
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	g.Go("accept", func(ctx context.Context) error {
		for {
			c, err := ln.Accept()
			switch {
			case ctx.Err() != nil:
				if err == nil {
					_ = c.Close()
				}
				return nil
			case err != nil:
				if err := pause(ctx, err); err != nil {
					return err
				}
			default:
				s.admit(g, c)
			}
		}
	})
	return g.Wait()
}

// pause waits a little after an error that may pass, such as too many open files.
func pause(ctx context.Context, err error) error {
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("accept: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
	return nil
}

// admit serves a connection in a task of its own, or closes it if too many are starting.
func (s *Server) admit(g *task.Group, c net.Conn) {
	select {
	case s.starting <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	g.Go("connection", func(ctx context.Context) error {
		defer func() { _ = c.Close() }()
		started := sync.OnceFunc(func() { <-s.starting })
		defer started()
		s.connection(ctx, c, started)
		return nil
	})
}

// connection does the startup and runs the session to its end.
func (s *Server) connection(ctx context.Context, nc net.Conn, started func()) {
	defer s.recovered(ctx)
	_ = nc.SetDeadline(time.Now().Add(s.cfg.StartupTimeout))
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r := bufio.NewReaderSize(nc, 8<<10)
	p, err := readStartup(nc, r)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			refuse(nc, e)
		}
		return
	}
	if p.cancel {
		s.cancel(p.pid, p.secret)
		return
	}
	c := newConn(s.cfg, nc, r)
	if err := s.register(c); err != nil {
		refuse(nc, err)
		return
	}
	defer s.forget(c)
	if err := c.start(ctx, p); err != nil {
		return
	}
	stop()
	started()
	_ = nc.SetDeadline(time.Time{})
	c.serve(ctx)
}

// recovered ends a connection, not the server, when its session panicked.
func (s *Server) recovered(ctx context.Context) {
	if r := recover(); r != nil {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a session panicked and was ended", slog.Any("panic", r))
	}
}

// register gives the connection a process id, if there is room for a session.
func (s *Server) register(c *conn) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.cfg.MaxSessions {
		return &Error{
			Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already",
			Hint: fmt.Sprintf("The server takes %d sessions at a time.", s.cfg.MaxSessions),
		}
	}
	for {
		s.nextPID = s.nextPID%0x7fff_fffe + 1
		if _, taken := s.conns[s.nextPID]; !taken {
			break
		}
	}
	c.pid, c.secret = s.nextPID, newSecret()
	s.conns[c.pid] = c
	return nil
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.pid)
}

// cancel ends the running call of a session, if the secret is right. There is no reply
// either way, and the time doesn't tell how much of the secret was right.
func (s *Server) cancel(pid uint32, secret []byte) {
	s.mu.Lock()
	c := s.conns[pid]
	s.mu.Unlock()
	if c != nil && subtle.ConstantTimeCompare(c.secret[:], secret) == 1 {
		c.cancelCall()
	}
}

// refuse sends one error to a client that has no session.
func refuse(nc net.Conn, e *Error) {
	var w writer
	w.nc = nc
	w.error(e)
	_ = w.flush()
}
