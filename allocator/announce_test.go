package allocator

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
)

func grant(t *testing.T, c *clientv3.Client) clientv3.LeaseID {
	t.Helper()
	r, err := c.Grant(t.Context(), 600)
	require.NoError(t, err)
	return r.ID
}

func TestAnnounce(t *testing.T) {
	c := etcdtest.Client(t)
	p := AnnounceParams{Client: c, Key: "/p/members/z#s", Value: "one", Lease: grant(t, c), Logger: slog.New(slog.DiscardHandler)}
	get := func() (string, clientv3.LeaseID) {
		r, err := c.Get(t.Context(), p.Key)
		require.NoError(t, err)
		require.Len(t, r.Kvs, 1)
		return string(r.Kvs[0].GetValue()), clientv3.LeaseID(r.Kvs[0].GetLease())
	}

	a, err := Announce(t.Context(), p)
	require.NoError(t, err)
	value, lease := get()
	require.Equal(t, "one", value)
	require.Equal(t, p.Lease, lease)

	again := p
	again.Value = "two"
	b, err := Announce(t.Context(), again)
	require.NoError(t, err, "it is idempotent under its own lease")
	value, lease = get()
	require.Equal(t, "two", value)
	require.Equal(t, p.Lease, lease)

	require.NoError(t, a.Update(t.Context(), "three"), "whoever writes under our lease is us")
	require.NoError(t, b.Update(t.Context(), "four"))
	require.NoError(t, b.Update(t.Context(), "five"))
	value, lease = get()
	require.Equal(t, "five", value)
	require.Equal(t, p.Lease, lease)

	_, err = c.Revoke(t.Context(), p.Lease)
	require.NoError(t, err)
	err = b.Update(t.Context(), "six")
	require.ErrorIs(t, err, ErrWithdrawn)
	require.ErrorContains(t, err, p.Key)

	p.Lease = grant(t, c)
	_, err = Announce(t.Context(), p)
	require.NoError(t, err)
	require.ErrorIs(t, b.Update(t.Context(), "seven"), ErrWithdrawn, "it is another process's now")
	value, _ = get()
	require.Equal(t, "one", value)
}

func TestAnnounceWaitsForAnotherLease(t *testing.T) {
	c := etcdtest.Client(t)
	p := AnnounceParams{
		Client: c, Key: "/p/members/z#s", Value: "one", Lease: grant(t, c), Logger: slog.New(slog.DiscardHandler),
		retry: time.Hour, // Who waits for that hangs.
	}
	_, err := Announce(t.Context(), p)
	require.NoError(t, err)

	other := p
	other.Lease, other.Value = grant(t, c), "two"
	// waits begins to announce, and returns once that waits for the other lease.
	waits := func(ctx context.Context) (<-chan error, *notifyingWriter) {
		logged := &notifyingWriter{wrote: make(chan struct{})}
		other.Logger = slog.New(slog.NewTextHandler(logged, nil))
		ended := make(chan error, 1)
		go func() {
			_, err := Announce(ctx, other)
			ended <- err
		}()
		<-logged.wrote
		return ended, logged
	}
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		cancel(cause)
		_, err := Announce(ctx, other)
		require.Error(t, err)
		require.ErrorContains(t, err, p.Key)
	})
	t.Run("cancel while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		ended, _ := waits(ctx)
		cancel(errors.New("enough"))
		err := <-ended
		require.ErrorContains(t, err, p.Key)
		require.ErrorContains(t, err, "held by lease "+formatLease(p.Lease))
	})
	t.Run("goes on at once", func(t *testing.T) {
		ended, logged := waits(t.Context())
		_, err = c.Revoke(t.Context(), p.Lease)
		require.NoError(t, err)
		require.NoError(t, <-ended)
		require.Contains(t, logged.String(), formatLease(p.Lease))
		r, err := c.Get(t.Context(), p.Key)
		require.NoError(t, err)
		require.Equal(t, "two", string(r.Kvs[0].GetValue()))
	})
}

// notifyingWriter closes wrote at the first write.
type notifyingWriter struct {
	mu    sync.Mutex
	b     bytes.Buffer
	once  sync.Once
	wrote chan struct{}
}

func (w *notifyingWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once.Do(func() { close(w.wrote) })
	return w.b.Write(p)
}

func (w *notifyingWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
