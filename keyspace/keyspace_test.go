package keyspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/internal/embedetcd/etcdtest"
	"broadsheet.dev/broadsheet/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBad = errors.New("value is bad")

// decode takes every value but those that begin with "bad".
func decode(kv *mvccpb.KeyValue) (any, error) {
	if strings.HasPrefix(string(kv.GetValue()), "bad") {
		return nil, errBad
	}
	return "=" + string(kv.GetValue()), nil
}

type harness struct {
	t      testing.TB
	etcd   *etcdtest.Etcd
	client *clientv3.Client // of the test, apart from that of the key space
	config Config
	keys   *KeySpace
	stop   func() error // ends the watch
}

func newHarness(tb testing.TB, delay time.Duration) *harness {
	tb.Helper()
	h := &harness{t: tb, etcd: etcdtest.New(tb)}
	h.client = h.etcd.Client(tb)
	h.config = Config{Client: h.etcd.Client(tb), Prefix: "/p", Decode: decode, BatchDelay: delay, Logger: slog.New(slog.DiscardHandler)}
	return h
}

func (h *harness) load() *harness {
	h.t.Helper()
	var err error
	h.keys, err = Load(h.t.Context(), h.config)
	require.NoError(h.t, err)
	return h
}

func (h *harness) watch() *harness {
	h.t.Helper()
	g := task.New(h.t.Context(), "test")
	g.Go("watch", h.keys.Watch)
	h.stop = func() error {
		g.Cancel()
		return g.Wait()
	}
	h.t.Cleanup(func() { _ = h.stop() })
	return h
}

func (h *harness) put(key, value string) int64 {
	h.t.Helper()
	r, err := h.client.Put(h.t.Context(), key, value)
	require.NoError(h.t, err)
	return r.Header.GetRevision()
}

func (h *harness) delete(key string) int64 {
	h.t.Helper()
	r, err := h.client.Delete(h.t.Context(), key)
	require.NoError(h.t, err)
	return r.Header.GetRevision()
}

func (h *harness) await(revision int64) *View {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	require.NoError(h.t, h.keys.WaitForRevision(ctx, revision))
	v := h.keys.View()
	require.GreaterOrEqual(h.t, v.Revision(), revision)
	return v
}

// dump prints a view as "key=value@create,mod ..." in its order.
func dump(v *View) string {
	var b strings.Builder
	v.Ascend("/p/", func(kv KeyValue) bool {
		fmt.Fprintf(&b, "%s%s@%d,%d ", kv.Key, kv.Raw, kv.CreateRevision, kv.ModRevision)
		return true
	})
	return b.String()
}

// equalsEtcd checks a view against etcd at its revision.
func (h *harness) equalsEtcd(v *View) {
	h.t.Helper()
	r, err := h.client.Get(h.t.Context(), "/p/", clientv3.WithPrefix(), clientv3.WithRev(v.Revision()))
	require.NoError(h.t, err)
	var b strings.Builder
	for _, kv := range r.Kvs {
		fmt.Fprintf(&b, "%s%s@%d,%d ", kv.GetKey(), kv.GetValue(), kv.GetCreateRevision(), kv.GetModRevision())
	}
	require.Equal(h.t, b.String(), dump(v))
	require.Len(h.t, r.Kvs, v.Len())
}

