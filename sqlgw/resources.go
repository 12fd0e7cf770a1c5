package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// maxReading is how many queries over tables one session may have open, by portals that it
// left unfinished. Only one of them is in the engine at a time.
const maxReading = 16

// newTurn is for a query of the session that is to read tables; it isn't taken yet.
func (s *session) newTurn() (*turn, error) {
	if s.reading == maxReading {
		return nil, sqlError("54000", "a session can't have more than %d unfinished queries", maxReading)
	}
	s.reading++
	return &turn{of: s.gateway.turns}, nil
}

// endTurn is the counterpart of newTurn.
func (s *session) endTurn(t *turn) {
	t.end()
	s.reading--
}

// closeUnread ends a query of which nobody takes the rows, while it is away from the engine.
func (g *Gateway) closeUnread(conn *duck.Conn) {
	g.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a query was ended because its rows weren't taken while others waited")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	defer g.overrun(ended)()
	_ = conn.Close() // it has no way to fail
}

// connect opens a connection of the engine, which disconnect closes.
func (g *Gateway) connect(ctx context.Context) (*duck.Conn, error) {
	conn, err := g.cfg.Engine.Conn(ctx)
	if err == nil {
		g.open.Add(1)
	}
	return conn, err
}

func (g *Gateway) disconnect(conn *duck.Conn) {
	_ = conn.Close() // it has no way to fail
	g.open.Add(-1)
}

// errBroken is the answer once the process is to end.
func errBroken() *pgwire.Error {
	return &pgwire.Error{Severity: "FATAL", Code: "57P02", Message: "terminating connection because the gateway failed a check and starts again"}
}

// distrusts tells whether an error means that the engine, or this process, can't be trusted
// any more.
func distrusts(err error) bool {
	if _, ok := errors.AsType[*duck.PanicError](err); ok {
		return true
	}
	e, ok := errors.AsType[*duck.Error](err)
	if !ok {
		return false
	}
	// What has no class is called internal, too; only the engine's own word counts.
	return e.Class == duck.ClassFatal || (e.Class == duck.ClassInternal && strings.Contains(e.Raw, string(duck.ClassInternal)))
}

// breakDown refuses everything from now on, and tells the owner of the process why.
func (g *Gateway) breakDown(cause error) {
	if g.broken.Swap(true) {
		return
	}
	g.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "the SQL gateway can't be trusted any more", slog.Any("error", cause))
	if g.cfg.Fatal != nil {
		g.cfg.Fatal(cause)
	}
}

// engineGrace is how long the engine may go on after a statement was ended. There are things
// that it does without looking whether it was interrupted.
const engineGrace = 5 * time.Second

// overrun watches a call of the engine until the returned function is called: if the call goes on
// for engineGrace after ctx has ended, the gateway breaks down, because nothing else ends it.
func (g *Gateway) overrun(ctx context.Context) func() {
	returned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		grace := time.NewTimer(engineGrace)
		defer grace.Stop()
		select {
		case <-returned:
		case <-grace.C:
			g.breakDown(fmt.Errorf("a statement goes on %v after it was ended: %w", engineGrace, context.Cause(ctx)))
		}
	})
	return func() {
		stop()
		close(returned)
	}
}

// guard runs a call of a session. Its error is what the client is told.
func (s *session) guard(ctx context.Context, call func() error) error {
	if s.gateway.broken.Load() {
		return errBroken()
	}
	defer func() {
		if p := recover(); p != nil {
			s.gateway.breakDown(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			panic(p)
		}
	}()
	err := call()
	if err == nil {
		return nil
	}
	if distrusts(err) {
		s.gateway.breakDown(err)
		return errBroken()
	}
	return statementError(ctx, err)
}
