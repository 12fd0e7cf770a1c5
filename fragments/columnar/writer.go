package columnar

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// RowWriter writes rows as the lines that INSERT and COPY append to a journal. It
// writes nothing that a Scanner of the same schema wouldn't read back as the same value.
// It may be shared.
type RowWriter struct {
	columns []writerColumn // in the order of the schema
	missing string         // a NOT NULL column that cols don't have
	format  *formatWriter  // in the place of columns, if the schema has a Format
	err     error          // why rows can't be written
}

// writerColumn is a column of the schema that the batches have.
type writerColumn struct {
	Column
	key   []byte // the name as a JSON string, with its colon
	batch int    // which column of the batch it is; -1 if it is NULL since batches don't have it
}

// maxExactInteger is the largest magnitude of integers that every JSON reader keeps,
// those that read numbers as doubles among them. Others are written as strings.
const maxExactInteger = 1 << 53

// NewRowWriter makes a writer of batches whose column i is the schema's column
// cols[i]; nil cols mean that batches have all columns in the schema's order. Columns
// of the schema that batches don't have are NULL, and so left out of the lines unless that would mean something else.
func NewRowWriter(schema Schema, cols []int) *RowWriter {
	w := &RowWriter{}
	at := make([]int, len(schema.Columns))
	for i := range at {
		at[i] = i
		if cols != nil {
			at[i] = -1
		}
	}
	for i, c := range cols {
		at[c] = i
	}
	if schema.Format != nil {
		w.format, w.err = newFormatWriter(schema, at)
		return w
	}
	for i, c := range schema.Columns {
		switch {
		case at[i] >= 0:
			w.columns = append(w.columns, writerColumn{Column: c, key: quotedKey(c), batch: at[i]})
		case c.NotNull && w.missing == "":
			w.missing = c.Name
		case c.Missing != "":
			w.columns = append(w.columns, writerColumn{Column: c, key: quotedKey(c), batch: -1})
		}
	}
	return w
}

func quotedKey(c Column) []byte { return append(appendQuoted(nil, []byte(c.LineKey())), ':') }

// AppendRow appends row of b as one line with its newline. A value that isn't of its
// column's type is converted as PostgreSQL would on assignment where that is between
// texts, between json and jsonb, or between numerics; all else, and what the column
// can't hold, is refused with an *InputError, and dst is returned as it was.
func (w *RowWriter) AppendRow(dst []byte, b *Batch, row int) ([]byte, error) {
	switch {
	case w.err != nil:
		return dst, w.err
	case w.missing != "":
		return dst, errNull(w.missing)
	case w.format != nil:
		return w.format.appendRow(dst, b, row)
	}
	start := len(dst)
	out := dst
	out = append(out, '{')
	for i := range w.columns {
		c := &w.columns[i]
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.key...)
		if c.batch < 0 {
			out = append(out, "null"...)
			continue
		}
		v := &b.Cols[c.batch]
		if v.IsNull(row) {
			if c.NotNull {
				return dst, errNull(c.Name)
			}
			out = append(out, "null"...)
			continue
		}
		var err error
		if out, err = appendValue(out, c, v, row); err != nil {
			return dst, err
		}
	}
	out = append(out, '}', '\n')
	if size := len(out) - start - 1; size > MaxLine {
		return dst, errRowTooLarge(size)
	}
	return out, nil
}

func errNull(column string) error {
	return &InputError{Code: codeNotNullViolation, Message: `null value in column "` + column + `" violates not-null constraint`}
}

// errMismatch says that a batch has another type than the column.
func errMismatch(c *writerColumn, v *Vector) error {
	return &InputError{
		Code:    codeDatatypeMismatch,
		Message: fmt.Sprintf("column %q is of type %s but expression is of type %s", c.Name, c.Type, v.Type),
	}
}

// appendValue appends a value that isn't NULL.
func appendValue(dst []byte, c *writerColumn, v *Vector, row int) ([]byte, error) {
	switch k := c.Type.Kind; {
	case k.isCharacters() && v.Type.Kind.isCharacters():
		return appendCharactersJSON(dst, c.Type, v.Str.Value(row))
	case (k == JSON || k == JSONB) && (v.Type.Kind == JSON || v.Type.Kind == JSONB):
		return appendJSONValue(dst, c, v.Str.Value(row))
	case k != v.Type.Kind:
		return dst, errMismatch(c, v)
	case k == Array:
		return appendArrayJSON(dst, c, v, row)
	}
	switch c.Type.Kind {
	case Bool:
		return strconv.AppendBool(dst, v.Bools[row] != 0), nil
	case Int16:
		return strconv.AppendInt(dst, int64(v.I16[row]), 10), nil
	case Int32:
		return strconv.AppendInt(dst, int64(v.I32[row]), 10), nil
	case Int64:
		x := v.I64[row]
		if absInt64(x) <= maxExactInteger {
			return strconv.AppendInt(dst, x, 10), nil
		}
		return append(strconv.AppendInt(append(dst, '"'), x, 10), '"'), nil
	case Float32:
		return appendFloatJSON(dst, float64(v.F32[row]), 32), nil
	case Float64:
		return appendFloatJSON(dst, v.F64[row], 64), nil
	case Decimal:
		return appendDecimalJSON(dst, c.Type, v, row)
	case Bytea, UUID:
		return appendQuotedText(dst, v, row), nil
	default:
		return appendTemporalJSON(dst, v, row)
	}
}

