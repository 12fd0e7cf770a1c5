package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/health"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
)

// faulty is a store whose Put fails at will, and which says when it was asked.
type faulty struct {
	store.Store
	put   func() error
	times []time.Time
}

func (f *faulty) Put(ctx context.Context, p string, body io.Reader, size int64, e store.Encoding) error {
	f.times = append(f.times, time.Now())
	if f.put != nil {
		if err := f.put(); err != nil {
			return err
		}
	}
	return f.Store.Put(ctx, p, body, size, e)
}

// stores has the faulty store for every URL.
type stores struct{ *faulty }

func (s stores) Open(url string) (store.Store, error) {
	if strings.HasPrefix(url, "bad:") {
		return nil, store.ErrNotAllowed
	}
	return s.faulty, nil
}

type bench struct {
	*health.Checker
	*faulty
	log *bytes.Buffer
	reg *prometheus.Registry
}

func newBench(t *testing.T) bench {
	t.Helper()
	registry, err := store.NewRegistry(store.RegistryConfig{FileRoot: "/root", FS: storetest.NewCrashFS()})
	require.NoError(t, err)
	files, err := registry.Open("file:///")
	require.NoError(t, err)
	b := bench{faulty: &faulty{Store: files}, log: new(bytes.Buffer), reg: prometheus.NewPedanticRegistry()}
	b.Checker, err = health.New(health.Config{
		Stores: stores{b.faulty}, Logger: slog.New(slog.NewTextHandler(b.log, nil)), Registerer: b.reg,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(b.Close(), registry.Close())) })
	return b
}

const url = "file:///x/?find=secret"

// requireBetween demands the times between checks, give or take a fifth.
func requireBetween(t *testing.T, times []time.Time, want ...time.Duration) {
	t.Helper()
	require.Len(t, times, len(want)+1)
	for i, d := range want {
		require.InEpsilon(t, d, times[i+1].Sub(times[i]), 0.2001, "check %d", i+1)
	}
}

// TestHealthy checks a healthy store each half hour, while it is asked for.
func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for range 10 {
			require.NoError(t, b.Await(t.Context(), url))
			require.NoError(t, b.Check(t.Context(), url))
		}
		require.Len(t, b.times, 1)
		time.Sleep(40 * time.Minute)
		require.NoError(t, b.Await(t.Context(), url))
		requireBetween(t, b.times, 30*time.Minute)
		// Nobody asks: it is watched for an hour more, and anew when it is asked for.
		time.Sleep(10 * time.Hour)
		n := len(b.times)
		require.LessOrEqual(t, n, 5)
		require.NoError(t, b.Await(t.Context(), url))
		require.Len(t, b.times, n+1)
	})
}

// TestUnhealthy waits for six checks, then says so at once; the store is tried ever more
// seldom; when it is well again, so are appends.
func TestUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		down := errors.New("the bucket is gone")
		b.put = func() error { return down }
		begin := time.Now()
		err := b.Await(t.Context(), url)
		var unhealthy *health.UnhealthyError
		require.ErrorAs(t, err, &unhealthy)
		require.ErrorIs(t, err, down)
		require.Equal(t, 6, unhealthy.Failures)
		requireBetween(t, b.times, 100*time.Millisecond, time.Second, time.Second, 10*time.Second, 10*time.Second)
		require.Less(t, time.Since(begin), 27*time.Second)

		at := time.Now()
		require.ErrorIs(t, b.Await(t.Context(), url), down)
		require.ErrorIs(t, b.Check(t.Context(), url), down)
		require.Equal(t, at, time.Now(), "it isn't waited for")
		time.Sleep(250 * time.Second)
		require.InDelta(t, 8, len(b.times), 1, "each hundred seconds")

		b.put = nil
		time.Sleep(2 * time.Minute)
		require.NoError(t, b.Await(t.Context(), url))
		require.Equal(t, 1, strings.Count(b.log.String(), "store is unhealthy"))
		require.Equal(t, 1, strings.Count(b.log.String(), "store is healthy again"))
		require.NotContains(t, b.log.String(), "secret")
		failures := len(b.times) - 1
		require.NoError(t, testutil.GatherAndCompare(b.reg, strings.NewReader(fmt.Sprintf(`
# HELP gazette_store_health_check_total Health checks of stores.
# TYPE gazette_store_health_check_total counter
gazette_store_health_check_total{status="error",store="file:///x/"} %d
gazette_store_health_check_total{status="ok",store="file:///x/"} 1
`, failures))))
	})
}

// TestShortOutage doesn't fail who waits.
func TestShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := newBench(t), 0
		b.put = func() error {
			if n++; n <= 3 {
				return store.ErrBusy
			}
			return nil
		}
		begin := time.Now()
		require.NoError(t, b.Await(t.Context(), url))
		require.InDelta(t, 2100*time.Millisecond, time.Since(begin), float64(500*time.Millisecond))
	})
}

// TestWaitEnds has who waits give up, and the checker close.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		down, gone := errors.New("the bucket is gone"), errors.New("the client is gone")
		b.put = func() error { return down }
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(gone) })
		err := b.Await(ctx, url)
		require.ErrorIs(t, err, gone)
		require.ErrorIs(t, err, down)
		time.AfterFunc(time.Second, func() { _ = b.Close() })
		require.ErrorContains(t, b.Await(t.Context(), url), "closed")
		require.ErrorContains(t, b.Check(t.Context(), "file:///y/"), "closed")
	})
}

// TestHangingStore has a check that would never end.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Store = hanging{b.Store}
		require.ErrorContains(t, b.Check(t.Context(), url), "took longer than 1m0s")
	})
}

type hanging struct{ store.Store }

func (hanging) Get(ctx context.Context, _ string) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestOtherContent has something else where the object of the check should be.
func TestOtherContent(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Store.Put(t.Context(), ".test/health-check", strings.NewReader("other"), 5, store.Plain))
	require.ErrorContains(t, b.Check(t.Context(), url), `its content isn't "health-check\n"`)
}

func TestNotOpened(t *testing.T) {
	b := newBench(t)
	require.ErrorIs(t, b.Await(t.Context(), "bad:"), store.ErrNotAllowed)
	require.ErrorIs(t, b.Check(t.Context(), "bad:"), store.ErrNotAllowed)
	require.ErrorIs(t, b.CheckDelete(t.Context(), "bad:", ""), store.ErrNotAllowed)
}

// TestManyStores watches no more than it may.
func TestManyStores(t *testing.T) {
	b := newBench(t)
	for i := range health.MaxStores + 10 {
		require.NoError(t, b.Check(t.Context(), fmt.Sprintf("file:///%d/", i)))
	}
}

func TestCheckDelete(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.CheckDelete(t.Context(), url, "acme/"))
	require.NoError(t, b.CheckDelete(t.Context(), url, ""))
	require.ErrorContains(t, b.CheckDelete(t.Context(), url, "acme"), "doesn't end in a slash")
	b.put = func() error { return store.ErrNotAllowed }
	require.ErrorIs(t, b.CheckDelete(t.Context(), url, "acme/"), store.ErrNotAllowed)
	b.put = nil
	require.NoError(t, b.List(t.Context(), "", func(o store.Object) error {
		return fmt.Errorf("%s is left", o.Path)
	}))
}

func TestConfig(t *testing.T) {
	_, err := health.New(health.Config{})
	require.ErrorContains(t, err, "without stores")
	_, err = health.New(health.Config{Stores: stores{}})
	require.ErrorContains(t, err, "without a logger")
}
