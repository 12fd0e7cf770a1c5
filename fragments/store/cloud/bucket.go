package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"broadsheet.dev/broadsheet/fragments/store"
)

// service is a bucket, or container, by its provider's library. Errors are the
// library's: a bucket explains them.
type service interface {
	// create makes an object of a body in one request, if there is none.
	create(ctx context.Context, key string, body []byte, e store.Encoding) error
	// upload begins one of several parts.
	upload(ctx context.Context, key string, size int64, e store.Encoding) (upload, error)
	get(ctx context.Context, key string) (io.ReadCloser, error)
	stat(ctx context.Context, key string) (store.Object, error)
	list(ctx context.Context, prefix string, fn func(store.Object) error) error
	remove(ctx context.Context, key string) error
	sign(ctx context.Context, key string, ttl time.Duration) (string, error)
}

// upload is an object that is being made of parts.
type upload interface {
	// add sends the next part.
	add(ctx context.Context, part []byte) error
	// commit makes the object, if there is none.
	commit(ctx context.Context) error
	// abort gives the upload up, also after a commit that failed.
	abort(ctx context.Context)
}

// connect makes a service, which takes credentials.
type connect func(ctx context.Context) (service, error)

const (
	// abortTime is what an upload that failed is given to be aborted.
	abortTime = 10 * time.Second
	// signTime is what signing may take.
	signTime = 15 * time.Second
)

// bucket is a store over a service.
type bucket struct {
	connect  connect
	http     *http.Client
	partSize int

	connected chan service // Holds the one service, or nil if there is none yet.
}

func newBucket(connect connect, client *http.Client, partSize int) *bucket {
	b := &bucket{connect: connect, http: client, partSize: partSize, connected: make(chan service, 1)}
	b.connected <- nil
	return b
}

// Client is that of the bucket's entry.
func (b *bucket) Client() *http.Client { return b.http }

// service connects if that wasn't done, or failed.
func (b *bucket) service(ctx context.Context) (service, error) {
	select {
	case s := <-b.connected:
		var err error
		if s == nil {
			s, err = b.connect(ctx)
		}
		b.connected <- s
		return s, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run runs an operation and explains its error.
func (b *bucket) run(ctx context.Context, s scope, op func(ctx context.Context, s service) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	noted, answer := withAnswer(ctx)
	svc, err := b.service(noted)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("connect: %w", err)
	}
	return answer.explain(ctx, s, op(noted, svc))
}

// Put creates an object by one request, or several.
func (b *bucket) Put(ctx context.Context, key string, body io.Reader, size int64, e store.Encoding) error {
	err := b.run(ctx, ofBucket, func(ctx context.Context, s service) error {
		return b.put(ctx, s, key, newParts(ctx, body, size, b.partSize), e)
	})
	var unread *bodyError
	if !errors.As(err, &unread) && !errors.Is(err, errConflict) {
		return err
	}
	// It may be there all the same, which is then the better answer.
	if _, statErr := b.Stat(ctx, key); statErr == nil {
		return store.ErrExists
	}
	return err
}

func (b *bucket) put(ctx context.Context, s service, key string, body *parts, e store.Encoding) error {
	size := body.left
	part, last, err := body.next()
	if err != nil {
		return err
	}
	if last {
		return s.create(ctx, key, part, e)
	}
	u, err := s.upload(ctx, key, size, e)
	if err != nil {
		return err
	}
	for {
		if err = u.add(ctx, part); err != nil || last {
			break
		}
		if part, last, err = body.next(); err != nil {
			break
		}
	}
	if err == nil {
		err = u.commit(ctx)
	}
	if err != nil {
		// The answer to abort isn't the one to explain, and who gave up aborts as well.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		ctx, _ = withAnswer(ctx)
		u.abort(ctx)
	}
	return err
}

// Get opens an object.
func (b *bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := b.run(ctx, ofObject, func(ctx context.Context, s service) error {
		var err error
		body, err = s.get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &content{ReadCloser: body, ctx: ctx}, nil
}

// content is an object that is being read. Its errors quote no request.
type content struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // the lifetime of reading one object
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped one is no end
		if c.ctx.Err() != nil {
			return n, context.Cause(c.ctx)
		}
		err = fmt.Errorf("%w: read: %s", store.ErrBusy, withoutURL(err))
	}
	return n, err
}

// Stat describes an object.
func (b *bucket) Stat(ctx context.Context, key string) (store.Object, error) {
	var object store.Object
	err := b.run(ctx, ofObject, func(ctx context.Context, s service) error {
		var err error
		object, err = s.stat(ctx, key)
		return err
	})
	return object, err
}

// List lists all objects below a prefix, in the provider's order, which is that of
// their bytes.
func (b *bucket) List(ctx context.Context, prefix string, fn func(store.Object) error) error {
	var stopped error
	err := b.run(ctx, ofBucket, func(ctx context.Context, s service) error {
		return s.list(ctx, prefix, func(o store.Object) error {
			stopped = fn(o)
			return stopped
		})
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// Remove removes an object.
func (b *bucket) Remove(ctx context.Context, key string) error {
	return b.run(ctx, ofObject, func(ctx context.Context, s service) error { return s.remove(ctx, key) })
}

// SignGet signs a URL, for which some services need a key that has to be asked for.
func (b *bucket) SignGet(key string, ttl time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTime)
	defer cancel()
	var signed string
	err := b.run(ctx, ofObject, func(ctx context.Context, s service) error {
		var err error
		signed, err = s.sign(ctx, key, ttl)
		return err
	})
	return signed, err
}
