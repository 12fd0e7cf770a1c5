package columnar

import (
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
)

// AppendText appends value row of v as PostgreSQL's output functions print it, with
// DateStyle ISO, IntervalStyle postgres, bytea_output hex and TimeZone UTC. The
// caller has asked IsNull first: for NULL nothing is appended.
func AppendText(dst []byte, v *Vector, row int) []byte {
	if v.IsNull(row) {
		return dst
	}
	switch v.Type.Kind {
	case Bool:
		if v.Bools[row] != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Int16:
		return strconv.AppendInt(dst, int64(v.I16[row]), 10)
	case Int32:
		return strconv.AppendInt(dst, int64(v.I32[row]), 10)
	case Int64:
		return strconv.AppendInt(dst, v.I64[row], 10)
	case Float32:
		return appendFloat(dst, float64(v.F32[row]), 32)
	case Float64:
		return appendFloat(dst, v.F64[row], 64)
	case Decimal:
		return appendDecimal(dst, v.I128[row], v.Type.Scale)
	case Text, Varchar, Char, JSON, Array:
		return append(dst, v.Str.Value(row)...)
	case JSONB:
		return appendSpacedJSON(dst, v.Str.Value(row))
	case Bytea:
		return hex.AppendEncode(append(dst, `\x`...), v.Str.Value(row))
	case Date:
		return appendDate(dst, v.I32[row])
	case Time:
		return appendClock(dst, v.I64[row])
	case Timestamp:
		return appendTimestamp(dst, v.I64[row], timestampStyle{separator: ' '})
	case TimestampTZ:
		return appendTimestamp(dst, v.I64[row], timestampStyle{separator: ' ', zone: "+00"})
	case Interval:
		return appendInterval(dst, v.Intervals[row], true)
	case UUID:
		return appendUUID(dst, v.I128[row])
	default:
		return dst
	}
}

// appendFloat prints the fewest digits that read back as f, without an exponent
// for magnitudes that have at most 15 (real: 6) digits before the point or 4 zeros
// after it.
func appendFloat(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	small, large := 1e-4, 1e15
	if size == 32 {
		small, large = float64(float32(1e-4)), 1e6
	}
	if a := math.Abs(f); a != 0 && (a < small || a >= large) {
		return appendExponent(dst, f, size)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, size)
}

// appendExponent prints the fewest digits that every reader takes for f, however it
// rounds: like PostgreSQL, and unlike strconv, it doesn't print a decimal that lies
// halfway to the next float, which only a reader who rounds to even takes for f.
func appendExponent(dst []byte, f float64, size int) []byte {
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, size)
	for precision := 1; isHalfway(dst[start:], size) && precision <= 17; precision++ {
		longer := strconv.FormatFloat(f, 'e', precision, size)
		if back, err := strconv.ParseFloat(longer, size); err == nil && back == f {
			dst = append(dst[:start], longer...)
		}
	}
	return dst
}

// isHalfway tells whether a decimal like 1.25e+23 lies halfway between two floats of
// the size: whether its odd part has one bit more than a float's mantissa.
func isHalfway(decimal []byte, size int) bool {
	mantissaBits := 53
	if size == 32 {
		mantissaBits = 24
	}
	n := splitNumber(text(decimal))
	u := uint128{}
	for i := range len(n.whole) + len(n.fraction) {
		u, _ = u.mulAdd(10, uint64(n.digit(i)-'0'))
	}
	for range n.exponent - len(n.fraction) {
		var ok bool
		if u, ok = u.mulAdd(5, 0); !ok {
			return false
		}
	}
	if n.exponent < len(n.fraction) || u == (uint128{}) {
		return false
	}
	for u.lo&1 == 0 {
		u = u.shiftRight1()
	}
	return u.hi == 0 && bits.Len64(u.lo) == mantissaBits+1
}

