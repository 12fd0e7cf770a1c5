package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Store holds immutable objects under paths: clean, relative, slash-separated.
// Implementations are safe for concurrent use. Errors are *Error and tell by
// errors.Is one of the sentinels below, where one applies.
type Store interface {
	// Put creates the object of size bytes that body holds, whole or not at all, and
	// survives power loss once it returned. If there is an object of that path it is
	// left as it is, and survives as well: ErrExists; a body that needn't be read isn't.
	// A body of another size is an error. The body is stored as it is; its encoding is
	// told to who reads it. A store that can't do so refuses the encoding.
	Put(ctx context.Context, path string, body io.Reader, size int64, encoding Encoding) error
	// Get opens an object for reading from its begin; ctx bounds opening it, and may
	// end reading it. An object with an encoding is read as the content it encodes.
	Get(ctx context.Context, path string) (io.ReadCloser, error)
	// Stat describes an object.
	Stat(ctx context.Context, path string) (Object, error)
	// List calls fn for each object whose path begins with prefix, in the order of
	// their paths' bytes. An error of fn ends the listing and is returned as it is.
	// Objects that are created or removed meanwhile may be listed or not.
	List(ctx context.Context, prefix string, fn func(Object) error) error
	// Remove removes an object.
	Remove(ctx context.Context, path string) error
	// SignGet is a URL at which an object can be read for at least ttl by who has no
	// credentials for the store. It doesn't tell whether the object exists. Where signing
	// takes a key that the store hands out, it waits for that key, but not for long.
	SignGet(path string, ttl time.Duration) (string, error)
}

// Encoding is how the body of an object encodes its content, as of HTTP's
// Content-Encoding.
type Encoding string

const (
	// Plain is no encoding: the body is the content.
	Plain Encoding = ""
	// Gzip is content that the store, or who reads it, has to decompress.
	Gzip Encoding = "gzip"
)

// Object of a store.
type Object struct {
	// Path of the object, relative to the store's URL.
	Path string
	// Size in bytes, as stored.
	Size int64
	// ModTime is when the object was last changed, which is when it was created.
	ModTime time.Time
}

var (
	// ErrExists is that an object to be created exists.
	ErrExists = errors.New("object exists")
	// ErrNotFound is that there is no such object.
	ErrNotFound = errors.New("object not found")
	// ErrNotAllowed is that the store, or the operator, doesn't permit it.
	ErrNotAllowed = errors.New("not allowed")
	// ErrEncoding is that a store can't tell readers of an encoding, and so refuses it.
	ErrEncoding = errors.New("the store can't have readers decompress it")
	// ErrBusy is that the store throttles, or is down: the same may work later.
	ErrBusy = errors.New("the store is busy")
)

// Error is a failed operation of a store.
type Error struct {
	// Op is the operation, as a verb.
	Op string
	// Store is the URL of the store.
	Store string
	// Path or prefix that the operation was about.
	Path string
	// Err is what failed.
	Err error
}

// Error names the operation, the store and the path.
func (e *Error) Error() string {
	return fmt.Sprintf("%s %q in store %s: %v", e.Op, e.Path, e.Store, e.Err)
}

// Unwrap is what failed.
func (e *Error) Unwrap() error { return e.Err }
