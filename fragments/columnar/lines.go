package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Sizes of a lineReader's buffer: what it reads at once, and where it begins.
const (
	firstBuffer = 16 << 10
	readBuffer  = 256 << 10
)

// maxRejectBytes is how much of a reject is kept.
const maxRejectBytes = 16 << 10

// lineReader splits a stream into lines. It holds at most maxLine bytes of a line and
// what one read brings: of a longer line it keeps the beginning and counts the rest.
type lineReader struct {
	r       io.Reader
	left    int64 // bytes of the range that r has not given yet, or -1 for all that it has
	maxLine int
	buf     []byte // buf[from:to] is read and not yet returned
	from    int
	to      int
	scanned int   // buf[from:scanned] has no newline
	offset  int64 // of buf[from] in the journal
	total   int64 // bytes that r has given
	ended   bool  // r has no more
}

// line is one line without its newline.
type line struct {
	offset int64
	// length counts the line's bytes. Of a line over the limit, bytes is no more than the
	// first maxRejectBytes.
	length int64
	bytes  []byte // valid until the next call
}

// next returns the next whole line. At the end of the range it returns io.EOF: what
// is left from offset on is a line without its newline.
func (l *lineReader) next() (line, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.scanned:l.to], '\n'); i >= 0 {
			end := l.scanned + i
			n := line{offset: l.offset, length: int64(end - l.from), bytes: l.buf[l.from:end]}
			l.advance(end + 1)
			if n.length > int64(l.maxLine) {
				n.bytes = n.bytes[:min(len(n.bytes), maxRejectBytes)]
			}
			return n, nil
		}
		l.scanned = l.to
		if l.to-l.from > l.maxLine {
			return l.skip()
		}
		if err := l.fill(); err != nil {
			return line{}, err
		}
	}
}

// advance returns the bytes before p.
func (l *lineReader) advance(p int) {
	l.offset += int64(p - l.from)
	l.from, l.scanned = p, p
}

// fill reads more. Bytes that are not yet returned move to the front when the buffer
// is at its end; it grows only when they fill more than half of it.
func (l *lineReader) fill() error {
	if l.ended {
		return io.EOF
	}
	if l.left == 0 {
		l.ended = true
		return io.EOF
	}
	if l.to == len(l.buf) {
		l.makeRoom()
	}
	want := l.buf[l.to:]
	if l.left >= 0 && int64(len(want)) > l.left {
		want = want[:l.left]
	}
	for range maxEmptyReads {
		n, err := l.r.Read(want)
		if n < 0 || n > len(want) {
			return l.failed(errBadRead)
		}
		l.to += n
		l.total += int64(n)
		if l.left >= 0 {
			l.left -= int64(n)
		}
		switch {
		case n > 0:
			// An error that came with bytes comes again with the next read, except for io.EOF of
			// a reader that may not be read again.
			l.ended = errors.Is(err, io.EOF) && l.left <= 0
			return nil
		case errors.Is(err, io.EOF) && l.left > 0:
			return l.failed(io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF):
			l.ended = true
			return io.EOF
		case err != nil:
			return l.failed(err)
		}
	}
	return l.failed(io.ErrNoProgress)
}

// maxEmptyReads is how often a reader may return nothing before it is given up.
const maxEmptyReads = 100

var errBadRead = errors.New("the reader returned an impossible count")

func (l *lineReader) failed(err error) error {
	return fmt.Errorf("reading at offset %d: %w", l.offset+int64(l.to-l.from), err)
}

func (l *lineReader) makeRoom() {
	size := len(l.buf)
	switch held := l.to - l.from; {
	case size == 0 && l.left >= 0:
		size = int(min(l.left, firstBuffer))
	case size == 0:
		size = firstBuffer
	case held > size/2:
		size = min(2*size, l.maxLine+readBuffer)
	case size < readBuffer:
		size *= 2
	}
	buf := l.buf
	if size > len(l.buf) {
		buf = make([]byte, size)
	}
	copy(buf, l.buf[l.from:l.to])
	l.scanned -= l.from
	l.to -= l.from
	l.from, l.buf = 0, buf
}

// skip goes over the rest of a line that is longer than the limit, keeping its
// beginning. If the range ends first, it isn't a line.
func (l *lineReader) skip() (line, error) {
	start := l.offset
	var kept []byte
	keep := func(b []byte) { kept = append(kept, b[:min(len(b), maxRejectBytes-len(kept))]...) }
	for {
		keep(l.buf[l.from:l.to])
		l.advance(l.to)
		l.from, l.to, l.scanned = 0, 0, 0
		if err := l.fill(); err != nil {
			// The line is still to come: the offset stays where it begins.
			l.offset = start
			return line{}, err
		}
		if i := bytes.IndexByte(l.buf[:l.to], '\n'); i >= 0 {
			keep(l.buf[:i])
			n := line{offset: start, length: l.offset + int64(i) - start, bytes: kept}
			l.advance(i + 1)
			return n, nil
		}
	}
}
