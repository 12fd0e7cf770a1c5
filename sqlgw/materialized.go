package sqlgw

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/views"
)

// Views reads materialized views where they are kept.
type Views interface {
	// Read returns the state of a view in which its journals are read up to these offsets at least. It waits until there
	// is one, or ctx ends; from then on ctx bounds the reading.
	Read(ctx context.Context, view int64, atLeast map[string]int64) (ViewReading, error)
	// Follow returns the changes of a view, the first of which is all that it has. Ctx bounds them.
	Follow(ctx context.Context, view int64) (ViewChanges, error)
	// Stat returns how far a view is, or why nobody knows.
	Stat(ctx context.Context, view int64) (ViewStat, error)
	// Members are who keeps views, by the views' ids.
	Members(ctx context.Context) (map[int64][]ViewMember, error)
}

// ViewStat is the newest state of a view: its Epoch and Cut as of a ViewReading, and how many Rows are kept.
type ViewStat struct {
	Epoch uint64
	Cut   map[string]int64
	Rows  uint64
}

// ViewMember is a process that keeps a view: as its primary, or as a standby.
type ViewMember struct{ Shard, Member, Status string }

// ViewReading is a state of a view: rows of the groups, of which its query's last step makes those that are seen.
type ViewReading interface {
	// Epoch is the number of the transaction that made it, and Cut up to where each journal was read.
	Epoch() uint64
	Cut() map[string]int64
	// Columns of what is kept, and the engine's names of the types that they were made with.
	Columns() []columnar.Column
	Types() []string
	// Next returns rows, or io.EOF.
	Next() (*columnar.Batch, error)
	Close() error
}

// errNoViews is of a gateway that has no host for materialized views.
func errNoViews(o catalog.Object) error {
	return sqlError("0A000", "materialized view %q can't be read by this gateway: it has no host for such views", o.Name)
}

// materializedOf are the materialized views that relations read, by themselves or through views, by their ids.
func materializedOf(sources []source, into map[int64]*storedView) map[int64]*storedView {
	for _, x := range sources {
		switch {
		case x.stored == nil:
		case x.stored.object.View.Materialized != nil:
			if into == nil {
				into = map[int64]*storedView{}
			}
			into[x.stored.object.ID] = x.stored
		default:
			into = materializedOf(x.stored.sources, into)
		}
	}
	return into
}

// rereads tells whether the engine may read a relation more than once that is named once, in the query or in a view of it.
func rereads(q *parse.Select, sources []source) bool {
	return q.Rereads() || slices.ContainsFunc(sources, func(x source) bool {
		return x.stored != nil && x.stored.query != nil && rereads(x.stored.query, x.stored.sources)
	})
}

// mentionsOf counts how often a materialized view is named.
func mentionsOf(sources []source, view int64) int {
	n := 0
	for _, x := range sources {
		switch {
		case x.stored == nil:
		case x.stored.object.ID == view:
			n++
		default:
			n += mentionsOf(x.stored.sources, view)
		}
	}
	return n
}

// mayReadMaterialized refuses to read materialized views where a statement's cut isn't its own.
func (s *session) mayReadMaterialized(q *query, v catalog.Object) error {
	for i, r := range q.parsed.Relations() {
		if i < len(q.sources) && r.AsOf != nil && materializedOf(q.sources[i:i+1], nil)[v.ID] != nil {
			return at(sqlError("0A000", "%s of materialized view %q is not supported", r.AsOf.Clause(), v.Name), r.AsOf.Position)
		}
	}
	if s.tx != nil && s.tx.modes.oneCut() && (s.tx.block || s.tx.many) {
		return hinted(sqlError("0A000", "to read materialized view %q in a transaction that keeps one cut is not supported", v.Name),
			"Read it by itself, or in a transaction that is READ COMMITTED and not READ ONLY.")
	}
	return nil
}

