package parse

import "strings"

// tokenKind is what a token is, as far as splitting and bounding need to know.
type tokenKind uint8

const (
	tokenEnd      tokenKind = iota // no more tokens
	tokenWord                      // an unquoted identifier or keyword
	tokenQuoted                    // "..." or U&"..."
	tokenString                    // '...', E'...', B'...', X'...', U&'...', $$...$$
	tokenNumber                    // 1, 1.5, 1e5, 0x1f
	tokenParam                     // $1
	tokenOperator                  // a run of operator characters, cut as PostgreSQL cuts it
	tokenOther                     // a bracket, comma, dot, colon, or a character that is no token
)

type token struct {
	kind       tokenKind
	begin, end int
}

// lexer takes SQL text apart by the rules of PostgreSQL's scanner with
// standard_conforming_strings on. It exists beside that scanner because it needs no
// memory: text is split and bounded with it before the grammar, whose memory and
// stack grow with its input, sees any of it. Where text is no SQL it goes on; the
// grammar then reports the error. A fuzz target compares the two.
type lexer struct {
	text string
	pos  int
	run  run // the last one of operator characters
}

const (
	spaceChars    = " \t\n\r\f\v"
	operatorChars = "~!@#^&|`?+-*/%<>="
	// A multi-character operator may end in + or - only if it holds one of these.
	signKeepers = "~!@#^&|`?%"
)

// next returns the next token, skipping white space and comments.
func (l *lexer) next() token {
	l.skipSpace()
	begin := l.pos
	if begin >= len(l.text) {
		return token{kind: tokenEnd, begin: len(l.text), end: len(l.text)}
	}
	kind := l.scan()
	return token{kind: kind, begin: begin, end: l.pos}
}

func (l *lexer) at(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.text) {
		switch rest := l.text[l.pos:]; {
		case strings.IndexByte(spaceChars, rest[0]) >= 0:
			l.pos++
		case strings.HasPrefix(rest, "--"):
			l.pos += lineLength(rest)
		case strings.HasPrefix(rest, "/*") && commentLength(rest) > 0:
			l.pos += commentLength(rest)
		default:
			return
		}
	}
}

// lineLength is the length of s up to its first line end.
func lineLength(s string) int {
	if i := strings.IndexAny(s, "\n\r"); i >= 0 {
		return i
	}
	return len(s)
}

