package pgwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"broadsheet.dev/broadsheet/internal/task"
)

// Causes with which the context of a call ends.
var (
	errCancelled = &Error{Code: "57014", Message: "canceling statement due to user request"}
	errShutdown  = &Error{
		Severity: "FATAL", Code: "57P01",
		Message: "terminating connection due to administrator command",
	}
	errGone = errors.New("the client is gone")
)

// conn is one connection. Its session's calls and its writer belong to the goroutine
// that runs serve; a reader hands it the client's messages one by one.
type conn struct {
	cfg    Config
	nc     net.Conn
	r      *bufio.Reader
	out    writer
	pid    uint32
	secret [4]byte

	session    Session
	statements map[string]Statement
	portals    map[string]*portal
	skipping   bool // up to the next Sync, after an error in the extended protocol

	ctx    context.Context //nolint:containedctx // lifetime of the session
	frames chan frame

	mu         sync.Mutex
	cancelling context.CancelCauseFunc // of the running call, if any
}

func newConn(cfg Config, nc net.Conn, r *bufio.Reader) *conn {
	return &conn{
		cfg: cfg, nc: nc, r: r, out: writer{nc: nc},
		statements: map[string]Statement{}, portals: map[string]*portal{},
		frames: make(chan frame),
	}
}

// SetParameter reports a setting to the client.
func (c *conn) SetParameter(name, value string) { c.out.parameter(name, value) }

// start opens the session and greets the client.
func (c *conn) start(ctx context.Context, p *startupPacket) error {
	if p.minor > 0 || len(p.options) > 0 {
		c.out.begin('v')
		c.out.int32(protocol3)
		c.out.int32(uint32(len(p.options)))
		for _, o := range p.options {
			c.out.cstr(o)
		}
		c.out.end()
	}
	s := Startup{User: p.params["user"], Database: p.params["database"], Parameters: p.params, PID: c.pid, Params: c}
	if s.User == "" {
		c.out.error(&Error{Severity: "FATAL", Code: "28000", Message: "no PostgreSQL user name specified in startup packet"})
		return errors.Join(errors.New("no user"), c.out.flush())
	}
	if s.Database == "" {
		s.Database = s.User
	}
	delete(s.Parameters, "user")
	delete(s.Parameters, "database")
	c.out.begin('R') // AuthenticationOk
	c.out.int32(0)
	c.out.end()
	session, err := c.cfg.Backend.Open(ctx, s)
	if err != nil {
		e := asError(err)
		e.Severity = "FATAL"
		c.out.error(e)
		return errors.Join(err, c.out.flush())
	}
	c.session = session
	c.out.begin('K')
	c.out.int32(c.pid)
	c.out.buf = append(c.out.buf, c.secret[:]...)
	c.out.end()
	c.out.readyForQuery(session.TxStatus())
	if err := c.out.flush(); err != nil {
		session.Close()
		return err
	}
	return nil
}

// serve handles the client's messages until it leaves, an error is fatal, or ctx is done.
func (c *conn) serve(ctx context.Context) {
	g := task.New(ctx, "session")
	ctx, cancel := context.WithCancelCause(g.Context())
	c.ctx = ctx
	g.Go("read", func(context.Context) error {
		cancel(c.read(ctx))
		return nil
	})
	stop := context.AfterFunc(g.Context(), func() { cancel(errShutdown) })
	for {
		f, err := c.receive()
		if err == nil {
			err = c.handle(f)
		}
		if err != nil {
			c.farewell(err)
			break
		}
	}
	stop()
	cancel(errGone)
	_ = c.nc.Close()
	g.Cancel()
	_ = g.Wait() // the reader has ended, and no call is running
	c.closeAll()
}

// read hands messages over until the connection fails, and returns why it did.
func (c *conn) read(ctx context.Context) error {
	for {
		f, err := readFrame(c.r, c.cfg.MaxMessage)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				return e
			}
			return errGone
		}
		select {
		case c.frames <- f:
		case <-ctx.Done():
			return errGone
		}
	}
}

