package pgwire

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// lifeline is what others may do to a connection: cancel its running call, end it, or wake it while
// it rests. The first two end contexts, and all wake the connection from waiting for its client by a
// deadline in the past. All deadlines are set here, so that none is lost.
//
// Invariant: unless ended is set, the deadline is in the past only while a call runs and
// cancelled is set, or, of reading alone, while the connection rests and woken is set.
type lifeline struct {
	nc  net.Conn
	ctx context.Context //nolint:containedctx // lifetime of the connection
	end context.CancelCauseFunc

	mu        sync.Mutex
	ended     error                   // why the connection ends, once it does
	running   context.CancelCauseFunc // of the running call, if there is one
	cancelled bool                    // the running call was
	calls     uint64                  // that were begun
	looked    uint64                  // calls at the last look, see away
	resting   bool                    // it waits for its client to begin another cycle,
	wakeful   bool                    // and may be woken
	rests     uint64                  // that were begun
	woken     bool                    // since the last attend
}

func newLifeline(ctx context.Context, nc net.Conn) lifeline {
	ctx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	return lifeline{nc: nc, ctx: ctx, end: end}
}

// wake is a deadline that is over.
func wake() time.Time { return time.Unix(1, 0) }

// interrupt ends the connection for a reason, unless it is ending.
func (l *lifeline) interrupt(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop(cause)
}

// stop is interrupt, with the lock held.
func (l *lifeline) stop(cause error) {
	if l.ended == nil {
		l.ended = cause
		l.end(cause)
		_ = l.nc.SetDeadline(wake())
	}
}

// cancel ends the running call, if there is one.
func (l *lifeline) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running != nil && !l.cancelled && l.ended == nil {
		l.cancelled = true
		l.running(errCancelled)
		_ = l.nc.SetDeadline(wake())
	}
}

// upgrade puts a connection in place of the one that it goes through.
func (l *lifeline) upgrade(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nc = nc
}

// begin a call. It returns the call's context, and a function to end it.
func (l *lifeline) begin() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(l.ctx)
	l.mu.Lock()
	l.running, l.cancelled = cancel, false
	l.calls++
	l.mu.Unlock()
	return ctx, func() {
		l.mu.Lock()
		if l.cancelled && l.ended == nil {
			_ = l.nc.SetDeadline(time.Time{})
		}
		l.running, l.cancelled = nil, false
		l.mu.Unlock()
		cancel(nil)
	}
}

// allow bounds sending and receiving from now on; zero is for ever.
func (l *lifeline) allow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return
	}
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = l.nc.SetDeadline(until)
}

// over ends the contexts, and leaves some time for last words.
func (l *lifeline) over(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = errGone
	}
	l.end(l.ended)
	_ = l.nc.SetDeadline(time.Now().Add(d))
}

// why tells what an error of the connection means: the reason for its end, a cancel, or
// that the client is gone, which then is the reason for its end.
func (l *lifeline) why(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
		return l.ended
	case l.cancelled && errors.Is(err, os.ErrDeadlineExceeded):
		return errCancelled
	case l.resting && l.woken && errors.Is(err, os.ErrDeadlineExceeded):
		return errWoken
	default:
		l.ended = errGone
		l.end(errGone)
		return errGone
	}
}

// away ends the connection if its client went away during the running call. It looks at the
// second time that it finds the same call.
func (l *lifeline) away() {
	l.mu.Lock()
	same := l.running != nil && l.looked == l.calls
	l.looked = l.calls
	l.mu.Unlock()
	if same && closedByPeer(l.nc) {
		l.interrupt(errGone)
	}
}
