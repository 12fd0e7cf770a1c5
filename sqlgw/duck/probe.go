package duck

import (
	"fmt"
	"math"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// The probe has more rows than one of DuckDB's vectors, in batches that don't divide it.
const (
	probeRows  = 3000
	probeBatch = 1300
)

// Columns of the probe that its checks name.
const (
	probeNumber = 2 // 0, 1, 2, ... without NULLs
	probeBig    = 3
	probeText   = 12
)

// probe is a table of every type, with NULLs.
type probe struct {
	name    string // of the scan that reads it
	columns []columnar.Column
	vectors []columnar.Vector
}

func newProbe(name string) *probe {
	p := &probe{name: name}
	for _, t := range []columnar.Type{
		{Kind: columnar.Bool},
		{Kind: columnar.Int16},
		{Kind: columnar.Int32},
		{Kind: columnar.Int64},
		{Kind: columnar.Float32},
		{Kind: columnar.Float64},
		{Kind: columnar.Decimal, Precision: 4, Scale: 1},
		{Kind: columnar.Decimal, Precision: 9, Scale: 2},
		{Kind: columnar.Decimal, Precision: 18, Scale: 4},
		{Kind: columnar.Decimal, Precision: 38, Scale: 10},
		{Kind: columnar.Date},
		{Kind: columnar.Time},
		{Kind: columnar.Text},
		{Kind: columnar.Varchar, Length: 40},
		{Kind: columnar.Char, Length: 3},
		{Kind: columnar.Bytea},
		{Kind: columnar.JSON},
		{Kind: columnar.JSONB},
		{Kind: columnar.Timestamp},
		{Kind: columnar.TimestampTZ},
		{Kind: columnar.Interval},
		{Kind: columnar.UUID},
	} {
		index := len(p.columns)
		column := columnar.Column{Name: fmt.Sprintf("c%d", index), Type: t}
		v := columnar.Vector{Type: t, Null: make([]bool, probeRows)}
		if index == probeNumber {
			column.Name, column.NotNull, v.Null = "number", true, nil
		}
		for row := range probeRows {
			null := v.Null != nil && (row+index)%7 == 3
			if null {
				v.Null[row] = true
			}
			appendProbe(&v, row, null)
		}
		p.columns, p.vectors = append(p.columns, column), append(p.vectors, v)
	}
	return p
}

// appendProbe appends the value of a row, or the zero of a NULL.
func appendProbe(v *columnar.Vector, row int, null bool) {
	n := int64(row)
	if null {
		n = 0
	}
	wide := columnar.Int128{Lo: uint64(n * 3), Hi: 0}
	if n%2 == 1 {
		wide = columnar.Int128{Lo: uint64(-n), Hi: -1}
	}
	switch v.Type.Kind {
	case columnar.Bool:
		v.Bools = append(v.Bools, uint8(n%2))
	case columnar.Int16:
		v.I16 = append(v.I16, int16(n*11))
	case columnar.Int32, columnar.Date:
		v.I32 = append(v.I32, int32(n))
	case columnar.Int64, columnar.Time, columnar.Timestamp, columnar.TimestampTZ:
		v.I64 = append(v.I64, n*7_654_321)
	case columnar.Float32:
		v.F32 = append(v.F32, float32(n)/3)
	case columnar.Float64:
		v.F64 = append(v.F64, float64(-n)/7)
	case columnar.Decimal:
		v.I128 = append(v.I128, wide)
	case columnar.UUID:
		v.I128 = append(v.I128, columnar.Int128{Lo: uint64(n), Hi: n * math.MaxInt32})
	case columnar.Interval:
		v.Intervals = append(v.Intervals, columnar.IntervalValue{Months: int32(n), Days: -int32(n), Micros: n * n})
	default:
		if v.Str.Offsets == nil {
			v.Str.Offsets = append(v.Str.Offsets, 0)
		}
		if !null {
			v.Str.Bytes = append(v.Str.Bytes, probeString(v.Type.Kind, row)...)
		}
		v.Str.Offsets = append(v.Str.Offsets, uint32(len(v.Str.Bytes)))
	}
}

// probeString has lengths around the 12 bytes that DuckDB keeps in place, and none.
func probeString(kind columnar.Kind, row int) string {
	const filler = "zwei Boxkämpfer jagen Eva quer über den Sylter Deich"
	switch kind {
	case columnar.Char:
		return fmt.Sprintf("%-3d", row%1000)
	case columnar.JSON, columnar.JSONB:
		return fmt.Sprintf(`{"row":%d}`, row)
	case columnar.Bytea:
		return string([]byte{0xff, byte(row), 0})
	default:
		return filler[:[...]int{0, 1, 2, 11, 12, 13, 15, 34}[row%8]]
	}
}

// pick makes a batch of the given columns and rows.
func (p *probe) pick(columns, rows []int) *columnar.Batch {
	b := &columnar.Batch{Len: len(rows)}
	for _, column := range columns {
		b.Cols = append(b.Cols, pickRows(&p.vectors[column], rows))
	}
	return b
}

func (p *probe) number(row int) int64 { return int64(p.vectors[probeNumber].I32[row]) }

func (p *probe) isNull(column, row int) bool { return p.vectors[column].Null[row] }

func pickRows(v *columnar.Vector, rows []int) columnar.Vector {
	out := columnar.Vector{
		Type: v.Type, Null: pick(v.Null, rows), Bools: pick(v.Bools, rows), I16: pick(v.I16, rows), I32: pick(v.I32, rows),
		I64: pick(v.I64, rows), F32: pick(v.F32, rows), F64: pick(v.F64, rows), I128: pick(v.I128, rows), Intervals: pick(v.Intervals, rows),
	}
	if v.Str.Offsets != nil {
		out.Str.Offsets = []uint32{0}
		for _, row := range rows {
			out.Str.Bytes = append(out.Str.Bytes, v.Str.Value(row)...)
			out.Str.Offsets = append(out.Str.Offsets, uint32(len(out.Str.Bytes)))
		}
	}
	return out
}

func pick[T any](values []T, rows []int) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

// sameValue compares bit for bit, so that NaN is itself and -0 isn't 0; of two NULLs
// the slots are compared, which hold zeros.
func sameValue(a *columnar.Vector, i int, b *columnar.Vector, j int) bool {
	if (a.Null != nil && a.Null[i]) != (b.Null != nil && b.Null[j]) {
		return false
	}
	same := func(x, y any, ok bool) bool { return ok && x == y }
	switch {
	case a.Bools != nil:
		return same(a.Bools[i], at(b.Bools, j), b.Bools != nil)
	case a.I16 != nil:
		return same(a.I16[i], at(b.I16, j), b.I16 != nil)
	case a.I32 != nil:
		return same(a.I32[i], at(b.I32, j), b.I32 != nil)
	case a.I64 != nil:
		return same(a.I64[i], at(b.I64, j), b.I64 != nil)
	case a.F32 != nil:
		return same(math.Float32bits(a.F32[i]), math.Float32bits(at(b.F32, j)), b.F32 != nil)
	case a.F64 != nil:
		return same(math.Float64bits(a.F64[i]), math.Float64bits(at(b.F64, j)), b.F64 != nil)
	case a.I128 != nil:
		return same(a.I128[i], at(b.I128, j), b.I128 != nil)
	case a.Intervals != nil:
		return same(a.Intervals[i], at(b.Intervals, j), b.Intervals != nil)
	default:
		return b.Str.Offsets != nil && string(a.Str.Value(i)) == string(b.Str.Value(j))
	}
}

// at is values[i], or the zero value where there are none.
func at[T any](values []T, i int) T {
	if i < len(values) {
		return values[i]
	}
	var zero T
	return zero
}
