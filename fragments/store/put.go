package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// creator creates files of one root so that each is whole and durable, or absent.
//
// The naive way, to write the file under its name, shows half of it to readers and
// after a crash. Writing it under another name and renaming replaces a file that is
// there. So a file is created by:
//
//  1. Make its directory, and those above that are missing; sync the parent of each.
//  2. Write the content to a partial file beside it, and sync it.
//  3. Link the final name to it: atomic, and refused if the name is taken.
//  4. Remove the partial name; sync the directory.
//
// Invariants:
//
//   - A final name is linked only to a file whose whole content was synced. (Else
//     the name may survive a power loss that the content doesn't.)
//   - create returns nil, or ErrExists, only after a sync of the directory that
//     holds the name, and of the parent of every directory above, since the name was
//     there. This must not be left to who made them: they may have died before
//     their sync, or not be there yet.
//
// When the sync of a directory fails, the name stays, and create fails; removing it
// would take the object from a concurrent caller that was told ErrExists. When it is
// tried again it finds the name, and has to sync again.
type creator struct {
	fs FS

	mu sync.Mutex
	// Directories whose names, and those of all above, were synced by this process.
	synced map[string]struct{}
}

// maxSynced bounds the directories that are remembered as synced.
const maxSynced = 1 << 16

// errNotFile is that a name is taken by what isn't an object.
var errNotFile = errors.New("it is no regular file")

// copySize is how much of a body is copied between looks at the context.
const copySize = 256 << 10

func newCreator(fsys FS) *creator {
	return &creator{fs: fsys, synced: map[string]struct{}{".": {}}}
}

// create makes the file name, or returns ErrExists.
func (c *creator) create(ctx context.Context, name string, body io.Reader, size int64) error {
	switch _, err := c.fs.Stat(name); {
	case err == nil:
		return c.settle(name)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := path.Dir(name)
	partial, err := c.writePartial(ctx, dir, body, size)
	if err != nil {
		return err
	}
	err = c.fs.Link(partial, name)
	// A partial name that can't be removed harms nobody, and is swept later.
	_ = c.fs.Remove(partial)
	switch {
	case errors.Is(err, fs.ErrExist):
		return c.settle(name)
	case err != nil:
		return err
	default:
		return c.syncName(dir)
	}
}

// settle makes sure that a file which someone else created survives.
func (c *creator) settle(name string) error {
	info, err := c.fs.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNotFile
	}
	dir := path.Dir(name)
	if err := c.ensureDir(dir); err != nil {
		return err
	}
	if err := c.syncName(name); err != nil {
		return err
	}
	if err := c.syncName(dir); err != nil {
		return err
	}
	return ErrExists
}

// writePartial writes body to a partial file in dir, synced, and returns its name.
// On failure no file is left.
func (c *creator) writePartial(ctx context.Context, dir string, body io.Reader, size int64) (string, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("name a partial file: %w", err)
	}
	partial := path.Join(dir, partialPrefix+hex.EncodeToString(random[:]))
	if err := c.ensureDir(dir); err != nil {
		return "", err
	}
	f, err := c.fs.Create(partial)
	if errors.Is(err, fs.ErrNotExist) {
		// Someone removed the directory since it was synced.
		c.forget(dir)
		if err = c.ensureDir(dir); err != nil {
			return "", err
		}
		f, err = c.fs.Create(partial)
	}
	if err != nil {
		return "", err
	}
	err = fill(ctx, f, body, size)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", errors.Join(err, c.fs.Remove(partial))
	}
	return partial, nil
}

// fill copies exactly size bytes of body, and demands that there are no more.
func fill(ctx context.Context, f File, body io.Reader, size int64) error {
	n, err := io.CopyBuffer(onlyWriter{f}, &boundReader{ctx: ctx, r: body, left: size}, make([]byte, copySize))
	switch {
	case err != nil:
		return err
	case n < size:
		return fmt.Errorf("body has %d bytes, not %d", n, size)
	default:
		return nil
	}
}

// onlyWriter and boundReader hide the short cuts that io.Copy takes, none of which
// looks at a context.
type onlyWriter struct{ io.Writer }

type boundReader struct {
	ctx  context.Context //nolint:containedctx // the lifetime of one copy
	r    io.Reader
	left int64
}

func (b *boundReader) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("body has more bytes than its size")
	}
	return n, err
}

// ensureDir makes dir and what is missing above, each of them durable.
func (c *creator) ensureDir(dir string) error {
	c.mu.Lock()
	_, ok := c.synced[dir]
	c.mu.Unlock()
	if ok {
		return nil
	}
	parent := path.Dir(dir)
	if err := c.ensureDir(parent); err != nil {
		return err
	}
	if err := c.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := c.syncName(parent); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.synced) >= maxSynced {
		clear(c.synced)
		c.synced["."] = struct{}{}
	}
	c.synced[dir] = struct{}{}
	return nil
}

// forget takes dir and all above and below from those known to be synced.
func (c *creator) forget(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for known := range c.synced {
		if known != "." && (strings.HasPrefix(dir+"/", known+"/") || strings.HasPrefix(known, dir+"/")) {
			delete(c.synced, known)
		}
	}
}

// syncName syncs the file or directory of that name.
func (c *creator) syncName(name string) error {
	f, err := c.fs.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
