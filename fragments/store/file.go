package store

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// fileStore is a directory below the root of file stores. Its objects are files.
type fileStore struct {
	location
	creator *creator
	fs      FS
}

// key is the name of the file of the object at p.
func (s *fileStore) key(p string) (string, error) {
	if err := validatePath(p); err != nil {
		return "", err
	}
	key := s.prefix + s.apply(p)
	if err := validatePath(key); err != nil {
		return "", fmt.Errorf("rewritten: %w", err)
	}
	return key, nil
}

// Put creates the file by way of a partial one beside it; see creator.
func (s *fileStore) Put(ctx context.Context, p string, body io.Reader, size int64) error {
	key, err := s.key(p)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("size of the body is %d bytes, less than 0", size)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = s.creator.create(ctx, key, body, size); absent(err) {
		return err // A missing directory is no object that wasn't found.
	}
	return sentinel(err)
}

// Get opens the file.
func (s *fileStore) Get(ctx context.Context, p string) (io.ReadCloser, error) {
	key, _, err := s.stat(ctx, p)
	if err != nil {
		return nil, err
	}
	f, err := s.fs.Open(key)
	if err != nil {
		return nil, sentinel(err)
	}
	return f, nil
}

// Stat describes the file.
func (s *fileStore) Stat(ctx context.Context, p string) (Object, error) {
	_, info, err := s.stat(ctx, p)
	if err != nil {
		return Object{}, err
	}
	return Object{Path: p, Size: info.Size(), ModTime: info.ModTime()}, nil
}

func (s *fileStore) stat(ctx context.Context, p string) (string, fs.FileInfo, error) {
	if ctx.Err() != nil {
		return "", nil, context.Cause(ctx)
	}
	key, err := s.key(p)
	if err != nil {
		return "", nil, err
	}
	info, err := s.fs.Stat(key)
	if err != nil {
		return "", nil, sentinel(err)
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%w: %w", ErrNotFound, errNotFile)
	}
	return key, info, nil
}

// Remove removes the file. Its directory stays, as others may be about to use it.
func (s *fileStore) Remove(ctx context.Context, p string) error {
	key, _, err := s.stat(ctx, p)
	if err != nil {
		return err
	}
	return sentinel(s.fs.Remove(key))
}

// SignGet is the file's URL, its path taken from the root of file stores. It needs
// no signature, nor does it expire.
func (s *fileStore) SignGet(p string, _ time.Duration) (string, error) {
	key, err := s.key(p)
	if err != nil {
		return "", err
	}
	return "file://" + (&url.URL{Path: "/" + key}).EscapedPath(), nil
}

// List walks the directories that prefix can lead to.
func (s *fileStore) List(ctx context.Context, prefix string, fn func(Object) error) error {
	if err := validatePrefix(prefix); err != nil {
		return err
	}
	rewritten, err := s.rewrite.prefix(prefix)
	if err != nil {
		return err
	}
	keys := s.prefix + rewritten
	if err := validatePrefix(keys); err != nil {
		return fmt.Errorf("rewritten: %w", err)
	}
	dir, _ := path.Split(keys)
	return walk(ctx, s.fs, path.Clean(dir), func(key string, info fs.FileInfo) error {
		rest, ok := strings.CutPrefix(key, keys)
		if !ok || strings.HasPrefix(path.Base(key), partialPrefix) {
			return nil
		}
		p := prefix + rest
		if s.prefix+s.apply(p) != key {
			return fmt.Errorf("can't list: no path stands for the object %q after find=%q, replace=%q",
				key, s.find, s.replace)
		}
		return fn(Object{Path: p, Size: info.Size(), ModTime: info.ModTime()})
	})
}

// walk calls fn for each regular file below dir, in the order of their names' bytes.
// Links are not followed. What vanishes meanwhile is left out.
func walk(ctx context.Context, fsys FS, dir string, fn func(name string, info fs.FileInfo) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := fsys.ReadDir(dir)
	if absent(err) {
		return nil
	}
	if err != nil {
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
			if info, err = e.Info(); absent(err) {
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
