package storetest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"broadsheet.dev/broadsheet/fragments/store"
)

// Loss is what of the changes that weren't synced a crash takes.
type Loss int

const (
	// NoLoss is the death of a process: the file system goes on.
	NoLoss Loss = iota
	// LoseAll takes all that wasn't synced.
	LoseAll
	// LoseContent takes content that wasn't synced and keeps names: so that files are
	// empty or cut short.
	LoseContent
	// LoseNames takes names that weren't synced and keeps content.
	LoseNames
)

// Losses are all kinds of loss.
var Losses = []Loss{NoLoss, LoseAll, LoseContent, LoseNames}

// String is the kind of loss in lower case.
func (l Loss) String() string {
	return [...]string{"no-loss", "lose-all", "lose-content", "lose-names"}[l]
}

// ErrCrashed is the error of every operation after a crash.
var ErrCrashed = errors.New("crashed")

// CrashFS is a store.FS in memory. The zero value isn't ready: use NewCrashFS.
type CrashFS struct {
	// Before is asked before each operation, with its text, such as "mkdir a"; if it
	// returns an error the operation fails with it. A write that fails so has written
	// half of its bytes. Nil lets all be. Set it while the file system isn't in use.
	Before func(op string) error

	mu   sync.Mutex
	root *node
}

// node is a file or directory: as seen, and as it was when it was last synced.
type node struct {
	dir           bool
	modTime       time.Time
	data, synced  []byte
	names, stored map[string]*node
}

func newDir() *node {
	return &node{dir: true, names: make(map[string]*node), stored: make(map[string]*node)}
}

// NewCrashFS returns an empty file system.
func NewCrashFS() *CrashFS { return &CrashFS{root: newDir()} }

// Crash returns the file system that is there after a crash with that loss.
func (c *CrashFS) Crash(loss Loss) *CrashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &CrashFS{root: c.root.crash(loss, make(map[*node]*node))}
}

// crash copies what survives. A file that has two names is copied once.
func (n *node) crash(loss Loss, done map[*node]*node) *node {
	if copied, ok := done[n]; ok {
		return copied
	}
	out := &node{dir: n.dir, modTime: n.modTime}
	done[n] = out
	if loss == NoLoss {
		// The page cache goes on: what wasn't synced still isn't.
		out.data, out.synced = slices.Clone(n.data), slices.Clone(n.synced)
		out.names, out.stored = copyNames(n.names, loss, done), copyNames(n.stored, loss, done)
		return out
	}
	data, names := n.synced, n.stored
	if loss == LoseNames {
		data = n.data
	}
	if loss == LoseContent {
		names = n.names
	}
	out.data, out.synced = slices.Clone(data), slices.Clone(data)
	out.names, out.stored = copyNames(names, loss, done), copyNames(names, loss, done)
	return out
}

func copyNames(names map[string]*node, loss Loss, done map[*node]*node) map[string]*node {
	out := make(map[string]*node, len(names))
	for name, n := range names {
		out[name] = n.crash(loss, done)
	}
	return out
}

// Files are the names of all files, partial ones too, in order.
func (c *CrashFS) Files() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	c.root.files("", &out)
	slices.Sort(out)
	return out
}

func (n *node) files(prefix string, out *[]string) {
	for name, child := range n.names {
		if child.dir {
			child.files(path.Join(prefix, name), out)
		} else {
			*out = append(*out, path.Join(prefix, name))
		}
	}
}

// start begins an operation: it is let be, or fails as Before says.
func (c *CrashFS) start(format string, args ...any) error {
	if c.Before == nil {
		return nil
	}
	return c.Before(fmt.Sprintf(format, args...))
}

// find is the node of a name. The caller holds mu.
func (c *CrashFS) find(name string) (*node, error) {
	at := c.root
	for elem := range strings.SplitSeq(name, "/") {
		if elem == "." {
			continue
		}
		if !at.dir {
			return nil, syscall.ENOTDIR
		}
		next, ok := at.names[elem]
		if !ok {
			return nil, fs.ErrNotExist
		}
		at = next
	}
	return at, nil
}

// parent is the directory of a name, and its base. The caller holds mu.
func (c *CrashFS) parent(name string) (*node, string, error) {
	dir, err := c.find(path.Dir(name))
	if err == nil && !dir.dir {
		err = syscall.ENOTDIR
	}
	return dir, path.Base(name), err
}

// add gives a node a name that isn't taken.
func (c *CrashFS) add(name string, n *node) error {
	dir, base, err := c.parent(name)
	if err != nil {
		return err
	}
	if dir.names[base] != nil {
		return fs.ErrExist
	}
	dir.names[base] = n
	return nil
}

// Create implements store.FS.
func (c *CrashFS) Create(name string) (store.File, error) {
	if err := c.start("create %s", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &node{modTime: time.Now()}
	if err := c.add(name, n); err != nil {
		return nil, err
	}
	return &file{fs: c, name: name, node: n}, nil
}

// Open implements store.FS.
func (c *CrashFS) Open(name string) (store.File, error) {
	if err := c.start("open %s", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return &file{fs: c, name: name, node: n}, nil
}

// Link implements store.FS.
func (c *CrashFS) Link(oldname, newname string) error {
	if err := c.start("link %s %s", oldname, newname); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(oldname)
	if err != nil {
		return err
	}
	return c.add(newname, n)
}

// Remove implements store.FS.
func (c *CrashFS) Remove(name string) error {
	if err := c.start("remove %s", name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, base, err := c.parent(name)
	if err != nil {
		return err
	}
	n := dir.names[base]
	if n == nil {
		return fs.ErrNotExist
	}
	if len(n.names) > 0 {
		return syscall.ENOTEMPTY
	}
	delete(dir.names, base)
	return nil
}

// Mkdir implements store.FS.
func (c *CrashFS) Mkdir(name string) error {
	if err := c.start("mkdir %s", name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(name, newDir())
}

// Stat implements store.FS.
func (c *CrashFS) Stat(name string) (fs.FileInfo, error) {
	if err := c.start("stat %s", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(name)
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(name)), nil
}

// ReadDir implements store.FS.
func (c *CrashFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := c.start("readdir %s", name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.find(name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, syscall.ENOTDIR
	}
	out := make([]fs.DirEntry, 0, len(n.names))
	for base, child := range n.names {
		out = append(out, fs.FileInfoToDirEntry(child.info(base)))
	}
	return out, nil
}

// file is an open node. Its position is that of reads; writes append.
type file struct {
	fs   *CrashFS
	name string
	node *node
	at   int
}

func (f *file) Read(p []byte) (int, error) {
	if err := f.fs.start("read %s", f.name); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.at == len(f.node.data) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[f.at:])
	f.at += n
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	err := f.fs.start("write %s %d", f.name, len(p))
	if err != nil {
		p = p[:len(p)/2]
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.data = append(f.node.data, p...)
	f.node.modTime = time.Now()
	return len(p), err
}

func (f *file) Sync() error {
	if err := f.fs.start("sync %s", f.name); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.synced, f.node.stored = slices.Clone(f.node.data), maps.Clone(f.node.names)
	return nil
}

func (f *file) Close() error { return f.fs.start("close %s", f.name) }

// info describes a node by the name under which it was found.
func (n *node) info(base string) fs.FileInfo {
	mode := fs.FileMode(0o640)
	if n.dir {
		mode = fs.ModeDir | 0o750
	}
	return info{name: base, size: int64(len(n.data)), mode: mode, modTime: n.modTime}
}

type info struct {
	name    string
	size    int64
	mode    fs.FileMode
	modTime time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modTime }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
