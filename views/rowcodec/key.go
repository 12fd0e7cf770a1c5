package rowcodec

import (
	"encoding/binary"
	"math"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// What stands before a column of a key.
const (
	keyNull  = 0
	keyValue = 1
)

// AppendKey appends the key that the first columns of a row are.
func AppendKey(dst []byte, b *columnar.Batch, keys, row int) []byte {
	for i := range keys {
		dst = appendKeyValue(dst, &b.Cols[i], row)
	}
	return dst
}

func appendKeyValue(dst []byte, v *columnar.Vector, row int) []byte {
	if v.IsNull(row) {
		return append(dst, keyNull)
	}
	dst = append(dst, keyValue)
	switch v.Type.Kind {
	case columnar.Float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(oneFloat(float64(v.F32[row])))))
	case columnar.Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(oneFloat(v.F64[row])))
	case columnar.Interval:
		return appendInterval(dst, carried(v.Intervals[row]))
	case columnar.Array:
		return appendKeyArray(dst, v, row)
	default:
		return appendValue(dst, v, row)
	}
}

// oneFloat is the one of all floats that are equal.
func oneFloat(x float64) float64 {
	switch {
	case x == 0:
		return 0
	case x != x:
		return math.NaN()
	}
	return x
}

// carried is an interval as DuckDB compares it: whole days of its microseconds are days, and 30 days a month.
func carried(x columnar.IntervalValue) interval {
	const day, month = 24 * 3600 * 1_000_000, 30
	days := int64(x.Days) + x.Micros/day
	return interval{int64(x.Months) + days/month, days % month, x.Micros % day}
}

// appendKeyArray appends an array by its elements: the texts of equal ones may differ.
func appendKeyArray(dst []byte, v *columnar.Vector, row int) []byte {
	s := v.Str.Value(row)
	elements, err := columnar.Elements(v.Type, string(s))
	if err != nil { // nothing that an array holds
		return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = binary.AppendUvarint(dst, uint64(elements.Len()))
	for i := range elements.Len() {
		dst = appendKeyValue(dst, &elements, i)
	}
	return dst
}
