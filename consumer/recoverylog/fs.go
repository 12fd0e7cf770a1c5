package recoverylog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrNotRecordable is of what a file system is asked for and a log has no operation for.
var ErrNotRecordable = errors.New("can't be recorded")

func notRecordable(what, name, why string) error {
	return &fs.PathError{Op: what, Path: name, Err: fmt.Errorf("%w: %s", ErrNotRecordable, why)}
}

// FS returns the file system base, in which all that is done to files below the recorder's directory is recorded. Whatever changes
// files elsewhere, or in a way that can't be recorded, is refused. Locks are outside the log.
//
// Files aren't synced to base, which is a copy of what is in the log: Sync waits until all that was recorded before is there. The
// log has all in the order in which it was done, so that files are never played with a later change and
// without an earlier one, synced or not.
func FS(r *Recorder, base vfs.FS) vfs.FS {
	return &recordedFS{FS: base, recorder: r, dir: path.Clean(r.dir), locked: make(map[string]bool), inlined: make(map[int64]bool)}
}

// recordedFS records what changes files. What it doesn't override changes none.
type recordedFS struct {
	vfs.FS

	recorder *Recorder
	dir      string

	// Under the recorder's mutex:
	locked  map[string]bool // paths of locks
	inlined map[int64]bool  // files that became properties, and may still be open
}

// within returns the path of a file below the store's directory.
func (f *recordedFS) within(what, name string) (string, error) {
	rest, ok := strings.CutPrefix(path.Clean(name), strings.TrimSuffix(f.dir, "/")+"/")
	if !ok {
		return "", notRecordable(what, name, "it isn't below "+f.dir)
	}
	if err := validatePath("/" + rest); err != nil {
		return "", notRecordable(what, name, err.Error())
	}
	return "/" + rest, nil
}

// begin takes the recorder, if it hasn't failed, for a change of the file of a name. Whoever has it does end.
func (f *recordedFS) begin(what, name string) (string, error) {
	at, err := f.within(what, name)
	if err != nil {
		return "", err
	}
	f.recorder.mu.Lock()
	if err = f.recorder.failure; err != nil {
		f.recorder.mu.Unlock()
		return "", &fs.PathError{Op: what, Path: name, Err: err}
	}
	if f.locked[at] {
		f.recorder.mu.Unlock()
		return "", notRecordable(what, name, "it is a lock")
	}
	return at, nil
}

func (f *recordedFS) end() { f.recorder.mu.Unlock() }

// Create as of vfs.FS.
func (f *recordedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	at, err := f.begin("create", name)
	if err != nil {
		return nil, err
	}
	defer f.end()
	return f.create(at, name, category)
}

// create a file, over one that there may be.
func (f *recordedFS) create(at, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if at == identity {
		return nil, notRecordable("create", name, "it is a property: create another file and rename it")
	}
	file, err := f.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	var changes []change
	if old, ok := f.recorder.fsm.Fnode(at); ok {
		changes = append(changes, unlinkOp(old, at))
	}
	if err = f.recorder.record(append(changes, createOp(at))...); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "create", Path: name, Err: err}, file.Close())
	}
	fnode, _ := f.recorder.fsm.Fnode(at)
	return &recordedFile{File: file, fs: f, name: name, fnode: fnode}, nil
}

// OpenReadWrite as of vfs.FS.
func (f *recordedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	at, err := f.begin("open", name)
	if err != nil {
		return nil, err
	}
	defer f.end()
	fnode, ok := f.recorder.fsm.Fnode(at)
	if !ok {
		if _, err = f.Stat(name); err == nil {
			return nil, notRecordable("open", name, "it is there and wasn't recorded")
		}
		if at == identity {
			return nil, notRecordable("open", name, "it is a property: create another file and rename it")
		}
	}
	file, err := f.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		return nil, err
	}
	if !ok {
		if err = f.recorder.record(createOp(at)); err != nil {
			return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: err}, file.Close())
		}
		fnode, _ = f.recorder.fsm.Fnode(at)
	}
	return &recordedFile{File: file, fs: f, name: name, fnode: fnode, anywhere: true}, nil
}

// OpenDir as of vfs.FS.
func (f *recordedFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &recordedFile{File: file, fs: f, name: name, isDir: true}, nil
}

