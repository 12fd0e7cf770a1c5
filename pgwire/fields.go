package pgwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// fields reads the fields of a message's body in turn. Each method fails with 08P01 when
// the body is too short, as PostgreSQL does.
type fields struct{ rest []byte }

func (f *fields) bytes(n int) ([]byte, error) {
	if n < 0 || n > len(f.rest) {
		return nil, malformed("insufficient data left in message")
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b, nil
}

func (f *fields) byte() (byte, error) {
	if len(f.rest) == 0 {
		return 0, malformed("no data left in message")
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b, nil
}

func (f *fields) int16() (int16, error) {
	b, err := f.bytes(2)
	if err != nil {
		return 0, err
	}
	return int16(binary.BigEndian.Uint16(b)), nil
}

func (f *fields) int32() (int32, error) {
	b, err := f.bytes(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

// cstr reads a string up to its zero. It is valid UTF-8.
func (f *fields) cstr() (string, error) {
	i := bytes.IndexByte(f.rest, 0)
	if i < 0 {
		return "", malformed("invalid string in message")
	}
	b := f.rest[:i]
	f.rest = f.rest[i+1:]
	if err := checkText(b); err != nil {
		return "", err
	}
	return string(b), nil
}

// checkText fails unless b is UTF-8 without zeros.
func checkText(b []byte) error {
	if utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
		return nil
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == 0 || r == utf8.RuneError && n == 1 {
			break
		}
		b = b[n:]
	}
	var text strings.Builder
	for _, x := range b[:min(len(b), announced(b[0]))] {
		fmt.Fprintf(&text, " 0x%02x", x)
	}
	return &Error{Code: "22021", Message: `invalid byte sequence for encoding "UTF8":` + text.String()}
}

// announced is how many bytes a character has of which b is the first.
func announced(b byte) int {
	switch {
	case b&0xe0 == 0xc0:
		return 2
	case b&0xf0 == 0xe0:
		return 3
	case b&0xf8 == 0xf0:
		return 4
	default:
		return 1
	}
}

// count reads the number of elements that follow, each of at least size bytes.
func (f *fields) count(size int) (int, error) {
	n, err := f.int16()
	if err != nil {
		return 0, err
	}
	if c := int(uint16(n)); c*size <= len(f.rest) {
		return c, nil
	}
	return 0, malformed("insufficient data left in message")
}

// end fails unless everything was read.
func (f *fields) end() error {
	if len(f.rest) > 0 {
		return malformed("invalid message format")
	}
	return nil
}

func (f *fields) formats() (formats, error) {
	n, err := f.count(2)
	if err != nil || n == 0 {
		return nil, err
	}
	codes := make(formats, n)
	for i := range codes {
		if codes[i], err = f.int16(); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// value reads a length and as many bytes; nil is NULL.
func (f *fields) value() ([]byte, error) {
	n, err := f.int32()
	if err != nil || n == -1 {
		return nil, err
	}
	return f.bytes(int(n))
}

// formats are the format codes of columns or parameters, as a Bind message has them:
// none is all text, one is for all.
type formats []int16

func (f formats) of(i int) int16 {
	switch len(f) {
	case 0:
		return 0
	case 1:
		return f[0]
	default:
		return f[i]
	}
}

// fits tells whether there are as many codes as n columns take.
func (f formats) fits(n int) bool { return len(f) <= 1 || len(f) == n }

// known fails unless each code is text or binary.
func (f formats) known() error {
	for _, c := range f {
		if c != 0 && c != 1 {
			return &Error{Code: "22023", Message: fmt.Sprintf("unsupported format code: %d", c)}
		}
	}
	return nil
}
