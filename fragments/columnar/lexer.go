package columnar

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays of a line may nest.
const maxDepth = 1000

// shape is what a lexer met in the values that it went over since shape was cleared.
type shape uint8

const (
	hasBlank  shape = 1 << iota // blanks outside strings
	hasEscape                   // an escape in a string
	hasNUL                      // the escape \u0000
	hasReal                     // a number with a fraction or an exponent, or -0
)

// lexer goes over strict JSON (RFC 8259) in valid UTF-8, without building it. Its
// methods take the position to begin at and return the one after what they read, or
// -1 when it isn't JSON: errPos and errWhat then tell where and why.
type lexer struct {
	s       []byte
	shape   shape
	errPos  int
	errWhat string
}

func (l *lexer) fail(pos int, what string) int {
	l.errPos, l.errWhat = pos, what
	return -1
}

// failAt reports what stands at pos as unexpected.
func (l *lexer) failAt(pos int, expected string) int {
	if pos >= len(l.s) {
		return l.fail(len(l.s), "the line ends where "+expected+" is expected")
	}
	return l.fail(pos, "expected "+expected)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func skipBlanks(s []byte, p int) int {
	for p < len(s) && isBlank(s[p]) {
		p++
	}
	return p
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// specialBytes marks, by its high bit, the first byte of w (counted from the lowest)
// that is a quote, a backslash, a control character or not ASCII. Marks above the
// first one may be wrong.
func specialBytes(w uint64) uint64 {
	quote := w ^ lowBits*'"'
	backslash := w ^ lowBits*'\\'
	return ((quote-lowBits)&^quote | (backslash-lowBits)&^backslash | (w-lowBits*0x20)&^w | w) & highBits
}

// str goes over a string whose opening quote is before p, to its closing quote: it
// returns the position of that quote.
func (l *lexer) str(p int) int {
	s := l.s
	start := p
	ascii := true
	for {
		for p+8 <= len(s) {
			if m := specialBytes(binary.LittleEndian.Uint64(s[p:])); m != 0 {
				p += bits.TrailingZeros64(m) >> 3
				goto special
			}
			p += 8
		}
		for p < len(s) && s[p] >= 0x20 && s[p] < 0x80 && s[p] != '"' && s[p] != '\\' {
			p++
		}
		if p >= len(s) {
			return l.fail(len(s), "the line ends in a string")
		}
	special:
		switch c := s[p]; {
		case c == '"':
			if !ascii && !utf8.Valid(s[start:p]) {
				return l.fail(start+invalidAt(s[start:p]), "invalid UTF-8")
			}
			return p
		case c == '\\':
			if p = l.escape(p); p < 0 {
				return -1
			}
		case c < 0x20:
			return l.fail(p, "a control character in a string")
		default:
			ascii = false
			for p < len(s) && s[p] >= 0x80 {
				p++
			}
		}
	}
}

// invalidAt is where s stops being UTF-8.
func invalidAt(s []byte) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(s)
}

// escape goes over the escape whose backslash is at p.
func (l *lexer) escape(p int) int {
	l.shape |= hasEscape
	if p+1 >= len(l.s) {
		return l.fail(len(l.s), "the line ends in a string")
	}
	switch l.s[p+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return p + 2
	case 'u':
	default:
		return l.fail(p, "an unknown escape in a string")
	}
	u, ok := hex4(l.s, p+2)
	switch {
	case !ok:
		return l.fail(p, `an incomplete \u escape in a string`)
	case u == 0:
		l.shape |= hasNUL
	case u >= 0xD800 && u < 0xDC00:
		if p+7 < len(l.s) && l.s[p+6] == '\\' && l.s[p+7] == 'u' {
			if low, ok := hex4(l.s, p+8); ok && low >= 0xDC00 && low < 0xE000 {
				return p + 12
			}
		}
		return l.fail(p, "half of a surrogate pair in a string")
	case u >= 0xDC00 && u < 0xE000:
		return l.fail(p, "half of a surrogate pair in a string")
	}
	return p + 6
}

// hex4 is the number that the four hexadecimal digits at p make.
func hex4(s []byte, p int) (rune, bool) {
	if p+4 > len(s) {
		return 0, false
	}
	var u rune
	for _, c := range s[p : p+4] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		u = u<<4 | rune(d)
	}
	return u, true
}