// Link as of vfs.FS.
func (f *recordedFS) Link(oldname, newname string) error {
	from, err := f.within("link", oldname)
	if err != nil {
		return err
	}
	at, err := f.begin("link", newname)
	if err != nil {
		return err
	}
	defer f.end()
	fnode, ok := f.recorder.fsm.Fnode(from)
	if !ok {
		return f.untracked("link", oldname)
	}
	if at == identity {
		return notRecordable("link", newname, "it is a property: rename a file to it")
	}
	if err = f.FS.Link(oldname, newname); err != nil {
		return err
	}
	return f.done("link", newname, f.recorder.record(linkOp(fnode, at)))
}

// untracked is why a file can't be used that the log doesn't have.
func (f *recordedFS) untracked(what, name string) error {
	if _, err := f.Stat(name); err != nil {
		return err
	}
	return notRecordable(what, name, "it isn't a file that was recorded")
}

func (f *recordedFS) done(what, name string, err error) error {
	if err != nil {
		return &fs.PathError{Op: what, Path: name, Err: err}
	}
	return nil
}

// Remove as of vfs.FS.
func (f *recordedFS) Remove(name string) error {
	at, err := f.begin("remove", name)
	if err != nil {
		return err
	}
	defer f.end()
	if _, ok := f.recorder.fsm.properties[at]; ok {
		return notRecordable("remove", name, "it is a property")
	}
	if err = f.FS.Remove(name); err != nil {
		return err
	}
	if fnode, ok := f.recorder.fsm.Fnode(at); ok {
		return f.done("remove", name, f.recorder.record(unlinkOp(fnode, at)))
	}
	return nil // a directory, or what a lock left
}

// RemoveAll as of vfs.FS.
func (f *recordedFS) RemoveAll(name string) error {
	at, err := f.begin("remove", name)
	if err != nil {
		return err
	}
	defer f.end()
	below := func(p string) bool { return p == at || strings.HasPrefix(p, at+"/") }
	for p := range f.recorder.fsm.properties {
		if below(p) {
			return notRecordable("remove", name, p+" is a property")
		}
	}
	var changes []change
	for p, fnode := range f.recorder.fsm.links {
		if below(p) {
			changes = append(changes, unlinkOp(fnode, p))
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return strings.Compare(a.op.GetUnlink().GetPath(), b.op.GetUnlink().GetPath()) })
	for _, c := range changes {
		if err = f.FS.Remove(f.dir + c.op.GetUnlink().GetPath()); err != nil {
			return err
		}
		if err = f.recorder.record(c); err != nil {
			return f.done("remove", name, err)
		}
	}
	return f.FS.RemoveAll(name) // directories
}

// Rename as of vfs.FS.
func (f *recordedFS) Rename(oldname, newname string) error {
	from, err := f.within("rename", oldname)
	if err != nil {
		return err
	}
	at, err := f.begin("rename", newname)
	if err != nil {
		return err
	}
	defer f.end()
	fnode, ok := f.recorder.fsm.Fnode(from)
	switch {
	case !ok:
		return f.untracked("rename", oldname)
	case from == at:
		return nil
	case at == identity:
		return f.renameToProperty(fnode, from, oldname, newname)
	}
	var changes []change
	replaced, over := f.recorder.fsm.Fnode(at)
	if over && replaced == fnode {
		return nil // two links of one file: rename(2) does nothing
	}
	if over {
		changes = append(changes, unlinkOp(replaced, at))
	}
	if err = f.FS.Rename(oldname, newname); err != nil {
		return err
	}
	return f.done("rename", newname, f.recorder.record(append(changes, linkOp(fnode, at), unlinkOp(fnode, from))...))
}

// renameToProperty records a file's whole content. It can have no other link, by which it would be written later on.
func (f *recordedFS) renameToProperty(fnode int64, from, oldname, newname string) error {
	if len(f.recorder.fsm.nodes[fnode].links) != 1 {
		return notRecordable("rename", newname, "it is a property, and the file has other links")
	}
	info, err := f.Stat(oldname)
	if err != nil {
		return err
	}
	if info.Size() > maxFrame/2 {
		return notRecordable("rename", newname, fmt.Sprintf("it is a property, of %d bytes", info.Size()))
	}
	file, err := f.Open(oldname)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if !utf8.Valid(content) {
		return notRecordable("rename", newname, "it is a property, and its content isn't text")
	}
	if err = f.FS.Rename(oldname, newname); err != nil {
		return err
	}
	f.inlined[fnode] = true
	return f.done("rename", newname, f.recorder.record(propertyOp(identity, string(content)), unlinkOp(fnode, from)))
}

