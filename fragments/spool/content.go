package spool

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// content is the readable part of a data file. It implements fragments.Content and
// is safe for concurrent use. Whoever holds one may read it for as long as the
// journal is open, and after Drop even longer: the file goes when no one is left
// who could read it.
type content struct {
	fs    vfs.FS
	name  string
	begin int64
	limit atomic.Int64 // The offset up to which it may be read.

	mu       sync.RWMutex // Held for reading while the file is read.
	file     vfs.File     // Nil until it is needed.
	closed   bool
	unlinked bool
}

// ReadAt is io.ReaderAt, but for off, which is an offset of the journal. It reads up
// to the watermark, or the end of a completed fragment, and returns io.EOF there; an
// offset beyond is an error that wraps ErrRange.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	limit := c.limit.Load()
	if off < c.begin || off > limit {
		return 0, fmt.Errorf("read %s at offset %d: %w [%d, %d)", c.name, off, ErrRange, c.begin, limit)
	}
	whole := int64(len(p)) <= limit-off
	if !whole {
		p = p[:limit-off]
	}
	if err := c.acquire(); err != nil {
		return 0, err
	}
	defer c.mu.RUnlock()
	n, err := 0, error(nil)
	if len(p) > 0 {
		n, err = c.file.ReadAt(p, off-c.begin)
	}
	switch {
	case n < len(p) && (err == nil || errors.Is(err, io.EOF)):
		return n, fmt.Errorf("read %s: the file ends at offset %d, before its limit %d: %w", c.name, off+int64(n), limit, io.ErrUnexpectedEOF)
	case n < len(p):
		return n, fmt.Errorf("read %s at offset %d: %w", c.name, off, err)
	case !whole:
		return n, io.EOF
	default:
		return n, nil
	}
}

// acquire opens the file if it isn't, and leaves c.mu held for reading.
func (c *content) acquire() error {
	for {
		c.mu.RLock()
		if c.file != nil {
			return nil
		}
		c.mu.RUnlock()
		if err := c.open(); err != nil {
			return err
		}
	}
}

func (c *content) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("read %s: %w", c.name, ErrClosed)
	}
	if c.file != nil {
		return nil
	}
	f, err := c.fs.Open(c.name)
	if err != nil {
		return fmt.Errorf("open %s: %w", c.name, err)
	}
	c.file = f
	return nil
}

// rest closes the file until it is read again, if nobody reads it now: a fragment that waits to be stored may wait
// for long, and with many others.
func (c *content) rest() {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.file != nil && !c.unlinked {
		_ = c.file.Close() // All of it is durable.
		c.file = nil
	}
}

// close ends reading, after reads that are under way.
func (c *content) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.file == nil {
		return nil
	}
	f := c.file
	c.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	return nil
}

// unlink leaves the content to those who hold it: the file stays open, so that it
// can be removed under them, and is closed once the last of them is gone.
func (c *content) unlink() error {
	if err := c.open(); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil // It was removed before.
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unlinked {
		c.unlinked = true
		runtime.AddCleanup(c, func(f vfs.File) { _ = f.Close() }, c.file)
	}
	return nil
}
