package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// bodyError is a failure of the body that was to be stored, not of the store.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// parts cuts a body of a known size into parts. The size is held against the body, and
// the last part given only if they agree.
type parts struct {
	ctx  context.Context //nolint:containedctx // the lifetime of one copy
	r    io.Reader
	left int64
	buf  []byte
}

func newParts(ctx context.Context, r io.Reader, size int64, partSize int) *parts {
	return &parts{ctx: ctx, r: r, left: size, buf: make([]byte, min(size, int64(partSize)))}
}

// next is the next part, which is valid until the one after it, and whether it is the
// last. That may be empty
// only if it is the first.
func (p *parts) next() ([]byte, bool, error) {
	part := p.buf[:min(p.left, int64(len(p.buf)))]
	n, err := io.ReadFull(p, part)
	p.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, false, &bodyError{fmt.Errorf("body ends %d bytes before its size", p.left)}
	case err != nil:
		return nil, false, err
	case p.left > 0:
		return part, false, nil
	}
	var more [1]byte
	switch n, err := io.ReadFull(p, more[:]); {
	case n > 0:
		return nil, false, &bodyError{errors.New("body has more bytes than its size")}
	case !errors.Is(err, io.EOF):
		return nil, false, err
	}
	return part, true, nil
}

// Read is that of the body, with its errors marked.
func (p *parts) Read(b []byte) (int, error) {
	if p.ctx.Err() != nil {
		return 0, context.Cause(p.ctx)
	}
	n, err := p.r.Read(b)
	if err != nil && err != io.EOF { // A wrapped one is no end.
		err = &bodyError{err}
	}
	return n, err
}

// seekable is a part as the libraries want it, which send it again after a failure.
type seekable struct{ *bytes.Reader }

func newSeekable(part []byte) seekable { return seekable{bytes.NewReader(part)} }

// Close does nothing.
func (seekable) Close() error { return nil }
