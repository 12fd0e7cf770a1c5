package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// copyBatch is how many rows of a COPY are handed to the sink together, fewer if their
// values have more bytes than copyBytes.
const (
	copyBatch = 1024
	copyBytes = 1 << 20
)

// copyFrom makes a statement of COPY ... FROM STDIN. All its rows are appended, or none.
func (s *session) copyFrom(p *parse.CopyFrom) *statement {
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		t, journals, err := s.writable(ctx, p.Table)
		if err != nil {
			return err
		}
		cols, err := columnIndexes(t, p.Columns)
		if err != nil {
			return err
		}
		fill, filled := s.defaultsFor(t, cols)
		sink, err := newRowSink(t, journals, filled, s.openAppend)
		if err != nil {
			return err
		}
		sink.fill = fill.fill
		defer sink.abort()
		in, err := w.CopyIn(len(cols), false)
		if err != nil {
			return err
		}
		c := &copyIn{
			table: t, cols: cols, sink: sink, match: p.Options.Header == parse.HeaderMatch,
			parser: newCopyParser(in, copyFormat{
				CSV: p.Options.CSV, Header: p.Options.Header != parse.HeaderNone, Delimiter: p.Options.Delimiter,
				Null: p.Options.Null, Quote: p.Options.Quote, Escape: p.Options.Escape,
			}, len(cols)),
		}
		if err := c.all(ctx); err != nil {
			return err
		}
		if err := sink.commit(); err != nil {
			return err
		}
		w.Complete(tag("COPY", sink.rows))
		return nil
	})
}

// copyIn moves the rows of a COPY into a sink.
type copyIn struct {
	table    catalog.Table
	cols     []int
	parser   *copyParser
	sink     *rowSink
	match    bool // the header's names have to be the columns'
	builders []*columnar.VectorBuilder
	rows     int
	bytes    int
}

func (c *copyIn) all(ctx context.Context) error {
	if c.match {
		if err := c.checkHeader(); err != nil {
			return err
		}
	}
	c.reset()
	for {
		fields, err := c.parser.row()
		if errors.Is(err, io.EOF) {
			return c.flush(ctx)
		}
		if err != nil {
			return c.located(err)
		}
		if err := c.row(fields); err != nil {
			return err
		}
		if c.rows++; c.rows == copyBatch || c.bytes >= copyBytes {
			if err := c.flush(ctx); err != nil {
				return c.located(err)
			}
		}
	}
}

// located adds the line to an error that has no place yet.
func (c *copyIn) located(err error) error {
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Where == "" {
		located := *e
		located.Where = fmt.Sprintf("COPY %s, line %d", c.table.Name, c.parser.line)
		return &located
	}
	return err
}

// checkHeader reads the header, whose names have to be the columns' in order.
func (c *copyIn) checkHeader() error {
	names, err := c.parser.header()
	if err != nil {
		return c.located(err)
	}
	if got := len(names) + c.parser.beyond; got != len(c.cols) {
		return c.located(sqlError("22P04", "wrong number of fields in header line: got %d, expected %d", got, len(c.cols)))
	}
	for i, n := range names {
		if want := c.table.Columns[c.cols[i]].Name; n.text != want {
			return c.located(sqlError("22P04", "column name mismatch in header line field %d: got %q, expected %q", i+1, n.text, want))
		}
	}
	return nil
}

func (c *copyIn) reset() {
	c.rows, c.bytes = 0, 0
	c.builders = c.builders[:0]
	for _, i := range c.cols {
		c.builders = append(c.builders, columnar.NewVectorBuilder(c.table.Columns[i].Type))
	}
}

func (c *copyIn) row(fields []copyField) error {
	if len(fields) > len(c.cols) {
		return c.located(sqlError("22P04", "extra data after last expected column"))
	}
	if len(fields) < len(c.cols) {
		e := sqlError("22P04", "missing data for column %q", c.table.Columns[c.cols[len(fields)]].Name)
		return c.located(e)
	}
	for i, f := range fields {
		c.bytes += len(f.text)
		col := c.table.Columns[c.cols[i]]
		if f.null {
			if col.NotNull {
				return c.located(c.sink.nullError(col.Name))
			}
			c.builders[i].AppendNull()
			continue
		}
		if err := columnar.ParseText(col.Type, f.text, c.builders[i]); err != nil {
			return inputError(err, copyWhere(c.table.Name, c.parser.line, col.Name, f.text))
		}
	}
	return nil
}

func (c *copyIn) flush(ctx context.Context) error {
	if c.rows == 0 {
		return nil
	}
	b := &columnar.Batch{Len: c.rows, Cols: make([]columnar.Vector, len(c.builders))}
	for i, v := range c.builders {
		b.Cols[i] = v.Vector()
	}
	c.reset()
	return c.sink.add(ctx, b)
}
