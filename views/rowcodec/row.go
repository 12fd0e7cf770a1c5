package rowcodec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// AppendRow appends a row of a batch: a bit for each column, set of those that are NULL, and then the values of the others.
func AppendRow(dst []byte, b *columnar.Batch, row int) []byte {
	nulls := len(dst)
	for range (len(b.Cols) + 7) / 8 {
		dst = append(dst, 0)
	}
	for i := range b.Cols {
		v := &b.Cols[i]
		if v.IsNull(row) {
			dst[nulls+i/8] |= 1 << (i % 8)
			continue
		}
		dst = appendValue(dst, v, row)
	}
	return dst
}

// appendValue appends a value that isn't NULL.
func appendValue(dst []byte, v *columnar.Vector, row int) []byte {
	switch v.Type.Kind {
	case columnar.Bool:
		return append(dst, v.Bools[row])
	case columnar.Int16:
		return binary.AppendVarint(dst, int64(v.I16[row]))
	case columnar.Int32, columnar.Date:
		return binary.AppendVarint(dst, int64(v.I32[row]))
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		return binary.AppendVarint(dst, v.I64[row])
	case columnar.Float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v.F32[row]))
	case columnar.Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[row]))
	case columnar.Decimal:
		return appendInt128(dst, v.I128[row])
	case columnar.UUID:
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.I128[row].Hi))
		return binary.BigEndian.AppendUint64(dst, v.I128[row].Lo)
	case columnar.Interval:
		x := v.Intervals[row]
		return appendInterval(dst, interval{int64(x.Months), int64(x.Days), x.Micros})
	default:
		s := v.Str.Value(row)
		return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
}

// interval of which the fields may be larger than those of a column.
type interval struct{ months, days, micros int64 }

func appendInterval(dst []byte, x interval) []byte {
	dst = binary.AppendVarint(dst, x.months)
	dst = binary.AppendVarint(dst, x.days)
	return binary.AppendVarint(dst, x.micros)
}

// appendInt128 appends the length and the bytes, the highest first, that the number needs in two's complement; none for 0.
func appendInt128(dst []byte, x columnar.Int128) []byte {
	var all [16]byte
	binary.BigEndian.PutUint64(all[:8], uint64(x.Hi))
	binary.BigEndian.PutUint64(all[8:], x.Lo)
	from := 16 - sizeOf(x)
	dst = append(dst, byte(16-from))
	return append(dst, all[from:]...)
}

// sizeOf is how many bytes a number needs, its sign included.
func sizeOf(x columnar.Int128) int {
	sign := uint64(x.Hi >> 63)
	hi, lo := uint64(x.Hi)^sign, x.Lo^sign
	switch {
	case hi != 0:
		return 8 + bits.Len64(hi)/8 + 1
	case lo != 0 || sign != 0:
		return bits.Len64(lo)/8 + 1
	}
	return 0
}

// Decoder reads rows of some types.
type Decoder struct{ types []columnar.Type }

// NewDecoder returns one for rows of types, each of which a column may have.
func NewDecoder(types []columnar.Type) (*Decoder, error) {
	for i, t := range types {
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("column %d: %w", i, err)
		}
	}
	return &Decoder{types}, nil
}

// NewBuilder returns a builder of batches of the rows.
func (d *Decoder) NewBuilder() *columnar.BatchBuilder { return columnar.NewBatchBuilder(d.types) }

// errRow is of bytes that aren't a row of the types.
var errRow = errors.New("not a row of these columns")

// Append a row to a builder of the types. An error leaves the builder as it was.
func (d *Decoder) Append(into *columnar.BatchBuilder, row []byte) error {
	before := into.Len()
	if err := d.append(into, row); err != nil {
		into.Undo(before)
		return err
	}
	return nil
}

