package objectcache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is what a cache asks of a file system, for tests to let it fail. Names are those of files in its directory.
type FS interface {
	// Create makes a file that isn't there yet and that nobody may write to, but who has made it.
	Create(name string) (io.WriteCloser, error)
	Open(name string) (io.ReadCloser, error)
	Rename(from, to string) error
	Remove(name string) error
	Stat(name string) (fs.FileInfo, error)
	List() ([]fs.DirEntry, error)
}

// directory is the FS of a directory.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) Create(name string) (io.WriteCloser, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o440)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d directory) Open(name string) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d directory) Rename(from, to string) error          { return os.Rename(d.path(from), d.path(to)) }
func (d directory) Remove(name string) error              { return os.Remove(d.path(name)) }
func (d directory) Stat(name string) (fs.FileInfo, error) { return os.Lstat(d.path(name)) }
func (d directory) List() ([]fs.DirEntry, error)          { return os.ReadDir(string(d)) }

// errInUse is that another cache has the directory.
var errInUse = errors.New("another process uses it")

// take makes a directory if it isn't there, and keeps other processes out of it until what is returned is closed.
func take(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock: %w", err), lock.Close())
	}
	return lock, nil
}

// stamp is what changes with a file.
type stamp struct{ info fs.FileInfo }

func (s *stamp) same(now fs.FileInfo) bool {
	return s != nil && now.Mode().IsRegular() && os.SameFile(s.info, now) &&
		s.info.Size() == now.Size() && s.info.ModTime().Equal(now.ModTime()) && s.info.Mode() == now.Mode()
}