// appendUnescaped appends what the inside of a string stands for. The lexer must have
// gone over it.
func appendUnescaped(dst, inside []byte) []byte {
	for i := 0; i < len(inside); {
		c := inside[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		switch c = inside[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			u, _ := hex4(inside, i+2)
			if u >= 0xD800 && u < 0xDC00 {
				low, _ := hex4(inside, i+8)
				u = (u-0xD800)<<10 + (low - 0xDC00) + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, u)
			i += 4
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// number goes over a number.
func (l *lexer) number(p int) int {
	s := l.s
	start := p
	if s[p] == '-' {
		p++
	}
	switch {
	case p >= len(s) || !isDigit(s[p]):
		return l.failAt(p, "a digit")
	case s[p] == '0':
		p++
		if p < len(s) && isDigit(s[p]) {
			return l.fail(p-1, "a number with a leading zero")
		}
		if p == start+2 {
			l.shape |= hasReal
		}
	default:
		for p < len(s) && isDigit(s[p]) {
			p++
		}
	}
	if p < len(s) && s[p] == '.' {
		l.shape |= hasReal
		if p = l.digits(p + 1); p < 0 {
			return -1
		}
	}
	if p < len(s) && s[p]|0x20 == 'e' {
		l.shape |= hasReal
		p++
		if p < len(s) && (s[p] == '+' || s[p] == '-') {
			p++
		}
		return l.digits(p)
	}
	return p
}

// digits goes over one digit or more.
func (l *lexer) digits(p int) int {
	if p >= len(l.s) || !isDigit(l.s[p]) {
		return l.failAt(p, "a digit")
	}
	for p < len(l.s) && isDigit(l.s[p]) {
		p++
	}
	return p
}

// literal goes over the word.
func (l *lexer) literal(p int, word string) int {
	if len(l.s)-p < len(word) || string(l.s[p:p+len(word)]) != word {
		return l.failAt(p, "a value")
	}
	return p + len(word)
}

// scalar goes over a value that isn't an object or array.
func (l *lexer) scalar(p int) int {
	if p >= len(l.s) {
		return l.failAt(p, "a value")
	}
	switch c := l.s[p]; {
	case c == '"':
		if p = l.str(p + 1); p < 0 {
			return -1
		}
		return p + 1
	case c == '-' || isDigit(c):
		return l.number(p)
	case c == 't':
		return l.literal(p, "true")
	case c == 'f':
		return l.literal(p, "false")
	case c == 'n':
		return l.literal(p, "null")
	default:
		return l.failAt(p, "a value")
	}
}

// value goes over any value.
func (l *lexer) value(p int) int {
	if p < len(l.s) && (l.s[p] == '{' || l.s[p] == '[') {
		return l.container(p)
	}
	return l.scalar(p)
}

// nesting is the objects and arrays that are open: bit d of objects tells whether the
// one at depth d is an object.
type nesting struct {
	objects [(maxDepth + 63) / 64]uint64
	depth   int
}

func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	bit := uint64(1) << (n.depth & 63)
	n.objects[n.depth>>6] &^= bit
	if object {
		n.objects[n.depth>>6] |= bit
	}
	n.depth++
	return true
}

// innermost tells whether the innermost one is an object.
func (n *nesting) innermost() bool {
	d := n.depth - 1
	return n.objects[d>>6]>>(d&63)&1 != 0
}

// container goes over an object or array, without recursion.
func (l *lexer) container(p int) int {
	var n nesting
	for {
		// A value begins at p.
		c := byte(0)
		if p < len(l.s) {
			c = l.s[p]
		}
		if c == '{' || c == '[' {
			if !n.push(c == '{') {
				return l.fail(p, "objects and arrays are nested too deeply")
			}
			p = l.blanks(p + 1)
			if p >= len(l.s) || l.s[p] != c+2 { // '}' and ']' come two after their openings
				if c == '{' {
					if p = l.key(p); p < 0 {
						return -1
					}
				}
				continue
			}
			n.depth--
			p++
		} else if p = l.scalar(p); p < 0 {
			return -1
		}
		// A value ended before p.
		if p = l.next(&n, p); p < 0 || n.depth == 0 {
			return p
		}
	}
}

// next closes what ends at p, and goes to the next value of what doesn't.
func (l *lexer) next(n *nesting, p int) int {
	for n.depth > 0 {
		p = l.blanks(p)
		closing, expected := byte(']'), "a comma or ]"
		if n.innermost() {
			closing, expected = '}', "a comma or }"
		}
		switch {
		case p < len(l.s) && l.s[p] == closing:
			n.depth--
			p++
		case p < len(l.s) && l.s[p] == ',':
			p = l.blanks(p + 1)
			if closing == '}' {
				return l.key(p)
			}
			return p
		default:
			return l.failAt(p, expected)
		}
	}
	return p
}

// blanks skips blanks and notes them.
func (l *lexer) blanks(p int) int {
	if p < len(l.s) && l.s[p] <= ' ' {
		q := skipBlanks(l.s, p)
		if q > p {
			l.shape |= hasBlank
		}
		return q
	}
	return p
}

// key goes over a key and its colon, to the value.
func (l *lexer) key(p int) int {
	if p >= len(l.s) || l.s[p] != '"' {
		return l.failAt(p, "a key")
	}
	if p = l.str(p + 1); p < 0 {
		return -1
	}
	p = l.blanks(p + 1)
	if p >= len(l.s) || l.s[p] != ':' {
		return l.failAt(p, "a colon")
	}
	return l.blanks(p + 1)
}
