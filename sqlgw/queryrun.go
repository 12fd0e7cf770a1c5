package sqlgw

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/objectcache"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// begin fixes the cut and starts the query over the tables at it.
func (q *query) begin(ctx context.Context, args *columnar.Batch) (execution, error) {
	snap, err := q.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(snap); err != nil {
		return nil, err
	}
	return q.beginAt(ctx, snap, args)
}

// beginAt starts the query over what a snapshot has.
func (q *query) beginAt(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) (*queryExecution, error) {
	e := &queryExecution{query: q, state: q.session.viewState(snap)}
	if err := e.begin(ctx, snap, args); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// begin is to be followed by close if it fails.
func (e *queryExecution) begin(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) error {
	q := e.query
	stored := q.sources
	if e.added != nil {
		stored = stored[1:]
	}
	if len(tablesOf(stored)) > 0 || readsTemps(stored) {
		var err error
		if e.turn, err = q.session.newTurn(); err != nil {
			return err
		}
		if err := e.turn.take(ctx); err != nil {
			return err
		}
	}
	e.state.args = args
	printed, err := e.startOver(ctx, snap, args)
	if err != nil {
		return err
	}
	g := q.session.gateway
	e.presenter = presenter{types: g.tell(e.rows.Columns(), printed.Types), names: g.pg.Names(e.state.catalog)}
	e.origins = printed.Origins
	e.leave()
	return nil
}

// mostStarts is how often a query is started whose files vanish meanwhile.
const mostStarts = 4

// startOver starts the query, again if files vanish between the choice of fragments and the engine's first look: at the same
// cut, and without those files. Brokers serve what was in them, if it is still anywhere.
func (e *queryExecution) startOver(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) (parse.Printed, error) {
	for n := 1; ; n++ {
		printed, err := e.compile(ctx, snap, args)
		if err == nil {
			err = e.start(ctx, e.notes.compiled()+printed.SQL, args)
		}
		if err == nil || n == mostStarts || ctx.Err() != nil || !e.forgetGone() {
			return printed, err
		}
		e.release()
	}
}

// forgetGone notes the files that the query was to read and that aren't there, and tells whether there are any.
func (e *queryExecution) forgetGone() bool {
	found := false
	for _, f := range e.files {
		if _, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) {
			if e.gone == nil {
				e.gone = map[string]bool{}
			}
			e.gone[f], found = true, true
		}
	}
	return found
}

// compile makes the engine's text of the query.
func (e *queryExecution) compile(ctx context.Context, snap *catalog.Snapshot, args *columnar.Batch) (parse.Printed, error) {
	e.notes.reset()
	targets, err := e.query.targets(ctx, snap, e, args)
	if err != nil {
		return parse.Printed{}, err
	}
	return e.query.print(ctx, e.query.params, parse.Binding{
		Relation: func(r parse.Relation) (parse.Target, error) { return targets[r.Index], nil },
		Dialect:  e.state.dialect(&e.tokens),
		Style:    e.query.style(),
	})
}

// unchanged refuses to run a prepared query over tables that became others.
func (q *query) unchanged(snap *catalog.Snapshot) error {
	now, err := q.session.resolveAll(snap, q.parsed)
	if err != nil {
		return err
	}
	for i, x := range now {
		if !x.same(q.sources[i]) {
			return changedResult()
		}
	}
	return nil
}

// sameTable tells whether two tables of a name are one, and have the same columns.
func sameTable(a, b catalog.Table) bool { return a.ID == b.ID && a.Version == b.Version }

// queryExecution is a query that runs.
type queryExecution struct {
	query  *query
	state  viewState
	tokens []string
	staged []*staging.Snapshot // that the scans read
	marks  map[string]map[string][]clock.Point
	reach  *reach              // how far back it reads
	places []map[int64]place   // where each relation's tables are read
	made   map[string]int64    // revisions of journals of which something is remembered
	files  []string            // that are read in place
	pins   []*objectcache.Pin  // of those that are copies
	gone   map[string]bool     // files that vanished
	views  map[int64]*viewRead // materialized ones that it reads, by their ids
	notes  *notes              // for EXPLAIN
	// added, if it is set, is read in the place of the first relation: the rows that an INSERT adds.
	added  *duck.Scan
	conn   *duck.Conn
	left   <-chan struct{} // closed when a call that was left behind has returned; nil if there is none
	rows   *duck.Rows
	cancel context.CancelCauseFunc // of what bounds the rows

	turn *turn // nil if it reads no tables

	presenter presenter
	origins   []parse.Origin
	batch     *columnar.Batch // that is being sent
	sent      int             // rows of batch that were
	returned  int64           // rows, over all calls
}

// start runs the query. It may live longer than this call, so that its rows have a context
// of their own, which each call's context ends while it lasts.
func (e *queryExecution) start(ctx context.Context, sql string, args *columnar.Batch) error {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e.cancel = cancel
	defer e.bound(ctx)()
	var err error
	if e.conn, err = e.query.session.connect(ctx, e.query.style()); err != nil {
		return err
	}
	conn := e.conn
	var rows *duck.Rows
	err = e.inEngine(ctx, func() error {
		stmt, err := conn.Prepare(ctx, sql)
		if err != nil {
			return err
		}
		rows, err = stmt.Query(life, args)
		return err
	}, nil)
	if err == nil {
		e.rows = rows
	}
	return err
}

// inEngine runs a call of the engine for the query, which is over if it is left behind.
func (e *queryExecution) inEngine(ctx context.Context, call func() error, idle func()) error {
	left, err := e.query.session.gateway.inEngineIdle(ctx, call, idle)
	e.left = left
	return err
}

