package duck

import (
	"context"
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// interruptEvery is how often a running call is interrupted again once its
// context has ended: DuckDB forgets an interrupt that comes before it has begun.
const interruptEvery = 2 * time.Millisecond

// call is one statement's use of a connection: a Prepare, an Exec, or a Query
// until its rows are over. Scans find it through their connection.
type call struct {
	ctx    context.Context //nolint:containedctx // lifetime of the call
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	failure error
}

func newCall(ctx context.Context) *call {
	ctx, cancel := context.WithCancelCause(ctx)
	return &call{ctx: ctx, cancel: cancel}
}

// fail remembers the first error of the call's Go code, which DuckDB passes on as text only.
func (c *call) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = err
	}
}

// cause chooses what a failed call reports: the end of its context, else what the
// Go code of a scan said, else what DuckDB said.
func (c *call) cause(reported error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return c.failure
	}
	return reported
}

// run calls f, which is inside DuckDB, and interrupts it when the call's context ends.
// When run returns no interrupt is under way. It doesn't begin after the end of the context.
func (c *Conn) run(running *call, f func()) {
	if running.ctx.Err() != nil {
		return
	}
	returned := make(chan struct{})
	settle := onEnd(running.ctx, func() {
		c.db.metrics.interrupts.Inc()
		interruptUntil(c.native, returned)
	})
	f()
	close(returned)
	settle()
}

// onEnd calls f in its own goroutine if ctx ends before the function that onEnd returns
// is called, which waits for f if it was.
func onEnd(ctx context.Context, f func()) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

func interruptUntil(conn mapping.Connection, returned <-chan struct{}) {
	ticker := time.NewTicker(interruptEvery)
	defer ticker.Stop()
	for {
		mapping.Interrupt(conn)
		select {
		case <-returned:
			return
		case <-ticker.C:
		}
	}
}
