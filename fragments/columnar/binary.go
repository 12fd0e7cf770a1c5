package columnar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// The signs of PostgreSQL's binary numeric.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPosInf   = 0xD000
	numericNegInf   = 0xF000
)

// AppendBinary appends value row of v as PostgreSQL's send functions do, without the
// length before it. The caller has asked IsNull first: for NULL nothing is appended.
func AppendBinary(dst []byte, v *Vector, row int) []byte {
	if v.IsNull(row) {
		return dst
	}
	be := binary.BigEndian
	switch v.Type.Kind {
	case Bool:
		return append(dst, v.Bools[row])
	case Int16:
		return be.AppendUint16(dst, uint16(v.I16[row]))
	case Int32:
		return be.AppendUint32(dst, uint32(v.I32[row]))
	case Int64, Time:
		return be.AppendUint64(dst, uint64(v.I64[row]))
	case Float32:
		return be.AppendUint32(dst, math.Float32bits(v.F32[row]))
	case Float64:
		return be.AppendUint64(dst, math.Float64bits(v.F64[row]))
	case Decimal:
		return appendBinaryDecimal(dst, v.I128[row], v.Type.Scale)
	case JSONB:
		return appendSpacedJSON(append(dst, jsonbVersion), v.Str.Value(row))
	case Text, Varchar, Char, Bytea, JSON:
		return append(dst, v.Str.Value(row)...)
	case Array:
		return appendBinaryArray(dst, v.Type, text(v.Str.Value(row)))
	case Date:
		return be.AppendUint32(dst, uint32(dateToWire(v.I32[row])))
	case Timestamp, TimestampTZ:
		return be.AppendUint64(dst, uint64(timestampToWire(v.I64[row])))
	case Interval:
		x := v.Intervals[row]
		dst = be.AppendUint64(dst, uint64(x.Micros))
		return be.AppendUint32(be.AppendUint32(dst, uint32(x.Days)), uint32(x.Months))
	case UUID:
		x := v.I128[row]
		return be.AppendUint64(be.AppendUint64(dst, uint64(x.Hi)), x.Lo)
	default:
		return dst
	}
}

// jsonbVersion is the byte before the text of a binary jsonb.
const jsonbVersion = 1

func dateToWire(days int32) int32 {
	switch days {
	case DateInfinity:
		return math.MaxInt32
	case DateNegInfinity:
		return math.MinInt32
	default:
		return days - epochDays
	}
}

func timestampToWire(micros int64) int64 {
	switch micros {
	case TimestampInfinity:
		return math.MaxInt64
	case TimestampNegInfinity:
		return math.MinInt64
	default:
		return micros - epochMicros
	}
}

// appendBinaryDecimal appends digits to the base of 10000, of which the point is
// between two; zeros at both ends aren't sent.
func appendBinaryDecimal(dst []byte, x Int128, scale uint8) []byte {
	const group = 4
	u, negative := x.magnitude()
	var buf [2*group + 40 + 1]byte
	digits := u.appendDigits(buf[:group], int(scale)+1)[group:]
	whole := len(digits) - int(scale)
	lead := (group - whole%group) % group
	padded := buf[group-lead : group+len(digits)]
	for i := range lead {
		padded[i] = '0'
	}
	for len(padded)%group != 0 {
		padded = append(padded, '0')
	}
	weight := (whole+lead)/group - 1
	for len(padded) > 0 && string(padded[:group]) == "0000" {
		padded = padded[group:]
		weight--
	}
	for len(padded) > 0 && string(padded[len(padded)-group:]) == "0000" {
		padded = padded[:len(padded)-group]
	}
	sign := uint16(numericPositive)
	switch {
	case len(padded) == 0:
		weight = 0
	case negative:
		sign = numericNegative
	}
	be := binary.BigEndian
	dst = be.AppendUint16(dst, uint16(len(padded)/group))
	dst = be.AppendUint16(dst, uint16(int16(weight)))
	dst = be.AppendUint16(be.AppendUint16(dst, sign), uint16(scale))
	for ; len(padded) > 0; padded = padded[group:] {
		d := uint16(0)
		for _, c := range padded[:group] {
			d = d*10 + uint16(c-'0')
		}
		dst = be.AppendUint16(dst, d)
	}
	return dst
}

func errBinary(t Type, why string) error {
	return &InputError{Code: codeInvalidBinary, Message: "incorrect binary data format", Detail: "For type " + t.SQL() + ": " + why + "."}
}

// errShort is what PostgreSQL's receive functions say of a value that ends too early.
func errShort() error {
	return &InputError{Code: codeProtocolViolation, Message: "insufficient data left in message"}
}

