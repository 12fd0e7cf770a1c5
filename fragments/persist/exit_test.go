package persist_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// byURL has a store of its own for each URL.
type byURL map[string]store.Store

func (s byURL) Open(url string) (store.Store, error) {
	if s[url] == nil {
		return nil, &store.URLError{URL: url, Reason: "no entry allows it", NotAllowed: true}
	}
	return s[url], nil
}

// TestNextStoreWhileExiting has a first store that doesn't permit what it is asked for:
// the fragment waits for it, until the process is to exit. A second that the operator
// doesn't allow is passed by.
func TestNextStoreWhileExiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := faulty{stat: func(context.Context) error { return fmt.Errorf("%w: HTTP 403", store.ErrNotAllowed) }}
		b := newBench(t, nil)
		files, err := b.stores.Open("file:///")
		require.NoError(t, err)
		under := newBench(t, nil, func(c *persist.Config) { c.Stores = byURL{"file:///first/": refused, "file:///": files} })
		s := spec()
		s.Fragment.Stores = []string{"file:///first/", "file:///unknown/", "file:///"}
		begin := time.Now()
		time.AfterFunc(3*time.Hour+time.Second, func() { under.Exit(); under.Exit() })
		got, err := under.Persist(t.Context(), s, completed(protocol.CompressionCodec_GZIP, text))
		require.NoError(t, err)
		require.Equal(t, 3*time.Hour+time.Second, time.Since(begin), "at once")
		require.Equal(t, "file:///", got.Store)
		b.requireStored(t, got, text)
	})
}

// TestOtherErrorsWhileExiting waits for the first store if it fails otherwise.
func TestOtherErrorsWhileExiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("the store is down")
		b := newBench(t, nil)
		files, err := b.stores.Open("file:///")
		require.NoError(t, err)
		under := newBench(t, nil, func(c *persist.Config) {
			c.Stores = byURL{"file:///first/": faulty{stat: func(context.Context) error { return down }}, "file:///": files}
		})
		under.Exit()
		s := spec()
		s.Fragment.Stores = []string{"file:///first/", "file:///"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = under.Persist(ctx, s, completed(protocol.CompressionCodec_GZIP, text))
		require.ErrorIs(t, err, down)
	})
}