// appendQuotedText appends the text of a value, in which only a backslash needs an escape.
func appendQuotedText(dst []byte, v *Vector, row int) []byte {
	dst = append(dst, '"')
	if v.Type.Kind == Bytea {
		dst = append(dst, '\\')
	}
	return append(AppendText(dst, v, row), '"')
}

func appendCharactersJSON(dst []byte, t Type, value []byte) ([]byte, error) {
	if !utf8.Valid(value) || bytes.IndexByte(value, 0) >= 0 {
		return dst, checkCharacters(string(value))
	}
	kept, pad, err := fitCharacters(t, text(value))
	if err != nil {
		return dst, err
	}
	dst = appendQuoted(dst, value[:len(kept)])
	if pad > 0 {
		dst = append(appendRepeated(dst[:len(dst)-1], ' ', pad), '"')
	}
	return dst, nil
}

// appendJSONValue appends JSON text as the value that it is. JSON's null becomes NULL,
// from which no row tells it apart.
func appendJSONValue(dst []byte, c *writerColumn, value []byte) ([]byte, error) {
	into := NewVectorBuilder(c.Type)
	if err := parseJSONText(c.Type, text(value), into); err != nil {
		return dst, err
	}
	if c.NotNull && string(into.v.Str.Bytes) == "null" {
		return dst, errNull(c.Name)
	}
	return append(dst, into.v.Str.Bytes...), nil
}

// appendFloatJSON appends the fewest digits that read back as f, as a number with a
// sign for -0, and what isn't a number as a string. A real gets the digits of a double
// where a reader that rounds to a double first would take the fewest for another real.
func appendFloatJSON(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(appendFloat(append(dst, '"'), f, size), '"')
	case f == 0 && math.Signbit(f):
		return append(dst, "-0.0"...)
	}
	start := len(dst)
	dst = appendFloat(dst, f, size)
	if size == 32 {
		if double, err := strconv.ParseFloat(text(dst[start:]), 64); err != nil || float32(double) != float32(f) {
			dst = appendFloat(dst[:start], f, 64)
		}
	}
	return dst
}

// appendDecimalJSON appends a numeric with all digits of its scale: as a number if all
// readers keep it, those that read numbers as doubles among them, and else as a string.
func appendDecimalJSON(dst []byte, t Type, v *Vector, row int) ([]byte, error) {
	x, ok := rescale(v.I128[row], v.Type.Scale, t)
	if !ok {
		return dst, errDecimalOverflow(t)
	}
	if u, _ := x.magnitude(); u.hi == 0 && u.lo < exactDecimal && int(t.Scale) <= exactDecimalScale {
		return appendDecimal(dst, x, t.Scale), nil
	}
	return append(appendDecimal(append(dst, '"'), x, t.Scale), '"'), nil
}

// appendTemporalJSON appends a date, time, timestamp or interval as a string.
func appendTemporalJSON(dst []byte, v *Vector, row int) ([]byte, error) {
	out := dst
	out = append(out, '"')
	ok := true
	switch v.Type.Kind {
	case Date:
		x := v.I32[row]
		ok = x == DateInfinity || x == DateNegInfinity || (x >= minDate && x <= maxDate)
		out = appendDate(out, x)
	case Time:
		x := v.I64[row]
		if ok = x >= 0 && x <= microsPerDay; ok {
			out = appendClock(out, x)
		}
	case Timestamp, TimestampTZ:
		x := v.I64[row]
		ok = x == TimestampNegInfinity || x >= minTimestamp
		style := timestampStyle{separator: 'T'}
		if v.Type.Kind == TimestampTZ {
			style.zone = "Z"
		}
		if ok {
			out = appendTimestamp(out, x, style)
		}
	case Interval:
		x := v.Intervals[row]
		ok = x.Micros != math.MinInt64
		out = appendInterval(out, x, false)
	default:
	}
	if !ok {
		return dst, &InputError{Code: codeDatetimeOverflow, Message: v.Type.inputName() + " out of range"}
	}
	return append(out, '"'), nil
}
