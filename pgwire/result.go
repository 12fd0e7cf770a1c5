package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// result is the ResultWriter of one execution.
type result struct {
	c       *conn
	formats formats
	done    bool // Complete or Empty was called
	row     rowWriter
}

func (r *result) Binary(i int) bool { return r.formats.of(i) == 1 }

func (r *result) Row(n int) RowWriter {
	r.row = rowWriter{w: &r.c.out}
	r.c.out.begin('D')
	r.c.out.int16(n)
	return &r.row
}

func (r *result) Flush() error    { return r.c.out.flush() }
func (r *result) Notice(e *Error) { r.c.out.notice(e) }

func (r *result) Complete(tag string) {
	r.done = true
	r.c.out.tag(tag)
}

func (r *result) Empty() {
	r.done = true
	r.c.out.message('I')
}

// rowWriter appends columns to the DataRow being built.
type rowWriter struct {
	w  *writer
	at int // where the length of the column being built stands
}

func (r *rowWriter) Null() { r.w.int32(0xffff_ffff) }

func (r *rowWriter) Begin() []byte {
	r.at = len(r.w.buf)
	r.w.int32(0)
	return r.w.buf
}

func (r *rowWriter) Put(dst []byte) {
	r.w.buf = dst
	binary.BigEndian.PutUint32(dst[r.at:], uint32(len(dst)-r.at-4))
}

func (r *rowWriter) End() error {
	r.w.end()
	if r.w.full() {
		return r.w.flush()
	}
	return r.w.err
}

func (r *result) copyResponse(kind byte, n int, bin bool) {
	w, f := &r.c.out, byte(0)
	if bin {
		f = 1
	}
	w.begin(kind)
	w.byte(f)
	w.int16(n)
	for range n {
		w.int16(int(f))
	}
	w.end()
}

func (r *result) CopyOut(n int, bin bool) error {
	r.copyResponse('H', n, bin)
	return r.c.out.flush()
}

func (r *result) CopyData(p []byte) error {
	w := &r.c.out
	w.begin('d')
	w.buf = append(w.buf, p...)
	w.end()
	if w.full() {
		return w.flush()
	}
	return w.err
}

func (r *result) EndCopyOut() error {
	r.c.out.message('c')
	return r.c.out.err
}

func (r *result) CopyIn(n int, bin bool) (CopyReader, error) {
	r.copyResponse('G', n, bin)
	if err := r.c.out.flush(); err != nil {
		return nil, err
	}
	return &copyReader{c: r.c}, nil
}

// CopyFailError is the end of a COPY FROM STDIN that the client gave up.
type CopyFailError struct{ Message string }

func (e *CopyFailError) Error() string { return "COPY from stdin failed: " + e.Message }

// copyReader reads the payload of the client's CopyData messages.
type copyReader struct {
	c    *conn
	rest []byte
	err  error
}

func (r *copyReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.err = r.next(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next waits for the next message of the copy.
func (r *copyReader) next() error {
	f, err := r.c.receive()
	if err != nil {
		return err
	}
	switch f.kind {
	case 'd':
		r.rest = f.body
		return nil
	case 'c':
		return io.EOF
	case 'f':
		text, err := (&fields{f.body}).cstr()
		if err != nil {
			return err
		}
		return &CopyFailError{Message: text}
	case 'H', 'S': // Flush and Sync mean nothing here
		return nil
	default:
		return protocolError(fmt.Sprintf("unexpected message type %q during COPY from stdin", f.kind))
	}
}