func (d *Decoder) append(into *columnar.BatchBuilder, row []byte) error {
	width := (len(d.types) + 7) / 8
	if len(row) < width {
		return errRow
	}
	nulls := row[:width]
	if n := len(d.types) % 8; n != 0 && nulls[width-1]>>n != 0 {
		return errRow
	}
	r := reader{row[width:], false}
	for i, t := range d.types {
		if nulls[i/8]&(1<<(i%8)) != 0 {
			into.Col(i).AppendNull()
			continue
		}
		r.value(t.Kind, into.Col(i))
		if r.bad {
			return fmt.Errorf("column %d: %w", i, errRow)
		}
	}
	if len(r.rest) > 0 {
		return errRow
	}
	return nil
}

// reader takes values of the begin of what is left. What it takes of bytes that are bad is nothing that means anything.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) value(k columnar.Kind, into *columnar.VectorBuilder) {
	switch k {
	case columnar.Bool:
		b := r.take(1)[0]
		r.bad = r.bad || b > 1
		into.AppendBool(b == 1)
	case columnar.Int16:
		into.AppendInt16(int16(r.varint(math.MinInt16, math.MaxInt16))) //nolint:gosec // it is in range
	case columnar.Int32, columnar.Date:
		into.AppendInt32(int32(r.varint(math.MinInt32, math.MaxInt32))) //nolint:gosec // it is in range
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		into.AppendInt64(r.varint(math.MinInt64, math.MaxInt64))
	case columnar.Float32:
		into.AppendFloat32(math.Float32frombits(binary.LittleEndian.Uint32(r.take(4))))
	case columnar.Float64:
		into.AppendFloat64(math.Float64frombits(binary.LittleEndian.Uint64(r.take(8))))
	case columnar.Decimal:
		into.AppendInt128(r.int128())
	case columnar.UUID:
		b := r.take(16)
		into.AppendInt128(columnar.Int128{Hi: int64(binary.BigEndian.Uint64(b)), Lo: binary.BigEndian.Uint64(b[8:])}) //nolint:gosec // bits
	case columnar.Interval:
		into.AppendInterval(columnar.IntervalValue{
			Months: int32(r.varint(math.MinInt32, math.MaxInt32)), //nolint:gosec // it is in range
			Days:   int32(r.varint(math.MinInt32, math.MaxInt32)), //nolint:gosec // it is in range
			Micros: r.varint(math.MinInt64, math.MaxInt64),
		})
	default:
		into.AppendBytes(r.bytes())
	}
}

// zeros are what a reader takes where there is nothing.
var zeros [16]byte

// take so many bytes, 16 at the most.
func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.bad = true
		return zeros[:n]
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// varint of a range, in as few bytes as it can have.
func (r *reader) varint(least, most int64) int64 {
	x, n := binary.Varint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 || x < least || x > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return x
}

func (r *reader) int128() columnar.Int128 {
	n := int(r.take(1)[0])
	if n > 16 {
		r.bad = true
		return columnar.Int128{}
	}
	b := r.take(n)
	x := columnar.Int128{}
	if n > 0 && b[0]&0x80 != 0 {
		x = columnar.Int128{Hi: -1, Lo: math.MaxUint64}
	}
	for _, c := range b {
		x.Hi = x.Hi<<8 | int64(x.Lo>>56)
		x.Lo = x.Lo<<8 | uint64(c)
	}
	r.bad = r.bad || sizeOf(x) != n
	return x
}

func (r *reader) bytes() []byte {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || size > 1 && r.rest[size-1] == 0 || n > uint64(len(r.rest)-size) {
		r.bad = true
		return nil
	}
	b := r.rest[size : size+int(n)] //nolint:gosec // no more than there are
	r.rest = r.rest[size+int(n):]   //nolint:gosec // as above
	return b
}

// AppendChunk appends something after its length.
func AppendChunk(dst, row []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(row))), row...)
}

// ErrChunk is of bytes that aren't a chunk of rows.
var ErrChunk = errors.New("not a chunk of rows")

// Next takes the next row off a chunk, and returns the rest.
func Next(chunk []byte) ([]byte, []byte, error) {
	r := reader{chunk, false}
	row := r.bytes()
	if r.bad {
		return nil, nil, ErrChunk
	}
	return row, r.rest, nil
}
