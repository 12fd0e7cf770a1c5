package sql

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// splitter cuts a text into statements where a semicolon ends them: one that stands in no string, quoted identifier,
// dollar-quoted string or comment, as in PostgreSQL.
type splitter struct {
	text []byte
	at   int // up to which it has been looked at
}

// add text to what there is.
func (s *splitter) add(text []byte) { s.text = append(s.text, text...) }

// next cuts the next statement off, without its semicolon. It is false while none has ended.
func (s *splitter) next() (string, bool) {
	for s.at < len(s.text) {
		if s.text[s.at] == ';' {
			out := string(s.text[:s.at])
			s.text, s.at = s.text[s.at+1:], 0
			return out, true
		}
		n := lexeme(s.text[s.at:], s.at > 0 && isWord(s.text[s.at-1]))
		if n == 0 {
			return "", false // It isn't whole yet.
		}
		s.at += n
	}
	return "", false
}

// rest is what no semicolon has ended. It is "" if that says nothing.
func (s *splitter) rest() string {
	out := string(s.text)
	s.text, s.at = nil, 0
	if isBlank(out) {
		return ""
	}
	return out
}

// line cuts the next line off, with its end. It is false while there is none.
func (s *splitter) line() ([]byte, bool) {
	n := bytes.IndexByte(s.text, '\n') + 1
	if n == 0 {
		return nil, false
	}
	out := s.text[:n]
	s.text, s.at = s.text[n:], 0
	return out, true
}

// empty reports whether nothing has been begun.
func (s *splitter) empty() bool { return isBlank(string(s.text)) }

// isBlank reports whether a text is nothing but white space and comments.
func isBlank(text string) bool {
	for text = strings.TrimSpace(text); strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*"); text = strings.TrimSpace(text) {
		n := lexeme([]byte(text), false)
		if n == 0 {
			return text[0] == '-' // which the end of the text ends
		}
		text = text[n:]
	}
	return text == ""
}

// lexeme is the length of what a text begins with: a quoted thing, a comment or one character. It is 0 if that
// hasn't ended. inWord is whether a letter or digit stands before it, which a dollar then belongs to.
func lexeme(text []byte, inWord bool) int {
	switch c := text[0]; {
	case c == '\'':
		return quoted(text, '\'', false)
	case c == '"':
		return quoted(text, '"', false)
	case (c == 'e' || c == 'E') && !inWord && len(text) > 1 && text[1] == '\'':
		return after(1, quoted(text[1:], '\'', true))
	case c == '$' && !inWord:
		return dollarQuoted(text)
	case hasPrefix(text, "--"):
		return bytes.IndexByte(text, '\n') + 1
	case hasPrefix(text, "/*"):
		return comment(text)
	case (c == '-' || c == '/' || c == 'e' || c == 'E') && len(text) == 1:
		return 0 // What follows decides.
	default:
		return 1
	}
}

func hasPrefix(text []byte, prefix string) bool { return bytes.HasPrefix(text, []byte(prefix)) }

func after(before, n int) int {
	if n == 0 {
		return 0
	}
	return before + n
}

// quoted is the length of a quoted thing: a doubled quote is part of it, as is an escaped one.
func quoted(text []byte, quote byte, escapes bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 == len(text):
			return 0 // Another may follow.
		case text[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return 0
}

// dollarQuoted is the length of $tag$...$tag$, or 1 of a dollar that begins none.
func dollarQuoted(text []byte) int {
	end := bytes.IndexFunc(text[1:], func(r rune) bool { return r < utf8.RuneSelf && !isWord(byte(r)) })
	if end < 0 {
		return 0 // The tag may go on.
	}
	if text[1+end] != '$' || (end > 0 && text[1] >= '0' && text[1] <= '9') {
		return 1
	}
	tag := text[:end+2]
	closing := bytes.Index(text[len(tag):], tag)
	if closing < 0 {
		return 0
	}
	return len(tag) + closing + len(tag)
}

// comment is the length of one between slashes and asterisks, in which others may stand.
func comment(text []byte) int {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch string(text[i : i+2]) {
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

// isWord reports whether a byte may stand within an identifier, but for a dollar.
func isWord(c byte) bool {
	return c == '_' || c >= utf8.RuneSelf || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}
