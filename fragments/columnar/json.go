package columnar

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A json column holds JSON text without blanks between its tokens, and otherwise as
// it was written. A jsonb column holds what PostgreSQL makes of the text, in the same
// compact form: of equal keys the last, keys by length and then by bytes, strings with
// the fewest escapes, numbers in full digits.

// parseJSONText appends the JSON text s.
func parseJSONText(t Type, s string, into *VectorBuilder) error {
	l := lexer{s: []byte(s)}
	p := skipBlanks(l.s, 0)
	end := l.value(p)
	if end >= 0 {
		if after := skipBlanks(l.s, end); after < len(l.s) {
			end = l.failAt(after, "nothing more")
		}
	}
	if end < 0 {
		return &InputError{
			Code: codeInvalidText, Message: "invalid input syntax for type json",
			Detail: fmt.Sprintf("Not valid JSON at byte %d: %s.", l.errPos, l.errWhat),
		}
	}
	return appendJSON(t, l.s[p:end], l.shape, into)
}

// appendJSON appends valid JSON text, whose shape a lexer has noted.
func appendJSON(t Type, raw []byte, sh shape, into *VectorBuilder) error {
	if t.Kind == JSONB {
		var n normalizer
		return n.appendValue(raw, sh, into)
	}
	if into == nil {
		return nil
	}
	if sh&hasBlank == 0 {
		into.AppendBytes(raw)
		return nil
	}
	into.v.Str.Bytes = appendCompact(into.v.Str.Bytes, raw)
	into.endString()
	return nil
}

// appendCompact appends valid JSON text without the blanks outside its strings.
func appendCompact(dst, raw []byte) []byte {
	inString := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if !inString && isBlank(c) {
			continue
		}
		dst = append(dst, c)
		switch c {
		case '"':
			inString = !inString
		case '\\':
			i++
			dst = append(dst, raw[i])
		}
	}
	return dst
}

// appendTo appends valid JSON text, whose shape a lexer has noted, as jsonb.
func (n *normalizer) appendTo(dst, raw []byte, sh shape) ([]byte, error) {
	if sh&hasNUL != 0 {
		return dst, &InputError{
			Code: codeUntranslatable, Message: "unsupported Unicode escape sequence",
			Detail: `\u0000 cannot be converted to text.`,
		}
	}
	if sh == 0 && raw[0] != '{' && raw[0] != '[' {
		return append(dst, raw...), nil
	}
	n.s, n.out, n.limit = raw, dst, len(dst)+MaxLine
	n.keys, n.members = n.keys[:0], n.members[:0]
	_, err := n.value(0)
	if err != nil {
		return dst, err
	}
	return n.out, nil
}

// appendValue appends the text as a value, if there is a builder.
func (n *normalizer) appendValue(raw []byte, sh shape, into *VectorBuilder) error {
	if into == nil {
		var err error
		n.spare, err = n.appendTo(n.spare[:0], raw, sh)
		return err
	}
	out, err := n.appendTo(into.v.Str.Bytes, raw, sh)
	if err == nil {
		into.v.Str.Bytes = out
		into.endString()
	}
	return err
}

// normalizer writes valid JSON text as jsonb. It may be used again for another text.
type normalizer struct {
	s       []byte
	out     []byte
	limit   int    // of the length of out
	spare   []byte // for texts that are only checked
	keys    []byte
	members []member
}

// member of an object: where its key is in keys and its value in out.
type member struct{ keyFrom, keyTo, from, to int }

// value writes the value at p, and returns the position after it. Its recursion is
// bounded by maxDepth, which the lexer has checked.
func (n *normalizer) value(p int) (int, error) {
	switch c := n.s[p]; c {
	case '{':
		return n.object(p + 1)
	case '[':
		return n.array(p + 1)
	case '"':
		end := stringEnd(n.s, p+1)
		n.out = appendNormalString(n.out, n.s[p+1:end])
		return end + 1, nil
	case 't', 'n':
		n.out = append(n.out, n.s[p:p+4]...)
		return p + 4, nil
	case 'f':
		n.out = append(n.out, n.s[p:p+5]...)
		return p + 5, nil
	default:
		end := p
		for end < len(n.s) && (isDigit(n.s[end]) || strings.IndexByte("+-.eE", n.s[end]) >= 0) {
			end++
		}
		return end, n.number(text(n.s[p:end]))
	}
}

// stringEnd is where the string that begins at p has its closing quote.
func stringEnd(s []byte, p int) int {
	for s[p] != '"' {
		if s[p] == '\\' {
			p++
		}
		p++
	}
	return p
}

func (n *normalizer) array(p int) (int, error) {
	n.out = append(n.out, '[')
	for p = skipBlanks(n.s, p); n.s[p] != ']'; {
		var err error
		if p, err = n.value(p); err != nil {
			return 0, err
		}
		if p = skipBlanks(n.s, p); n.s[p] == ',' {
			n.out = append(n.out, ',')
			p = skipBlanks(n.s, p+1)
		}
	}
	n.out = append(n.out, ']')
	return p + 1, n.checkSize()
}

