package pgwire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// lastWords is how long a client has to take the reason for which its session ends.
const lastWords = time.Second

// conn is one connection. Everything belongs to the goroutine that serves it, but life.
type conn struct {
	cfg  *Config
	life lifeline
	in   inbound
	out  writer

	tls  *secured // nil without TLS
	peer Peer

	pid    uint32
	secret []byte

	session    Session
	parameters parameters
	statements map[string]*statement
	portals    map[string]*portal
	prepared   int     // size of the statements and portals, see Config.MaxPreparedBytes
	running    *portal // that is being executed
	skipping   bool    // up to the next Sync, after an error in the extended protocol
	resting    bool    // since a ReadyForQuery
}

func newConn(ctx context.Context, cfg *Config, p *pool, nc net.Conn) *conn {
	c := &conn{cfg: cfg, life: newLifeline(ctx, nc)}
	c.out = writer{dst: nc, why: c.life.why, pool: p}
	c.in = newInbound(source{c}, startupBuffer)
	return c
}

// source is what a client sends. What is buffered for the client is sent before the server
// waits for it.
type source struct{ c *conn }

func (s source) Read(p []byte) (int, error) {
	c := s.c
	if err := c.out.flush(); err != nil {
		return 0, err
	}
	c.out.release()
	n, err := c.life.nc.Read(p)
	if err != nil {
		return n, c.life.why(err)
	}
	return n, nil
}

// negotiate tells the client of what isn't spoken of what it asked for.
func (c *conn) negotiate(p *startupPacket) {
	if minor, tell := p.negotiated(); tell {
		c.out.begin('v')
		c.out.int32(protocol3 | uint32(minor))
		c.out.int32(uint32(len(p.options)))
		for _, o := range p.options {
			c.out.cstr(o)
		}
		c.out.end()
	}
}

// open opens the session and greets the client.
func (c *conn) open(ctx context.Context, b Backend, p *startupPacket) error {
	s := Startup{
		User: p.user(), Database: p.database(), Parameters: p.params, PID: c.pid, Peer: c.peer,
		Params: &c.parameters, Names: names{c}, Line: line{&c.life},
	}
	delete(s.Parameters, "user")
	delete(s.Parameters, "database")
	c.out.begin('R') // AuthenticationOk
	c.out.int32(authOK)
	c.out.end()
	c.statements, c.portals = map[string]*statement{}, map[string]*portal{}
	session, err := b.Open(ctx, s)
	if err != nil {
		return err
	}
	c.session = session
	c.parameters.report(&c.out)
	c.out.begin('K')
	c.out.int32(c.pid)
	c.out.buf = append(c.out.buf, c.secret...)
	c.out.end()
	c.out.readyForQuery(session.TxStatus())
	c.resting = true
	return c.out.flush()
}

// serve handles the client's messages until the session ends, and returns why.
func (c *conn) serve() error {
	c.in.resize(sessionBuffer)
	for {
		if len(c.in.buf) > sessionBuffer && c.in.r == c.in.w {
			c.in.resize(sessionBuffer) // a COPY had a larger one
		}
		kind, err := c.next()
		if err != nil {
			return err
		}
		if err := c.handle(kind); err != nil {
			return err
		}
		if err := c.out.flushFull(); err != nil {
			return err
		}
	}
}

// handle one message. An error that it returns ends the session.
func (c *conn) handle(kind byte) error {
	switch {
	case kind == 'X':
		return errTerminate
	case c.skipping && kind != 'S':
		return nil
	case kind == 'd' || kind == 'c' || kind == 'f': // left over from a COPY that failed here
		return nil
	}
	c.skipping = false
	cycle := kind == 'Q' || kind == 'F' || kind == 'S' // ReadyForQuery ends it
	if err := c.dispatch(kind); err != nil {
		if fatal(err) {
			return err
		}
		c.failed(err)
		c.skipping = !cycle
	}
	if cycle {
		c.ready()
	}
	return nil
}

func (c *conn) dispatch(kind byte) error {
	body, err := c.in.body(c.cfg.MaxMessage)
	if err != nil {
		return err
	}
	f := &fields{body}
	switch kind {
	case 'Q':
		return c.simple(f)
	case 'P':
		return c.parse(f)
	case 'B':
		return c.bind(f)
	case 'D':
		return c.describe(f)
	case 'E':
		return c.execute(f)
	case 'C':
		return c.close(f)
	case 'H':
		return errors.Join(f.end(), c.out.flush())
	case 'S':
		return errors.Join(f.end(), c.call(c.session.Sync))
	default: // 'F'
		return &Error{Code: "0A000", Message: "function calls by message are not supported", Hint: "Call the function in a SELECT."}
	}
}

// ready ends a cycle of the protocol, and outside of a transaction every portal.
func (c *conn) ready() {
	status := c.session.TxStatus()
	if status == 'I' {
		names{c}.DropPortals(func(name string, _ Portal) bool { return !c.portals[name].hold })
	}
	c.parameters.report(&c.out)
	if status == 'I' {
		c.life.attend()
		c.notify()
	}
	c.out.readyForQuery(status)
	c.resting = true
}

// failed reports an error of a statement.
func (c *conn) failed(err error) {
	e := asError(err)
	if e.Code == "XX000" {
		c.cfg.Logger.LogAttrs(c.life.ctx, slog.LevelError, "a statement failed for a reason that has no code",
			slog.Uint64("pid", uint64(c.pid)), slog.Any("error", err))
	}
	c.out.error(e)
	c.session.Failed()
}

// call runs fn with a context that a cancel request ends. Its error is what the client
// is to be told.
func (c *conn) call(fn func(ctx context.Context) error) error {
	ctx, done := c.life.begin()
	defer func() {
		done()
		c.out.resume()
	}()
	err := fn(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if fatal(cause) {
		return cause
	}
	if _, ok := errors.AsType[*Error](err); ok && !errors.Is(err, context.Canceled) {
		return err
	}
	return cause
}

// guarded runs fn, and turns a panic into an error.
func (c *conn) guarded(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.cfg.Logger.LogAttrs(c.life.ctx, slog.LevelError, "a session panicked and was ended",
				slog.Uint64("pid", uint64(c.pid)), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			err = errPanicked
		}
	}()
	return fn()
}

// finish tells the client why its session ends, if there is something to tell, closes the
// connection, and releases what the session has.
func (c *conn) finish(err error) {
	c.life.over(lastWords)
	c.out.drop()
	c.out.resume()
	if !errors.Is(err, errGone) && !errors.Is(err, errTerminate) {
		e := asError(err)
		e.Severity = "FATAL"
		c.out.error(e)
	}
	_ = c.out.flush() // a client that said goodbye may still read the answers
	_ = c.life.nc.Close()
	c.out.buf = c.out.buf[:0]
	c.out.release()
	_ = c.guarded(func() error { c.closePortals(); return nil })
	for _, s := range c.statements {
		_ = c.guarded(func() error { c.unuse(s); return nil })
	}
	if c.session != nil {
		_ = c.guarded(func() error { c.session.Close(); return nil })
	}
}
