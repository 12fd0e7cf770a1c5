package storetest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrKilled is what every operation of a Log fails with from the one on that it was told.
var ErrKilled = errors.New("killed by the test")

// operation on files.
type operation func(*player) error

// Log has each operation that changes files, whole, in the order in which they were done.
type Log struct {
	mu    sync.Mutex
	ops   []operation
	files int // that were opened to be written
	limit int // of what is done, syncs too; 0 is none
	done  int
}

// Len is how many operations it has.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ops)
}

// Done is how many operations were done, with those that change nothing, but may fail.
func (l *Log) Done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// FailAfter a number of operations: all others fail.
func (l *Log) FailAfter(n int) { l.limit = n }

// Play the first operations to an empty disk.
func (l *Log) Play(n int) (*vfs.MemFS, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &player{fs: vfs.NewMem(), files: make(map[int]vfs.File)}
	for _, op := range l.ops[:n] {
		if err := op(p); err != nil {
			return nil, err
		}
	}
	for _, f := range p.files {
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return p.fs, nil
}

// FS is a file system whose operations are in the log. What it is made from is what the log has, played.
func (l *Log) FS(base *vfs.MemFS) vfs.FS { return &logFS{FS: base, log: l} }

type player struct {
	fs    *vfs.MemFS
	files map[int]vfs.File
}

// open a file anew, that is then known by a number.
func (p *player) open(id int, name string) error {
	f, err := p.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	p.files[id] = f
	return err
}

// do an operation, and write it down if it succeeds. A nil one changes no file.
func (l *Log) do(act func() error, op operation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit != 0 && l.done >= l.limit {
		return ErrKilled
	}
	l.done++
	if err := act(); err != nil {
		return err
	}
	if op != nil {
		l.ops = append(l.ops, op)
	}
	return nil
}

type logFS struct {
	vfs.FS

	log *Log
}

func (f *logFS) opened(name string, act func() (vfs.File, error), op func(id int) operation) (vfs.File, error) {
	f.log.mu.Lock()
	f.log.files++
	id := f.log.files
	f.log.mu.Unlock()
	out := &logFile{log: f.log, id: id}
	err := f.log.do(func() error {
		var err error
		out.File, err = act()
		return err
	}, op(id))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return out, nil
}

func (f *logFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.opened(name, func() (vfs.File, error) { return f.FS.Create(name, category) }, func(id int) operation {
		return func(p *player) error {
			made, err := p.fs.Create(name, category)
			if err != nil {
				return err
			}
			return errors.Join(made.Close(), p.open(id, name))
		}
	})
}

func (f *logFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.opened(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) }, func(id int) operation {
		return func(p *player) error { return p.open(id, name) }
	})
}

func (f *logFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Remove(oldname); err != nil {
		return nil, err
	}
	return f.Create(newname, category)
}

func (f *logFS) OpenDir(name string) (vfs.File, error) {
	return f.opened(name, func() (vfs.File, error) { return f.FS.OpenDir(name) }, func(int) operation { return nil })
}

func (f *logFS) Link(oldname, newname string) error {
	return f.log.do(func() error { return f.FS.Link(oldname, newname) }, func(p *player) error { return p.fs.Link(oldname, newname) })
}

func (f *logFS) Remove(name string) error {
	return f.log.do(func() error { return f.FS.Remove(name) }, func(p *player) error { return p.fs.Remove(name) })
}

func (f *logFS) RemoveAll(name string) error {
	return f.log.do(func() error { return f.FS.RemoveAll(name) }, func(p *player) error { return p.fs.RemoveAll(name) })
}

func (f *logFS) Rename(oldname, newname string) error {
	return f.log.do(func() error { return f.FS.Rename(oldname, newname) }, func(p *player) error { return p.fs.Rename(oldname, newname) })
}

func (f *logFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.log.do(func() error { return f.FS.MkdirAll(dir, perm) }, func(p *player) error { return p.fs.MkdirAll(dir, perm) })
}

func (f *logFS) Unwrap() vfs.FS { return f.FS }

// logFile is a file that may be written, or a directory.
type logFile struct {
	vfs.File

	log *Log
	id  int
	end int64
}

func (w *logFile) Write(p []byte) (int, error) {
	content, offset := bytes.Clone(p), w.end
	err := w.log.do(func() error {
		n, err := w.File.Write(p)
		w.end += int64(n)
		return err
	}, w.wrote(content, offset))
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *logFile) WriteAt(p []byte, offset int64) (int, error) {
	content := bytes.Clone(p)
	err := w.log.do(func() error {
		_, err := w.File.WriteAt(p, offset)
		return err
	}, w.wrote(content, offset))
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *logFile) wrote(content []byte, offset int64) operation {
	return func(p *player) error {
		_, err := p.files[w.id].WriteAt(bytes.Clone(content), offset)
		return err
	}
}

func (w *logFile) Sync() error { return w.log.do(func() error { return nil }, nil) }

func (w *logFile) SyncData() error { return w.Sync() }

func (*logFile) SyncTo(int64) (bool, error) { return false, nil }

func (*logFile) Preallocate(int64, int64) error { return nil }
