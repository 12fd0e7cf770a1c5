package objectcache

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // fragments are named by it
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// bring makes an object's file be there and known to be whole, and returns its entry, pinned once:
//
//  1. A file that is there already is verified, and removed if it isn't what it should be.
//  2. The size of the object is found, and room made for it.
//  3. The object is copied to a temporary file, while its content is verified.
//  4. The file gets its name.
//
// Whatever fails, nothing is left behind.
func (c *Cache) bring(ctx context.Context, k key, f fragments.Fragment) (*entry, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if e, err := c.present(ctx, k); e != nil || err != nil {
		return e, err
	}
	size, err := c.objectSize(ctx, f)
	if err != nil {
		return nil, err
	}
	e, err := c.reserve(k, size)
	if err != nil {
		c.metrics.refused.Inc()
		return nil, err
	}
	if err := c.copyObject(ctx, f, e); err != nil {
		c.abandon(e)
		return nil, err
	}
	return e, nil
}

// present returns the entry of a file that is there, verified and pinned; nil if there is none.
func (c *Cache) present(ctx context.Context, k key) (*entry, error) {
	c.mu.Lock()
	e := c.ledger.get(k)
	if e != nil {
		c.ledger.pin(e, 1)
	}
	c.mu.Unlock()
	if e == nil {
		return nil, nil //nolint:nilnil // as is said above
	}
	seen, err := c.verifyFile(ctx, k, e.size)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		e.seen = seen
		return e, nil
	}
	if ctx.Err() != nil {
		c.ledger.unpin(e)
		return nil, context.Cause(ctx)
	}
	c.damaged(k.fileName(e.size), err)
	c.remove(e)
	c.ledger.unpin(e)
	return nil, nil //nolint:nilnil // as is said above
}

// verifyFile reads a file wholly, and returns what it was like.
func (c *Cache) verifyFile(ctx context.Context, k key, size int64) (*stamp, error) {
	name := k.fileName(size)
	before, err := c.cfg.FS.Stat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, errors.New("it isn't a file")
	}
	file, err := c.cfg.FS.Open(name)
	if err != nil {
		return nil, err
	}
	err = verify(ctx, k, size, file, nil)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	seen := &stamp{before}
	if after, err := c.cfg.FS.Stat(name); err != nil || !seen.same(after) {
		return nil, errors.Join(errors.New("it was changed while it was read"), err)
	}
	return seen, nil
}

// objectSize is how many bytes the object of a fragment has.
func (c *Cache) objectSize(ctx context.Context, f fragments.Fragment) (int64, error) {
	if f.Codec == protocol.CompressionCodec_NONE {
		return f.Length(), nil
	}
	from, err := c.cfg.Stores.Open(f.Store)
	if err != nil {
		return 0, err
	}
	object, err := from.Stat(ctx, f.ContentPath())
	if err == nil && object.Size <= 0 {
		err = fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	return object.Size, err
}

// reserve room for an object.
func (c *Cache) reserve(k key, size int64) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.cfg.Bound {
		return nil, fmt.Errorf("%w: %d bytes, and %d are the most", ErrTooLarge, size, c.cfg.Bound)
	}
	for { // again if some couldn't be removed
		victims, ok := c.ledger.room(size)
		if !ok {
			return nil, ErrNoRoom
		}
		if len(victims) == 0 {
			break
		}
		c.evict(victims)
	}
	e := c.ledger.add(k, size)
	c.measure()
	return e, nil
}

// abandon an entry whose object couldn't be copied.
func (c *Cache) abandon(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.drop(e)
	c.ledger.unpin(e)
}

