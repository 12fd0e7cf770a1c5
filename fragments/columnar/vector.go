package columnar

import (
	"fmt"
	"math"
	"unsafe"
)

// IsNull tells whether value i is NULL.
func (v *Vector) IsNull(i int) bool { return v.Null != nil && v.Null[i] }

// Value is the bytes of value i of a vector of strings. They are shared with the
// vector and must not be changed.
func (s *Strings) Value(i int) []byte {
	from, to := s.Offsets[i], s.Offsets[i+1]
	return s.Bytes[from:to:to]
}

// Len is the number of values.
func (v *Vector) Len() int {
	switch v.Type.Kind {
	case Bool:
		return len(v.Bools)
	case Int16:
		return len(v.I16)
	case Int32, Date:
		return len(v.I32)
	case Int64, Time, Timestamp, TimestampTZ:
		return len(v.I64)
	case Float32:
		return len(v.F32)
	case Float64:
		return len(v.F64)
	case Decimal, UUID:
		return len(v.I128)
	case Interval:
		return len(v.Intervals)
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		return max(len(v.Str.Offsets), 1) - 1
	default:
		return 0
	}
}

// Bytes is the memory that the vector keeps alive, in bytes.
func (v *Vector) Bytes() int64 {
	n := cap(v.Null) + cap(v.Bools) + 2*cap(v.I16) + 4*cap(v.I32) + 8*cap(v.I64) +
		4*cap(v.F32) + 8*cap(v.F64) + 16*cap(v.I128) + 16*cap(v.Intervals) +
		4*cap(v.Str.Offsets) + cap(v.Str.Bytes)
	return int64(n) + int64(unsafe.Sizeof(*v))
}

// Slice is the values [from, to). It shares the vector's memory.
func (v *Vector) Slice(from, to int) Vector {
	s := Vector{Type: v.Type}
	if v.Null != nil {
		s.Null = v.Null[from:to]
	}
	switch v.Type.Kind {
	case Bool:
		s.Bools = v.Bools[from:to]
	case Int16:
		s.I16 = v.I16[from:to]
	case Int32, Date:
		s.I32 = v.I32[from:to]
	case Int64, Time, Timestamp, TimestampTZ:
		s.I64 = v.I64[from:to]
	case Float32:
		s.F32 = v.F32[from:to]
	case Float64:
		s.F64 = v.F64[from:to]
	case Decimal, UUID:
		s.I128 = v.I128[from:to]
	case Interval:
		s.Intervals = v.Intervals[from:to]
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		s.Str = Strings{Offsets: v.Str.Offsets[from : to+1], Bytes: v.Str.Bytes}
	default:
	}
	return s
}

// VectorBuilder makes a Vector value by value. It only ever appends: what
// Vector has handed out stays as it was while more values are appended.
//
// Each Append method belongs to certain kinds; using another one for the
// builder's type is a mistake in the program, which Vector reports by a panic.
type VectorBuilder struct {
	v Vector
	n int
}

// NewVectorBuilder starts an empty vector of type t.
func NewVectorBuilder(t Type) *VectorBuilder {
	b := &VectorBuilder{v: Vector{Type: t}}
	if t.Kind.isString() {
		b.v.Str.Offsets = append(make([]uint32, 0, 8), 0)
	}
	return b
}

// Type is the type of the values.
func (b *VectorBuilder) Type() Type { return b.v.Type }

// Len is the number of values so far.
func (b *VectorBuilder) Len() int { return b.n }

// Vector is the values so far. It stays valid and unchanged.
func (b *VectorBuilder) Vector() Vector {
	if b.v.Len() != b.n || (b.v.Null != nil && len(b.v.Null) != b.n) {
		panic(fmt.Sprintf("columnar: a vector of %s was given values of another kind", b.v.Type))
	}
	return b.v.Slice(0, b.n)
}

// count notes one more value.
func (b *VectorBuilder) count() {
	b.n++
	if b.v.Null != nil {
		b.v.Null = append(b.v.Null, false)
	}
}

// AppendNull appends NULL, for any kind.
func (b *VectorBuilder) AppendNull() {
	if b.v.Null == nil {
		b.v.Null = make([]bool, b.n, max(b.n+1, 8))
	}
	switch b.v.Type.Kind {
	case Bool:
		b.v.Bools = append(b.v.Bools, 0)
	case Int16:
		b.v.I16 = append(b.v.I16, 0)
	case Int32, Date:
		b.v.I32 = append(b.v.I32, 0)
	case Int64, Time, Timestamp, TimestampTZ:
		b.v.I64 = append(b.v.I64, 0)
	case Float32:
		b.v.F32 = append(b.v.F32, 0)
	case Float64:
		b.v.F64 = append(b.v.F64, 0)
	case Decimal, UUID:
		b.v.I128 = append(b.v.I128, Int128{})
	case Interval:
		b.v.Intervals = append(b.v.Intervals, IntervalValue{})
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		b.v.Str.Offsets = append(b.v.Str.Offsets, uint32(len(b.v.Str.Bytes)))
	default:
	}
	b.v.Null = append(b.v.Null, true)
	b.n++
}

// AppendBool appends to a vector of Bool.
func (b *VectorBuilder) AppendBool(x bool) {
	var u uint8
	if x {
		u = 1
	}
	b.v.Bools = append(b.v.Bools, u)
	b.count()
}

// AppendInt16 appends to a vector of Int16.
func (b *VectorBuilder) AppendInt16(x int16) {
	b.v.I16 = append(b.v.I16, x)
	b.count()
}

