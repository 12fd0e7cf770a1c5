package spool

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// category of all writes; the file system may count by it.
const category = vfs.WriteCategoryUnspecified

// truncater is a file that can be cut, as those of the operating system can. Others
// are overwritten with zeros where that matters.
type truncater interface{ Truncate(size int64) error }

// clearFrom makes a file hold nothing but zeros from a position on, or end there.
func clearFrom(f vfs.File, position int64) error {
	if t, ok := f.(truncater); ok {
		return t.Truncate(position)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, min(max(info.Size()-position, 0), 1<<16))
	for at := position; at < info.Size(); {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), info.Size()-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// syncDir makes the entries of a directory durable.
func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// writeWhole makes a file appear with its content, durably, or not at all. The
// directory's entry of it is durable only once the directory is synced.
func writeWhole(fs vfs.FS, name string, content []byte) error {
	f, err := fs.Create(name+newSuffix, category)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), fs.Remove(name+newSuffix))
	}
	if err := fs.Rename(name+newSuffix, name); err != nil {
		return fmt.Errorf("rename %s: %w", name+newSuffix, err)
	}
	return nil
}
