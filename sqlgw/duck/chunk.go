package duck

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// stringIn is a duckdb_string_t as it is read: a string of at most inlined bytes
// stands from prefix on, a longer one where ptr points.
type stringIn struct {
	length uint32
	prefix [4]byte
	ptr    *byte
}

// inlined is the length up to which DuckDB keeps a string inside its 16 bytes.
const inlined = 12

// copyChunk copies the first n rows of a chunk into a batch of our own memory.
func copyChunk(chunk mapping.DataChunk, columns []resultColumn, n int) (*columnar.Batch, error) {
	batch := &columnar.Batch{Len: n, Cols: make([]columnar.Vector, len(columns))}
	for i, col := range columns {
		vector := mapping.DataChunkGetVector(chunk, mapping.IdxT(i))
		v, err := col.layout.copyVector(vector, n)
		if err != nil {
			return nil, fmt.Errorf("duck: column %d %q: %w", i+1, col.name, err)
		}
		batch.Cols[i] = v
	}
	return batch, nil
}

// view is DuckDB's memory as a slice; it must not outlive the chunk.
func view[T any](data unsafe.Pointer, n int) []T { return unsafe.Slice((*T)(data), n) }

// copyVector copies n values. Invariant of columnar: the slot of a NULL is zero.
func (l layout) copyVector(vector mapping.Vector, n int) (columnar.Vector, error) {
	data := mapping.VectorGetData(vector)
	out := columnar.Vector{Type: l.typ, Null: copyNulls(mapping.VectorGetValidity(vector), n)}
	var err error
	switch l.id {
	case mapping.TypeBoolean:
		out.Bools = copyFixed[uint8](data, out.Null, n)
	case mapping.TypeTinyInt:
		out.I16 = widen[int8, int16](data, out.Null, n)
	case mapping.TypeUTinyInt:
		out.I16 = widen[uint8, int16](data, out.Null, n)
	case mapping.TypeSmallInt:
		out.I16 = copyFixed[int16](data, out.Null, n)
	case mapping.TypeUSmallInt:
		out.I32 = widen[uint16, int32](data, out.Null, n)
	case mapping.TypeInteger, mapping.TypeDate:
		out.I32 = copyFixed[int32](data, out.Null, n)
	case mapping.TypeUInteger:
		out.I64 = widen[uint32, int64](data, out.Null, n)
	case mapping.TypeBigInt, mapping.TypeTime, mapping.TypeTimestamp, mapping.TypeTimestampTZ:
		out.I64 = copyFixed[int64](data, out.Null, n)
	case mapping.TypeFloat:
		out.F32 = copyFixed[float32](data, out.Null, n)
	case mapping.TypeDouble:
		out.F64 = copyFixed[float64](data, out.Null, n)
	case mapping.TypeInterval:
		out.Intervals = copyFixed[columnar.IntervalValue](data, out.Null, n)
	case mapping.TypeUUID:
		out.I128 = copyUUIDs(data, out.Null, n)
	case mapping.TypeVarchar:
		if out.Str, err = copyStrings(data, out.Null, n); err == nil && bytes.IndexByte(out.Str.Bytes, 0) >= 0 {
			err = errNUL()
		}
	case mapping.TypeBlob:
		out.Str, err = copyStrings(data, out.Null, n)
	case mapping.TypeEnum:
		out.Str, err = l.copyEnums(data, out.Null, n)
	case mapping.TypeList:
		out.Str, err = l.copyLists(vector, data, out.Null, n)
	case mapping.TypeSQLNull:
		out.Null = slices.Repeat([]bool{true}, n)
		out.Str.Offsets = make([]uint32, n+1)
	default:
		out.I128, err = l.copyWide(data, out.Null, n)
	}
	return out, err
}

// errNUL is the error of a text with a character that no text of PostgreSQL's has.
func errNUL() *Error {
	const message = `invalid byte sequence for encoding "UTF8": 0x00`
	return &Error{Class: "Conversion", SQLSTATE: "22021", Position: -1, Message: message, Raw: message}
}

// copyNulls turns a validity mask, whose set bits are values, into columnar's form.
func copyNulls(mask unsafe.Pointer, n int) []bool {
	if mask == nil {
		return nil
	}
	words := view[uint64](mask, (n+63)/64)
	var nulls []bool
	for w, word := range words {
		invalid := ^word
		if rest := n - w*64; rest < 64 {
			invalid &= 1<<rest - 1
		}
		if invalid == 0 {
			continue
		}
		if nulls == nil {
			nulls = make([]bool, n)
		}
		for ; invalid != 0; invalid &= invalid - 1 {
			nulls[w*64+bits.TrailingZeros64(invalid)] = true
		}
	}
	return nulls
}

func copyFixed[T any](data unsafe.Pointer, nulls []bool, n int) []T {
	out := slices.Clone(view[T](data, n))
	zeroNulls(out, nulls)
	return out
}

func zeroNulls[T any](values []T, nulls []bool) {
	var zero T
	for i, null := range nulls {
		if null {
			values[i] = zero
		}
	}
}

