package pgwire

import (
	"fmt"
	"io"
)

// copyResponse begins a COPY of n columns.
func (r *result) copyResponse(kind byte, n int, binary bool) error {
	if r.failed != nil {
		return r.failed
	}
	if r.done || r.copying != notCopying || r.c.out.open || n < 0 || n > maxColumns {
		return r.breach("a COPY of %d columns began where none can", n)
	}
	w, f := &r.c.out, 0
	if binary {
		f = 1
	}
	w.begin(kind)
	w.byte(byte(f))
	w.int16(n)
	for range n {
		w.int16(f)
	}
	w.end()
	return nil
}

// CopyOut begins a COPY TO STDOUT.
func (r *result) CopyOut(n int, binary bool) error {
	if err := r.copyResponse('H', n, binary); err != nil {
		return err
	}
	r.copying = copyingOut
	return nil
}

// CopyData sends a part of the data.
func (r *result) CopyData(p []byte) error {
	w := &r.c.out
	switch {
	case r.failed != nil:
		return r.failed
	case w.blocked != nil:
		return r.fail(w.blocked)
	case r.copying != copyingOut:
		return r.breach("data of no COPY")
	case len(p) > r.c.cfg.MaxRow:
		return r.fail(&Error{
			Code: "54000", Message: fmt.Sprintf("a row of %d bytes is too long", len(p)),
			Hint: fmt.Sprintf("A row may have up to %d bytes.", r.c.cfg.MaxRow),
		})
	}
	w.begin('d')
	w.buf = append(w.buf, p...)
	w.end()
	if err := w.flushFull(); err != nil {
		return r.fail(err)
	}
	return nil
}

// EndCopyOut ends the data.
func (r *result) EndCopyOut() error {
	if r.failed != nil {
		return r.failed
	}
	if r.copying != copyingOut {
		return r.breach("the end of no COPY")
	}
	r.copying = notCopying
	r.c.out.message('c')
	return nil
}

// CopyIn begins a COPY FROM STDIN.
func (r *result) CopyIn(n int, binary bool) (CopyReader, error) {
	if err := r.copyResponse('G', n, binary); err != nil {
		return nil, err
	}
	r.copying = copyingIn
	r.c.in.resize(copyBuffer)
	return &copyReader{r: r, in: &r.c.in}, nil
}

// copyReader reads the payload of the client's CopyData messages. It takes no memory: parts
// of them are handed on as they arrive.
type copyReader struct {
	r    *result
	in   *inbound
	rest []byte
	err  error
}

// Read waits for data.
func (c *copyReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && len(p) > 0 {
		if c.err == nil {
			c.rest, c.err = c.next()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// next waits for the next part of the data.
func (c *copyReader) next() ([]byte, error) {
	if part, err := c.in.chunk(); len(part) > 0 || err != nil {
		return part, c.lost(err)
	}
	kind, err := c.in.header()
	if err != nil {
		return nil, c.lost(err)
	}
	switch kind {
	case 'd':
		part, err := c.in.chunk()
		return part, c.lost(err)
	case 'H', 'S': // mean nothing here, and libpq sends them
		return nil, nil
	case 'c':
		c.r.copying = notCopying
		return nil, io.EOF
	case 'f':
		c.r.copying = notCopying
		return nil, c.gaveUp()
	case 'X':
		return nil, c.lost(errTerminate)
	default:
		return nil, c.lost(violation(fmt.Sprintf("unexpected message type 0x%02X during COPY from stdin", kind)))
	}
}

// lost notes an error after which the execution can't succeed.
func (c *copyReader) lost(err error) error {
	if err != nil {
		_ = c.r.fail(err)
	}
	return err
}

// gaveUp is the error of a client that ended its COPY by CopyFail.
func (c *copyReader) gaveUp() error {
	body, err := c.in.body(shortMessage)
	if err != nil {
		return c.lost(err)
	}
	text, err := (&fields{body}).cstr()
	if err != nil {
		return c.lost(err)
	}
	return c.lost(&CopyFailError{Message: text})
}
