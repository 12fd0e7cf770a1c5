package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// maxReading is how many queries over tables one session may have open, by portals that it
// left unfinished. Only one of them is in the engine at a time.
const maxReading = 16

// newTurn is for a query of the session that is to read tables; it isn't taken yet. What ends the query ends the turn, and
// takes it off reading.
func (s *session) newTurn() (*turn, error) {
	if s.reading == maxReading {
		return nil, sqlError("54000", "a session can't have more than %d unfinished queries", maxReading)
	}
	s.reading++
	return &turn{of: s.gateway.turns}, nil
}

// closeUnread ends a query of which nobody takes the rows, while it is away from the engine.
func (g *Gateway) closeUnread(conn *duck.Conn) {
	g.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a query was ended because its rows weren't taken while others waited")
	g.letGo(nil, func() { _ = conn.Close() }) // it has no way to fail
}

// connect opens a connection of the engine, which heldByQuery.release closes. What it computes is in a style.
func (s *session) connect(ctx context.Context, as *style.Style) (*duck.Conn, error) {
	conn, err := s.gateway.cfg.Engine.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if *as != *style.Default() {
		if err := conn.Adopt(ctx, as); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	s.gateway.open.Add(1)
	return conn, nil
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