func TestLoadAndFollow(t *testing.T) {
	h := newHarness(t, 0)
	h.put("/p", "outside")
	h.put("/p2/x", "outside")
	h.put("/q", "outside")
	h.put("/p/a", "1")
	h.put("/p/b/c", "2")
	h.load()
	v := h.keys.View()
	h.equalsEtcd(v)
	require.Equal(t, 2, v.Len())

	header, err := h.client.Get(t.Context(), "/p")
	require.NoError(t, err)
	require.Equal(t, header.Header.GetClusterId(), v.ClusterID())
	require.Equal(t, header.Header.GetMemberId(), v.MemberID())
	require.Equal(t, header.Header.GetRaftTerm(), v.RaftTerm())
	require.Equal(t, header.Header.GetRevision(), v.Revision())

	h.watch()
	changed := h.keys.Changed()
	rev := h.put("/p/a", "3")
	<-changed
	require.Equal(t, rev, h.await(rev).Revision())
	kv, ok := h.keys.View().Get("/p/a")
	require.True(t, ok)
	require.Equal(t, "=3", kv.Value)
	require.Equal(t, []byte("3"), kv.Raw)
	require.Equal(t, rev, kv.ModRevision)

	old, was := h.keys.View(), dump(h.keys.View())
	after := h.await(h.delete("/p/b/c"))
	h.equalsEtcd(after)
	_, ok = after.Get("/p/b/c")
	require.False(t, ok)
	require.Equal(t, was, dump(old), "a view never changes")
}

func TestLoadOfNothing(t *testing.T) {
	h := newHarness(t, 0).load()
	v := h.keys.View()
	require.Zero(t, v.Len())
	require.NotZero(t, v.Revision())
	require.NotZero(t, v.ClusterID())
	require.NotZero(t, v.MemberID())
	require.NotZero(t, v.RaftTerm())
}

func TestLoadInPages(t *testing.T) {
	h := newHarness(t, 0)
	for i := 0; i < pageKeys+10; i += 512 {
		var ops []clientv3.Op
		for j := i; j < min(i+512, pageKeys+10); j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/p/%06d", j), "v"))
		}
		_, err := h.client.Txn(t.Context()).Then(ops...).Commit()
		require.NoError(t, err)
	}
	h.load()
	require.Equal(t, pageKeys+10, h.keys.View().Len())
	h.equalsEtcd(h.keys.View())
}

func TestTransactionIsOneView(t *testing.T) {
	h := newHarness(t, 0).load().watch()
	ctx, cancel := context.WithCancel(t.Context())
	g := task.New(ctx, "test")
	g.Go("reader", func(ctx context.Context) error {
		for ctx.Err() == nil {
			v := h.keys.View()
			a, _ := v.Get("/p/a")
			b, _ := v.Get("/p/b")
			if string(a.Raw) != string(b.Raw) {
				return fmt.Errorf("half of a transaction: a=%s b=%s", a.Raw, b.Raw)
			}
		}
		return nil
	})
	var rev int64
	for i := range 100 {
		r, err := h.client.Txn(t.Context()).Then(
			clientv3.OpPut("/p/a", strconv.Itoa(i)), clientv3.OpPut("/p/b", strconv.Itoa(i))).Commit()
		require.NoError(t, err)
		rev = r.Header.GetRevision()
	}
	h.await(rev)
	cancel()
	require.NoError(t, g.Wait())
}

func TestLeases(t *testing.T) {
	h := newHarness(t, 0).load().watch()
	lease, err := h.client.Grant(t.Context(), 600)
	require.NoError(t, err)
	r, err := h.client.Put(t.Context(), "/p/a", "1", clientv3.WithLease(lease.ID))
	require.NoError(t, err)
	kv, ok := h.await(r.Header.GetRevision()).Get("/p/a")
	require.True(t, ok)
	require.Equal(t, int64(lease.ID), kv.Lease)
	revoked, err := h.client.Revoke(t.Context(), lease.ID)
	require.NoError(t, err)
	require.Zero(t, h.await(revoked.Header.GetRevision()).Len())
}