// unwritten refuses to read a materialized view of a table that the transaction has written: it would lack those rows.
func (s *session) unwritten(v catalog.Object, journals []string) error {
	if s.tx == nil || s.tx.stage == nil {
		return nil
	}
	for _, j := range journals {
		if content := s.tx.stage.Snapshot(j); content != nil {
			content.Close()
			return hinted(sqlError("0A000", "to read materialized view %q in the transaction that has written its table is not supported", v.Name), "Commit first.")
		}
	}
	return nil
}

// mostAligned is how often views of one statement are read until they have read to one cut.
const mostAligned = 8

// readViews reads the materialized views of the query at the cut of the statement or a later one, and moves the cut to where they were read:
// tables that are read beside them are read there, too. Journals are those of tables, by their ids.
func (e *queryExecution) readViews(ctx context.Context, now cut, journals map[int64][]string) error {
	q := e.query
	read := materializedOf(q.sources, nil)
	if len(read) == 0 {
		return nil
	}
	of := map[int64][]string{} // of each view's table
	for id, v := range read {
		if err := q.session.mayReadMaterialized(q, v.object); err != nil {
			return err
		}
		for _, t := range tablesOf(v.sources) {
			of[id] = append(of[id], journals[t.ID]...)
		}
		if err := q.session.unwritten(v.object, of[id]); err != nil {
			return err
		}
	}
	for range mostAligned {
		for id, v := range read {
			if err := e.readAt(ctx, v, of[id], now); err != nil {
				return err
			}
		}
		aligned := true
		for id, r := range e.views {
			aligned = aligned && r.isAt(now, of[id])
		}
		if aligned {
			return nil
		}
	}
	return hinted(sqlError("40001", "the materialized views of the statement weren't read at one cut in %d attempts", mostAligned), "Send it again.")
}

// readAt reads a view at a cut or a later one, unless it was read there, and moves the cut to where that is.
func (e *queryExecution) readAt(ctx context.Context, v *storedView, journals []string, now cut) error {
	id := v.object.ID
	if r := e.views[id]; r != nil {
		if r.isAt(now, journals) {
			return nil
		}
		r.close()
		delete(e.views, id)
	}
	r, err := e.readView(ctx, v, journals, now)
	if err != nil {
		return err
	}
	if e.views == nil {
		e.views = map[int64]*viewRead{}
	}
	e.views[id] = r
	for _, j := range journals {
		now[j] = r.at[j]
	}
	return nil
}

// readView begins to read a view. The reading outlives the call, and is ended with the execution.
func (e *queryExecution) readView(ctx context.Context, v *storedView, journals []string, now cut) (*viewRead, error) {
	g := e.query.session.gateway
	if g.cfg.Views == nil {
		return nil, errNoViews(v.object)
	}
	least := make(map[string]int64, len(journals))
	for _, j := range journals {
		least[j] = now[j]
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	reading, err := g.cfg.Views.Read(life, v.object.ID, least)
	if !stop() && err == nil {
		_ = reading.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel(err)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, viewError(v.object, err)
	}
	r := &viewRead{reading: reading, at: cut{}, cancel: cancel}
	r.shared = mentionsOf(e.query.sources, v.object.ID) > 1 || rereads(e.query.parsed, e.query.sources)
	for _, j := range journals {
		r.at[j] = max(reading.Cut()[j], least[j]) // what is between is no whole line
	}
	return r, nil
}

// viewError is the error of a view that can't be read.
func viewError(o catalog.Object, err error) error {
	if e, ok := errors.AsType[*pgwire.Error](err); ok {
		return e
	}
	cause, way, ok := strings.Cut(err.Error(), views.WayOut)
	e := sqlError("55000", "materialized view %q can't be read: %s", o.Name, cause)
	if ok {
		return hinted(e, "The view goes on without the row by: "+way)
	}
	return hinted(e, "bs_catalog.materialized_views tells how it is.")
}

// viewRead is a view that is read by one statement.
type viewRead struct {
	reading ViewReading
	at      cut
	cancel  context.CancelCauseFunc
	// shared: it may be read more than once, so that its rows are held.
	shared bool
	held   []*columnar.Batch
	read   bool // rows were taken
}

// isAt tells whether the view was read at a cut.
func (r *viewRead) isAt(now cut, journals []string) bool {
	return !slices.ContainsFunc(journals, func(j string) bool { return r.at[j] != now[j] })
}

func (r *viewRead) close() {
	_ = r.reading.Close()
	r.cancel(context.Canceled)
}

// maxHeldRows bounds what is held of a view that a statement may read more than once, in bytes.
const maxHeldRows = 64 << 20

// open begins a reading of the rows.
func (r *viewRead) open(_ context.Context, project []int) (duck.Source, error) {
	if !r.shared {
		if r.read {
			return nil, sqlError("XX000", "the rows of a materialized view were read already")
		}
		r.read = true
		return &readingSource{reading: r.reading, project: project}, nil
	}
	return &tempSource{rows: r.held, project: project}, nil
}

// hold takes all rows of a view that may be read more than once.
func (r *viewRead) hold(o catalog.Object) error {
	if !r.shared || r.read {
		return nil
	}
	r.read = true
	bytes := int64(0)
	for {
		b, err := r.reading.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return viewError(o, err)
		}
		if bytes += b.Bytes(); bytes > maxHeldRows {
			return hinted(sqlError("54000", "materialized view %q has more than %d MiB, and the statement may read it more than once", o.Name, maxHeldRows>>20),
				"Name it once, in a WITH query that is neither RECURSIVE nor NOT MATERIALIZED.")
		}
		r.held = append(r.held, b)
	}
}

