package sqlgw

import (
	"context"
	"errors"
	"io"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
	"broadsheet.dev/broadsheet/sqlgw/style"
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
		target := copyTarget{table: t}
		if target.cols, err = columnIndexes(t, p.Columns); err != nil {
			return err
		}
		sink, err := s.sinkFor(t, journals, target.cols)
		if err != nil {
			return err
		}
		defer sink.abort()
		c := &copyIn{copyTarget: target, style: s.settings.style(), sink: sink}
		if err := c.begin(w, &p.Options); err != nil {
			return err
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

// copyRows are the rows of a COPY FROM, in one of its formats.
type copyRows interface {
	// from sets the data that they are read from.
	from(data io.Reader)
	// next appends the next row's values, and returns how many bytes they have; io.EOF at the end.
	next(into []*columnar.VectorBuilder) (int, error)
	// place is where an error was found.
	place() string
}

// copyIn moves the rows of a COPY into a sink.
type copyIn struct {
	copyTarget
	style    *style.Style // of the values in text and CSV
	source   copyRows
	sink     *rowSink
	builders []*columnar.VectorBuilder
	rows     int
	bytes    int
}

// begin asks the client for the data.
func (c *copyIn) begin(w pgwire.ResultWriter, o *parse.CopyOptions) error {
	binary := o.Format == parse.CopyBinary
	if binary {
		c.source = &binaryRows{copyTarget: c.copyTarget}
	} else {
		source, err := newTextRows(c.copyTarget, o, c.style)
		if err != nil {
			return err
		}
		c.source = source
	}
	in, err := w.CopyIn(len(c.cols), binary)
	if err != nil {
		return err
	}
	c.source.from(in)
	return nil
}

func (c *copyIn) all(ctx context.Context) error {
	c.reset()
	for {
		n, err := c.source.next(c.builders)
		if errors.Is(err, io.EOF) {
			return c.flush(ctx)
		}
		if err == nil {
			err = c.checkNulls()
		}
		if err != nil {
			return c.located(err)
		}
		c.rows++
		if c.bytes += n; c.rows == copyBatch || c.bytes >= copyBytes {
			if err := c.flush(ctx); err != nil {
				return c.located(err)
			}
		}
	}
}

// located adds the place to an error that has none yet.
func (c *copyIn) located(err error) error {
	if e, ok := errors.AsType[*pgwire.Error](err); ok && e.Where == "" {
		located := *e
		located.Where = c.source.place()
		return &located
	}
	return err
}

// checkNulls refuses the row that was read last if it is NULL where it must not be.
func (c *copyIn) checkNulls() error {
	for i, b := range c.builders {
		if col := c.column(i); col.NotNull {
			if v := b.Vector(); v.IsNull(c.rows) {
				return c.sink.nullError(col.Name)
			}
		}
	}
	return nil
}

func (c *copyIn) reset() {
	c.rows, c.bytes = 0, 0
	c.builders = c.builders[:0]
	for i := range c.cols {
		c.builders = append(c.builders, columnar.NewVectorBuilder(c.column(i).Type))
	}
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
