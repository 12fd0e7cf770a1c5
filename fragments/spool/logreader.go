package spool

import (
	"errors"
	"fmt"
	"io"
)

// logReader reads the records of a log, in memory bounded by the largest.
type logReader struct {
	r    io.ReaderAt
	name string
	salt [8]byte
	size int64 // Of the file.

	position int64 // Of the next record.
	buf      []byte
	at       int64 // Position of buf[0].
}

// readAhead is how much of a log is read at once, in bytes.
const readAhead = 64 << 10

// peek returns n bytes at the position, or fewer at the end of the file. They are
// valid until the next call.
func (l *logReader) peek(n int) ([]byte, error) {
	n = int(min(int64(n), l.size-l.position))
	if skip := l.position - l.at; skip >= 0 && skip+int64(n) <= int64(len(l.buf)) {
		return l.buf[skip : skip+int64(n)], nil
	}
	want := int(min(int64(max(n, readAhead)), l.size-l.position))
	if cap(l.buf) < want {
		l.buf = make([]byte, want)
	}
	l.buf, l.at = l.buf[:want], l.position
	got, err := l.r.ReadAt(l.buf, l.position)
	if got < want && !errors.Is(err, io.EOF) {
		l.buf = l.buf[:0]
		return nil, fmt.Errorf("read %s: %w", l.name, err)
	}
	l.buf = l.buf[:got]
	return l.buf[:min(n, got)], nil
}

// decode returns the record at the position and its length; 0 if there is none.
func (l *logReader) decode() (record, int64, error) {
	head, err := l.peek(recordHead)
	if err != nil || len(head) < recordHead {
		return record{}, 0, err
	}
	length, ok := plausibleLength(head)
	if !ok {
		return record{}, 0, nil
	}
	b, err := l.peek(length)
	if err != nil || len(b) < length {
		return record{}, 0, err
	}
	r, err := decodeRecord(l.salt, l.position, b)
	if err != nil {
		return record{}, 0, nil //nolint:nilerr // what isn't a record is no failure here
	}
	return r, int64(length), nil
}

// find returns the next record at or after the position, skipping what is none, and
// moves behind it. At the end of the file it returns false.
func (l *logReader) find() (record, bool, error) {
	for l.position < l.size {
		r, length, err := l.decode()
		if err != nil {
			return record{}, false, err
		}
		if length > 0 {
			l.position += length
			return r, true, nil
		}
		l.position += 8
	}
	return record{}, false, nil
}