// ParseBinary appends to a vector of type t what PostgreSQL's receive functions read
// from b: a parameter of Bind or a field of COPY in binary. What doesn't fit is refused
// with an *InputError, and nothing is appended. A nil builder only checks.
func ParseBinary(t Type, b []byte, into *VectorBuilder) error {
	if size := int(t.TypeSize()); size > 0 && len(b) < size {
		return errShort()
	} else if size > 0 && len(b) > size {
		return errBinary(t, fmt.Sprintf("%d bytes, not %d", len(b), size))
	}
	be := binary.BigEndian
	keep := func(appendTo func(*VectorBuilder)) error {
		if into != nil {
			appendTo(into)
		}
		return nil
	}
	switch t.Kind {
	case Bool:
		return keep(func(v *VectorBuilder) { v.AppendBool(b[0] != 0) })
	case Int16:
		return keep(func(v *VectorBuilder) { v.AppendInt16(int16(be.Uint16(b))) })
	case Int32:
		return keep(func(v *VectorBuilder) { v.AppendInt32(int32(be.Uint32(b))) })
	case Int64:
		return keep(func(v *VectorBuilder) { v.AppendInt64(int64(be.Uint64(b))) })
	case Float32:
		return keep(func(v *VectorBuilder) { v.AppendFloat32(math.Float32frombits(be.Uint32(b))) })
	case Float64:
		return keep(func(v *VectorBuilder) { v.AppendFloat64(math.Float64frombits(be.Uint64(b))) })
	case UUID:
		return keep(func(v *VectorBuilder) {
			v.AppendInt128(Int128{Hi: int64(be.Uint64(b)), Lo: be.Uint64(b[8:])})
		})
	case Interval:
		return parseBinaryInterval(b, into)
	case Bytea:
		return keep(func(v *VectorBuilder) { v.AppendBytes(b) })
	case Decimal:
		return store(into, (*VectorBuilder).AppendInt128)(parseBinaryDecimal(t, b))
	case Date, Time, Timestamp, TimestampTZ:
		return parseBinaryTime(t, b, into)
	case Array:
		return parseBinaryArray(t, b, into)
	default:
		return parseBinaryText(t, b, into)
	}
}

func parseBinaryText(t Type, b []byte, into *VectorBuilder) error {
	if t.Kind == JSONB {
		if len(b) == 0 || b[0] != jsonbVersion {
			version := 0
			if len(b) > 0 {
				version = int(b[0])
			}
			return &InputError{Code: codeInvalidBinary, Message: "unsupported jsonb version number " + strconv.Itoa(version)}
		}
		b = b[1:]
	}
	s := text(b)
	if !t.Kind.isString() {
		return ParseText(t, s, into)
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return checkCharacters(s)
	}
	return ParseText(t, s, into)
}

func parseBinaryInterval(b []byte, into *VectorBuilder) error {
	be := binary.BigEndian
	x := IntervalValue{Micros: int64(be.Uint64(b)), Days: int32(be.Uint32(b[8:])), Months: int32(be.Uint32(b[12:]))}
	if x.Micros == math.MinInt64 {
		return &InputError{Code: codeDatetimeOverflow, Message: "interval out of range"}
	}
	if into != nil {
		into.AppendInterval(x)
	}
	return nil
}

// parseBinaryTime reads the types that count from 2000-01-01 or from midnight.
func parseBinaryTime(t Type, b []byte, into *VectorBuilder) error {
	outOfRange := func(what string) error {
		return &InputError{Code: codeDatetimeOverflow, Message: what + " out of range"}
	}
	if t.Kind == Date {
		days := int32(binary.BigEndian.Uint32(b))
		switch {
		case days == math.MaxInt32:
			days = DateInfinity
		case days == math.MinInt32:
			days = DateNegInfinity
		case days < minDate-epochDays || days > maxDate-epochDays:
			return outOfRange("date")
		default:
			days += epochDays
		}
		if into != nil {
			into.AppendInt32(days)
		}
		return nil
	}
	x := int64(binary.BigEndian.Uint64(b))
	switch {
	case t.Kind == Time:
		if x < 0 || x > microsPerDay {
			return outOfRange("time")
		}
	case x == math.MaxInt64:
		x = TimestampInfinity
	case x == math.MinInt64:
		x = TimestampNegInfinity
	case x < minTimestamp-epochMicros || x > maxTimestamp-epochMicros:
		return outOfRange("timestamp")
	default:
		x += epochMicros
	}
	if into != nil {
		into.AppendInt64(x)
	}
	return nil
}

// parseBinaryDecimal reads a numeric, which is then rounded to the type's scale.
func parseBinaryDecimal(t Type, b []byte) (Int128, error) {
	if len(b) < 8 {
		return Int128{}, errShort()
	}
	be := binary.BigEndian
	count, weight, sign, scale := int(be.Uint16(b)), int(int16(be.Uint16(b[2:]))), be.Uint16(b[4:]), int(be.Uint16(b[6:]))
	switch sign {
	case numericNaN:
		return Int128{}, errDecimalSpecial(t, "NaN")
	case numericPosInf, numericNegInf:
		return Int128{}, errDecimalSpecial(t, "Infinity")
	case numericPositive, numericNegative:
	default:
		return Int128{}, &InputError{Code: codeInvalidBinary, Message: `invalid sign in external "numeric" value`}
	}
	if scale > maxFractionDigits {
		return Int128{}, &InputError{Code: codeInvalidBinary, Message: `invalid scale in external "numeric" value`}
	}
	if len(b) < 8+2*count {
		return Int128{}, errShort()
	}
	if len(b) > 8+2*count {
		return Int128{}, errBinary(t, fmt.Sprintf("%d bytes, not the %d of %d digits", len(b), 8+2*count, count))
	}
	digits := make([]byte, 0, 4*count)
	for i := range count {
		d := be.Uint16(b[8+2*i:])
		if d > 9999 {
			return Int128{}, &InputError{Code: codeInvalidBinary, Message: `invalid digit in external "numeric" value`}
		}
		digits = append(digits, byte('0'+d/1000), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
	}
	// Digits beyond the value's own scale aren't part of it.
	digits = digits[:max(0, min(len(digits), 4*(weight+1)+scale))]
	n := numberParts{negative: sign == numericNegative, whole: text(digits), exponent: 4*(weight+1) - len(digits)}
	x, ok := n.unscaled(t)
	if !ok {
		return Int128{}, errDecimalOverflow(t)
	}
	return x, nil
}
