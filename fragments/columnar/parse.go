package columnar

import (
	"slices"
	"strings"
)

// ParseText appends to a vector of type t what PostgreSQL's COPY reads from the text
// s: numerics are rounded to their scale, excess blanks of a varchar are cut, a char is
// padded, a json loses its blanks. Dates and times are read in ISO 8601 forms only.
// What doesn't fit is refused with an *InputError, and nothing is appended. A nil
// builder only checks.
func ParseText(t Type, s string, into *VectorBuilder) error {
	switch t.Kind {
	case Bool:
		x, err := parseBool(t, s)
		if err == nil && into != nil {
			into.AppendBool(x)
		}
		return err
	case Int16, Int32, Int64:
		x, err := parseInt(t, s)
		if err == nil {
			appendInt(t.Kind, x, into)
		}
		return err
	case Float32, Float64:
		x, err := parseFloat(t, s)
		if err == nil {
			appendFloatTo(t.Kind, x, into)
		}
		return err
	case Text, Varchar, Char:
		return parseCharacters(t, s, into)
	case Bytea:
		return parseBytea(s, into)
	case JSON, JSONB:
		return parseJSONText(t, s, into)
	case Array:
		return parseArray(t, s, into)
	default:
		return parseFixed(t, s, into)
	}
}

// parseFixed is ParseText for the kinds of fixed size that aren't plain numbers.
func parseFixed(t Type, s string, into *VectorBuilder) error {
	switch t.Kind {
	case Decimal:
		return store(into, (*VectorBuilder).AppendInt128)(parseDecimal(t, s))
	case UUID:
		return store(into, (*VectorBuilder).AppendInt128)(parseUUID(t, s))
	case Date:
		return store(into, (*VectorBuilder).AppendInt32)(parseDate(t, s))
	case Time:
		return store(into, (*VectorBuilder).AppendInt64)(parseTime(t, s))
	case Timestamp, TimestampTZ:
		return store(into, (*VectorBuilder).AppendInt64)(parseTimestamp(t, s))
	case Interval:
		return store(into, (*VectorBuilder).AppendInterval)(parseInterval(t, s))
	default:
		return &InputError{Code: codeNotSupported, Message: "no value has the type " + t.SQL()}
	}
}

// store appends a value that was read without an error.
func store[T any](into *VectorBuilder, appendTo func(*VectorBuilder, T)) func(T, error) error {
	return func(x T, err error) error {
		if err == nil && into != nil {
			appendTo(into, x)
		}
		return err
	}
}

func appendInt(k Kind, x int64, into *VectorBuilder) {
	if into == nil {
		return
	}
	switch k {
	case Int16:
		into.AppendInt16(int16(x))
	case Int32:
		into.AppendInt32(int32(x))
	default:
		into.AppendInt64(x)
	}
}

func appendFloatTo(k Kind, x float64, into *VectorBuilder) {
	switch {
	case into == nil:
	case k == Float32:
		into.AppendFloat32(float32(x))
	default:
		into.AppendFloat64(x)
	}
}

func parseCharacters(t Type, s string, into *VectorBuilder) error {
	if err := checkCharacters(s); err != nil {
		return err
	}
	return appendCharacters(t, s, into)
}

// appendCharacters fits valid text to the type and appends it.
func appendCharacters(t Type, s string, into *VectorBuilder) error {
	kept, pad, err := fitCharacters(t, s)
	if err != nil || into == nil {
		return err
	}
	into.v.Str.Bytes = appendRepeated(append(into.v.Str.Bytes, kept...), ' ', pad)
	into.endString()
	return nil
}

// appendRepeated appends c n times.
func appendRepeated(dst []byte, c byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	start := len(dst)
	dst = slices.Grow(dst, n)[:start+n]
	added := dst[start:]
	added[0] = c
	for filled := 1; filled < n; filled *= 2 {
		copy(added[filled:], added[:filled])
	}
	return dst
}

func parseBytea(s string, into *VectorBuilder) error {
	var b []byte
	var err error
	if digits, isHex := strings.CutPrefix(s, `\x`); isHex {
		b, err = appendHexBytea(nil, digits)
	} else {
		b, err = appendEscapedBytea(nil, s)
	}
	if err == nil && into != nil {
		into.AppendBytes(b)
	}
	return err
}
