package duck

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// stringOut is a duckdb_string_t as it is written, in two words: the length and the
// first four bytes, then either eight bytes more or the address of all of them. It has
// no pointer, since no pointer of Go's may be written into DuckDB's memory.
type stringOut struct{ head, tail uint64 }

// vectorWriter writes rows from..from+n of columnar vectors into one of DuckDB's.
type vectorWriter struct {
	vector  mapping.Vector
	from, n int
}

// write copies the rows, if they are values that DuckDB can hold.
func (w vectorWriter) write(v *columnar.Vector) error {
	if err := checkValues(v, w.from, w.n); err != nil {
		return err
	}
	w.writeNulls(v.Null)
	data := mapping.VectorGetData(w.vector)
	switch v.Type.Kind {
	case columnar.Bool:
		put(w, data, v.Bools)
	case columnar.Int16:
		put(w, data, v.I16)
	case columnar.Int32, columnar.Date:
		put(w, data, v.I32)
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		put(w, data, v.I64)
	case columnar.Float32:
		put(w, data, v.F32)
	case columnar.Float64:
		put(w, data, v.F64)
	case columnar.Interval:
		put(w, data, v.Intervals)
	case columnar.UUID:
		put(w, data, v.I128)
		for i, out := 0, view[columnar.Int128](data, w.n); i < w.n; i++ {
			out[i].Hi ^= math.MinInt64
		}
	case columnar.Decimal:
		w.writeDecimals(data, v)
	case columnar.Text, columnar.Varchar, columnar.Char, columnar.JSON, columnar.JSONB, columnar.Bytea:
		w.writeStrings(data, v)
	case columnar.Array:
		return w.writeLists(data, v)
	default:
		return fmt.Errorf("kind %d isn't a column type", v.Type.Kind)
	}
	return nil
}

func put[T any](w vectorWriter, data unsafe.Pointer, values []T) {
	copy(view[T](data, w.n), values[w.from:w.from+w.n])
}

// writeNulls clears the bits of NULLs; a vector without a mask has none.
func (w vectorWriter) writeNulls(nulls []bool) {
	if nulls == nil {
		return
	}
	var words []uint64
	for i, null := range nulls[w.from : w.from+w.n] {
		if !null {
			continue
		}
		if words == nil {
			mapping.VectorEnsureValidityWritable(w.vector)
			words = view[uint64](mapping.VectorGetValidity(w.vector), (w.n+63)/64)
		}
		words[i/64] &^= 1 << (i % 64)
	}
}

// writeDecimals narrows to the width that DuckDB keeps a precision in.
func (w vectorWriter) writeDecimals(data unsafe.Pointer, v *columnar.Vector) {
	values := v.I128[w.from : w.from+w.n]
	switch {
	case v.Type.Precision <= 4:
		narrow[int16](data, values)
	case v.Type.Precision <= 9:
		narrow[int32](data, values)
	case v.Type.Precision <= 18:
		narrow[int64](data, values)
	default:
		copy(view[columnar.Int128](data, w.n), values)
	}
}

func narrow[T int16 | int32 | int64](data unsafe.Pointer, values []columnar.Int128) {
	out := view[T](data, len(values))
	for i, value := range values {
		out[i] = T(value.Lo)
	}
}

// writeStrings hands all bytes to the vector in one call, by way of its first long
// string, and then points the others into them; short strings stand in their slots.
func (w vectorWriter) writeStrings(data unsafe.Pointer, v *columnar.Vector) {
	offsets, all := v.Str.Offsets[w.from:w.from+w.n+1], v.Str.Bytes
	out := view[stringOut](data, w.n)
	base := w.adopt(out, offsets, all)
	for i := range out {
		begin, end := offsets[i], offsets[i+1]
		if end-begin > inlined {
			out[i] = stringOut{
				head: uint64(end-begin) | uint64(binary.LittleEndian.Uint32(all[begin:]))<<32,
				tail: base + uint64(begin),
			}
			continue
		}
		out[i] = inlineString(all[begin:end:len(all)])
	}
}

// adopt gives the vector a copy of the bytes from the first to the last long string and
// returns the address that offset 0 of all would have in it.
func (w vectorWriter) adopt(out []stringOut, offsets []uint32, all []byte) uint64 {
	first, last := -1, -1
	for i := range out {
		if offsets[i+1]-offsets[i] > inlined {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return 0
	}
	begin, end := offsets[first], offsets[last+1]
	bindings.UnsafeVectorAssignStringElementLen(w.vector, mapping.IdxT(first), all[begin:end])
	return out[first].tail - uint64(begin)
}

// inlineString makes the slot of a string of at most inlined bytes, zero behind it. It
// reads behind the string where there is something, which is faster.
func inlineString(s []byte) stringOut {
	n := len(s)
	var b [16]byte
	if cap(s) >= inlined {
		s = s[:inlined]
		head, tail := uint64(binary.LittleEndian.Uint32(s)), binary.LittleEndian.Uint64(s[4:])
		if n < 4 {
			head &= 1<<(8*n) - 1
			tail = 0
		} else {
			tail &= 1<<(8*(n-4)) - 1
		}
		return stringOut{head: uint64(n) | head<<32, tail: tail}
	}
	copy(b[4:], s)
	return stringOut{
		head: uint64(n) | uint64(binary.LittleEndian.Uint32(b[4:]))<<32,
		tail: binary.LittleEndian.Uint64(b[8:]),
	}
}
