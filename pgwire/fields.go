package pgwire

import (
	"bytes"
	"encoding/binary"
)

// fields reads the fields of a message's body in turn. Each method fails with 08P01 when
// the body is too short.
type fields struct{ rest []byte }

func errShort() error {
	return &Error{Code: "08P01", Message: "invalid message format"}
}

func (f *fields) bytes(n int) ([]byte, error) {
	if n < 0 || n > len(f.rest) {
		return nil, errShort()
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b, nil
}

func (f *fields) byte() (byte, error) {
	b, err := f.bytes(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
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

func (f *fields) cstr() (string, error) {
	i := bytes.IndexByte(f.rest, 0)
	if i < 0 {
		return "", errShort()
	}
	s := string(f.rest[:i])
	f.rest = f.rest[i+1:]
	return s, nil
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
	return 0, errShort()
}

// end fails unless everything was read.
func (f *fields) end() error {
	if len(f.rest) > 0 {
		return errShort()
	}
	return nil
}

func (f *fields) formats() (formats, error) {
	n, err := f.count(2)
	if err != nil {
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
	b, err := f.bytes(int(n))
	if b == nil && err == nil {
		b = []byte{}
	}
	return b, err
}
