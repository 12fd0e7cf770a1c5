package store

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// keyed is the store of one URL in a driver's store, whose paths are keys: the URL's
// prefix and the rewritten path. No path reaches a driver that isn't clean.
type keyed struct {
	location
	objects Store
}

// key of the object at p.
func (s *keyed) key(p string) (string, error) {
	if err := validatePath(p); err != nil {
		return "", err
	}
	key := s.prefix + s.apply(p)
	if err := validatePath(key); err != nil {
		return "", fmt.Errorf("rewritten: %w", err)
	}
	return key, nil
}

func (s *keyed) Put(ctx context.Context, p string, body io.Reader, size int64, encoding Encoding) error {
	key, err := s.key(p)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("size of the body is %d bytes, less than 0", size)
	}
	return s.objects.Put(ctx, key, body, size, encoding)
}

func (s *keyed) Get(ctx context.Context, p string) (io.ReadCloser, error) {
	key, err := s.key(p)
	if err != nil {
		return nil, err
	}
	return s.objects.Get(ctx, key)
}

func (s *keyed) Stat(ctx context.Context, p string) (Object, error) {
	key, err := s.key(p)
	if err != nil {
		return Object{}, err
	}
	object, err := s.objects.Stat(ctx, key)
	object.Path = p
	return object, err
}

func (s *keyed) Remove(ctx context.Context, p string) error {
	key, err := s.key(p)
	if err != nil {
		return err
	}
	return s.objects.Remove(ctx, key)
}

func (s *keyed) SignGet(p string, ttl time.Duration) (string, error) {
	key, err := s.key(p)
	if err != nil {
		return "", err
	}
	return s.objects.SignGet(key, ttl)
}

// keys is what those of all paths with a prefix begin with.
func (s *keyed) keys(prefix string) (string, error) {
	if err := validatePrefix(prefix); err != nil {
		return "", err
	}
	rewritten, err := s.rewrite.prefix(prefix)
	if err != nil {
		return "", err
	}
	keys := s.prefix + rewritten
	if err := validatePrefix(keys); err != nil {
		return "", fmt.Errorf("rewritten: %w", err)
	}
	return keys, nil
}

func (s *keyed) List(ctx context.Context, prefix string, fn func(Object) error) error {
	keys, err := s.keys(prefix)
	if err != nil {
		return err
	}
	return s.objects.List(ctx, keys, func(o Object) error {
		rest, ok := strings.CutPrefix(o.Path, keys)
		if !ok || strings.HasSuffix(o.Path, "/") {
			return nil // Keys that end in a slash are what consoles call folders.
		}
		p := prefix + rest
		if s.prefix+s.apply(p) != o.Path {
			return fmt.Errorf("can't list: no path stands for the object %q after find=%q, replace=%q",
				o.Path, s.find, s.replace)
		}
		return fn(Object{Path: p, Size: o.Size, ModTime: o.ModTime})
	})
}

// Client is that of the driver, if it has one.
func (s *keyed) Client() *http.Client { return clientOf(s.objects) }

// clientOf is the client with which signed URLs of a store may be read: it reaches no
// address that the operator didn't allow. It is nil for a store without one.
func clientOf(s Store) *http.Client {
	if c, ok := s.(interface{ Client() *http.Client }); ok {
		return c.Client()
	}
	return nil
}
