package broker

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's checksum of content, no secret
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/fragments/store"
)

// maxVerified is how many stored fragments are remembered as verified.
const maxVerified = 1 << 16

// errCorrupt tells that a stored object isn't what its name says.
var errCorrupt = errors.New("stored content doesn't have the length and checksum of its name")

// contents opens the content of fragments, wherever it is. A stored object is read
// and compared with its checksum once, before the first byte of it is served: so a
// flipped bit is an error, and never wrong bytes.
type contents struct {
	stores  *store.Registry
	buffers sync.Pool // of *[maxChunk]byte

	mu       sync.Mutex
	verified map[objectID]struct{}
	running  map[objectID]chan struct{} // closed when the verification has ended
	reading  map[objectID]int           // how many read it now
}

// objectID names a version of an object.
type objectID struct {
	store, path string
	modTime     int64
}

func newContents(stores *store.Registry) *contents {
	return &contents{stores: stores, verified: make(map[objectID]struct{}), running: make(map[objectID]chan struct{}), reading: make(map[objectID]int)}
}

// buffer for the content of a message; recycle it.
func (c *contents) buffer() *[maxChunk]byte {
	if buf, ok := c.buffers.Get().(*[maxChunk]byte); ok {
		return buf
	}
	return new([maxChunk]byte)
}

func (c *contents) recycle(buf *[maxChunk]byte) { c.buffers.Put(buf) }

// sign returns a URL from which a stored fragment can be read.
func (c *contents) sign(f fragments.Fragment, ttl time.Duration) (string, error) {
	s, err := c.stores.Open(f.Store)
	if err != nil {
		return "", err
	}
	return s.SignGet(f.ContentPath(), ttl)
}

// open returns the content of an entry from one offset of its journal up to another.
func (c *contents) open(ctx context.Context, e fragments.Entry, begin, end int64) (io.ReadCloser, error) {
	if e.Local != nil {
		return io.NopCloser(io.NewSectionReader(e.Local, begin, end-begin)), nil
	}
	release := c.use(e.Fragment)
	r, err := c.openVerified(ctx, e.Fragment)
	if err != nil {
		release()
		return nil, err
	}
	r = &usedReader{r, release}
	if _, err := io.CopyN(io.Discard, r, begin-e.Begin); err != nil {
		return nil, errors.Join(fmt.Errorf("seek in %s: %w", e.ContentPath(), err), r.Close())
	}
	return r, nil
}

// use notes that a fragment is read, until what it returns is called.
func (c *contents) use(f fragments.Fragment) func() {
	id := objectID{f.Store, f.ContentPath(), f.ModTime}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading[id]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.reading[id]--; c.reading[id] == 0 {
			delete(c.reading, id)
		}
	}
}

// inUse tells whether somebody reads a fragment.
func (c *contents) inUse(f fragments.Fragment) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading[objectID{f.Store, f.ContentPath(), f.ModTime}] > 0
}

// usedReader tells when it is closed.
type usedReader struct {
	io.ReadCloser
	release func()
}

// Close the reader.
func (r *usedReader) Close() error {
	defer r.release()
	return r.ReadCloser.Close()
}

func (c *contents) openVerified(ctx context.Context, f fragments.Fragment) (io.ReadCloser, error) {
	if err := c.verify(ctx, f); err != nil {
		return nil, err
	}
	return c.openStored(ctx, f)
}

// verify returns once the stored object is known to be what its name says. Of
// several who ask at the same time one reads it.
func (c *contents) verify(ctx context.Context, f fragments.Fragment) error {
	id := objectID{f.Store, f.ContentPath(), f.ModTime}
	for {
		c.mu.Lock()
		if _, ok := c.verified[id]; ok {
			c.mu.Unlock()
			return nil
		}
		other := c.running[id]
		if other == nil {
			break
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	done := make(chan struct{})
	c.running[id] = done
	c.mu.Unlock()

	err := c.readThrough(ctx, f)

	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, id)
	close(done)
	if err != nil {
		return err
	}
	if len(c.verified) >= maxVerified {
		clear(c.verified)
	}
	c.verified[id] = struct{}{}
	return nil
}

// readThrough reads a stored object whole, and compares it with its name.
func (c *contents) readThrough(ctx context.Context, f fragments.Fragment) error {
	r, err := c.openStored(ctx, f)
	if err != nil {
		return err
	}
	sum := sha1.New() //nolint:gosec // as above
	buf := c.buffer()
	defer c.recycle(buf)
	var n int64
	for err == nil && ctx.Err() == nil {
		var k int
		k, err = r.Read(buf[:])
		sum.Write(buf[:k])
		n += int64(k)
	}
	if closeErr := r.Close(); errors.Is(err, io.EOF) {
		err = closeErr
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s in store %s: %w", f.ContentPath(), f.Store, err)
	case n != f.Length() || [20]byte(sum.Sum(nil)) != f.Sum:
		return fmt.Errorf("%s in store %s: %w", f.ContentPath(), f.Store, errCorrupt)
	}
	return nil
}

// openStored returns the uncompressed content of a stored fragment.
func (c *contents) openStored(ctx context.Context, f fragments.Fragment) (io.ReadCloser, error) {
	s, err := c.stores.Open(f.Store)
	if err != nil {
		return nil, err
	}
	object, err := s.Get(ctx, f.ContentPath())
	if err != nil {
		return nil, err
	}
	r, err := codec.NewReader(f.Codec, object, f.Length())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s in store %s: %w", f.ContentPath(), f.Store, err), object.Close())
	}
	return &storedReader{r, object}, nil
}

// storedReader closes the object after its decoder.
type storedReader struct {
	io.ReadCloser
	object io.Closer
}

// Close the decoder and the object.
func (r *storedReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.object.Close()) }