// next goes to the engine for the next rows, and away with them. If they take their time, flush sends those that were made before; it
// may be nil, and what it fails with is the sink's to tell.
func (e *queryExecution) next(ctx context.Context, flush func() error) (*columnar.Batch, error) {
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	rows, leave := e.rows, e.leaver()
	var b *columnar.Batch
	var idle func()
	if flush != nil {
		idle = func() { _ = flush() }
	}
	err := e.inEngine(ctx, func() error {
		// Away as soon as the engine is done: the session may be sending to a client that doesn't read.
		defer leave()
		var err error
		b, err = rows.Next(ctx)
		return err
	}, idle)
	if e.left != nil {
		return nil, err
	}
	return b, err
}

// leave the engine: while it is away its turn may be taken, and its result too.
func (e *queryExecution) leave() { e.leaver()() }

// leaver is leave for a call of the engine, which the query may be over before.
func (e *queryExecution) leaver() func() {
	g, conn, t := e.query.session.gateway, e.conn, e.turn
	return func() { t.leave(func() { g.closeUnread(conn) }) }
}

// present returns the next rows as they are told.
func (e *queryExecution) present(ctx context.Context, flush func() error) (*columnar.Batch, error) {
	b, err := e.next(ctx, flush)
	if err != nil {
		return nil, err
	}
	return e.presenter.batch(b)
}

// bound lets ctx end the rows until the returned function is called.
func (e *queryExecution) bound(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, func() { e.cancel(context.Cause(ctx)) })
	return func() { stop() }
}

// close ends the query, and lets go of all that it has. It may be called again.
func (e *queryExecution) close() {
	if e.turn != nil {
		e.query.session.reading--
	}
	t := e.turn
	e.turn, e.batch = nil, nil
	for _, v := range e.views { // before the engine is waited for, which may wait for them
		v.close()
	}
	e.views = nil
	e.letGo(t)
}

// release lets go of what the engine reads, and of its connection. The turn stays.
func (e *queryExecution) release() { e.letGo(nil) }

// letGo of all but the turn, and of that too if it is given.
func (e *queryExecution) letGo(t *turn) {
	g := e.query.session.gateway
	if e.cancel != nil {
		e.cancel(context.Canceled)
	}
	if held := (heldByQuery{e.conn, e.tokens, e.staged, e.pins, t}); !held.nothing() {
		g.letGo(e.left, func() { held.release(g) })
	}
	e.rows, e.conn, e.tokens, e.staged, e.files, e.pins, e.left = nil, nil, nil, nil, nil, nil, nil
}

// heldByQuery is what a query lets go of at its end.
type heldByQuery struct {
	conn   *duck.Conn
	tokens []string
	staged []*staging.Snapshot
	pins   []*objectcache.Pin
	turn   *turn
}

func (h *heldByQuery) nothing() bool {
	return h.conn == nil && len(h.tokens)+len(h.staged)+len(h.pins) == 0 && h.turn == nil
}

func (h *heldByQuery) release(g *Gateway) {
	if h.conn != nil {
		_ = h.conn.Close() // with its rows; it has no way to fail
		defer g.open.Add(-1)
	}
	g.dropScans(h.tokens)
	for _, x := range h.staged {
		x.Close()
	}
	releaseAll(h.pins)
	h.turn.end()
}

// run sends rows. It is done when there are no more, and lets go of everything then; with a
// limit it stops exactly there.
func (e *queryExecution) run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	done, err := e.send(ctx, w, maxRows)
	if done || err != nil {
		e.close()
	}
	return done, err
}

func (e *queryExecution) send(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	if e.rows == nil { // it is over
		w.Complete(tag("SELECT", 0))
		return true, nil
	}
	defer e.bound(ctx)()
	for n := 0; ; {
		if e.batch == nil || e.sent == e.batch.Len {
			var err error
			e.sent = 0
			if e.batch, err = e.present(ctx, w.Flush); errors.Is(err, io.EOF) {
				w.Complete(tag("SELECT", int64(n)))
				return true, nil
			} else if err != nil {
				return false, err
			}
		}
		k := e.batch.Len - e.sent
		if maxRows > 0 {
			k = min(k, maxRows-n)
		}
		if err := e.returning(k); err != nil {
			return false, err
		}
		if err := e.write(ctx, w, e.sent, e.sent+k); err != nil {
			return false, err
		}
		e.sent += k
		if n += k; n == maxRows && maxRows > 0 {
			return false, nil
		}
	}
}

// stream hands over all rows as they are told, in batches.
func (e *queryExecution) stream(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error {
	return e.eachIdle(ctx, func(b *columnar.Batch) error {
		if err := e.returning(b.Len); err != nil {
			return err
		}
		b, err := e.presenter.batch(b)
		if err != nil {
			return err
		}
		return write(b)
	}, idle)
}

func (e *queryExecution) told() presenter { return e.presenter.in(e.query.session.settings.style()) }

// each hands over all rows of the engine in batches.
func (e *queryExecution) each(ctx context.Context, write func(*columnar.Batch) error) error {
	return e.eachIdle(ctx, write, nil)
}

// eachIdle is each, with a call of idle, if it isn't nil, while the engine takes its time.
func (e *queryExecution) eachIdle(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error {
	defer e.bound(ctx)()
	for {
		b, err := e.next(ctx, idle)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := write(b); err != nil {
			return err
		}
	}
}
