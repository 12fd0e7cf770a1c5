package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
)

// appender is one append that is being made: all of it is committed, or none.
type appender interface {
	io.Writer
	Commit() (*protocol.AppendResponse, error)
	Abort()
}

// openAppender begins an append to a journal.
type openAppender func(ctx context.Context, journal string) (appender, error)

// sinkBuffer is how much of a journal's lines is gathered before it is handed on.
const sinkBuffer = 256 << 10

// rowSink takes the rows of one statement and appends them to a table's journals: one
// atomic append for each journal that has any, when commit is called.
//
// Without a partition key all rows of a statement go to one journal, chosen by chance, so
// that the statement is atomic. With one, a row goes to the journal that partitionOf says.
type rowSink struct {
	table    catalog.Table
	journals []string
	open     openAppender
	columns  []columnar.Column
	lines    *columnar.RowWriter
	key      int // index of the partition column among columns, -1 if there is none
	parts    map[int]*sinkPart
	chosen   int
	rows     int64
	keyText  []byte
	// fill, if it is set, gives a batch the columns that the statement leaves to their defaults.
	fill func(ctx context.Context, b *columnar.Batch) (*columnar.Batch, error)
	// placed, if it is set, is told where each row went, in their order.
	placed func(rowPlace)
	// fits, if it is set, tells whether the rows are still some of the table, once all are made.
	fits   func() error
	temp   func(*columnar.Batch) error // takes rows of a temporary table
	kept   func() error                // makes them the table's
	begins map[int]int64               // where the appends that were made begin, unless a transaction makes them
}

// rowPlace is where a row goes: what precedes it in what the statement appends to a journal.
type rowPlace struct {
	journal int
	before  int64
}

// sinkPart is what goes to one journal.
type sinkPart struct {
	appender appender
	buf      []byte
	flushed  int64 // bytes
}

// newRowSink returns a sink for rows that have values for the columns named by cols, in
// that order; the others are left out and so read as NULL.
func newRowSink(table catalog.Table, journals []string, cols []int, open openAppender) (*rowSink, error) {
	schema := table.RowSchema()
	s := &rowSink{
		table: table, journals: journals, open: open, key: -1,
		lines: columnar.NewRowWriter(schema, cols), parts: map[int]*sinkPart{}, begins: map[int]int64{}, chosen: rand.IntN(max(len(journals), 1)),
	}
	given := map[int]bool{}
	for i, c := range cols {
		given[c] = true
		s.columns = append(s.columns, schema.Columns[c])
		if table.Options.PartitionBy != "" && schema.Columns[c].Name == table.Options.PartitionBy {
			s.key = i
		}
	}
	for i, c := range schema.Columns {
		if c.NotNull && !given[i] {
			return nil, s.nullError(c.Name)
		}
	}
	if len(journals) == 0 {
		return nil, sqlError("55000", "table %q has no journals", table.Name)
	}
	return s, nil
}

func (s *rowSink) nullError(column string) *pgwire.Error {
	e := sqlError("23502", "null value in column %q of relation %q violates not-null constraint", column, s.table.Name)
	e.Schema, e.Table, e.Column = s.table.Schema, s.table.Name, column
	return e
}

// add takes the rows of a batch.
func (s *rowSink) add(ctx context.Context, b *columnar.Batch) error {
	b, err := s.complete(ctx, b)
	if err != nil {
		return err
	}
	return s.put(ctx, b)
}

// complete gives a batch the columns that the statement leaves out, and refuses it if a row isn't one of the table.
func (s *rowSink) complete(ctx context.Context, b *columnar.Batch) (*columnar.Batch, error) {
	if s.fill != nil {
		var err error
		if b, err = s.fill(ctx, b); err != nil {
			return nil, err
		}
	}
	for i, c := range s.columns {
		for row := 0; c.NotNull && row < b.Len; row++ {
			if b.Cols[i].IsNull(row) {
				return nil, s.nullError(c.Name)
			}
		}
	}
	return b, nil
}

