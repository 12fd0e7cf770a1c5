package sqlgw

import (
	"context"
	"errors"
	"slices"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// copyTo makes a statement of COPY (SUBSCRIBE ...) TO STDOUT or COPY (query) TO STDOUT.
func (s *session) copyTo(ctx context.Context, p *parse.CopyTo) (*statement, error) {
	var inner *statement
	var err error
	if p.Subscribe != nil {
		inner, err = s.prepareSubscribe(ctx, p.Subscribe)
	} else {
		inner, err = s.prepareSelect(ctx, p.Query, nil)
		err = s.listed(ctx, p, err)
	}
	if err != nil {
		return nil, err
	}
	if len(inner.params) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
	quoted, err := s.forceQuote(ctx, p, inner.columns)
	if err != nil {
		return nil, err
	}
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		e, err := inner.begin(ctx, &columnar.Batch{Len: 1})
		if err != nil {
			return err
		}
		defer e.close()
		if x, ok := e.(*subscription); ok {
			x.following.askedBy(followsByCopy)
		}
		if err := w.CopyOut(len(inner.columns), p.Options.Format == parse.CopyBinary); err != nil {
			return err
		}
		rows := e.(batchExecution)
		c := &copyWriter{columns: inner.columns, format: newCopyEncoder(p.Options, quoted, rows.told())}
		return c.copy(ctx, w, rows)
	}), nil
}

// listed is the error of a query of COPY, which says whose column it is that a list has and the table hasn't.
func (s *session) listed(ctx context.Context, p *parse.CopyTo, err error) error {
	if e, ok := errors.AsType[*pgwire.Error](err); !ok || e.Code != codeNoColumn {
		return err
	}
	for _, c := range p.Columns {
		if e, ok := errors.AsType[*pgwire.Error](s.notCopied(ctx, p.Table, c)); ok && e.Code == codeNoColumn {
			return e
		}
	}
	return err
}

// codeNoColumn is the SQLSTATE of a column that doesn't exist.
const codeNoColumn = "42703"

// forceQuote tells of each column whether FORCE_QUOTE names it.
func (s *session) forceQuote(ctx context.Context, p *parse.CopyTo, columns []pgwire.Column) ([]bool, error) {
	out := make([]bool, len(columns))
	for i := range out {
		out[i] = p.Options.ForceQuoteAll
	}
	for _, name := range p.Options.ForceQuote {
		i := slices.IndexFunc(columns, func(c pgwire.Column) bool { return c.Name == name })
		if i < 0 {
			return nil, s.notCopied(ctx, p.Table, name)
		}
		if out[i] {
			return nil, sqlError("42701", "column %q specified more than once", name)
		}
		out[i] = true
	}
	return out, nil
}

// notCopied is the error of a column of FORCE_QUOTE that isn't among those that are copied.
func (s *session) notCopied(ctx context.Context, table *parse.Name, column string) error {
	if table == nil {
		return sqlError(codeNoColumn, "column %q does not exist", column)
	}
	snap, err := s.gateway.cfg.Catalog.Snapshot(ctx)
	if err != nil {
		return err
	}
	x, err := s.resolve(snap, *table)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(x.columns(), func(c columnar.Column) bool { return c.Name == column }) {
		return sqlError("42P10", "FORCE_QUOTE column %q not referenced by COPY", column)
	}
	return sqlError(codeNoColumn, "column %q of relation %q does not exist", column, table.Name)
}

// batchExecution is an execution whose rows can be had in batches.
type batchExecution interface {
	stream(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error
	// told is how the batches' values are told.
	told() presenter
}

// copyEncoder writes rows in one of COPY's formats.
type copyEncoder interface {
	// header appends the line of the columns' names, if there is one.
	header(dst []byte, columns []pgwire.Column) []byte
	// begin appends what the first row, or the end, has before it.
	begin(dst []byte) []byte
	row(dst []byte, b *columnar.Batch, row int) []byte
	// end appends what comes after the rows, if something does.
	end(dst []byte) []byte
}

// copyWriter sends rows in one of COPY's formats.
type copyWriter struct {
	columns []pgwire.Column
	format  copyEncoder
	buf     []byte
	rows    int64
}

// copy sends the header, then every row as a message of its own.
func (c *copyWriter) copy(ctx context.Context, w pgwire.ResultWriter, e batchExecution) error {
	if c.buf = c.format.header(c.buf, c.columns); len(c.buf) > 0 {
		if err := c.send(w); err != nil {
			return err
		}
	}
	c.buf = c.format.begin(c.buf)
	err := e.stream(ctx, func(b *columnar.Batch) error {
		for row := range b.Len {
			c.buf = c.format.row(c.buf, b, row)
			if err := c.send(w); err != nil {
				return err
			}
		}
		c.rows += int64(b.Len)
		return nil
	}, w.Flush)
	if err != nil {
		return err
	}
	if c.buf = c.format.end(c.buf); len(c.buf) > 0 {
		if err := c.send(w); err != nil {
			return err
		}
	}
	if err := w.EndCopyOut(); err != nil {
		return err
	}
	w.Complete(tag("COPY", c.rows))
	return nil
}

func (c *copyWriter) send(w pgwire.ResultWriter) error {
	err := w.CopyData(c.buf)
	c.buf = c.buf[:0]
	return err
}