// receive returns the client's next message; what was written so far is sent before
// waiting for it.
func (c *conn) receive() (frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	default:
	}
	if err := c.out.flush(); err != nil {
		return frame{}, errGone
	}
	select {
	case f := <-c.frames:
		return f, nil
	case <-c.ctx.Done():
		return frame{}, context.Cause(c.ctx)
	}
}

// errTerminate ends the loop after the client said goodbye.
var errTerminate = errors.New("terminated by the client")

// farewell tells the client why its session ends, if there is something to tell.
func (c *conn) farewell(err error) {
	var e *Error
	if errors.Is(err, errGone) || errors.Is(err, errTerminate) || !errors.As(err, &e) {
		return
	}
	fatal := *e
	fatal.Severity = "FATAL"
	c.out.error(&fatal)
	_ = c.out.flush()
}

// handle one message. An error that it returns ends the session.
func (c *conn) handle(f frame) error {
	if c.skipping && f.kind != 'S' && f.kind != 'X' {
		return nil
	}
	switch f.kind {
	case 'Q':
		return c.simple(f.body)
	case 'P', 'B', 'D', 'E', 'C':
		return c.extended(f)
	case 'H':
		return c.flushed()
	case 'S':
		return c.sync()
	case 'X':
		return errTerminate
	case 'd', 'c', 'f': // left over from a COPY that failed here
		return nil
	case 'F':
		c.out.error(&Error{Code: "0A000", Message: "function calls by message are not supported", Hint: "Call the function in a SELECT."})
		return c.ready()
	default:
		return protocolError(fmt.Sprintf("invalid frontend message type %d", f.kind))
	}
}

func (c *conn) flushed() error {
	if c.out.flush() != nil {
		return errGone
	}
	return nil
}

// ready ends a cycle of the protocol.
func (c *conn) ready() error {
	c.out.readyForQuery(c.session.TxStatus())
	return nil
}

// call runs fn with a context that a cancel request ends. Its error is what the client
// is to be told.
func (c *conn) call(fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	c.setCancel(cancel)
	err := fn(ctx)
	c.setCancel(nil)
	if err == nil || ctx.Err() == nil {
		return err
	}
	var e *Error
	if errors.Is(err, context.Canceled) || !errors.As(err, &e) {
		return context.Cause(ctx)
	}
	return err
}

func (c *conn) setCancel(fn context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelling = fn
}

// cancelCall ends the running call, if there is one. It is called by other connections.
func (c *conn) cancelCall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancelling != nil {
		c.cancelling(errCancelled)
	}
}

// failed reports an error of a statement. It returns an error if the session must end.
func (c *conn) failed(err error) error {
	if errors.Is(err, errGone) || c.out.err != nil {
		return errGone
	}
	e := asError(err)
	if e.Severity == "FATAL" {
		return e
	}
	if e.Code == "XX000" {
		c.cfg.Logger.LogAttrs(c.ctx, slog.LevelError, "a statement failed for a reason that has no code", slog.Any("error", err))
	}
	c.out.error(e)
	return nil
}

// asError returns the *Error in err, or makes one of it.
func asError(err error) *Error {
	var e *Error
	var fail *CopyFailError
	switch {
	case errors.As(err, &fail):
		return &Error{Code: "57014", Message: fail.Error()}
	case errors.As(err, &e):
		copied := *e
		return &copied
	default:
		return &Error{Code: "XX000", Message: err.Error()}
	}
}

// closeAll releases the session and all that it has.
func (c *conn) closeAll() {
	c.closePortals()
	for _, s := range c.statements {
		s.Close()
	}
	c.session.Close()
}

func (c *conn) closePortals() {
	for name, p := range c.portals {
		p.Close()
		delete(c.portals, name)
	}
}
