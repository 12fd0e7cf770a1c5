package pebblestore

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cutFS is a file system that Pebble can use whatever happens to it. Pebble ends the process if it can't write: a shard whose log has
// another author by now must not take the others with it. So after the first failure the file system is cut off: what
// changes files goes to the one that is beneath, if there is one, past the log, and whatever becomes of it is a success. Reads go
// on. Pebble can be closed then, as if nothing had happened, and its owner looks at failure before it believes it anything.
type cutFS struct {
	vfs.FS

	beneath vfs.FS // without a log
	failed  atomic.Pointer[error]
}

func newCutFS(recorded vfs.FS) *cutFS {
	f := &cutFS{FS: recorded, beneath: recorded.Unwrap()}
	if f.beneath == nil {
		f.beneath = recorded
	}
	return f
}

// failure is what cut it off; nil if nothing did.
func (f *cutFS) failure() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *cutFS) cut(err error) { f.failed.CompareAndSwap(nil, &err) }

// isAnswer reports whether an error says how things are, rather than that something failed.
func isAnswer(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) }

// try to change files.
func (f *cutFS) try(do func(vfs.FS) error) error {
	if f.failure() == nil {
		err := do(f.FS)
		if err == nil || isAnswer(err) {
			return err
		}
		f.cut(err)
	}
	_ = do(f.beneath) // in vain, as well
	return nil
}

// open a file to be written.
func (f *cutFS) open(name string, do func(vfs.FS) (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	if f.failure() == nil {
		var err error
		file, err = do(f.FS)
		if err != nil && isAnswer(err) {
			return nil, err
		}
		if err != nil {
			f.cut(err)
		}
	}
	if file == nil {
		file = spare(do(f.beneath))
	}
	return &cutFile{File: file, fs: f, name: name}, nil
}

// spare returns a file or, if there is none, one in memory.
func spare(file vfs.File, err error) vfs.File {
	if err != nil || file == nil {
		file, _ = vfs.NewMem().Create("spare", vfs.WriteCategoryUnspecified)
	}
	return file
}

// Create as of vfs.FS.
func (f *cutFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(name, func(on vfs.FS) (vfs.File, error) { return on.Create(name, category) })
}

// OpenReadWrite as of vfs.FS.
func (f *cutFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(name, func(on vfs.FS) (vfs.File, error) { return on.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite as of vfs.FS.
func (f *cutFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(newname, func(on vfs.FS) (vfs.File, error) { return on.ReuseForWrite(oldname, newname, category) })
}

// OpenDir as of vfs.FS.
func (f *cutFS) OpenDir(name string) (vfs.File, error) {
	return f.open(name, func(on vfs.FS) (vfs.File, error) { return on.OpenDir(name) })
}

// Link as of vfs.FS.
func (f *cutFS) Link(oldname, newname string) error {
	return f.try(func(on vfs.FS) error { return on.Link(oldname, newname) })
}

// Remove as of vfs.FS.
func (f *cutFS) Remove(name string) error {
	return f.try(func(on vfs.FS) error { return on.Remove(name) })
}

// RemoveAll as of vfs.FS.
func (f *cutFS) RemoveAll(name string) error {
	return f.try(func(on vfs.FS) error { return on.RemoveAll(name) })
}

// Rename as of vfs.FS.
func (f *cutFS) Rename(oldname, newname string) error {
	return f.try(func(on vfs.FS) error { return on.Rename(oldname, newname) })
}

// MkdirAll as of vfs.FS.
func (f *cutFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.try(func(on vfs.FS) error { return on.MkdirAll(dir, perm) })
}

// Unwrap as of vfs.FS.
func (f *cutFS) Unwrap() vfs.FS { return f.FS }

// cutFile is a file of a cutFS, or a directory.
type cutFile struct {
	vfs.File

	fs    *cutFS
	name  string
	end   int64    // where Write writes
	local vfs.File // the same file, past the log; nil as long as that isn't needed
}

// Write as of vfs.File.
func (w *cutFile) Write(p []byte) (int, error) {
	if w.fs.failure() == nil {
		n, err := w.File.Write(p)
		if err == nil {
			w.end += int64(n)
			return n, nil
		}
		w.fs.cut(err)
	}
	w.past(p, w.end)
	w.end += int64(len(p))
	return len(p), nil
}

// WriteAt as of vfs.File.
func (w *cutFile) WriteAt(p []byte, offset int64) (int, error) {
	if w.fs.failure() == nil {
		n, err := w.File.WriteAt(p, offset)
		if err == nil {
			return n, nil
		}
		w.fs.cut(err)
	}
	w.past(p, offset)
	return len(p), nil
}

// past the log is where bytes are written.
func (w *cutFile) past(p []byte, offset int64) {
	if w.local == nil {
		w.local = spare(w.fs.beneath.OpenReadWrite(w.name, vfs.WriteCategoryUnspecified))
	}
	_, _ = w.local.WriteAt(p, offset) // in vain, as well
}

// did says that all is well, and keeps in mind if it isn't.
func (w *cutFile) did(do func() error) error {
	if w.fs.failure() == nil {
		if err := do(); err != nil {
			w.fs.cut(err)
		}
	}
	return nil
}

// Sync as of vfs.File.
func (w *cutFile) Sync() error { return w.did(w.File.Sync) }

// SyncData as of vfs.File.
func (w *cutFile) SyncData() error { return w.did(w.File.SyncData) }

// SyncTo as of vfs.File.
func (w *cutFile) SyncTo(length int64) (bool, error) {
	full := false
	err := w.did(func() error {
		var err error
		full, err = w.File.SyncTo(length)
		return err
	})
	return full, err
}

// Preallocate as of vfs.File.
func (w *cutFile) Preallocate(offset, length int64) error {
	return w.did(func() error { return w.File.Preallocate(offset, length) })
}

// Fd as of vfs.File: nobody writes past what is above.
func (*cutFile) Fd() uintptr { return vfs.InvalidFd }

// Close as of vfs.File.
func (w *cutFile) Close() error {
	if w.local != nil {
		_ = w.local.Close()
	}
	if err := w.File.Close(); err != nil {
		w.fs.cut(err)
	}
	return nil
}
