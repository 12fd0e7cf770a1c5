package views

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// scanFunction is the table function by which DuckDB reads batches and kept rows.
const scanFunction = "bs_view_rows"

// scans are those of the statements of all shards, each by its token.
type scans struct {
	mu   sync.Mutex
	next uint64
	of   map[string]duck.Scan
}

func (s *scans) add(scan duck.Scan) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	token := strconv.FormatUint(s.next, 36)
	s.of[token] = scan
	return token
}

func (s *scans) remove(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, token)
}

// bind is called by DuckDB.
func (s *scans) bind(token string) (duck.Scan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scan, ok := s.of[token]
	if !ok {
		return duck.Scan{}, errors.New("the view isn't kept here any more")
	}
	return scan, nil
}

// call is the text that reads a scan.
func call(token string) string { return scanFunction + "('" + token + "')" }

// relation is what a statement of a shard reads: what open gives when it runs.
type relation struct {
	token string

	mu   sync.Mutex // DuckDB's threads open it
	open func(project []int) []duck.Source
}

// put what is to be read by the statement that runs next; nil when it has.
func (r *relation) put(open func(project []int) []duck.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = open
}

func (r *relation) putRows(rows ...*columnar.Batch) {
	r.put(func(project []int) []duck.Source { return []duck.Source{&rowsSource{rows: rows, project: project}} })
}

var errNotOpen = errors.New("there is nothing to read")

// scan of the relation.
func (r *relation) scan(columns []columnar.Column) duck.Scan {
	return duck.Scan{Columns: columns, OpenParts: func(_ context.Context, project []int) ([]duck.Source, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.open == nil {
			return nil, errNotOpen
		}
		return r.open(project), nil
	}}
}

// rowsSource yields rows that are in memory.
type rowsSource struct {
	rows    []*columnar.Batch
	project []int
}

// Next returns rows, or io.EOF.
func (s *rowsSource) Next(context.Context) (*columnar.Batch, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	b := s.rows[0]
	s.rows = s.rows[1:]
	return b.Project(s.project), nil
}

// Close has nothing to close.
func (*rowsSource) Close() error { return nil }

// queries are those of a view, prepared on a connection of its own.
type queries struct {
	scans   *scans
	conn    *duck.Conn
	partial *duck.Stmt
	merge   *duck.Stmt // nil of views of rows
	// lines is what partial reads, and groups what merge does.
	lines, groups relation
	// columns of what is kept, and DuckDB's names of their types.
	columns []columnar.Column
	types   []string
}

// prepare the queries of a view.
func prepare(ctx context.Context, db *duck.DB, s *scans, def *Definition) (*queries, error) {
	q := &queries{scans: s}
	var err error
	if q.conn, err = db.Conn(ctx); err == nil {
		err = q.prepare(ctx, def)
	}
	if err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

func (q *queries) prepare(ctx context.Context, def *Definition) error {
	q.lines.token = q.scans.add(q.lines.scan(def.Lines.Columns))
	table := def.Table
	table.SQL = call(q.lines.token)
	printed, err := def.Plan.Partial.Print(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) { return table, nil }})
	if err != nil {
		return fmt.Errorf("print the query over lines: %w", err)
	}
	if q.partial, err = q.conn.Prepare(ctx, printed.SQL); err != nil {
		return fmt.Errorf("the query over lines: %w", err)
	}
	q.columns, q.types = q.partial.Columns(), q.partial.TypeNames()
	for _, c := range q.columns {
		if err := c.Type.Validate(); err != nil {
			return fmt.Errorf("column %q of the query over lines: %w", c.Name, err)
		}
	}
	if def.Plan.Kind == Rows {
		return nil
	}
	merge, err := def.Plan.Merge(q.types)
	if err != nil {
		return fmt.Errorf("the query that merges: %w", err)
	}
	q.groups.token = q.scans.add(q.groups.scan(q.columns))
	groups := def.Plan.Groups(call(q.groups.token), printed, q.types)
	text, err := merge.SQL(parse.Binding{Relation: func(parse.Relation) (parse.Target, error) { return groups, nil }})
	if err != nil {
		return fmt.Errorf("print the query that merges: %w", err)
	}
	if q.merge, err = q.conn.Prepare(ctx, text); err != nil {
		return fmt.Errorf("the query that merges: %w", err)
	}
	return sameTypes(q.columns, q.merge.Columns())
}

// sameTypes requires that what is merged is as what it was merged of.
func sameTypes(a, b []columnar.Column) error {
	if !slices.EqualFunc(a, b, func(x, y columnar.Column) bool { return x.Type == y.Type }) {
		return fmt.Errorf("the query that merges gives columns %v, of %v", typesOf(b), typesOf(a))
	}
	return nil
}

func typesOf(columns []columnar.Column) []columnar.Type {
	out := make([]columnar.Type, len(columns))
	for i, c := range columns {
		out[i] = c.Type
	}
	return out
}

// run a statement to its end.
func (q *queries) run(ctx context.Context, s *duck.Stmt, each func(*columnar.Batch) error) error {
	rows, err := s.Query(ctx, nil)
	if err != nil {
		return err
	}
	for {
		b, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err == nil {
			err = each(b)
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

// overBatch runs the query over lines on those of a batch.
func (q *queries) overBatch(ctx context.Context, b *batch, schema columnar.Schema, told *decoded, each func(*columnar.Batch) error) error {
	q.lines.put(func(project []int) []duck.Source { return b.sources(schema, project, told) })
	defer q.lines.put(nil)
	return q.run(ctx, q.partial, each)
}

// overRows runs it on rows.
func (q *queries) overRows(ctx context.Context, rows []*columnar.Batch, each func(*columnar.Batch) error) error {
	q.lines.putRows(rows...)
	defer q.lines.put(nil)
	return q.run(ctx, q.partial, each)
}

// merged runs the query that merges.
func (q *queries) merged(ctx context.Context, kept *columnar.Batch, each func(*columnar.Batch) error) error {
	q.groups.putRows(kept)
	defer q.groups.put(nil)
	return q.run(ctx, q.merge, each)
}

// close lets go of the connection.
func (q *queries) close() error {
	var err error
	if q.conn != nil {
		err = q.conn.Close()
	}
	q.scans.remove(q.lines.token)
	q.scans.remove(q.groups.token)
	return err
}