// object writes the values of an object one after the other, then puts them in order
// behind, and moves the result to the front.
func (n *normalizer) object(p int) (int, error) {
	start, firstMember, firstKey := len(n.out), len(n.members), len(n.keys)
	for p = skipBlanks(n.s, p); n.s[p] != '}'; {
		end := stringEnd(n.s, p+1)
		m := member{keyFrom: len(n.keys)}
		n.keys = appendUnescaped(n.keys, n.s[p+1:end])
		m.keyTo = len(n.keys)
		m.from = len(n.out)
		p = skipBlanks(n.s, skipBlanks(n.s, end+1)+1)
		var err error
		if p, err = n.value(p); err != nil {
			return 0, err
		}
		m.to = len(n.out)
		n.members = append(n.members, m)
		if p = skipBlanks(n.s, p); n.s[p] == ',' {
			p = skipBlanks(n.s, p+1)
		}
	}
	n.assemble(start, n.members[firstMember:])
	n.members, n.keys = n.members[:firstMember], n.keys[:firstKey]
	return p + 1, n.checkSize()
}

func (n *normalizer) key(m member) []byte { return n.keys[m.keyFrom:m.keyTo] }

func (n *normalizer) assemble(start int, members []member) {
	slices.SortStableFunc(members, func(a, b member) int {
		ka, kb := n.key(a), n.key(b)
		if len(ka) != len(kb) {
			return len(ka) - len(kb)
		}
		return bytes.Compare(ka, kb)
	})
	behind := len(n.out)
	n.out = append(n.out, '{')
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(n.key(m), n.key(members[i+1])) {
			continue
		}
		if len(n.out) > behind+1 {
			n.out = append(n.out, ',')
		}
		n.out = append(appendQuoted(n.out, n.key(m)), ':')
		n.out = append(n.out, n.out[m.from:m.to]...)
	}
	n.out = append(n.out, '}')
	size := copy(n.out[start:], n.out[behind:])
	n.out = n.out[:start+size]
}

// checkSize bounds what long exponents can blow a value up to.
func (n *normalizer) checkSize() error {
	if len(n.out) > n.limit {
		return &InputError{Code: codeProgramLimit, Message: "a jsonb value is longer than " + strconv.Itoa(MaxLine) + " bytes"}
	}
	return nil
}

// The bounds of PostgreSQL's numeric: digits before and after the point.
const (
	maxWholeDigits    = 131072
	maxFractionDigits = 16383
)

// number writes a number in full digits, keeping trailing zeros of its fraction.
func (n *normalizer) number(s string) error {
	if len(s) < 40 && !strings.ContainsAny(s, ".eE") && s != "-0" {
		n.out = append(n.out, s...)
		return n.checkSize()
	}
	d := splitNumber(s)
	point := len(d.whole) + d.exponent
	fraction := max(len(d.fraction)-d.exponent, 0)
	total := len(d.whole) + len(d.fraction)
	zeros := 0
	for zeros < total && d.digit(zeros) == '0' {
		zeros++
	}
	if (zeros < total && point-zeros > maxWholeDigits) || fraction > maxFractionDigits || d.exponent == maxExponent {
		return &InputError{Code: codeOutOfRange, Message: "value overflows numeric format"}
	}
	if d.negative && zeros < total {
		n.out = append(n.out, '-')
	}
	from := min(zeros, max(point-1, 0))
	if zeros == total || point <= 0 {
		n.out = append(n.out, '0')
		from = max(point, 0)
	} else {
		n.out = d.appendDigits(n.out, from, point)
		from = point
	}
	if fraction > 0 {
		n.out = appendRepeated(append(n.out, '.'), '0', min(-point, fraction))
		n.out = d.appendDigits(n.out, from, point+fraction)
	}
	return n.checkSize()
}

// appendDigits appends the digits [from, to) of both sides of the point taken as one, and
// zeros for those that there aren't.
func (n *numberParts) appendDigits(dst []byte, from, to int) []byte {
	whole, total := len(n.whole), len(n.whole)+len(n.fraction)
	if from < min(to, whole) {
		dst = append(dst, n.whole[from:min(to, whole)]...)
	}
	if first := max(from, whole); first < min(to, total) {
		dst = append(dst, n.fraction[first-whole:min(to, total)-whole]...)
	}
	return appendRepeated(dst, '0', to-max(from, total))
}

// appendNormalString appends the inside of a string as a quoted string with the
// fewest escapes.
func appendNormalString(dst, inside []byte) []byte {
	if bytes.IndexByte(inside, '\\') < 0 {
		return append(append(append(dst, '"'), inside...), '"')
	}
	return appendQuoted(dst, appendUnescaped(nil, inside))
}

// appendQuoted appends s as a JSON string with the fewest escapes, as PostgreSQL and
// most writers print it. s must be valid UTF-8.
func appendQuoted(dst, s []byte) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
