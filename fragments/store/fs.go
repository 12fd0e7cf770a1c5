package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// FS is what file stores ask of a file system. Names are clean, slash-separated
// paths relative to the root; "." is the root. Errors are as those of package os.
type FS interface {
	// Create makes a file that isn't there yet, for writing.
	Create(name string) (File, error)
	// Open opens a file for reading and syncing, or a directory for syncing.
	Open(name string) (File, error)
	// Link gives a file another name, which must not be taken.
	Link(oldname, newname string) error
	// Remove removes a file.
	Remove(name string) error
	// Mkdir makes a directory that isn't there yet, in one that is.
	Mkdir(name string) error
	// Stat describes what a name stands for, after following links within the root.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists a directory, in any order.
	ReadDir(name string) ([]fs.DirEntry, error)
}

// File is an open file or directory.
type File interface {
	io.ReadWriteCloser
	// Sync returns once what was written to the file, or the names of the directory,
	// survive power loss.
	Sync() error
}

// rootFS is the directory of a root. No name leads out of it, be it by links.
type rootFS struct{ root *os.Root }

func openRoot(dir string) (rootFS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return rootFS{}, fmt.Errorf("root of the file stores: %w", err)
	}
	return rootFS{root}, nil
}

func (r rootFS) Create(name string) (File, error) {
	return asFile(r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640))
}

func (r rootFS) Open(name string) (File, error) { return asFile(r.root.Open(name)) }

// asFile keeps a nil *os.File from becoming a File that isn't nil.
func asFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r rootFS) Link(oldname, newname string) error    { return r.root.Link(oldname, newname) }
func (r rootFS) Remove(name string) error              { return r.root.Remove(name) }
func (r rootFS) Mkdir(name string) error               { return r.root.Mkdir(name, 0o750) }
func (r rootFS) Stat(name string) (fs.FileInfo, error) { return r.root.Stat(name) }
func (r rootFS) Close() error                          { return r.root.Close() }

func (r rootFS) ReadDir(name string) ([]fs.DirEntry, error) {
	dir, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	list, err := dir.ReadDir(-1)
	return list, errors.Join(err, dir.Close())
}

// absent tells whether err is that there is no such file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// sentinel adds the sentinel that err is, if it is one.
func sentinel(err error) error {
	switch {
	case absent(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	default:
		return err
	}
}
