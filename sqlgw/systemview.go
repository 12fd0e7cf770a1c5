package sqlgw

import (
	"context"
	"errors"
	"io"
	"slices"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
)

// bsCatalog is the schema of what the system tells of itself.
const bsCatalog = "bs_catalog"

// systemView is a relation that the system makes for each statement that names it.
type systemView struct {
	schema, name string
	columns      []columnar.Column // of rows
	// rows makes the relation's rows, handing them to add.
	rows func(ctx context.Context, s viewState, add func(*columnar.Batch) error) error
	// relation shapes them, if it is one of PostgreSQL's.
	relation *pgcatalog.Relation
}

type viewName struct{ schema, name string }

func text(name string) columnar.Column {
	return columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.Text}}
}

func bigint(name string) columnar.Column {
	return columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.Int64}}
}

// systemViews are the relations of bs_catalog.
func systemViews() []*systemView {
	return append([]*systemView{
		{
			schema: bsCatalog, name: "journals", rows: journalRows,
			columns: []columnar.Column{text("table_schema"), text("table_name"), text("journal")},
		},
		{
			schema: bsCatalog, name: "rejects", rows: rejectRows,
			columns: []columnar.Column{
				text("table_schema"), text("table_name"), text("journal"), bigint("offset"), bigint("length"),
				{Name: "bytes", Type: columnar.Type{Kind: columnar.Bytea}},
				text("reason"),
			},
		},
		{schema: bsCatalog, name: "sessions", rows: sessionRows, columns: sessionColumns()},
	}, brokerViews()...)
}

// viewsByName are the relations of bs_catalog, to which those of PostgreSQL's are added.
func viewsByName() map[viewName]*systemView {
	views := map[viewName]*systemView{}
	for _, v := range systemViews() {
		views[viewName{v.schema, v.name}] = v
	}
	return views
}

// scan reads the view for one statement.
func (v *systemView) scan(s viewState) duck.Scan {
	return duck.Scan{Columns: v.columns, Open: func(ctx context.Context, project []int) (duck.Source, error) {
		return openView(ctx, v, s, project)
	}}
}

// target is what the engine reads for the view, given the query that gives its rows.
func (v *systemView) target(rows string) parse.Target {
	if r := v.relation; r != nil {
		return parse.Target{SQL: "(" + r.Query(rows) + ")", Schema: v.schema, Columns: r.Columns(), Types: r.Types(), Hidden: r.Hidden()}
	}
	return parse.Target{SQL: "(" + rows + ")", Schema: v.schema, Columns: columnNames(v.columns), Types: typeNames(v.columns)}
}

// viewTarget makes the engine read a system view: its rows of the journals that are asked for, at least.
func (e *queryExecution) viewTarget(v *systemView, asked asked) parse.Target {
	state := e.state
	state.asked = asked
	token := e.query.session.gateway.scans.add(v.scan(state))
	e.tokens = append(e.tokens, token)
	return v.target(readScan(token, v.columns))
}

// maxViewBytes bounds what a system view holds in memory.
const maxViewBytes = 64 << 20

var errViewTooLarge = errors.New("the relation has more than 64 MiB of rows")

// openView makes a view's rows, all at once: they are few, or they are refused.
func openView(ctx context.Context, v *systemView, s viewState, project []int) (duck.Source, error) {
	src := &batchSource{}
	var bytes int64
	err := v.rows(ctx, s, func(b *columnar.Batch) error {
		out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(project))}
		for i, c := range project {
			out.Cols[i] = b.Cols[c]
		}
		if bytes += out.Bytes(); bytes > maxViewBytes {
			return errViewTooLarge
		}
		src.left = append(src.left, out)
		return nil
	})
	return src, err
}

// batchSource yields batches that are there already.
type batchSource struct{ left []*columnar.Batch }

// Next returns a batch, or io.EOF.
func (s *batchSource) Next(context.Context) (*columnar.Batch, error) {
	if len(s.left) == 0 {
		return nil, io.EOF
	}
	b := s.left[0]
	s.left = s.left[1:]
	return b, nil
}

// Close has nothing to end.
func (s *batchSource) Close() error { return nil }

func journalRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(systemViews()[0].columns)
	all := holdings{asked: s.asked, tables: s.snap.Tables(), journals: s.snap.Journals}
	err := all.eachJournal(ctx, func(t catalog.Table, journal string) error {
		b.text(0, t.Schema)
		b.text(1, t.Name)
		b.text(2, journal)
		return nil
	})
	if err != nil {
		return err
	}
	return add(b.batch())
}

// rejectRows decodes the journals of every table that the session may read, but for fragments that are proven to have
// no rejects, and tells of each line that doesn't fit.
func rejectRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	g := s.session.gateway
	for _, t := range s.snap.Tables() {
		if !s.session.may(s.snap, t, catalog.Select, parse.Name{Schema: t.Schema, Name: t.Name}) {
			continue // A line that doesn't fit is as secret as one that does.
		}
		if !s.asked.under(t.Journals) {
			continue
		}
		journals, err := s.snap.Journals(ctx, t)
		if err != nil {
			return err
		}
		journals = slices.DeleteFunc(slices.Clone(journals), func(j string) bool { return !s.asked.has(j) })
		at, err := g.fixCut(ctx, journals)
		if err != nil {
			return err
		}
		schema := t.RowSchema()
		plans, err := g.planJournals(ctx, journals, at, reading{list: g.kept, schema: schema, fingerprint: schema.Fingerprint()})
		if err != nil {
			return err
		}
		holes, err := g.committedNow(ctx, t, plans)
		if err != nil {
			return err
		}
		for _, r := range decodedRanges(plans) {
			r.holes = holes[r.journal]
			if err := g.rejectsOf(ctx, t, schema, r, add); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Gateway) rejectsOf(ctx context.Context, t catalog.Table, schema columnar.Schema, r decodeRangeOf, add func(*columnar.Batch) error) error {
	reader, err := g.openRange(ctx, r.journal, r.begin, r.end)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	sc := columnar.NewScanner(reader, columnar.ScanOptions{Journal: r.journal, Begin: r.begin, End: r.end, Schema: schema})
	for {
		_, rejects, err := sc.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		rejects = slices.DeleteFunc(rejects, func(x columnar.Reject) bool { return r.holes.Within(x.Offset, x.Offset+1) })
		if len(rejects) > 0 {
			b := newViewRows(systemViews()[1].columns)
			for _, x := range rejects {
				b.text(0, t.Schema)
				b.text(1, t.Name)
				b.text(2, x.Journal)
				b.cols[3].AppendInt64(x.Offset)
				b.cols[4].AppendInt64(x.Length)
				b.cols[5].AppendBytes(x.Bytes)
				b.text(6, x.Reason)
			}
			if err := add(b.batch()); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the end of the range
		}
	}
}

// viewRows gathers rows of a view.
type viewRows struct{ cols []*columnar.VectorBuilder }

func newViewRows(cols []columnar.Column) *viewRows {
	r := &viewRows{}
	for _, c := range cols {
		r.cols = append(r.cols, columnar.NewVectorBuilder(c.Type))
	}
	return r
}

func (r *viewRows) text(col int, v string) { r.cols[col].AppendBytes([]byte(v)) }

func (r *viewRows) batch() *columnar.Batch {
	b := &columnar.Batch{Len: r.cols[0].Len(), Cols: make([]columnar.Vector, len(r.cols))}
	for i, c := range r.cols {
		b.Cols[i] = c.Vector()
	}
	return b
}