func appendUUID(dst []byte, x Int128) []byte {
	const digits = "0123456789abcdef"
	for i := range 16 {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		word := uint64(x.Hi)
		if i >= 8 {
			word = x.Lo
		}
		b := byte(word >> (56 - 8*(i&7)))
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// appendPadded appends n with leading zeros up to width digits.
func appendPadded(dst []byte, n int64, width int) []byte {
	limit := int64(10)
	for w := 1; w < width; w++ {
		if n < limit {
			dst = append(dst, '0')
		}
		limit *= 10
	}
	return strconv.AppendInt(dst, n, 10)
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// appendCivil appends YYYY-MM-DD, and tells whether the year is one BC.
func appendCivil(dst []byte, days int64) ([]byte, bool) {
	c := civilFromDays(days)
	before := c.year <= 0
	if before {
		c.year = 1 - c.year
	}
	dst = append(appendPadded(dst, c.year, 4), '-')
	dst = append(append2(dst, c.month), '-')
	return append2(dst, c.day), before
}

func appendDate(dst []byte, days int32) []byte {
	switch days {
	case DateInfinity:
		return append(dst, "infinity"...)
	case DateNegInfinity:
		return append(dst, "-infinity"...)
	}
	dst, before := appendCivil(dst, int64(days))
	if before {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendClock appends HH:MM:SS with as many fraction digits as micros has.
func appendClock(dst []byte, micros int64) []byte {
	secs := int(micros / microsPerSecond)
	dst = append(append2(dst, secs/3600), ':')
	dst = append(append2(dst, secs/60%60), ':')
	return appendFraction(append2(dst, secs%60), micros%microsPerSecond)
}

// appendFraction appends a point and the digits of micros without trailing zeros, or nothing.
func appendFraction(dst []byte, micros int64) []byte {
	if micros == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), micros, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// timestampStyle is what differs between the forms of a timestamp.
type timestampStyle struct {
	separator byte   // between date and time
	zone      string // after the time
}

func appendTimestamp(dst []byte, micros int64, style timestampStyle) []byte {
	switch micros {
	case TimestampInfinity:
		return append(dst, "infinity"...)
	case TimestampNegInfinity:
		return append(dst, "-infinity"...)
	}
	days := floorDiv(micros, microsPerDay)
	dst, before := appendCivil(dst, days)
	dst = appendClock(append(dst, style.separator), micros-days*microsPerDay)
	dst = append(dst, style.zone...)
	if before {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendInterval appends an interval in PostgreSQL's style. With plus, a part that
// isn't negative after one that is gets a plus sign, as PostgreSQL prints; without
// it the text means the same, and DuckDB reads it too.
func appendInterval(dst []byte, v IntervalValue, plus bool) []byte {
	start := len(dst)
	before := false
	part := func(n int64, name string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before && n > 0 && plus {
			dst = append(dst, '+')
		}
		dst = append(append(strconv.AppendInt(dst, n, 10), ' '), name...)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n < 0
	}
	part(int64(v.Months/12), "year")
	part(int64(v.Months%12), "mon")
	part(int64(v.Days), "day")
	if v.Micros == 0 && len(dst) > start {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	switch {
	case v.Micros < 0:
		dst = append(dst, '-')
	case before && plus:
		dst = append(dst, '+')
	}
	u := absInt64(v.Micros)
	secs := u / microsPerSecond
	dst = append(appendPadded(dst, int64(secs/3600), 2), ':')
	dst = append(append2(dst, int(secs/60%60)), ':')
	return appendFraction(append2(dst, int(secs%60)), int64(u%microsPerSecond))
}

// appendSpacedJSON appends compact JSON with the blanks that PostgreSQL prints in a jsonb.
func appendSpacedJSON(dst, compact []byte) []byte {
	inString := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		dst = append(dst, c)
		switch {
		case inString && c == '\\':
			i++
			dst = append(dst, compact[i])
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == ':'):
			dst = append(dst, ' ')
		}
	}
	return dst
}