// ReuseForWrite as of vfs.FS: nothing is reused, as a log can't say that a file is written over from its begin.
func (f *recordedFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Remove(oldname); err != nil {
		return nil, err
	}
	return f.Create(newname, category)
}

// MkdirAll as of vfs.FS. Directories are made again as files need them.
func (f *recordedFS) MkdirAll(dir string, perm os.FileMode) error { return f.FS.MkdirAll(dir, perm) }

// Lock as of vfs.FS. It is of the machine that the files are on, and not recorded.
func (f *recordedFS) Lock(name string) (io.Closer, error) {
	at, err := f.within("lock", name)
	if err != nil {
		return nil, err
	}
	f.recorder.mu.Lock()
	defer f.end()
	if _, ok := f.recorder.fsm.Fnode(at); ok {
		return nil, notRecordable("lock", name, "it is a file that was recorded")
	}
	f.locked[at] = true
	return f.FS.Lock(name)
}

// Unwrap as of vfs.FS.
func (f *recordedFS) Unwrap() vfs.FS { return f.FS }

// recordedFile is a file that may be written, or a directory.
type recordedFile struct {
	vfs.File

	fs       *recordedFS
	name     string
	fnode    int64
	isDir    bool
	anywhere bool  // it may be written at any offset
	end      int64 // where Write writes
}

// Write as of vfs.File.
func (w *recordedFile) Write(p []byte) (int, error) {
	if w.anywhere {
		n, err := w.WriteAt(p, w.end)
		w.end += int64(n)
		return n, err
	}
	n, err := w.write(p, w.end, w.File.Write)
	w.end += int64(n)
	return n, err
}

// WriteAt as of vfs.File.
func (w *recordedFile) WriteAt(p []byte, offset int64) (int, error) {
	if !w.anywhere {
		return 0, notRecordable("write at an offset of", w.name, "it wasn't opened by OpenReadWrite")
	}
	return w.write(p, offset, func(p []byte) (int, error) { return w.File.WriteAt(p, offset) })
}

// write and record. What was written of it is recorded, even if that fails.
func (w *recordedFile) write(p []byte, offset int64, do func([]byte) (int, error)) (int, error) {
	r := w.fs.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.isDir {
		return 0, notRecordable("write", w.name, "it is a directory")
	}
	if w.fs.inlined[w.fnode] {
		return 0, notRecordable("write", w.name, "it became a property")
	}
	if r.failure != nil {
		return 0, &fs.PathError{Op: "write", Path: w.name, Err: r.failure}
	}
	r.scratch = append(r.scratch[:0], p...) // a file may change what it is given
	n, err := do(r.scratch)
	if cap(r.scratch) > maxWrite {
		r.scratch = nil
	}
	if failed := r.recordWrite(w.fnode, offset, p[:n]); failed != nil {
		return n, &fs.PathError{Op: "write", Path: w.name, Err: failed}
	}
	return n, err
}

// Read as of vfs.File. A file that is being written has one position, behind what was written last: who reads it says where.
func (w *recordedFile) Read([]byte) (int, error) {
	return 0, notRecordable("read", w.name, "it is open to be written: use ReadAt")
}

// Sync as of vfs.File.
func (w *recordedFile) Sync() error {
	r := w.fs.recorder
	return w.fs.done("sync", w.name, r.wait(r.ctx, r.Barrier()))
}

// SyncData as of vfs.File.
func (w *recordedFile) SyncData() error { return w.Sync() }

// SyncTo as of vfs.File: it is under way already.
func (*recordedFile) SyncTo(int64) (bool, error) { return false, nil }

// Preallocate as of vfs.File: what isn't written isn't in the log.
func (*recordedFile) Preallocate(int64, int64) error { return nil }

// Fd as of vfs.File: nobody writes past the recorder.
func (*recordedFile) Fd() uintptr { return vfs.InvalidFd }
