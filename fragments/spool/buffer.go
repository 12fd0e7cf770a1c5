package spool

import "sync"

// buffer is memory for the time of one call.
type buffer struct{ b []byte }

// buffers are shared by all journals of a Dir, so that idle ones hold none.
type buffers struct{ small, large sync.Pool }

// smallBuffer is enough for most appends, in bytes.
const smallBuffer = 4 << 10

// get a buffer of at least size bytes, which is at most chunkSize.
func (p *buffers) get(size int64) *buffer {
	pool, length := &p.small, smallBuffer
	if size > smallBuffer {
		pool, length = &p.large, chunkSize
	}
	if b, ok := pool.Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, length)}
}

func (p *buffers) put(b *buffer) {
	if len(b.b) == smallBuffer {
		p.small.Put(b)
	} else {
		p.large.Put(b)
	}
}
