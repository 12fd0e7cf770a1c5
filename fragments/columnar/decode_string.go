package columnar

import (
	"math"
	"strconv"
	"strings"
)

// quoted reads a string, from the byte after its opening quote, into its column.
func (d *lineDecoder) quoted(f *field, p int) int {
	d.shape = 0
	end := d.str(p)
	if end < 0 {
		d.invalid()
		return -1
	}
	inside := d.s[p:end]
	if d.shape&hasEscape != 0 {
		d.scratch = appendUnescaped(d.scratch[:0], inside)
		inside = d.scratch
	}
	if err := d.text(f, text(inside)); err != nil {
		d.rejectValue(f, err)
		return -1
	}
	return end + 1
}

// text reads what a string says, as COPY would read it from a text file.
func (d *lineDecoder) text(f *field, s string) error {
	switch f.typ.Kind {
	case Text, Varchar, Char:
		return d.characters(f, s)
	case Bytea:
		return d.bytea(f, s)
	case Date:
		if days, ok := isoDate(s); ok && len(s) == dateLen {
			if f.out != nil {
				f.out.AppendInt32(int32(days))
			}
			return nil
		}
	case Time:
		if micros, rest, ok := isoClock(s); ok && rest == "" {
			if f.out != nil {
				f.out.AppendInt64(micros)
			}
			return nil
		}
	case Timestamp, TimestampTZ:
		if x, ok := isoTimestamp(s, f.typ.Kind == TimestampTZ); ok {
			if f.out != nil {
				f.out.AppendInt64(x)
			}
			return nil
		}
	default:
	}
	if d.proving && !isClean(f.typ, s) {
		d.dirty = true
	}
	return ParseText(f.typ, s, f.out)
}

// characters reads a string, which the lexer has found to be UTF-8, into a column of
// text.
func (d *lineDecoder) characters(f *field, s string) error {
	if d.shape&hasNUL != 0 && strings.IndexByte(s, 0) >= 0 {
		return errEncoding("\x00")
	}
	if f.typ.Kind == Text {
		if f.out != nil {
			f.out.AppendString(s)
		}
		return nil
	}
	if d.proving {
		kept, _, err := fitCharacters(f.typ, s)
		d.dirty = d.dirty || err != nil || len(kept) != len(s)
	}
	if f.typ.Kind == Char && f.out != nil {
		d.grown += int(f.typ.Length)
	}
	return appendCharacters(f.typ, s, f.out)
}

// bytea reads hexadecimal digits after \x. PostgreSQL's escape format isn't read from
// JSON: nearly any string, such as one in base64, would be taken for it.
func (d *lineDecoder) bytea(f *field, s string) error {
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		return &InputError{Code: codeInvalidText, Message: `invalid input syntax for type bytea: a string in hexadecimal begins with \x`}
	}
	var err error
	d.bytes, err = appendHexBytea(d.bytes[:0], digits)
	if err != nil {
		return err
	}
	d.dirty = d.dirty || len(digits) != 2*len(d.bytes)
	if f.out != nil {
		f.out.AppendBytes(d.bytes)
	}
	return nil
}

// The length of YYYY-MM-DD and of HH:MM:SS.
const (
	dateLen  = 10
	clockLen = 8
)

func twoDigits(s string, i int) (int, bool) {
	a, b := s[i]-'0', s[i+1]-'0'
	return int(a)*10 + int(b), a < 10 && b < 10
}

// isoDate reads the YYYY-MM-DD that s begins with, years 0001 to 9999, as days since 1970.
func isoDate(s string) (int64, bool) {
	if len(s) < dateLen || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	century, ok1 := twoDigits(s, 0)
	yearOf, ok2 := twoDigits(s, 2)
	m, ok3 := twoDigits(s, 5)
	dayOf, ok4 := twoDigits(s, 8)
	y := int64(century*100 + yearOf)
	if !ok1 || !ok2 || !ok3 || !ok4 || y == 0 || m == 0 || m > 12 || dayOf == 0 || dayOf > daysInMonth(y, m) {
		return 0, false
	}
	return civilDate{year: y, month: m, day: dayOf}.days(), true
}

// isoClock reads the HH:MM:SS with up to six fraction digits that s begins with, as
// microseconds since midnight, and returns what follows it.
func isoClock(s string) (int64, string, bool) {
	if len(s) < clockLen || s[2] != ':' || s[5] != ':' {
		return 0, s, false
	}
	h, ok1 := twoDigits(s, 0)
	m, ok2 := twoDigits(s, 3)
	sec, ok3 := twoDigits(s, 6)
	if !ok1 || !ok2 || !ok3 || m > 59 || sec > 59 {
		return 0, s, false
	}
	total := int64(h*3600+m*60+sec) * microsPerSecond
	s = s[clockLen:]
	if len(s) > 0 && s[0] == '.' {
		n := 1
		scale := int64(microsPerSecond)
		for ; n < len(s) && s[n]-'0' < 10 && scale > 1; n++ {
			scale /= 10
			total += int64(s[n]-'0') * scale
		}
		if n == 1 || (n < len(s) && isDigit(s[n])) {
			return 0, s, false
		}
		s = s[n:]
	}
	return total, s, total <= microsPerDay
}

// isoTimestamp reads the forms of a timestamp that nearly all writers use:
// YYYY-MM-DDTHH:MM:SS with up to six fraction digits, or with a blank for the T, and
// then Z (which a Timestamp drops), an offset (for a TimestampTZ, which needs one of the
// two) or nothing.
func isoTimestamp(s string, withZone bool) (int64, bool) {
	days, ok := isoDate(s)
	if !ok || len(s) < dateLen+1+clockLen || (s[dateLen] != 'T' && s[dateLen] != ' ') {
		return 0, false
	}
	micros, zone, ok := isoClock(s[dateLen+1:])
	if !ok || micros == microsPerDay {
		return 0, false
	}
	x := days*microsPerDay + micros
	switch {
	case zone == "Z":
		return x, true
	case zone == "":
		return x, !withZone
	case !withZone:
		return 0, false
	}
	east, ok := isoOffset(zone)
	return x - east*microsPerSecond, ok
}

// isoOffset reads +HH, +HHMM or +HH:MM as seconds ahead of UTC.
func isoOffset(s string) (int64, bool) {
	if (len(s) != 3 && len(s) != 5 && (len(s) != 6 || s[3] != ':')) || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, ok := twoDigits(s, 1)
	m := 0
	if ok && len(s) > 3 {
		m, ok = twoDigits(s, len(s)-2)
	}
	if !ok || h > 15 || m > 59 {
		return 0, false
	}
	east := int64(h*3600 + m*60)
	if s[0] == '-' {
		east = -east
	}
	return east, true
}

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