// copyObject copies the object of a fragment to the file of an entry.
func (c *Cache) copyObject(ctx context.Context, f fragments.Fragment, e *entry) error {
	c.mu.Lock()
	c.serial++
	temporary := strconv.Itoa(c.serial) + partialSuffix
	c.mu.Unlock()
	file, err := c.cfg.FS.Create(temporary)
	if err != nil {
		return err
	}
	err = c.download(ctx, f, e, file)
	if err = errors.Join(err, file.Close()); err == nil {
		err = c.settle(temporary, e)
	}
	status := "success"
	if err != nil {
		status = "error"
		if errors.Is(err, ErrCorrupt) {
			status = "corrupt"
		}
		if gone := c.cfg.FS.Remove(temporary); gone != nil && !isAbsent(gone) {
			c.cfg.Logger.ErrorContext(ctx, "a partial copy of an object can't be removed, and takes room until the next start", slog.Any("error", gone))
			c.mu.Lock()
			c.ledger.used += e.size
			c.mu.Unlock()
		}
	}
	c.metrics.downloads.WithLabelValues(status).Inc()
	return err
}

// settle gives a file that is whole its name.
func (c *Cache) settle(temporary string, e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := e.key.fileName(e.size)
	if err := c.cfg.FS.Rename(temporary, name); err != nil {
		return err
	}
	info, err := c.cfg.FS.Stat(name)
	if err == nil && info.Size() != e.size {
		err = fmt.Errorf("the file has %d bytes, and %d were written", info.Size(), e.size)
	}
	if err != nil {
		return errors.Join(err, c.cfg.FS.Remove(name))
	}
	e.seen = &stamp{info}
	return nil
}

// download reads the object into a file, and holds its content against its name.
func (c *Cache) download(ctx context.Context, f fragments.Fragment, e *entry, to io.Writer) error {
	from, err := c.cfg.Stores.Open(f.Store)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := fmt.Errorf("the store sent nothing for %s", c.cfg.Idle)
	idle := time.AfterFunc(c.cfg.Idle, func() { cancel(silence) })
	defer idle.Stop()
	body, err := from.Get(ctx, f.ContentPath())
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	watched := &watched{r: body, progress: func(n int) {
		idle.Reset(c.cfg.Idle)
		c.metrics.bytesIn.Add(float64(n))
	}}
	err = verify(ctx, e.key, e.size, watched, to)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, body.Close())
}

// watched tells of each read.
type watched struct {
	r        io.Reader
	progress func(n int)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.progress(n)
	return n, err
}

// verify reads an object of size bytes, whose content has to be what the key says, and writes it to a writer, if
// there is one. An object that isn't so is ErrCorrupt.
func verify(ctx context.Context, k key, size int64, from io.Reader, to io.Writer) error {
	raw := &raw{ctx: ctx, from: from, to: to, left: size}
	content, err := codec.NewReader(k.codec, bufio.NewReaderSize(raw, 128<<10), k.length)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	sum := sha1.New() //nolint:gosec // fragments are named by it
	n, err := io.CopyBuffer(sum, content, make([]byte, 128<<10))
	if raw.err != nil {
		return raw.err
	}
	var tooLong *codec.LengthError
	var broken *codec.CorruptError
	switch {
	case errors.As(err, &tooLong), errors.As(err, &broken):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case err != nil:
		return err
	case raw.left > 0:
		return fmt.Errorf("%w: it ends %d bytes before its end", ErrCorrupt, raw.left)
	case n != k.length:
		return fmt.Errorf("%w: its content has %d bytes, not %d", ErrCorrupt, n, k.length)
	case [20]byte(sum.Sum(nil)) != k.sum:
		return fmt.Errorf("%w: its content has the sum %x, not %x", ErrCorrupt, sum.Sum(nil), k.sum)
	}
	return nil
}

// raw is an object as it is stored: what is read of it is written, too. It has to have a certain size.
type raw struct {
	ctx  context.Context //nolint:containedctx // of the one reading
	from io.Reader
	to   io.Writer
	left int64
	err  error // other than the object's end
}

func (r *raw) Read(p []byte) (int, error) {
	if r.err == nil && r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.from.Read(p)
	r.left -= int64(n)
	if r.left < 0 {
		r.err = fmt.Errorf("%w: it is larger than it was said to be", ErrCorrupt)
		return 0, r.err
	}
	if r.to != nil && n > 0 {
		if _, wrote := r.to.Write(p[:n]); wrote != nil {
			r.err = wrote
			return 0, wrote
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
