package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// resultColumn is a column of a result.
type resultColumn struct {
	name   string
	layout layout
}

// Rows are the rows of a running query. DuckDB runs ahead of the reader by a bounded
// buffer only. They are read by one goroutine; Close may be called by any.
//
// Invariant: err is nil while the query runs, and then its connection's rows is this
// value; once err is set DuckDB holds nothing of the query any more.
type Rows struct {
	conn    *Conn
	stmt    *Stmt
	call    *call
	native  mapping.Result
	columns []resultColumn
	closing atomic.Bool
	err     error
}

// describe is inside DuckDB.
func (r *Rows) describe() {
	for i := range mapping.ColumnCount(&r.native) {
		lt := mapping.ColumnLogicalType(&r.native, i)
		r.columns = append(r.columns, resultColumn{name: mapping.ColumnName(&r.native, i), layout: layoutOf(lt)})
		mapping.DestroyLogicalType(&lt)
	}
}

// Columns returns the columns as they are, now that the parameters are known.
func (r *Rows) Columns() []columnar.Column {
	out := make([]columnar.Column, len(r.columns))
	for i, c := range r.columns {
		out[i] = columnar.Column{Name: c.name, Type: c.layout.typ}
	}
	return out
}

// Next returns the next rows, never none, and io.EOF after the last. After an error
// the query is over and its connection free. The end of the context ends the query too.
func (r *Rows) Next(ctx context.Context) (*columnar.Batch, error) {
	chunk, n, err := r.fetch(ctx)
	if err != nil {
		return nil, err
	}
	defer r.conn.release()
	batch, err := copyChunk(chunk, r.columns, n)
	mapping.DestroyDataChunk(&chunk)
	if err != nil {
		r.finish(err)
		return nil, err
	}
	r.conn.db.metrics.returned.Add(float64(n))
	return batch, nil
}

// skip drops the next rows.
func (r *Rows) skip(ctx context.Context) {
	chunk, _, err := r.fetch(ctx)
	if err == nil {
		mapping.DestroyDataChunk(&chunk)
		r.conn.release()
	}
}

// fetch gets a chunk of at least one row and leaves the connection's token with the
// caller; after an error it leaves neither.
func (r *Rows) fetch(ctx context.Context) (mapping.DataChunk, int, error) {
	if err := r.conn.acquire(); err != nil {
		if r.closing.Load() {
			err = ErrClosed // Close has the token
		}
		return mapping.DataChunk{}, 0, err
	}
	if r.err != nil {
		r.conn.release()
		return mapping.DataChunk{}, 0, r.err
	}
	var chunk mapping.DataChunk
	settle := onEnd(ctx, func() { r.call.cancel(context.Cause(ctx)) })
	r.conn.run(r.call, func() { chunk = mapping.FetchChunk(r.native) })
	settle()
	n := 0
	if chunk.Ptr != nil {
		n = int(mapping.DataChunkGetSize(chunk))
	}
	if n > 0 && r.call.ctx.Err() == nil {
		return chunk, n, nil
	}
	mapping.DestroyDataChunk(&chunk)
	r.finish(r.outcome())
	r.conn.release()
	return mapping.DataChunk{}, 0, r.err
}

// outcome tells why no chunk came.
func (r *Rows) outcome() error {
	if message := mapping.ResultError(&r.native); message != "" {
		return fmt.Errorf("duck: query: %w", r.call.cause(r.conn.db.scrub.newError(message)))
	}
	if err := r.call.cause(nil); err != nil {
		return fmt.Errorf("duck: query: %w", err)
	}
	return io.EOF
}

// Close ends the query if it isn't over. Sources of its scans are closed when it returns.
func (r *Rows) Close() error {
	r.closing.Store(true)
	r.call.cancel(ErrClosed)
	<-r.conn.token
	defer r.conn.release()
	r.finish(ErrClosed)
	return nil
}

// finish makes DuckDB let go of the query, for the reason that err says. The caller
// holds the connection's token.
func (r *Rows) finish(err error) {
	if r.err != nil {
		return
	}
	r.err = err
	r.conn.db.metrics.ended(r.call.ctx, err)
	r.call.cancel(ErrClosed)
	if errors.Is(err, io.EOF) {
		mapping.DestroyResult(&r.native) // DuckDB let go of the rest with the last row
	} else {
		mapping.Interrupt(r.conn.native)
		r.free()
	}
	r.conn.rows = nil
	r.conn.active.Store(nil)
}

// free destroys the result before its end. DuckDB keeps what runs of a streamed result
// until the next statement on the connection, so one is compiled: that cancels its tasks,
// waits for them, and drops its scans, without harming a transaction that is open.
func (r *Rows) free() {
	mapping.DestroyResult(&r.native)
	var nothing mapping.PreparedStatement
	mapping.Prepare(r.conn.native, "SELECT 1", &nothing)
	mapping.DestroyPrepare(&nothing)
}

// failure is why the rows are over, nil at their regular end.
func (r *Rows) failure() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}