func TestUndecodableKeys(t *testing.T) {
	var logged syncBuffer
	h := newHarness(t, 0)
	h.config.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	h.put("/p/never", "bad at load")
	h.put("/p/a", "1")
	h.load()
	require.Contains(t, logged.String(), "/p/never")
	_, ok := h.keys.View().Get("/p/never")
	require.False(t, ok)

	h.watch()
	rev := h.put("/p/a", "bad now")
	kv, ok := h.await(rev).Get("/p/a")
	require.True(t, ok)
	require.Equal(t, "=1", kv.Value, "the last good value")
	require.Equal(t, "bad now", string(kv.Raw))
	require.ErrorIs(t, kv.Err, errBad)
	require.Equal(t, rev, kv.ModRevision)
	require.Contains(t, logged.String(), "/p/a")

	kv, _ = h.await(h.put("/p/a", "2")).Get("/p/a")
	require.Equal(t, "=2", kv.Value)
	require.NoError(t, kv.Err)

	h.delete("/p/a")
	_, ok = h.await(h.put("/p/a", "bad in its second life")).Get("/p/a")
	require.False(t, ok, "the values of an earlier life aren't its own")

	require.NoError(t, h.stop())
	h.put("/p/b", "bad while nobody watches")
	h.watch()
	_, ok = h.await(h.put("/p/b", "bad again")).Get("/p/b")
	require.False(t, ok)
}

func TestUndecodableKeepsItsValueOverReload(t *testing.T) {
	h := newHarness(t, 0)
	h.put("/p/a", "1")
	h.load()
	rev := h.put("/p/a", "bad")
	_, err := h.client.Compact(t.Context(), rev)
	require.NoError(t, err)
	h.watch()
	kv, ok := h.await(rev).Get("/p/a")
	require.True(t, ok)
	require.Equal(t, "=1", kv.Value)
	require.ErrorIs(t, kv.Err, errBad)
}

func TestCompactionUnderAStoppedWatch(t *testing.T) {
	h := newHarness(t, 0)
	h.put("/p/gone", "1")
	h.put("/p/kept", "1")
	h.load().watch()
	before := h.await(h.put("/p/changed", "1"))
	require.NoError(t, h.stop())

	h.delete("/p/gone")
	h.put("/p/changed", "2")
	rev := h.put("/p/new", "1")
	_, err := h.client.Compact(t.Context(), rev)
	require.NoError(t, err)

	changed := h.keys.Changed()
	h.watch()
	<-changed
	after := h.await(rev)
	h.equalsEtcd(after)
	require.Greater(t, after.Revision(), before.Revision())
	kept, _ := after.Get("/p/kept")
	require.Equal(t, "=1", kept.Value)
	h.equalsEtcd(h.await(h.put("/p/new", "2"))) // and it goes on
}

func TestServerRestart(t *testing.T) {
	h := newHarness(t, 0).load().watch()
	for i := range 3 {
		h.await(h.put("/p/a", strconv.Itoa(i)))
		before := h.keys.View()
		h.etcd.Stop(t)
		h.etcd.Start(t)
		h.client = h.etcd.Client(t)
		rev := h.put("/p/b", strconv.Itoa(i))
		after := h.await(rev)
		h.equalsEtcd(after)
		require.Greater(t, after.Revision(), before.Revision())
		require.Equal(t, before.ClusterID(), after.ClusterID())
	}
}

func TestWaitWhileTheServerIsAway(t *testing.T) {
	h := newHarness(t, time.Hour).load().watch()
	before := h.await(h.put("/p/a", "1"))
	h.etcd.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*askAgain)
	defer cancel()
	require.ErrorIs(t, h.keys.WaitForRevision(ctx, before.Revision()+1), context.DeadlineExceeded)
	require.Equal(t, dump(before), dump(h.keys.View()))
	h.etcd.Start(t)
	h.client = h.etcd.Client(t)
	h.equalsEtcd(h.await(h.put("/elsewhere", "1")))
}

func TestCompactionWhileTheServerWasAway(t *testing.T) {
	h := newHarness(t, 0).load().watch()
	h.await(h.put("/p/a", "1"))
	require.NoError(t, h.stop())
	h.etcd.Stop(t)
	h.etcd.Start(t)
	h.client = h.etcd.Client(t)
	h.delete("/p/a")
	rev := h.put("/q", "1")
	_, err := h.client.Compact(t.Context(), rev)
	require.NoError(t, err)
	h.watch()
	require.Zero(t, h.await(rev).Len())
}

