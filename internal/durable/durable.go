// Package durable writes small files that a power loss doesn't tear.
//
// # What
//
// WriteFile and Remove, for the notes that a data directory has about itself.
//
// # Invariants
//
//   - Whenever the machine stops, a file has its old content or its new one.
//   - Once a call has returned without an error, its change outlives a power loss.
//
// # Goroutines
//
// None.
//
// # Testing
//
// A file system in memory that loses what wasn't synced is stopped at every step.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Suffix is that of a file that isn't whole yet. One that a crash leaves is written over.
const Suffix = ".next"

// WriteFile replaces a file by a whole new one, or leaves it as it was. Only its owner may read it.
func WriteFile(path string, content []byte) error { return write(disk{}, path, content) }

// Remove a file, which may be gone already.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(disk{}, path)
}

// files is what is asked of a file system.
type files interface {
	// create a file, or empty one that is there.
	create(path string) (file, error)
	rename(from, to string) error
	// openDir opens a directory to be synced.
	openDir(path string) (file, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

func write(on files, path string, content []byte) error {
	f, err := on.create(path + Suffix)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := on.rename(path+Suffix, path); err != nil {
		return err
	}
	return syncDir(on, path)
}

// syncDir makes durable what the directory of a file says of it.
func syncDir(on files, path string) error {
	d, err := on.openDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// disk is the file system of the machine.
type disk struct{}

func (disk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

func (disk) rename(from, to string) error { return os.Rename(from, to) }

func (disk) openDir(path string) (file, error) { return os.Open(path) }
