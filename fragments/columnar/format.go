package columnar

import "fmt"

// Format is how rows stand in a journal where they aren't lines of JSON: what a record is, and what
// it says. It is never changed, and may be shared. Package formats has those that there are.
type Format interface {
	// Frames tells that a record is a frame (see frames.go); otherwise it is a line.
	Frames() bool
	// AppendIdentity appends what tells the format from all others that make other rows of some bytes.
	AppendIdentity(dst []byte) []byte
	// NewDecoder returns what reads records as rows of columns. It fails if the columns can't stand in the format.
	NewDecoder(columns []Column) (RecordDecoder, error)
	// NewEncoder returns what writes rows of columns, which may be shared. It fails if the format isn't written.
	NewEncoder(columns []Column) (RecordEncoder, error)
}

// RecordDecoder reads records, one after the other.
type RecordDecoder interface {
	// Decode a record: a line without its newline, or the message of a frame. To out, which has a builder for each
	// column that is wanted and nil for the others, it appends the values of a row. What it appends of a record that is no
	// row is taken back. Which records are rows doesn't depend on what is wanted.
	Decode(record []byte, out []*VectorBuilder) Verdict
}

// Verdict is what a record is. The zero value is that of a row.
type Verdict struct {
	Blank bool // it is nothing at all: no row and no reject
	// Reason why it isn't a row, in valid UTF-8 without NUL; "" of rows.
	Reason string
	// Misframed tells of a frame that has no message, so that its length isn't believed either.
	Misframed bool
}

// RecordEncoder writes records.
type RecordEncoder interface {
	// AppendRecord appends a row as a record with all that bounds it. Values are the texts of PostgreSQL's output
	// functions, nil for NULL. What the format can't hold is refused with an *InputError.
	AppendRecord(dst []byte, values [][]byte) ([]byte, error)
}

// RejectValue is the verdict of a value that a column's input function refused.
func RejectValue(column string, err error) Verdict {
	return Verdict{Reason: valueReason(column, err)}
}

// RejectNull is the verdict of NULL in a column that is NOT NULL.
func RejectNull(column string) Verdict {
	return Verdict{Reason: `column "` + column + `" is NULL but NOT NULL`}
}

// formatDecoder builds the columns of a batch from the records of a Format.
type formatDecoder struct {
	records RecordDecoder
	types   []Type
	wanted  []int
	out     []*VectorBuilder
	rows    int
}

func newFormatDecoder(schema Schema, wanted []int) (*formatDecoder, error) {
	records, err := schema.Format.NewDecoder(schema.Columns)
	if err != nil {
		return nil, err
	}
	d := &formatDecoder{records: records, wanted: wanted, out: make([]*VectorBuilder, len(schema.Columns))}
	for _, c := range schema.Columns {
		d.types = append(d.types, c.Type)
	}
	return d, nil
}

// begin starts a batch with room for so many rows.
func (d *formatDecoder) begin(rows int) {
	d.rows = 0
	for _, c := range d.wanted {
		size := 0
		if d.out[c] != nil {
			size = len(d.out[c].v.Str.Bytes)
		}
		d.out[c] = NewVectorBuilder(d.types[c])
		d.out[c].reserve(rows)
		if size > 0 {
			d.out[c].v.Str.Bytes = make([]byte, 0, size+size/8)
		}
	}
}

func (d *formatDecoder) decode(record []byte) Verdict {
	v := d.records.Decode(record, d.out)
	if v == (Verdict{}) {
		d.rows++
		return v
	}
	for _, c := range d.wanted {
		d.out[c].truncate(d.rows)
	}
	return v
}

// bytes of the strings in the batch, which may be longer than they stand in their records.
func (d *formatDecoder) bytes() int {
	n := 0
	for _, c := range d.wanted {
		n += len(d.out[c].v.Str.Bytes)
	}
	return n
}

// formatWriter is what a RowWriter writes a Format with.
type formatWriter struct {
	records RecordEncoder
	columns []writerColumn // all of the schema; batch is -1 of those that batches don't have
}

func newFormatWriter(schema Schema, at []int) (*formatWriter, error) {
	records, err := schema.Format.NewEncoder(schema.Columns)
	if err != nil {
		return nil, err
	}
	w := &formatWriter{records: records}
	for i, c := range schema.Columns {
		w.columns = append(w.columns, writerColumn{Column: c, batch: at[i]})
	}
	return w, nil
}

func (w *formatWriter) appendRow(dst []byte, b *Batch, row int) ([]byte, error) {
	values := make([][]byte, len(w.columns))
	for i := range w.columns {
		c := &w.columns[i]
		if c.batch < 0 || b.Cols[c.batch].IsNull(row) {
			if c.NotNull {
				return dst, errNull(c.Name)
			}
			continue
		}
		text, err := appendTextAs([]byte{}, c, &b.Cols[c.batch], row)
		if err != nil {
			return dst, err
		}
		values[i] = text
	}
	start := len(dst)
	out, err := w.records.AppendRecord(dst, values)
	if err != nil {
		return dst, err
	}
	if size := len(out) - start - 1; size > MaxLine {
		return dst, errRowTooLarge(size)
	}
	return out, nil
}

func errRowTooLarge(size int) error {
	return &InputError{Code: codeProgramLimit, Message: fmt.Sprintf("row is too big: %d bytes, at most %d", size, MaxLine)}
}

// appendTextAs appends a value that isn't NULL as the text of its column's type, converted as AppendRow says. What
// the column can't hold is refused.
func appendTextAs(dst []byte, c *writerColumn, v *Vector, row int) ([]byte, error) {
	switch k := c.Type.Kind; {
	case assignsText(k, v.Type.Kind):
	case k == Array && v.Type.Kind == Array && (c.Type.Element == v.Type.Element || assignsText(c.Type.Element, v.Type.Element)):
	case k != v.Type.Kind:
		return dst, errMismatch(c, v)
	case k == Array:
		return dst, errMismatch(c, v)
	case k == Decimal:
		x, ok := rescale(v.I128[row], v.Type.Scale, c.Type)
		if !ok {
			return dst, errDecimalOverflow(c.Type)
		}
		return appendDecimal(dst, x, c.Type.Scale), nil
	case k == Date || k == Time || k == Timestamp || k == TimestampTZ || k == Interval:
		if _, err := appendTemporalJSON(nil, v, row); err != nil {
			return dst, err
		}
		return AppendText(dst, v, row), nil
	default:
		return AppendText(dst, v, row), nil
	}
	into := NewVectorBuilder(c.Type)
	if err := ParseText(c.Type, text(AppendText(nil, v, row)), into); err != nil {
		return dst, err
	}
	return AppendText(dst, &into.v, 0), nil
}

// assignsText tells whether a kind is assigned to another by way of its text.
func assignsText(to, from Kind) bool {
	isJSON := func(k Kind) bool { return k == JSON || k == JSONB }
	return to.isCharacters() && from.isCharacters() || isJSON(to) && isJSON(from)
}

// CheckText tells whether bytes are what columns of text may hold: valid UTF-8 without NUL.
func CheckText(b []byte) error { return checkCharacters(text(b)) }