// readingSource yields the rows of a view as they come.
type readingSource struct {
	reading ViewReading
	project []int
}

// Next returns rows, or io.EOF.
func (s *readingSource) Next(context.Context) (*columnar.Batch, error) {
	b, err := s.reading.Next()
	if err != nil {
		return nil, err
	}
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(s.project))}
	for i, c := range s.project {
		out.Cols[i] = b.Cols[c]
	}
	return out, nil
}

// Close leaves the reading to the execution.
func (*readingSource) Close() error { return nil }

// materializedTarget is what the engine reads for a materialized view: the last step of its query, over the rows that are kept.
func (e *queryExecution) materializedTarget(v *storedView) (parse.Target, error) {
	r := e.views[v.object.ID]
	if r == nil {
		return parse.Target{}, sqlError("XX000", "materialized view %q isn't read", v.object.Name)
	}
	if err := r.hold(v.object); err != nil {
		return parse.Target{}, err
	}
	last, err := v.lastStep()
	if err != nil {
		return parse.Target{}, err
	}
	cols := r.reading.Columns()
	token := e.query.session.gateway.scans.add(duck.Scan{Columns: cols, Open: r.open})
	e.tokens = append(e.tokens, token)
	return last.over("("+readScan(token, cols)+")", r.reading.Types()), nil
}

// lastStep makes the rows of a materialized view of what is kept of it.
type lastStep struct {
	view    *storedView
	inc     *parse.Incremental
	partial parse.Printed
}

// lastStep of the view's query. An error tells by its name what can't be kept of it.
func (v *storedView) lastStep() (lastStep, error) {
	inc, err := v.query.Incremental()
	if err != nil {
		return lastStep{}, parseError(err)
	}
	// As whoever keeps the rows prints it: without what only sessions know.
	partial, err := inc.Partial.Print(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) {
		t := namesOf(v.sources[0], nil)
		t.SQL = "kept"
		return t, nil
	}})
	if err != nil {
		return lastStep{}, parseError(err)
	}
	return lastStep{v, inc, partial}, nil
}

// over is what the engine reads for the view: sql reads what is kept, with the engine's names of the types that it was made with.
func (l lastStep) over(sql string, types []string) parse.Target {
	below := l.inc.Shown(sql, l.partial, types)
	return parse.Target{Schema: l.view.object.Schema, Columns: l.view.columns(), View: &parse.View{
		Query: l.inc.Final, Relation: func(parse.Relation) (parse.Target, error) { return below, nil },
	}}
}
