package staging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Snapshot is what one journal has of a stage at a moment.
type Snapshot struct {
	extents []extent
	file    *spill
	closed  sync.Once
}

// Size in bytes.
func (s *Snapshot) Size() int64 {
	var n int64
	for _, e := range s.extents {
		n += int64(len(e.memory)) + e.n
	}
	return n
}

// Close lets go of the file. It may be called again.
func (s *Snapshot) Close() {
	if s != nil {
		s.closed.Do(s.file.release)
	}
}

// Open returns a reader of the content, which may be used until Close.
func (s *Snapshot) Open() *Reader { return &Reader{snapshot: s, size: s.Size()} }

// Reader reads a snapshot. It can be rewound.
type Reader struct {
	snapshot *Snapshot
	size     int64
	at       int64
	part     io.Reader // of the extent that is being read
	next     int       // extent
}

// Read the next part.
func (r *Reader) Read(p []byte) (int, error) {
	for {
		if r.part == nil {
			if r.next == len(r.snapshot.extents) {
				return 0, io.EOF
			}
			r.part = r.open(r.snapshot.extents[r.next], 0)
			r.next++
		}
		n, err := r.part.Read(p)
		r.at += int64(n)
		if errors.Is(err, io.EOF) {
			r.part, err = nil, nil
			if n == 0 {
				continue
			}
		}
		if err != nil {
			err = fmt.Errorf("staging: read: %w", err)
		}
		return n, err
	}
}

// open an extent without its first bytes.
func (r *Reader) open(e extent, skip int64) io.Reader {
	if e.memory != nil {
		return bytes.NewReader(e.memory[skip:])
	}
	return io.NewSectionReader(r.snapshot.file.file, e.at+skip, e.n-skip)
}

// Seek to an offset of the content.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 || offset > r.size {
		return 0, fmt.Errorf("staging: seek to %d of %d bytes", offset, r.size)
	}
	r.at, r.part, r.next = offset, nil, len(r.snapshot.extents)
	for i, e := range r.snapshot.extents {
		n := int64(len(e.memory)) + e.n
		if offset < n {
			r.part, r.next = r.open(e, offset), i+1
			break
		}
		offset -= n
	}
	return r.at, nil
}

// Close is for those who want a ReadCloser: the snapshot stays open.
func (r *Reader) Close() error { return nil }
