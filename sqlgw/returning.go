package sqlgw

import (
	"context"
	"io"
	"slices"
	"sync/atomic"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// RETURNING is a query over the rows that an INSERT adds. It is evaluated before they are appended, so that
// an expression that fails leaves nothing behind. Only where a row's line begins isn't known yet: the query is
// given the number of the row in its place, which also orders the result, and the offset is put there when the
// append was made.

const (
	// maxReturning bounds what one statement holds for RETURNING, in bytes: its rows, and what is told of them.
	maxReturning = 16 << 20
	// maxReturnings bounds it for all of them together.
	maxReturnings = 256 << 20
)

// prepareReturning makes a statement of INSERT ... RETURNING. Parameters that the source has are of the types
// that they have there.
func (s *session) prepareReturning(ctx context.Context, p *parse.Returning, plan *insertPlan, paramOIDs []uint32) (*statement, error) {
	if _, ok := s.tempByID(plan.table.ID); ok {
		return nil, sqlError("0A000", "RETURNING of a temporary table is not supported")
	}
	params, err := declaredTypes(paramOIDs)
	if err != nil {
		return nil, err
	}
	n := len(plan.params)
	params = append(slices.Clone(plan.params), params[min(n, len(params)):]...)
	for _, number := range p.Params {
		params = append(params, make([]columnar.Type, max(0, number-len(params)))...)
	}
	q, err := s.newQuery(ctx, p.Query, pick(params, p.Params))
	if err != nil {
		return nil, err
	}
	told := make([]told, len(params))
	for i, number := range p.Params {
		if number > n {
			params[number-1], told[number-1] = q.params[i], q.toldParams[i]
		}
	}
	for i := range params {
		if params[i].Kind == 0 {
			params[i] = columnar.Type{Kind: columnar.Text}
		}
	}
	return &statement{
		session: s, params: params, told: told, names: s.visible,
		columns: q.placed(describeTold(q.columns, q.told), q.origins),
		begin: func(ctx context.Context, args *columnar.Batch) (execution, error) {
			if err := s.planned(ctx, plan); err != nil {
				return nil, err
			}
			rows, err := plan.rows(ctx, &columnar.Batch{Len: 1, Cols: args.Cols[:n]})
			if err != nil {
				return nil, err
			}
			return &returningExecution{
				session: s, plan: plan, query: q, rows: rows, args: &columnar.Batch{Len: 1, Cols: pick(args.Cols, p.Params)},
				offsets: offsetColumns(p, len(plan.table.Columns)), held: held{all: &s.gateway.returning},
			}, nil
		},
	}, nil
}

// pick those of a statement's parameters that have some numbers.
func pick[T any](all []T, numbers []int) []T {
	out := make([]T, len(numbers))
	for i, number := range numbers {
		out[i] = all[number-1]
	}
	return out
}

// offsetColumns are the columns of the result that are _offset, of a table of n columns.
func offsetColumns(p *parse.Returning, n int) []int {
	var out []int
	at := 0
	for _, item := range p.Items {
		switch {
		case item.Offset:
			out = append(out, at)
			at++
		case item.Star:
			at += n
		default:
			at++
		}
	}
	return out
}

// returningExecution is an INSERT ... RETURNING that runs: the whole of it when it is first called, and then it
// tells what it holds.
type returningExecution struct {
	session *session
	plan    *insertPlan
	query   *query
	rows    rowFeed
	args    *columnar.Batch // of the query
	offsets []int           // columns of the result

	ran       bool
	held      held
	presenter presenter
	result    []*columnar.Batch
	sent      int // rows of the first of result
	added     int64
}

func (e *returningExecution) run(ctx context.Context, w pgwire.ResultWriter, maxRows int) (bool, error) {
	if !e.ran {
		e.ran = true
		if err := e.insert(ctx); err != nil {
			e.close()
			return false, err
		}
	}
	done, err := e.send(w, maxRows)
	if done || err != nil {
		e.close()
	}
	return done, err
}

func (e *returningExecution) close() {
	e.held.release()
	e.result = nil
}

// send tells rows, until there are no more or a limit is reached.
func (e *returningExecution) send(w pgwire.ResultWriter, maxRows int) (bool, error) {
	for n := 0; len(e.result) > 0; {
		b := e.result[0]
		k := b.Len - e.sent
		if maxRows > 0 {
			if n == maxRows {
				return false, nil
			}
			k = min(k, maxRows-n)
		}
		if err := writeRows(w, b, e.sent, e.sent+k, e.presenter.in(e.session.settings.style())); err != nil {
			return false, err
		}
		n += k
		if e.sent += k; e.sent == b.Len {
			e.result, e.sent = e.result[1:], 0
		}
	}
	w.Complete(tag("INSERT 0", e.added))
	return true, nil
}

// insert appends the rows, and makes the result.
func (e *returningExecution) insert(ctx context.Context) error {
	s := e.session
	if len(e.offsets) > 0 { // it is admitted only where it may be appended at once
		tx := s.inTransaction()
		defer func(was bool) { tx.direct = was }(tx.direct)
		tx.direct = true
	}
	sink, err := s.insertSink(ctx, e.plan)
	if err != nil {
		return err
	}
	defer sink.abort()
	var batches []*columnar.Batch
	told := addedRows{sink: sink}
	err = e.rows(ctx, func(b *columnar.Batch) error {
		b, err := sink.complete(ctx, b)
		if err != nil {
			return err
		}
		batches = append(batches, b)
		return e.held.add(told.add(b))
	})
	if err != nil {
		return err
	}
	if err := e.evaluate(ctx, &told); err != nil {
		return err
	}
	var places []rowPlace
	if len(e.offsets) > 0 {
		places = make([]rowPlace, 0, told.n)
		sink.placed = func(p rowPlace) { places = append(places, p) }
	}
	for _, b := range batches {
		if err := sink.put(ctx, b); err != nil {
			return err
		}
	}
	if err := sink.commit(); err != nil {
		return err
	}
	if len(e.offsets) > 0 {
		if err := s.commitPlaced(ctx, sink, places); err != nil {
			return err
		}
	}
	e.added = sink.rows
	e.putOffsets(places, sink.begins)
	return nil
}

// evaluate makes the result of the rows.
func (e *returningExecution) evaluate(ctx context.Context, rows *addedRows) error {
	snap, err := e.session.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := e.query.unchanged(snap); err != nil {
		return err
	}
	run := &queryExecution{query: e.query, state: e.session.viewState(snap), added: rows.scan()}
	defer run.close()
	if err := run.begin(ctx, snap, e.args); err != nil {
		return err
	}
	e.presenter = run.presenter
	return run.each(ctx, func(b *columnar.Batch) error {
		b, err := run.presenter.batch(b)
		if err != nil {
			return err
		}
		e.result = append(e.result, b)
		return e.held.add(b)
	})
}

// putOffsets replaces numbers of rows by their offsets.
func (e *returningExecution) putOffsets(places []rowPlace, begins map[int]int64) {
	for _, b := range e.result {
		for _, c := range e.offsets {
			numbers := b.Cols[c].I64
			offsets := make([]int64, len(numbers))
			for i, n := range numbers {
				offsets[i] = begins[places[n].journal] + places[n].before
			}
			b.Cols[c].I64 = offsets
		}
	}
}

// addedRows are the rows that a statement adds, with all columns of the table and those of metadata.
type addedRows struct {
	sink    *rowSink
	batches []*columnar.Batch
	n       int64
}

// add takes a batch that is complete, and returns it as it is kept.
func (a *addedRows) add(b *columnar.Batch) *columnar.Batch {
	columns := a.sink.table.Columns
	out := &columnar.Batch{Len: b.Len}
	for _, c := range columns {
		if i := slices.IndexFunc(a.sink.columns, func(x columnar.Column) bool { return x.Name == c.Name }); i >= 0 {
			out.Cols = append(out.Cols, b.Cols[i])
		} else {
			out.Cols = append(out.Cols, nulls(c.Type, b.Len))
		}
	}
	journals := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
	numbers := make([]int64, b.Len)
	for row := range b.Len {
		journals.AppendString(a.sink.journals[a.sink.journalOf(b, row)])
		numbers[row] = a.n
		a.n++
	}
	meta := metaColumns()
	out.Cols = append(out.Cols, journals.Vector(), columnar.Vector{Type: meta[1].Type, I64: numbers}, nulls(meta[2].Type, b.Len))
	a.batches = append(a.batches, out)
	return out
}

func nulls(t columnar.Type, n int) columnar.Vector {
	v := columnar.NewVectorBuilder(t)
	for range n {
		v.AppendNull()
	}
	return v.Vector()
}

// scan reads the rows, each time that it is opened.
func (a *addedRows) scan() *duck.Scan {
	return &duck.Scan{
		Columns: append(a.sink.table.RowSchema().Columns, metaColumns()...), Cardinality: a.n,
		Open: func(_ context.Context, project []int) (duck.Source, error) {
			return &addedSource{left: a.batches, project: project}, nil
		},
	}
}

// addedSource is one reading of added rows.
type addedSource struct {
	left    []*columnar.Batch
	project []int
}

// Next returns rows, or io.EOF.
func (s *addedSource) Next(context.Context) (*columnar.Batch, error) {
	if len(s.left) == 0 {
		return nil, io.EOF
	}
	b := s.left[0]
	s.left = s.left[1:]
	return b.Project(s.project), nil
}

// Close has nothing to release.
func (s *addedSource) Close() error { return nil }

// held is what a statement holds of the memory that all of its kind may.
type held struct {
	all  *atomic.Int64
	size int64
}

// add a batch, unless it is too much.
func (h *held) add(b *columnar.Batch) error {
	n := b.Bytes()
	h.size += n
	all := h.all.Add(n)
	const hint = "Insert fewer rows at a time, or without RETURNING."
	switch {
	case h.size > maxReturning:
		return hinted(sqlError("54000", "a statement may hold %d MiB for RETURNING", maxReturning>>20), hint)
	case all > maxReturnings:
		return hinted(sqlError("53400", "all statements together may hold %d MiB for RETURNING", maxReturnings>>20), hint)
	}
	return nil
}

func (h *held) release() {
	h.all.Add(-h.size)
	h.size = 0
}
