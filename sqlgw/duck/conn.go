package duck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/sqlgw/style"
)

// Conn is one session with DuckDB. It is used by one goroutine at a time: a second
// call while one runs, or while rows are open, gets ErrBusy. Only Close may be called
// at any time.
//
// Invariant: whoever holds the token owns every field below it and everything that
// DuckDB does on native. active is set while a call runs or rows are open.
type Conn struct {
	db      *DB
	id      uint64
	active  atomic.Pointer[call]
	closing atomic.Bool
	token   chan struct{}

	native mapping.Connection
	rows   *Rows
	stmts  map[*Stmt]struct{}
	closed bool
}

// runAhead makes DuckDB stop after a chunk or two that weren't fetched. The size that it compares
// leaves the bytes of texts out: with its own default it holds twenty chunks of 2048 rows, of
// whatever length. The setting belongs to a connection.
const runAhead = "SET SESSION streaming_buffer_size = '64KiB'"

// Conn opens a session. The context only bounds the opening.
func (d *DB) Conn(ctx context.Context) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("duck: connect: %w", context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	c := &Conn{db: d, token: make(chan struct{}, 1), stmts: map[*Stmt]struct{}{}}
	if mapping.Connect(d.native, &c.native) != mapping.StateSuccess {
		return nil, fmt.Errorf("duck: connect: %w", outOfMemory("refused")) // for which there is no other reason
	}
	var client mapping.ClientContext
	mapping.ConnectionGetClientContext(c.native, &client)
	c.id = uint64(mapping.ClientContextGetConnectionId(client))
	mapping.DestroyClientContext(&client)
	var set mapping.Result
	defer mapping.DestroyResult(&set)
	if mapping.Query(c.native, runAhead, &set) != mapping.StateSuccess {
		err := d.scrub.newError(mapping.ResultError(&set))
		mapping.Disconnect(&c.native)
		return nil, fmt.Errorf("duck: %s: %w", runAhead, err)
	}
	d.conns[c.id] = c
	c.token <- struct{}{}
	return c, nil
}

// Adopt lets the session's statements follow a style: its time zone is the engine's, and bs_text and its kin
// write and read as it says. Before, they follow the default one.
func (c *Conn) Adopt(ctx context.Context, s *style.Style) error {
	for _, statement := range []string{
		"SET SESSION TimeZone = " + quoteLiteral(s.Zone.Engine),
		"SET VARIABLE " + styleVariable + " = " + quoteLiteral(s.Key()),
	} {
		if err := c.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the session: what runs on it is interrupted, rows and statements are closed.
// It returns when DuckDB has let go of everything, and may be called more than once.
func (c *Conn) Close() error {
	c.closing.Store(true)
	if running := c.active.Load(); running != nil {
		running.cancel(ErrClosed)
	}
	<-c.token
	defer func() { c.token <- struct{}{} }()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.rows != nil {
		c.rows.finish(ErrClosed)
	}
	for s := range c.stmts {
		mapping.DestroyPrepare(&s.native)
	}
	clear(c.stmts)
	mapping.Disconnect(&c.native)
	c.db.forget(c)
	return nil
}

// acquire takes the token without waiting for it.
func (c *Conn) acquire() error {
	select {
	case <-c.token:
	default:
		if c.closing.Load() {
			return ErrClosed
		}
		return ErrBusy
	}
	if c.closed {
		c.release()
		return ErrClosed
	}
	return nil
}

func (c *Conn) release() { c.token <- struct{}{} }

// begin starts a call on an idle connection; end is its counterpart.
func (c *Conn) begin(ctx context.Context) (*call, error) {
	if err := c.acquire(); err != nil {
		return nil, err
	}
	if c.rows != nil {
		c.release()
		return nil, ErrBusy
	}
	started := newCall(ctx)
	c.active.Store(started)
	// Close sets closing before it looks for an active call, so one of the two sees the other.
	if c.closing.Load() {
		started.cancel(ErrClosed)
	}
	return started, nil
}

func (c *Conn) end(ended *call) {
	ended.cancel(nil)
	c.active.Store(nil)
	c.release()
}

// Exec runs one statement and drops its rows. It is for text that the program wrote:
// DuckDB's settings refuse files and changes of settings, but not COPY into the allowed
// directories, ATTACH of memory, PRAGMA or CALL, which is the caller's allow-list's to do.
func (c *Conn) Exec(ctx context.Context, sql string) error {
	s, err := c.Prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := s.query(ctx, nil)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	for rows.err == nil {
		rows.skip(ctx)
	}
	return errors.Join(rows.failure(), rows.Close(), s.Close())
}

// Prepare compiles one statement. Text with none, or with more than one, is refused
// before any of it runs.
func (c *Conn) Prepare(ctx context.Context, sql string) (*Stmt, error) {
	if strings.IndexByte(sql, 0) >= 0 {
		return nil, &Error{Class: ClassParser, SQLSTATE: "22021", Position: -1, Message: "a statement can't contain a zero byte", Raw: "zero byte"}
	}
	running, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end(running)
	s := &Stmt{conn: c}
	if err := running.cause(nil); err != nil {
		return nil, fmt.Errorf("duck: prepare: %w", err)
	}
	var reported error
	c.run(running, func() { reported = s.prepare(sql) })
	if running.ctx.Err() != nil || reported != nil {
		mapping.DestroyPrepare(&s.native)
		return nil, fmt.Errorf("duck: prepare: %w", running.cause(reported))
	}
	s.describe()
	c.stmts[s] = struct{}{}
	return s, nil
}
