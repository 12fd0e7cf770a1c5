package columnar

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// text is b as a string that shares its memory. It is for parsing only: whoever
// uses it must not keep it past the life of b.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// isSpace is C's isspace, which PostgreSQL's input functions trim by.
func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 }

func isDigit(c byte) bool { return c-'0' < 10 }

func trimSpace(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// parseBool reads what PostgreSQL reads as a boolean: any unambiguous beginning of
// true, false, yes, no, on, off, and 1 and 0.
func parseBool(t Type, s string) (bool, error) {
	w := strings.ToLower(trimSpace(s))
	switch {
	case w == "":
	case w == "1", w == "on", abbreviates(w, "true"), abbreviates(w, "yes"):
		return true, nil
	case w == "0", w == "of", w == "off", abbreviates(w, "false"), abbreviates(w, "no"):
		return false, nil
	}
	return false, errSyntax(t, s)
}

// abbreviates tells whether s is the beginning of word.
func abbreviates(s, word string) bool { return len(s) <= len(word) && word[:len(s)] == s }

// parseInt reads a decimal integer that fits the type's size.
func parseInt(t Type, s string) (int64, error) {
	w := trimSpace(s)
	digits, negative := strings.CutPrefix(w, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	if digits == "" {
		return 0, errSyntax(t, s)
	}
	var u uint64
	inRange := true
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, errSyntax(t, s)
		}
		if u > math.MaxInt64/10 {
			inRange = false
		}
		u = u*10 + uint64(digits[i]-'0')
	}
	x, ok := intOfKind(t.Kind, u, negative)
	if !inRange || !ok {
		return 0, errRange(t, s)
	}
	return x, nil
}

// intOfKind gives u its sign, and tells whether the kind's size holds it.
func intOfKind(k Kind, u uint64, negative bool) (int64, bool) {
	limit := uint64(math.MaxInt64)
	switch k {
	case Int16:
		limit = math.MaxInt16
	case Int32:
		limit = math.MaxInt32
	default:
	}
	if negative {
		return -int64(u), u <= limit+1
	}
	return int64(u), u <= limit
}

