package spool_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// op is a file-system operation that is about to happen.
type op struct {
	kind string // create, open, write, read, sync, remove, rename, mkdir, list, stat
	name string // base name of the file
	size int    // of a write
}

func (o op) String() string { return o.kind + " " + o.name }

// changes tells whether the operation changes what is on disk.
func (o op) changes() bool {
	switch o.kind {
	case "read", "open", "list", "stat", "close":
		return false
	default:
		return true
	}
}

// hookFS lets a test look at every operation of a file system before it happens, and
// fail it. A failed write writes what the hook says first.
type hookFS struct {
	vfs.FS
	mem *vfs.MemFS

	mu   sync.Mutex
	hook func(op) error
	// torn is how many bytes a write that the hook fails writes nevertheless.
	torn int
	// lying makes every Sync do nothing and report success.
	lying bool
	files map[*hookFile]bool // that are open
}

func newHookFS(mem *vfs.MemFS) *hookFS {
	return &hookFS{FS: mem, mem: mem, files: map[*hookFile]bool{}}
}

// crash is the file system after a power loss, with each unsynced block and directory
// entry kept by a chance of percent.
func (f *hookFS) crash(percent int, rng *rand.Rand) *vfs.MemFS {
	return f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

// newRand gives the same numbers for the same seed.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// setHook replaces the hook.
func (f *hookFS) setHook(hook func(op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// run the hook; not under the lock, as it may use the file system itself, or wait.
func (f *hookFS) run(kind, name string, size int) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op{kind, name[strings.LastIndexByte(name, '/')+1:], size})
}

func (f *hookFS) opened(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	h := &hookFile{File: file, fs: f, name: name}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[h] = true
	return h, nil
}

func (f *hookFS) openFiles() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.files)
}

func (f *hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.run("create", name, 0); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.opened(name, file, err)
}

func (f *hookFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.run("open", name, 0); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, opts...)
	return f.opened(name, file, err)
}

func (f *hookFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.run("create", name, 0); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.opened(name, file, err)
}

func (f *hookFS) OpenDir(name string) (vfs.File, error) {
	if err := f.run("open", name, 0); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenDir(name)
	return f.opened(name, file, err)
}

func (f *hookFS) Remove(name string) error {
	if err := f.run("remove", name, 0); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *hookFS) RemoveAll(name string) error {
	if err := f.run("remove", name, 0); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *hookFS) Rename(from, to string) error {
	if err := f.run("rename", to, 0); err != nil {
		return err
	}
	f.mu.Lock()
	for h := range f.files {
		if h.name == from {
			h.name = to
		}
	}
	f.mu.Unlock()
	return f.FS.Rename(from, to)
}

func (f *hookFS) MkdirAll(name string, mode os.FileMode) error {
	if err := f.run("mkdir", name, 0); err != nil {
		return err
	}
	return f.FS.MkdirAll(name, mode)
}

func (f *hookFS) List(name string) ([]string, error) {
	if err := f.run("list", name, 0); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

func (f *hookFS) Stat(name string) (vfs.FileInfo, error) {
	if err := f.run("stat", name, 0); err != nil {
		return nil, err
	}
	return f.FS.Stat(name)
}

// hookFile is a file of a hookFS.
type hookFile struct {
	vfs.File
	fs   *hookFS
	name string
}

// run the hook for an operation on the file, by the name that it has now.
func (f *hookFile) run(kind string, size int) error {
	f.fs.mu.Lock()
	name := f.name
	f.fs.mu.Unlock()
	return f.fs.run(kind, name, size)
}

func (f *hookFile) Close() error {
	f.fs.mu.Lock()
	delete(f.fs.files, f)
	f.fs.mu.Unlock()
	err := f.run("close", 0)
	if e := f.File.Close(); err == nil {
		err = e
	}
	return err
}

func (f *hookFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.run("write", len(p)); err != nil {
		n, _ := f.File.WriteAt(p[:min(len(p), f.fs.torn)], at)
		return n, err
	}
	return f.File.WriteAt(p, at)
}

func (f *hookFile) Write(p []byte) (int, error) {
	if err := f.run("write", len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *hookFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.run("read", 0); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

func (f *hookFile) Stat() (vfs.FileInfo, error) {
	if err := f.run("stat", 0); err != nil {
		return nil, err
	}
	return f.File.Stat()
}

func (f *hookFile) Sync() error {
	if err := f.run("sync", 0); err != nil {
		return err
	}
	if f.fs.lying {
		return nil
	}
	return f.File.Sync()
}

func (f *hookFile) SyncData() error { return f.Sync() }
