package broker

import "sync"

// chunkPool has buffers of up to replicateChunk bytes. It is a pool of gRPC's, so that what is
// sent to peers comes back once the last of them has it.
type chunkPool struct{ pool sync.Pool }

func newChunkPool() *chunkPool {
	return &chunkPool{sync.Pool{New: func() any { b := make([]byte, 0, replicateChunk); return &b }}}
}

// Get as of mem.BufferPool.
func (c *chunkPool) Get(length int) *[]byte {
	b := c.pool.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	*b = (*b)[:length]
	return b
}

// Put as of mem.BufferPool.
func (c *chunkPool) Put(b *[]byte) { c.pool.Put(b) }