// put takes the rows of a batch that is complete.
func (s *rowSink) put(ctx context.Context, b *columnar.Batch) error {
	if s.temp != nil {
		s.rows += int64(b.Len)
		return s.temp(b)
	}
	for row := range b.Len {
		i := s.journalOf(b, row)
		p, err := s.part(ctx, i)
		if err != nil {
			return err
		}
		if s.placed != nil {
			s.placed(rowPlace{journal: i, before: p.flushed + int64(len(p.buf))})
		}
		if p.buf, err = s.lines.AppendRow(p.buf, b, row); err != nil {
			return inputError(err, "")
		}
		if len(p.buf) >= sinkBuffer {
			if err := p.flush(); err != nil {
				return s.appendError(err)
			}
		}
	}
	s.rows += int64(b.Len)
	return nil
}

// journalOf is the index of the journal that a row goes to.
func (s *rowSink) journalOf(b *columnar.Batch, row int) int {
	if s.table.Options.PartitionBy != "" {
		return s.partition(b, row)
	}
	return s.chosen
}

// part is what goes to a journal.
func (s *rowSink) part(ctx context.Context, i int) (*sinkPart, error) {
	if p, ok := s.parts[i]; ok {
		return p, nil
	}
	a, err := s.open(ctx, s.journals[i])
	if err != nil {
		return nil, s.appendError(err)
	}
	p := &sinkPart{appender: a}
	s.parts[i] = p
	return p, nil
}

func (s *rowSink) partition(b *columnar.Batch, row int) int {
	s.keyText = s.keyText[:0]
	if s.key >= 0 {
		s.keyText = appendKey(s.keyText, &b.Cols[s.key], row)
	}
	return partitionOf(s.keyText, len(s.journals))
}

func (p *sinkPart) flush() error {
	_, err := p.appender.Write(p.buf)
	p.flushed += int64(len(p.buf))
	p.buf = p.buf[:0]
	return err
}

// abort gives up whatever wasn't committed. It may be called after commit.
func (s *rowSink) abort() {
	for _, p := range s.parts {
		p.appender.Abort()
	}
	clear(s.parts)
}

// commit makes the appends, journal by journal. If one fails after another was made, or its
// outcome isn't known, the error is 40003 and names the journals.
func (s *rowSink) commit() error {
	if s.kept != nil {
		return s.kept()
	}
	if err := s.ready(); err != nil {
		s.abort()
		return err
	}
	var made, rest []string
	var failed error
	unknown := ""
	for i, name := range s.journals {
		p, ok := s.parts[i]
		if !ok {
			continue
		}
		if failed != nil {
			rest = append(rest, name)
			continue
		}
		delete(s.parts, i)
		var response *protocol.AppendResponse
		response, failed = p.appender.Commit()
		s.begins[i] = response.GetCommit().GetBegin()
		switch {
		case failed == nil:
			made = append(made, name)
		case errors.Is(failed, client.ErrUnknownOutcome):
			unknown = name
		default:
			rest = append(rest, name)
		}
	}
	s.abort()
	if failed == nil {
		return nil
	}
	if unknown == "" && len(made) == 0 {
		return s.appendError(failed)
	}
	return s.unknownOutcome(made, unknown, rest, failed)
}

// ready does all but make the appends: what can fail here leaves nothing behind.
func (s *rowSink) ready() error {
	for _, p := range s.parts {
		if err := p.flush(); err != nil {
			return s.appendError(err)
		}
	}
	if s.fits == nil {
		return nil
	}
	return s.fits()
}

// unknownOutcome is the error of a statement that may have been made in part.
func (s *rowSink) unknownOutcome(made []string, unknown string, rest []string, cause error) error {
	e := unknownOutcome(fmt.Sprintf("statement on table %q", s.table.Name), made, unknown, rest, cause)
	e.Schema, e.Table = s.table.Schema, s.table.Name
	return e
}

// appendError is the error of an append that certainly left nothing behind.
func (s *rowSink) appendError(err error) error {
	if isWire(err) {
		return err
	}
	return appendError(fmt.Sprintf("table %q", s.table.Name), err)
}
