package broker

import "sync"

// chunkPool has buffers of replicateChunk bytes.
type chunkPool struct{ pool sync.Pool }

func newChunkPool() *chunkPool {
	return &chunkPool{sync.Pool{New: func() any { return new([replicateChunk]byte) }}}
}

func (c *chunkPool) take() []byte {
	return c.pool.Get().(*[replicateChunk]byte)[:] //nolint:forcetypeassert // nothing else is in it
}

func (c *chunkPool) give(b []byte) { c.pool.Put((*[replicateChunk]byte)(b[:replicateChunk])) }