// commentLength is the length of the block comment that s begins with, 0 if it isn't
// closed. Such comments nest.
func commentLength(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// scan moves past the token at pos, which isn't the end of the text.
func (l *lexer) scan() tokenKind {
	c, after := l.at(l.pos), l.at(l.pos+1)
	switch {
	case c == '\'':
		return l.str(0, plainString)
	case c == '"':
		return l.quoted(0)
	case c == '/' && after == '*': // not closed: the grammar says so
		l.pos = len(l.text)
		return tokenOther
	case after == '\'' && strings.IndexByte("eEbBxX", c) >= 0:
		return l.str(1, stringKindOf(c))
	case after == '&' && (c == 'u' || c == 'U') && l.at(l.pos+2) == '\'':
		return l.str(2, plainString)
	case after == '&' && (c == 'u' || c == 'U') && l.at(l.pos+2) == '"':
		return l.quoted(2)
	case isWordStart(c):
		for l.pos++; isWordPart(l.at(l.pos)); l.pos++ {
		}
		return tokenWord
	case isDigit(c), c == '.' && isDigit(after):
		return l.number()
	case c == '$':
		return l.dollar()
	case strings.IndexByte(operatorChars, c) >= 0:
		return l.operator()
	}
	l.pos++
	if pair := string([]byte{c, after}); pair == "::" || pair == ".." || pair == ":=" {
		l.pos++
	}
	return tokenOther
}

func isWordStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// stringKind is how a string may hold a quote.
type stringKind uint8

const (
	plainString  stringKind = iota // doubled
	escapeString                   // doubled, or after a backslash
	bitString                      // not at all
)

func stringKindOf(prefix byte) stringKind {
	switch prefix {
	case 'e', 'E':
		return escapeString
	default:
		return bitString
	}
}

// str moves past a string whose opening quote stands after prefix bytes. A string goes
// on after its closing quote if white space with a line end in it, and then another
// quote, follow.
func (l *lexer) str(prefix int, kind stringKind) tokenKind {
	i := l.pos + prefix + 1
	for i < len(l.text) {
		switch c := l.text[i]; {
		case c == '\\' && kind == escapeString:
			i += 2
		case c == '\'' && l.at(i+1) == '\'' && kind != bitString:
			i += 2
		case c == '\'':
			next, more := l.continued(i + 1)
			if !more {
				l.pos = i + 1
				return tokenString
			}
			i = next
		default:
			i++
		}
	}
	l.pos = len(l.text)
	return tokenString
}

// continued returns where a string goes on whose quote closed before i.
func (l *lexer) continued(i int) (int, bool) {
	newline := false
	for i < len(l.text) {
		switch c := l.text[i]; {
		case strings.IndexByte(spaceChars, c) >= 0:
			newline = newline || c == '\n' || c == '\r'
			i++
		case strings.HasPrefix(l.text[i:], "--"):
			i += lineLength(l.text[i:])
		default:
			return i + 1, newline && c == '\''
		}
	}
	return i, false
}

// quoted moves past an identifier whose opening quote stands after prefix bytes.
func (l *lexer) quoted(prefix int) tokenKind {
	for i := l.pos + prefix + 1; i < len(l.text); i++ {
		if l.text[i] != '"' {
			continue
		}
		if l.at(i+1) != '"' {
			l.pos = i + 1
			return tokenQuoted
		}
		i++
	}
	l.pos = len(l.text)
	return tokenQuoted
}

// dollar moves past a dollar-quoted string, a parameter, or a lone dollar sign.
func (l *lexer) dollar() tokenKind {
	i := l.pos + 1
	if isDigit(l.at(i)) {
		for isDigit(l.at(i)) {
			i++
		}
		l.pos = i
		return tokenParam
	}
	if isWordStart(l.at(i)) {
		for isWordStart(l.at(i)) || isDigit(l.at(i)) {
			i++
		}
	}
	if l.at(i) != '$' {
		l.pos++
		return tokenOther
	}
	delimiter := l.text[l.pos : i+1]
	end := strings.Index(l.text[i+1:], delimiter)
	if end < 0 {
		l.pos = len(l.text)
		return tokenString
	}
	l.pos = i + 1 + end + len(delimiter)
	return tokenString
}

// number moves past an integer in one of four bases, or a decimal number.
func (l *lexer) number() tokenKind {
	if l.at(l.pos) == '0' {
		for _, base := range [...]string{"xX0123456789abcdefABCDEF", "oO01234567", "bB01"} {
			if strings.IndexByte(base[:2], l.at(l.pos+1)) < 0 {
				continue
			}
			if end := digits(l.text, l.pos+2, base[2:], true); end > l.pos+2 {
				l.pos = end
				return tokenNumber
			}
		}
	}
	const decimal = "0123456789"
	i := digits(l.text, l.pos, decimal, false)
	if l.at(i) == '.' && l.at(i+1) != '.' { // 1..10 is a range of integers
		i = digits(l.text, i+1, decimal, false)
	}
	if l.at(i) == 'e' || l.at(i) == 'E' {
		j := i + 1
		if l.at(j) == '+' || l.at(j) == '-' {
			j++
		}
		if end := digits(l.text, j, decimal, false); end > j {
			i = end
		}
	}
	l.pos = i
	return tokenNumber
}

// digits returns the end of a run of digits that starts at i. Single underscores may
// stand between digits, and before the first one if leading.
func digits(text string, i int, set string, leading bool) int {
	isDigitAt := func(j int) bool { return j < len(text) && strings.IndexByte(set, text[j]) >= 0 }
	for start := i; i < len(text); i++ {
		between := text[i] == '_' && (leading || i > start) && isDigitAt(i+1)
		if !between && !isDigitAt(i) {
			break
		}
	}
	return i
}

// operator moves past a run of operator characters: up to a comment that starts in
// it, and without trailing signs that SQL gives to what follows.
func (l *lexer) operator() tokenKind {
	if l.pos >= l.run.end {
		l.run = operatorRun(l.text, l.pos)
	}
	l.pos = max(l.pos+1, l.run.stop)
	return tokenOperator
}

// run of operator characters. An operator in it ends at stop at the latest: what is
// after it are signs, each a token by itself. It is kept because such signs may be many.
type run struct{ end, stop int }

func operatorRun(text string, begin int) run {
	r := run{end: begin, stop: begin}
	keeps := false
	for r.end < len(text) && strings.IndexByte(operatorChars, text[r.end]) >= 0 {
		if two := text[r.end:min(r.end+2, len(text))]; r.end > begin && (two == "--" || two == "/*") {
			break
		}
		if c := text[r.end]; c != '+' && c != '-' {
			r.stop = r.end + 1
			keeps = keeps || strings.IndexByte(signKeepers, c) >= 0
		}
		r.end++
	}
	if keeps {
		r.stop = r.end
	}
	return r
}
