package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// fileStore holds objects as files below the root of file stores, under their keys.
type fileStore struct{ creator *creator }

// Put creates the file by way of a partial one beside it; see creator.
func (s fileStore) Put(ctx context.Context, key string, body io.Reader, size int64, encoding Encoding) error {
	if encoding != Plain {
		return fmt.Errorf("%w: encoding %s", ErrEncoding, encoding)
	}
	err := s.creator.create(ctx, key, body, size)
	if absent(err) {
		return err // A missing directory is no object that wasn't found.
	}
	return sentinel(err)
}

// Get opens the file.
func (s fileStore) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if _, err := s.Stat(ctx, key); err != nil {
		return nil, err
	}
	f, err := s.creator.fs.Open(key)
	if err != nil {
		return nil, sentinel(err)
	}
	return f, nil
}

// Stat describes the file.
func (s fileStore) Stat(ctx context.Context, key string) (Object, error) {
	if ctx.Err() != nil {
		return Object{}, context.Cause(ctx)
	}
	info, err := s.creator.fs.Stat(key)
	if err != nil {
		return Object{}, sentinel(err)
	}
	if !info.Mode().IsRegular() {
		return Object{}, fmt.Errorf("%w: %w", ErrNotFound, errNotFile)
	}
	return Object{Path: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Remove removes the file. Its directory stays, as others may be about to use it.
func (s fileStore) Remove(ctx context.Context, key string) error {
	if _, err := s.Stat(ctx, key); err != nil {
		return err
	}
	return sentinel(s.creator.fs.Remove(key))
}

// SignGet is the file's URL, its path taken from the root of file stores. It needs
// no signature, nor does it expire.
func (s fileStore) SignGet(key string, _ time.Duration) (string, error) {
	return "file://" + (&url.URL{Path: "/" + key}).EscapedPath(), nil
}

// List walks the directories that prefix can lead to.
func (s fileStore) List(ctx context.Context, prefix string, fn func(Object) error) error {
	dir, _ := path.Split(prefix)
	return walk(ctx, s.creator.fs, path.Clean(dir), func(key string, info fs.FileInfo) error {
		if !strings.HasPrefix(key, prefix) || strings.HasPrefix(path.Base(key), partialPrefix) {
			return nil
		}
		return fn(Object{Path: key, Size: info.Size(), ModTime: info.ModTime()})
	})
}

// walk calls fn for each regular file below dir, in the order of their names' bytes.
// Links are not followed. What vanishes meanwhile is left out; but a file in the place of a directory is an
// error, as what should be below it isn't known.
func walk(ctx context.Context, fsys FS, dir string, fn func(name string, info fs.FileInfo) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := fsys.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return err
	case err != nil:
		return sentinel(err)
	}
	// The names below "a/" come after the name "a-", though "a" comes before it.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			err = walk(ctx, fsys, name, fn)
		case e.Type().IsRegular():
			var info fs.FileInfo
			if info, err = e.Info(); errors.Is(err, fs.ErrNotExist) {
				err = nil
				continue
			}
			if err == nil {
				err = fn(name, info)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