// isNumber tells whether s is a decimal number: digits with an optional sign,
// point and exponent. One of the sides of the point may be empty.
func isNumber(s string) bool {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	digits := 0
	for ; i < len(s) && isDigit(s[i]); i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && isDigit(s[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		from := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i == from {
			return false
		}
	}
	return i == len(s)
}

// parseFloat reads a decimal number, NaN or Infinity. A number that the type would
// turn into infinity, or into zero, is out of range.
func parseFloat(t Type, s string) (float64, error) {
	w := trimSpace(s)
	if !isNumber(w) {
		if f, ok := floatByName(w); ok {
			return f, nil
		}
		return 0, errSyntax(t, s)
	}
	f, ok := finite(t.Kind, w)
	if !ok {
		return 0, errRange(t, w)
	}
	return f, nil
}

// finite is the value of a decimal number, correctly rounded to the kind's size, and
// whether that is neither infinite nor a zero that the digits don't show.
func finite(k Kind, number string) (float64, bool) {
	size := 64
	if k == Float32 {
		size = 32
	}
	f, err := strconv.ParseFloat(number, size)
	return f, err == nil && (f != 0 || !hasNonzeroDigit(number))
}

func hasNonzeroDigit(number string) bool {
	for i := range len(number) {
		switch c := number[i]; {
		case c >= '1' && c <= '9':
			return true
		case c|0x20 == 'e':
			return false
		}
	}
	return false
}

// quietNaN is the NaN that PostgreSQL makes.
const quietNaN = 0x7FF8000000000000

// floatByName reads the values that have no digits.
func floatByName(s string) (float64, bool) {
	w := strings.ToLower(s)
	w, negative := strings.CutPrefix(w, "-")
	if !negative {
		w = strings.TrimPrefix(w, "+")
	}
	switch w {
	case "nan":
		return math.Float64frombits(quietNaN), true
	case "inf", "infinity":
		if negative {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	return 0, false
}

// parseUUID reads 32 hexadecimal digits with an optional hyphen after each four of
// them, in optional braces.
func parseUUID(t Type, s string) (Int128, error) {
	w := s
	if strings.HasPrefix(w, "{") {
		if !strings.HasSuffix(w, "}") {
			return Int128{}, errSyntax(t, s)
		}
		w = w[1 : len(w)-1]
	}
	var u uint128
	digits := 0
	for i := range len(w) {
		d, ok := hexDigit(w[i])
		switch {
		case ok && digits < 32:
			u = u.shiftLeft(4)
			u.lo |= uint64(d)
			digits++
		case w[i] == '-' && digits%4 == 0 && digits > 0 && digits < 32 && w[i-1] != '-':
		default:
			return Int128{}, errSyntax(t, s)
		}
	}
	if digits != 32 {
		return Int128{}, errSyntax(t, s)
	}
	return Int128{Lo: u.lo, Hi: int64(u.hi)}, nil
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	default:
		return 0, false
	}
}

// appendHexBytea appends the bytes that pairs of hexadecimal digits stand for;
// blanks between the pairs are skipped, as PostgreSQL does.
func appendHexBytea(dst []byte, s string) ([]byte, error) {
	for i := 0; i < len(s); {
		if isSpace(s[i]) && s[i] != '\v' && s[i] != '\f' {
			i++
			continue
		}
		hi, ok := hexDigit(s[i])
		if !ok {
			return dst, &InputError{Code: codeInvalidParameter, Message: `invalid hexadecimal digit: "` + firstChar(s[i:]) + `"`}
		}
		if i+1 == len(s) {
			return dst, &InputError{Code: codeInvalidParameter, Message: "invalid hexadecimal data: odd number of digits"}
		}
		lo, ok := hexDigit(s[i+1])
		if !ok {
			return dst, &InputError{Code: codeInvalidParameter, Message: `invalid hexadecimal digit: "` + firstChar(s[i+1:]) + `"`}
		}
		dst = append(dst, hi<<4|lo)
		i += 2
	}
	return dst, nil
}

func firstChar(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// appendEscapedBytea appends the bytes of PostgreSQL's escape format: \\ is a
// backslash, \ooo a byte in octal, and everything else itself.
func appendEscapedBytea(dst []byte, s string) ([]byte, error) {
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case rest[0] != '\\':
			dst = append(dst, rest[0])
			i++
		case len(rest) > 3 && rest[1] >= '0' && rest[1] <= '3' && rest[2] >= '0' && rest[2] <= '7' && rest[3] >= '0' && rest[3] <= '7':
			dst = append(dst, (rest[1]-'0')<<6|(rest[2]-'0')<<3|(rest[3]-'0'))
			i += 4
		case len(rest) > 1 && rest[1] == '\\':
			dst = append(dst, '\\')
			i += 2
		default:
			return dst, &InputError{Code: codeInvalidText, Message: "invalid input syntax for type bytea"}
		}
	}
	return dst, nil
}

// checkCharacters tells whether a text column may hold s: valid UTF-8 without a NUL.
func checkCharacters(s string) error {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return errEncoding(s[i : i+1])
	}
	if utf8.ValidString(s) {
		return nil
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n <= 1 {
			return errEncoding(s[:min(len(s), sequenceLen(s[0]))])
		}
		s = s[n:]
	}
	return nil
}

// sequenceLen is how many bytes the first byte of a UTF-8 sequence announces, which
// is how much of it PostgreSQL shows.
func sequenceLen(first byte) int {
	switch {
	case first&0xE0 == 0xC0:
		return 2
	case first&0xF0 == 0xE0:
		return 3
	case first&0xF8 == 0xF0:
		return 4
	default:
		return 1
	}
}

func errEncoding(sequence string) error {
	return &InputError{
		Code:    codeNotInRepertoire,
		Message: fmt.Sprintf("invalid byte sequence for encoding \"UTF8\": % #x", sequence),
	}
}

// fitCharacters is what a column of the type keeps of s: excess blanks are cut,
// any other excess is refused, and Char is to be padded with pad blanks.
func fitCharacters(t Type, s string) (string, int, error) {
	if t.Length == 0 {
		return s, 0, nil
	}
	limit := int(t.Length)
	count := len(s)
	if count > limit || t.Kind == Char {
		count = utf8.RuneCountInString(s)
	}
	if count > limit {
		for i := range s {
			if limit == 0 {
				if strings.Trim(s[i:], " ") != "" {
					return "", 0, &InputError{Code: codeStringTruncation, Message: "value too long for type " + t.SQL()}
				}
				return s[:i], 0, nil
			}
			limit--
		}
	}
	if t.Kind == Char {
		return s, limit - count, nil
	}
	return s, 0, nil
}
