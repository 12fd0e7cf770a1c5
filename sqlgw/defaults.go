package sqlgw

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/parse"
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
	rows, err := d.session.evaluate(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM generate_series(1, "+strconv.Itoa(n)+")", d.table, d.cols)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// evaluate runs a query that reads no tables, and gives the rows of its result the types of columns.
func (s *session) evaluate(ctx context.Context, sql string, t catalog.Table, cols []int) ([]columnar.Vector, error) {
	builders := make([]*columnar.VectorBuilder, len(cols))
	for i, c := range cols {
		builders[i] = columnar.NewVectorBuilder(t.Columns[c].Type)
	}
	source, err := s.prepareText(ctx, sql)
	if err != nil {
		return nil, err
	}
	e, err := source.begin(ctx, &columnar.Batch{Len: 1})
	if err != nil {
		return nil, err
	}
	defer e.close()
	err = e.(*queryExecution).each(ctx, func(b *columnar.Batch) error {
		for i, c := range cols {
			for row := range b.Len {
				if err := assign(t.Columns[c], &b.Cols[i], row, builders[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	out := make([]columnar.Vector, len(builders))
	for i, v := range builders {
		out[i] = v.Vector()
	}
	return out, err
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
	return s.prepareSelect(ctx, query, nil)
}

// checkDefault tells whether a column can have a default: whether its expression gives a value that
// the column takes. It has to be known before a table is made with it.
func (s *session) checkDefault(ctx context.Context, c catalog.Column) error {
	_, err := s.evaluate(ctx, "SELECT ("+c.Default+")", catalog.Table{Columns: []catalog.Column{c}}, []int{0})
	return err
}
