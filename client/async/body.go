package async

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// body is the content of an append: in memory, and beyond a bound in an unlinked file.
// It has one owner at a time.
//
// Invariant: content is the first flushed bytes of file, followed by tail; len(tail) is at
// most bound.
type body struct {
	dir     string
	bound   int
	file    *os.File // nil until content is beyond bound
	flushed int64
	tail    []byte
	spilled func()
}

func (b *body) size() int64 { return b.flushed + int64(len(b.tail)) }

func (b *body) write(p []byte) error {
	if len(b.tail)+len(p) <= b.bound {
		b.tail = append(b.tail, p...)
		return nil
	}
	if err := b.flush(b.tail); err != nil {
		return err
	}
	b.tail = b.tail[:0]
	if len(p) > b.bound {
		return b.flush(p)
	}
	b.tail = append(b.tail, p...)
	return nil
}

// flush p to the file.
func (b *body) flush(p []byte) error {
	if b.file == nil {
		f, err := os.CreateTemp(b.dir, "append")
		if err != nil {
			return fmt.Errorf("spill an append: %w", err)
		}
		b.file = f
		b.spilled()
		if err = os.Remove(f.Name()); err != nil {
			return fmt.Errorf("spill an append: %w", err)
		}
	}
	if _, err := b.file.WriteAt(p, b.flushed); err != nil {
		return fmt.Errorf("spill an append: %w", err)
	}
	b.flushed += int64(len(p))
	return nil
}

// truncate content to a size that it had.
func (b *body) truncate(size int64) {
	if size >= b.flushed {
		b.tail = b.tail[:size-b.flushed]
		return
	}
	b.flushed, b.tail = size, b.tail[:0] // what the file has beyond it is written over
}

// free the memory and the file.
func (b *body) free() {
	if b.file != nil {
		_ = b.file.Close()
	}
	b.file, b.tail, b.flushed = nil, nil, 0
}

// reader of the content as it is now.
func (b *body) reader() *bodyReader { return &bodyReader{body: b} }

// bodyReader reads a body, and can be rewound for another attempt.
type bodyReader struct {
	body *body
	at   int64
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	switch {
	case r.at >= b.size():
		return 0, io.EOF
	case r.at >= b.flushed:
		n := copy(p, b.tail[r.at-b.flushed:])
		r.at += int64(n)
		return n, nil
	}
	n, err := b.file.ReadAt(p[:min(int64(len(p)), b.flushed-r.at)], r.at)
	r.at += int64(n)
	switch {
	case n != 0:
		return n, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("read a spilled append: %w", err)
}

// Seek implements io.Seeker, as far as it is needed: to here, and to where it was.
func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		r.at = offset
	case io.SeekCurrent:
		r.at += offset
	default:
		return r.at, errors.New("can't seek from the end")
	}
	return r.at, nil
}
