package committed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/message"
)

// Finder finds the UUID of a line; the zero one if it has none.
type Finder func(line []byte) message.UUID

// uuidOf a text, if it is one.
func uuidOf(text []byte) message.UUID {
	var u message.UUID
	if len(text) != 36 || u.UnmarshalText(text) != nil || u.Validate() != nil {
		return message.UUID{}
	}
	return u
}

// CSV finds the UUID in the first field.
func CSV(line []byte) message.UUID {
	field, _, _ := bytes.Cut(bytes.TrimSuffix(line, []byte{'\r'}), []byte{','})
	if len(field) >= 2 && field[0] == '"' && field[len(field)-1] == '"' {
		field = field[1 : len(field)-1]
	}
	return uuidOf(field)
}

// Pointer is a JSON pointer (RFC 6901) to the UUID in a line of JSON.
type Pointer struct{ tokens []token }

// token names a key of an object, or an element of an array.
type token struct {
	key   []byte
	index int // -1 if it can't be one
}

// ParsePointer reads a pointer's text, such as /_meta/uuid. One to the whole line is refused.
func ParsePointer(text string) (Pointer, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || parts[0] != "" {
		return Pointer{}, fmt.Errorf("JSON pointer %q: must begin with a slash", text)
	}
	var p Pointer
	for _, part := range parts[1:] {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(part), "~") {
			return Pointer{}, fmt.Errorf("JSON pointer %q: a tilde must be followed by 0 or 1", text)
		}
		key := strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		index, err := strconv.Atoi(key)
		if err != nil || strconv.Itoa(index) != key {
			index = -1
		}
		p.tokens = append(p.tokens, token{[]byte(key), max(index, -1)})
	}
	return p, nil
}

// UUID finds it.
func (p Pointer) UUID(line []byte) message.UUID {
	at := cursor{line, 0}
	for _, t := range p.tokens {
		if !at.enter(t) {
			return message.UUID{}
		}
	}
	if at.peek() != '"' {
		return message.UUID{}
	}
	text, ok := at.text()
	if !ok {
		return message.UUID{}
	}
	return uuidOf(text)
}

// cursor goes over a line of JSON, and takes no more notice of it than it must.
type cursor struct {
	line []byte
	at   int
}

// peek returns the next byte that isn't blank; 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.line); c.at++ {
		switch b := c.line[c.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// take a byte if it is the next.
func (c *cursor) take(b byte) bool {
	if c.peek() != b {
		return false
	}
	c.at++
	return true
}

// enter the value that a token names of the next one.
func (c *cursor) enter(t token) bool {
	if c.take('{') {
		for {
			if c.peek() != '"' {
				return false
			}
			key, ok := c.text()
			if !ok || !c.take(':') {
				return false
			}
			if bytes.Equal(key, t.key) {
				return true
			}
			if !c.skip() || !c.take(',') {
				return false
			}
		}
	}
	if t.index < 0 || !c.take('[') || c.peek() == ']' {
		return false
	}
	for range t.index {
		if !c.skip() || !c.take(',') {
			return false
		}
	}
	return true
}

// text takes a string, and returns what it says.
func (c *cursor) text() ([]byte, bool) {
	begin := c.at
	if !c.skipText() {
		return nil, false
	}
	within := c.line[begin+1 : c.at-1]
	if bytes.IndexByte(within, '\\') < 0 {
		return within, true
	}
	var s string
	if json.Unmarshal(c.line[begin:c.at], &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// skipText skips a string.
func (c *cursor) skipText() bool {
	c.at++ // the quote
	for {
		n := bytes.IndexByte(c.line[c.at:], '"')
		if n < 0 {
			return false
		}
		escapes := 0
		for i := c.at + n - 1; i >= c.at && c.line[i] == '\\'; i-- {
			escapes++
		}
		c.at += n + 1
		if escapes%2 == 0 {
			return true
		}
	}
}

// skip a value.
func (c *cursor) skip() bool {
	depth := 0
	for {
		switch b := c.peek(); b {
		case 0:
			return false
		case '"':
			if !c.skipText() {
				return false
			}
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			if depth--; depth < 0 {
				return false
			}
			c.at++
		case ',', ':':
			if depth == 0 {
				return false
			}
			c.at++
			continue
		default:
			c.skipWord()
		}
		if depth == 0 {
			return true
		}
	}
}

// skipWord skips a number, true, false or null: all up to what can follow it.
func (c *cursor) skipWord() {
	for ; c.at < len(c.line); c.at++ {
		switch c.line[c.at] {
		case ' ', '\t', '\r', '\n', ',', ':', '{', '}', '[', ']', '"':
			return
		}
	}
}
