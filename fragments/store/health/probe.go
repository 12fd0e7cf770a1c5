package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"broadsheet.dev/broadsheet/fragments/store"
)

// What a check, and a probe whether objects can be removed, create. The names and
// contents are Gazette's. The first stays in the store.
const (
	checkDir     = ".test/"
	checkObject  = checkDir + "health-check"
	checkContent = "health-check\n"

	deleteObject  = ".gazette-delete-probe"
	deleteContent = "gazette-delete-probe\n"
)

// check tries all that brokers and readers do with a store.
func check(ctx context.Context, s store.Store) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("took longer than %s", timeout))
	defer cancel()
	if err := ensure(ctx, s, checkObject, checkContent); err != nil {
		return err
	}
	body, err := s.Get(ctx, checkObject)
	if err != nil {
		return err
	}
	if err = compare(body); err != nil {
		return fmt.Errorf("read %q back: %w", checkObject, err)
	}
	found := false
	if err = s.List(ctx, checkDir, func(o store.Object) error {
		found = found || o.Path == checkObject
		return nil
	}); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("a listing of %q doesn't have %q", checkDir, checkObject)
	}
	return checkSigned(ctx, s)
}

// ensure creates an object, if there is none: who may not create it isn't told that it
// exists.
func ensure(ctx context.Context, s store.Store, path, content string) error {
	err := s.Put(ctx, path, strings.NewReader(content), int64(len(content)), store.Plain)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

// compare reads the object of the check, and closes it.
func compare(body io.ReadCloser) error {
	got, err := io.ReadAll(io.LimitReader(body, int64(len(checkContent)+1)))
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if string(got) != checkContent {
		return fmt.Errorf("its content isn't %q", checkContent)
	}
	return nil
}

// checkSigned reads the object at a signed URL, if that is one of the web.
func checkSigned(ctx context.Context, s store.Store) error {
	signed, err := s.SignGet(checkObject, timeout)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(signed, "http://") && !strings.HasPrefix(signed, "https://") {
		return nil
	}
	// The store's own client reaches what the operator allows, and nothing else.
	c, ok := s.(interface{ Client() *http.Client })
	if !ok || c.Client() == nil {
		return errors.New("the store signs URLs of the web, and has no client to try them with")
	}
	if err = get(ctx, c.Client(), signed); err != nil {
		return fmt.Errorf("read %q at its signed URL: %w", checkObject, err)
	}
	return nil
}

// get reads the object of the check at a URL, which its errors don't tell.
func get(ctx context.Context, c *http.Client, signed string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, signed, http.NoBody)
	if err != nil {
		return errors.New("it is no URL")
	}
	response, err := c.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("HTTP %d", response.StatusCode), response.Body.Close())
	}
	return compare(response.Body)
}

// CheckDelete tries whether objects below a prefix can be removed, by creating one and
// removing it. The prefix is empty or ends in a slash.
func (c *Checker) CheckDelete(ctx context.Context, storeURL, prefix string) error {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("prefix %q doesn't end in a slash", prefix)
	}
	s, err := c.config.Stores.Open(storeURL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("took longer than %s", timeout))
	defer cancel()
	if err = ensure(ctx, s, prefix+deleteObject, deleteContent); err != nil {
		return err
	}
	// Another probe of the same object may have been quicker.
	if err = s.Remove(ctx, prefix+deleteObject); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}
