package columnar

import (
	"math"
	"strconv"
	"strings"
)

// isClean tells whether DuckDB's read_json takes the string s for the same value of
// the type as ParseText, for the types whose strings weren't read by then.
func isClean(t Type, s string) bool {
	switch t.Kind {
	case Int16, Int32, Int64:
		return isCanonicalInteger(s)
	case Float32, Float64:
		return s == "NaN" || s == "Infinity" || s == "-Infinity"
	case Decimal:
		return isPlainDecimal(s, int(t.Scale))
	case Date, Timestamp, TimestampTZ:
		return s == "infinity" || s == "-infinity"
	case Interval:
		v, err := parseInterval(t, s)
		return err == nil && absInt64(v.Micros) <= maxDuckDBMicros && string(appendInterval(nil, v, false)) == s
	case UUID:
		return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
	default:
		return false
	}
}

// maxDuckDBMicros is the longest time of day of an interval that DuckDB surely reads.
const maxDuckDBMicros = 999_999_999 * microsPerHour

// isCanonicalInteger tells whether s is an integer as JSON writes one.
func isCanonicalInteger(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if s == "" || (s[0] == '0' && len(s) > 1) {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// isPlainDecimal tells whether s is digits with, perhaps, a sign and no more fraction
// digits than the scale.
func isPlainDecimal(s string, scale int) bool {
	c := cursor{strings.TrimPrefix(s, "-")}
	if c.digits() == "" {
		return false
	}
	if !c.take('.') {
		return c.rest == ""
	}
	fraction := c.digits()
	return c.rest == "" && fraction != "" && len(fraction) <= scale
}

// survivesDuckDB tells whether DuckDB, which prints a JSON value anew, prints the
// compact form of raw: its numbers are integers, or as short as can be, and its
// strings have no escape but those that every printer writes.
func survivesDuckDB(raw []byte) bool {
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '"':
			end := stringEnd(raw, i+1)
			if !hasCanonicalEscapes(raw[i+1 : end]) {
				return false
			}
			i = end + 1
		case c == '-' || isDigit(c):
			end := i
			for end < len(raw) && (isDigit(raw[end]) || strings.IndexByte("+-.eE", raw[end]) >= 0) {
				end++
			}
			if !isCanonicalNumber(text(raw[i:end])) {
				return false
			}
			i = end
		default:
			i++
		}
	}
	return true
}

func hasCanonicalEscapes(inside []byte) bool {
	for i := 0; i < len(inside); i++ {
		if inside[i] == '\\' {
			i++
			if strings.IndexByte(`"\bfnrt`, inside[i]) < 0 {
				return false
			}
		}
	}
	return true
}

func isCanonicalNumber(s string) bool {
	if !hasPointOrExponent(s) {
		return s != "-0"
	}
	f, err := strconv.ParseFloat(s, 64)
	if a := math.Abs(f); err != nil || a < 1e-6 || a >= 1e15 {
		return false
	}
	shortest := strconv.FormatFloat(f, 'f', -1, 64)
	return shortest == s || (f == math.Trunc(f) && shortest+".0" == s)
}