func widen[From int8 | uint8 | uint16 | uint32, To int16 | int32 | int64](data unsafe.Pointer, nulls []bool, n int) []To {
	out := make([]To, n)
	for i, v := range view[From](data, n) {
		out[i] = To(v)
	}
	zeroNulls(out, nulls)
	return out
}

// copyUUIDs undoes the flipped top bit with which DuckDB makes UUIDs sort as integers.
func copyUUIDs(data unsafe.Pointer, nulls []bool, n int) []columnar.Int128 {
	out := slices.Clone(view[columnar.Int128](data, n))
	for i := range out {
		out[i].Hi ^= math.MinInt64
	}
	zeroNulls(out, nulls)
	return out
}

// copyStrings copies the strings of a vector into one allocation.
func copyStrings(data unsafe.Pointer, nulls []bool, n int) (columnar.Strings, error) {
	in := view[stringIn](data, n)
	out := columnar.Strings{Offsets: make([]uint32, n+1)}
	total := uint64(0)
	for i := range in {
		if nulls == nil || !nulls[i] {
			total += uint64(in[i].length)
		}
		out.Offsets[i+1] = uint32(total)
	}
	if total > math.MaxUint32 {
		return columnar.Strings{}, unsupported("%d bytes of text in %d rows are more than a batch holds", total, n)
	}
	out.Bytes = make([]byte, total)
	for i := range in {
		begin, end := out.Offsets[i], out.Offsets[i+1]
		if begin == end {
			continue
		}
		from := in[i].ptr
		if end-begin <= inlined {
			from = &in[i].prefix[0]
		}
		copy(out.Bytes[begin:end], unsafe.Slice(from, end-begin))
	}
	return out, nil
}

func (l layout) copyEnums(data unsafe.Pointer, nulls []bool, n int) (columnar.Strings, error) {
	out := columnar.Strings{Offsets: make([]uint32, n+1)}
	for i := range n {
		if nulls == nil || !nulls[i] {
			index := l.enumIndex(data, n, i)
			if index >= uint64(len(l.enum)) {
				return columnar.Strings{}, fmt.Errorf("enum value %d of %d", index, len(l.enum))
			}
			out.Bytes = append(out.Bytes, l.enum[index]...)
		}
		if uint64(len(out.Bytes)) > math.MaxUint32 {
			return columnar.Strings{}, unsupported("the text of %d enum values is more than a batch holds", n)
		}
		out.Offsets[i+1] = uint32(len(out.Bytes))
	}
	return out, nil
}

func (l layout) enumIndex(data unsafe.Pointer, n, i int) uint64 {
	switch l.internal {
	case mapping.TypeUTinyInt:
		return uint64(view[uint8](data, n)[i])
	case mapping.TypeUSmallInt:
		return uint64(view[uint16](data, n)[i])
	default:
		return uint64(view[uint32](data, n)[i])
	}
}

// copyWide copies what columnar holds in 128 bits: decimals of any width and the
// integers that are wider than 64 bits or unsigned.
func (l layout) copyWide(data unsafe.Pointer, nulls []bool, n int) ([]columnar.Int128, error) {
	out := make([]columnar.Int128, n)
	switch {
	case l.typ.Kind != columnar.Decimal:
		return nil, unsupported("its type is not supported: cast it")
	case l.internal == mapping.TypeSmallInt:
		extend(out, view[int16](data, n))
	case l.internal == mapping.TypeInteger:
		extend(out, view[int32](data, n))
	case l.internal == mapping.TypeBigInt:
		extend(out, view[int64](data, n))
	case l.id == mapping.TypeUBigInt:
		for i, v := range view[uint64](data, n) {
			out[i] = columnar.Int128{Lo: v}
		}
	default:
		copy(out, view[columnar.Int128](data, n))
	}
	zeroNulls(out, nulls)
	if l.id == mapping.TypeHugeInt || l.id == mapping.TypeUHugeInt {
		bound := powerOfTen(widestDecimal)
		for _, v := range out {
			// A UHUGEINT over the signed range has the sign bit set, and fails here too.
			if !under(v, bound) || l.id == mapping.TypeUHugeInt && v.Hi < 0 {
				return nil, &Error{
					Class: "Out of Range", SQLSTATE: "22003", Position: -1,
					Message: "an integer has more than 38 digits", Raw: "an integer has more than 38 digits",
				}
			}
		}
	}
	return out, nil
}

func extend[T int16 | int32 | int64](out []columnar.Int128, in []T) {
	for i, v := range in {
		out[i] = columnar.Int128{Lo: uint64(v), Hi: int64(v) >> 63}
	}
}

// under tells whether v is nearer to zero than a positive bound.
func under(v, bound columnar.Int128) bool {
	hi, lo := uint64(v.Hi), v.Lo
	if v.Hi < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return hi < uint64(bound.Hi) || hi == uint64(bound.Hi) && lo < bound.Lo
}

// powerOfTen returns 10^n for n up to 38.
func powerOfTen(n uint8) columnar.Int128 {
	var hi, lo uint64 = 0, 1
	for range n {
		carry, low := bits.Mul64(lo, 10)
		hi, lo = hi*10+carry, low
	}
	return columnar.Int128{Lo: lo, Hi: int64(hi)}
}
