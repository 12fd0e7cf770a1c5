package sqlgw

import (
	"bytes"
	"context"

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
	}
	if err != nil {
		return nil, err
	}
	if len(inner.params) > 0 {
		return nil, sqlError("42P02", "there is no parameter $1")
	}
	format, err := newCopyWriter(p.Options, inner.columns)
	if err != nil {
		return nil, err
	}
	return s.utility(nil, func(ctx context.Context, w pgwire.ResultWriter) error {
		e, err := inner.begin(ctx, &columnar.Batch{Len: 1})
		if err != nil {
			return err
		}
		defer e.close()
		if err := w.CopyOut(len(inner.columns), false); err != nil {
			return err
		}
		return format.copy(ctx, w, e.(batchExecution))
	}), nil
}

// batchExecution is an execution whose rows can be had in batches.
type batchExecution interface {
	stream(ctx context.Context, write func(*columnar.Batch) error, idle func() error) error
}

// copyWriter writes rows in one of COPY's formats.
type copyWriter struct {
	options parse.CopyOptions
	columns []pgwire.Column
	buf     []byte
	rows    int64
}

func newCopyWriter(o parse.CopyOptions, columns []pgwire.Column) (*copyWriter, error) {
	if !o.CSV && (o.Delimiter != '\t' || o.Null != `\N`) {
		return nil, hinted(sqlError("0A000", "COPY TO STDOUT in text format with another DELIMITER or NULL is not supported"),
			"Use the format csv, or the defaults.")
	}
	return &copyWriter{options: o, columns: columns}, nil
}

// copy sends the header, then every row as a message of its own.
func (c *copyWriter) copy(ctx context.Context, w pgwire.ResultWriter, e batchExecution) error {
	if c.options.Header != parse.HeaderNone {
		for i, col := range c.columns {
			c.separate(i)
			at := len(c.buf)
			c.buf = append(c.buf, col.Name...)
			if c.options.CSV {
				c.quote(at)
			} else {
				c.buf = escapeCopyText(c.buf, at)
			}
		}
		if err := c.send(w); err != nil {
			return err
		}
	}
	err := e.stream(ctx, func(b *columnar.Batch) error {
		for row := range b.Len {
			if c.options.CSV {
				c.csvRow(b, row)
			} else {
				c.buf = appendCopyText(c.buf, b, row)
				c.buf = c.buf[:len(c.buf)-1]
			}
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
	if err := w.EndCopyOut(); err != nil {
		return err
	}
	w.Complete(tag("COPY", c.rows))
	return nil
}

func (c *copyWriter) send(w pgwire.ResultWriter) error {
	err := w.CopyData(append(c.buf, '\n'))
	c.buf = c.buf[:0]
	return err
}

func (c *copyWriter) separate(i int) {
	if i > 0 {
		c.buf = append(c.buf, c.options.Delimiter)
	}
}

func (c *copyWriter) csvRow(b *columnar.Batch, row int) {
	for i := range b.Cols {
		c.separate(i)
		if v := &b.Cols[i]; v.IsNull(row) {
			c.buf = append(c.buf, c.options.Null...)
		} else {
			at := len(c.buf)
			c.buf = columnar.AppendText(c.buf, v, row)
			c.quote(at)
		}
	}
}

// quote puts the value buf[at:] in quotes if it needs them: if it is the null string, if it
// would be taken for the end of the data, or has a character that means something.
func (c *copyWriter) quote(at int) {
	o, value := c.options, c.buf[at:]
	needs := string(value) == o.Null || (len(c.columns) == 1 && string(value) == `\.`)
	for _, x := range value {
		needs = needs || x == o.Delimiter || x == o.Quote || x == '\n' || x == '\r'
	}
	if !needs {
		return
	}
	value = bytes.Clone(value)
	c.buf = append(c.buf[:at], o.Quote)
	for _, x := range value {
		if x == o.Quote || x == o.Escape {
			c.buf = append(c.buf, o.Escape)
		}
		c.buf = append(c.buf, x)
	}
	c.buf = append(c.buf, o.Quote)
}