func TestWaitForRevision(t *testing.T) {
	h := newHarness(t, 0).load()
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		cancel(cause)
		err := h.keys.WaitForRevision(ctx, h.keys.View().Revision()+1)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "/p")
		require.Empty(t, h.keys.waiting)
	})
	t.Run("the past is there", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, h.keys.WaitForRevision(ctx, h.keys.View().Revision()))
	})
	h.watch()
	t.Run("a write outside the prefix", func(t *testing.T) {
		changed := h.keys.Changed()
		h.await(h.put("/elsewhere", "1"))
		select {
		case <-changed:
			require.Fail(t, "no key of the view has changed")
		default:
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { h.await(h.put([]string{"/p/a", "/elsewhere"}[i%2], "1")) })
		}
		wg.Wait()
		require.Empty(t, h.keys.waiting)
	})
	t.Run("before the watch", func(t *testing.T) {
		require.NoError(t, h.stop())
		rev := h.put("/elsewhere", "2")
		var wg sync.WaitGroup
		wg.Go(func() { h.await(rev) })
		h.watch()
		wg.Wait()
	})
}

func TestBatches(t *testing.T) {
	h := newHarness(t, time.Hour).load().watch()
	changed := h.keys.Changed()
	var last int64
	for i := range 10 {
		last = h.put("/p/a", strconv.Itoa(i))
	}
	select {
	case <-changed:
		require.Fail(t, "changes are published before the delay is over")
	case <-time.After(20 * time.Millisecond):
	}
	h.await(last) // doesn't take an hour
	<-changed
	h.put("/p/b", "1")
	require.NoError(t, h.stop())
	h.equalsEtcd(h.keys.View()) // what was received is published at the end

	h = newHarness(t, 10*time.Millisecond).load().watch()
	changed = h.keys.Changed()
	h.put("/p/a", "1")
	<-changed
	h.equalsEtcd(h.keys.View())
}

func TestOneWatchAtATime(t *testing.T) {
	h := newHarness(t, 0).load().watch()
	h.await(h.put("/p/a", "1"))
	require.ErrorIs(t, h.keys.Watch(t.Context()), ErrWatched)
}

func TestOtherCluster(t *testing.T) {
	h := newHarness(t, 0)
	for range 5 {
		h.put("/p/a", "1")
	}
	h.load()
	other := etcdtest.New(t)
	h.keys.config.Client = other.Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g := task.New(ctx, "test")
	g.Go("write", func(ctx context.Context) error { // until its revision is beyond that of the first
		for range 10 {
			if _, err := h.keys.config.Client.Put(ctx, "/p/a", "1"); err != nil {
				return err
			}
		}
		return nil
	})
	require.ErrorIs(t, h.keys.Watch(ctx), ErrOtherCluster)
	require.NoError(t, g.Wait())
}

func TestConfigIsValidated(t *testing.T) {
	ok := Config{Client: &clientv3.Client{}, Prefix: "/p/q", Decode: decode, Logger: slog.New(slog.DiscardHandler)}
	require.NoError(t, ok.Validate())
	for want, change := range map[string]func(*Config){
		"Client is missing": func(c *Config) { c.Client = nil },
		"Decode is missing": func(c *Config) { c.Decode = nil },
		"Logger is missing": func(c *Config) { c.Logger = nil },
		"negative":          func(c *Config) { c.BatchDelay = -1 },
		`Prefix: "/p/"`:     func(c *Config) { c.Prefix = "/p/" },
		`Prefix: "p"`:       func(c *Config) { c.Prefix = "p" },
		`Prefix: "/"`:       func(c *Config) { c.Prefix = "/" },
		`Prefix: ""`:        func(c *Config) { c.Prefix = "" },
		`Prefix: "/p//q"`:   func(c *Config) { c.Prefix = "/p//q" },
	} {
		bad := ok
		change(&bad)
		_, err := Load(t.Context(), bad)
		require.ErrorContains(t, err, want)
	}
}

// syncBuffer is a strings.Builder for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