// AppendInt32 appends to a vector of Int32 or Date.
func (b *VectorBuilder) AppendInt32(x int32) {
	b.v.I32 = append(b.v.I32, x)
	b.count()
}

// AppendInt64 appends to a vector of Int64, Time, Timestamp or TimestampTZ.
func (b *VectorBuilder) AppendInt64(x int64) {
	b.v.I64 = append(b.v.I64, x)
	b.count()
}

// AppendFloat32 appends to a vector of Float32.
func (b *VectorBuilder) AppendFloat32(x float32) {
	b.v.F32 = append(b.v.F32, x)
	b.count()
}

// AppendFloat64 appends to a vector of Float64.
func (b *VectorBuilder) AppendFloat64(x float64) {
	b.v.F64 = append(b.v.F64, x)
	b.count()
}

// AppendInt128 appends to a vector of Decimal or UUID.
func (b *VectorBuilder) AppendInt128(x Int128) {
	b.v.I128 = append(b.v.I128, x)
	b.count()
}

// AppendInterval appends to a vector of Interval.
func (b *VectorBuilder) AppendInterval(x IntervalValue) {
	b.v.Intervals = append(b.v.Intervals, x)
	b.count()
}

// AppendBytes appends a copy of x to a vector of Text, Varchar, Char, Bytea, JSON
// or JSONB. The value must already be as the type demands it (padded, normalised).
func (b *VectorBuilder) AppendBytes(x []byte) {
	b.v.Str.Bytes = append(b.v.Str.Bytes, x...)
	b.endString()
}

// AppendString is AppendBytes for a string.
func (b *VectorBuilder) AppendString(x string) {
	b.v.Str.Bytes = append(b.v.Str.Bytes, x...)
	b.endString()
}

// Bytes is the memory that the builder holds, in bytes.
func (b *VectorBuilder) Bytes() int64 { return b.v.Bytes() }

// endString ends the value whose bytes were appended to Str.Bytes. Whoever builds
// a vector ends it long before its strings reach 4 GiB (see Bytes).
func (b *VectorBuilder) endString() {
	if uint64(len(b.v.Str.Bytes)) > math.MaxUint32 {
		panic("columnar: a vector of strings over 4 GiB")
	}
	b.v.Str.Offsets = append(b.v.Str.Offsets, uint32(len(b.v.Str.Bytes)))
	b.count()
}

// AppendFrom appends value i of a vector of the same kind.
func (b *VectorBuilder) AppendFrom(v *Vector, i int) {
	if v.IsNull(i) {
		b.AppendNull()
		return
	}
	switch v.Type.Kind {
	case Bool:
		b.AppendBool(v.Bools[i] != 0)
	case Int16:
		b.AppendInt16(v.I16[i])
	case Int32, Date:
		b.AppendInt32(v.I32[i])
	case Int64, Time, Timestamp, TimestampTZ:
		b.AppendInt64(v.I64[i])
	case Float32:
		b.AppendFloat32(v.F32[i])
	case Float64:
		b.AppendFloat64(v.F64[i])
	case Decimal, UUID:
		b.AppendInt128(v.I128[i])
	case Interval:
		b.AppendInterval(v.Intervals[i])
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		b.AppendBytes(v.Str.Value(i))
	default:
	}
}

// reserve makes room for n values in all, without changing any.
func (b *VectorBuilder) reserve(n int) {
	switch b.v.Type.Kind {
	case Bool:
		b.v.Bools = grown(b.v.Bools, n)
	case Int16:
		b.v.I16 = grown(b.v.I16, n)
	case Int32, Date:
		b.v.I32 = grown(b.v.I32, n)
	case Int64, Time, Timestamp, TimestampTZ:
		b.v.I64 = grown(b.v.I64, n)
	case Float32:
		b.v.F32 = grown(b.v.F32, n)
	case Float64:
		b.v.F64 = grown(b.v.F64, n)
	case Decimal, UUID:
		b.v.I128 = grown(b.v.I128, n)
	case Interval:
		b.v.Intervals = grown(b.v.Intervals, n)
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		b.v.Str.Offsets = grown(b.v.Str.Offsets, n+1)
	default:
	}
}

// grown is s with room for n elements in all.
func grown[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s
	}
	return append(make([]T, 0, n), s...)
}

// truncate takes back the values from n on. It may only be used for values that
// Vector has not handed out.
func (b *VectorBuilder) truncate(n int) {
	if b.n == n {
		return
	}
	b.n = n
	if b.v.Null != nil {
		b.v.Null = b.v.Null[:n]
	}
	switch b.v.Type.Kind {
	case Bool:
		b.v.Bools = b.v.Bools[:n]
	case Int16:
		b.v.I16 = b.v.I16[:n]
	case Int32, Date:
		b.v.I32 = b.v.I32[:n]
	case Int64, Time, Timestamp, TimestampTZ:
		b.v.I64 = b.v.I64[:n]
	case Float32:
		b.v.F32 = b.v.F32[:n]
	case Float64:
		b.v.F64 = b.v.F64[:n]
	case Decimal, UUID:
		b.v.I128 = b.v.I128[:n]
	case Interval:
		b.v.Intervals = b.v.Intervals[:n]
	case Text, Varchar, Char, Bytea, JSON, JSONB, Array:
		b.v.Str.Offsets = b.v.Str.Offsets[:n+1]
		b.v.Str.Bytes = b.v.Str.Bytes[:b.v.Str.Offsets[n]]
	default:
	}
}
