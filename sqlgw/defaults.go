package sqlgw

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// defaults gives columns that a statement doesn't the values of their defaults. The expressions are
// the engine's to compute, once for each row.
type defaults struct {
	session *session
	table   catalog.Table
	cols    []int // indexes of the columns
}

// defaultsFor are those of the columns that cols leave out; it returns cols with them behind.
func (s *session) defaultsFor(t catalog.Table, cols []int) (*defaults, []int) {
	d := &defaults{session: s, table: t}
	for i, c := range t.Columns {
		if c.Default != "" && !slices.Contains(cols, i) {
			d.cols = append(d.cols, i)
		}
	}
	return d, append(slices.Clone(cols), d.cols...)
}

// fill adds the columns to a batch.
func (d *defaults) fill(ctx context.Context, b *columnar.Batch) (*columnar.Batch, error) {
	if len(d.cols) == 0 || b.Len == 0 {
		return b, nil
	}
	values, err := d.values(ctx, b.Len)
	if err != nil {
		return nil, err
	}
	out := *b
	out.Cols = append(slices.Clone(b.Cols), values...)
	return &out, nil
}

// values of the columns for n rows.
func (d *defaults) values(ctx context.Context, n int) ([]columnar.Vector, error) {
	expressions := make([]string, len(d.cols))
	for i, c := range d.cols {
		expressions[i] = "(" + d.table.Columns[c].Default + ")"
	}
	return d.session.evaluate(ctx, strings.Join(expressions, ", "), d.table, d.cols, n)
}

// evaluate computes expressions that read no tables for a number of rows, and gives their values the types of
// columns.
func (s *session) evaluate(ctx context.Context, expressions string, t catalog.Table, cols []int, want int) ([]columnar.Vector, error) {
	source, err := s.prepareText(ctx, "SELECT "+expressions+" FROM generate_series(1, "+strconv.Itoa(want)+")")
	if err != nil {
		return nil, err
	}
	e, err := source.begin(ctx, &columnar.Batch{Len: 1})
	if err != nil {
		return nil, err
	}
	defer e.close()
	values := newDefaultValues(t, cols, want)
	values.style = s.settings.style()
	if err := e.(*queryExecution).each(ctx, values.add); err != nil {
		return nil, err
	}
	return values.vectors()
}

// defaultValues collects the values of columns for a number of rows, and takes no other number: an aggregate
// or a function that returns a set gives one.
type defaultValues struct {
	table    catalog.Table
	cols     []int
	builders []*columnar.VectorBuilder
	want, n  int // rows
	style    *style.Style
}

func newDefaultValues(t catalog.Table, cols []int, want int) *defaultValues {
	v := &defaultValues{table: t, cols: cols, want: want}
	for _, c := range cols {
		v.builders = append(v.builders, columnar.NewVectorBuilder(t.Columns[c].Type))
	}
	return v
}

func (v *defaultValues) add(b *columnar.Batch) error {
	if v.n += b.Len; v.n > v.want {
		return v.miscounted()
	}
	for i, c := range v.cols {
		for row := range b.Len {
			if err := assign(v.table.Columns[c], &b.Cols[i], row, v.builders[i], v.style); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *defaultValues) vectors() ([]columnar.Vector, error) {
	if v.n != v.want {
		return nil, v.miscounted()
	}
	out := make([]columnar.Vector, len(v.builders))
	for i, b := range v.builders {
		out[i] = b.Vector()
	}
	return out, nil
}

func (v *defaultValues) miscounted() error {
	return hinted(sqlError("42803", "the defaults of table %q don't have one value for each row", v.table.Name),
		"Aggregate functions, and functions that return sets, are not allowed in DEFAULT expressions.")
}

// prepareText prepares the text of one query, which is the catalog's.
func (s *session) prepareText(ctx context.Context, sql string) (*statement, error) {
	pieces, err := parse.Split(sql)
	if err != nil {
		return nil, parseError(err)
	}
	if len(pieces) != 1 {
		return nil, sqlError("42601", "the expression is no single one")
	}
	parsed, err := parse.Parse(pieces[0])
	if err != nil {
		return nil, parseError(err)
	}
	query, ok := parsed.(*parse.Select)
	if !ok || len(query.Relations()) > 0 {
		return nil, sqlError("0A000", "cannot use a table in this expression")
	}
	if acts := query.Acts(); len(acts) > 0 { // each would be its arguments here, where no row is sent
		return nil, sqlError("0A000", "function %s here is not supported", acts[0].Name)
	}
	return s.prepareSelect(ctx, query, nil)
}

// checkDefault tells whether a column of a table can have a default: whether its expression gives a value that
// the column takes, for each of several rows. It has to be known before a table is made with it.
func (s *session) checkDefault(ctx context.Context, table string, c catalog.Column) error {
	_, err := s.evaluate(ctx, "("+c.Default+")", catalog.Table{Name: table, Columns: []catalog.Column{c}}, []int{0}, 2)
	return err
}
