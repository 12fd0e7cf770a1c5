package brokertest

import (
	"errors"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errKilled is what a killed broker's file operations return.
var errKilled = errors.New("killed")

// gate is a file system that takes no more changes once it is dead. What was written
// before is all there: that is what a process leaves when it is killed.
type gate struct {
	vfs.FS
	dead atomic.Bool
}

func (g *gate) check() error {
	if g.dead.Load() {
		return errKilled
	}
	return nil
}

// opened wraps a file that may be written.
func (g *gate) opened(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if t, ok := f.(truncater); ok {
		return &gateFileCut{gateFile{f, g}, t}, nil
	}
	return &gateFile{f, g}, nil
}

// truncater is a file that can be cut. Not every file system has those.
type truncater interface{ Truncate(size int64) error }

// Create as of vfs.FS.
func (g *gate) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.opened(g.FS.Create(name, category))
}

// Link as of vfs.FS.
func (g *gate) Link(oldname, newname string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Link(oldname, newname)
}

// OpenReadWrite as of vfs.FS.
func (g *gate) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.opened(g.FS.OpenReadWrite(name, category, opts...))
}

// Remove as of vfs.FS.
func (g *gate) Remove(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

// RemoveAll as of vfs.FS.
func (g *gate) RemoveAll(name string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.RemoveAll(name)
}

// Rename as of vfs.FS.
func (g *gate) Rename(oldname, newname string) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.FS.Rename(oldname, newname)
}

// ReuseForWrite as of vfs.FS.
func (g *gate) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.opened(g.FS.ReuseForWrite(oldname, newname, category))
}

// gateFile is a file of a gate.
type gateFile struct {
	vfs.File
	gate *gate
}

// Write as of vfs.File.
func (f *gateFile) Write(p []byte) (int, error) {
	if err := f.gate.check(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// WriteAt as of vfs.File.
func (f *gateFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.gate.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Sync as of vfs.File.
func (f *gateFile) Sync() error {
	if err := f.gate.check(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData as of vfs.File.
func (f *gateFile) SyncData() error {
	if err := f.gate.check(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo as of vfs.File.
func (f *gateFile) SyncTo(length int64) (bool, error) {
	if err := f.gate.check(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

// gateFileCut is a file of a gate that can be cut.
type gateFileCut struct {
	gateFile
	file truncater
}

// Truncate the file.
func (f *gateFileCut) Truncate(size int64) error {
	if err := f.gate.check(); err != nil {
		return err
	}
	return f.file.Truncate(size)
}
