package keyspace

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func testMirror(tb testing.TB, keys int) *mirror {
	tb.Helper()
	m := newMirror(Config{Decode: decode, Logger: slog.New(slog.DiscardHandler)})
	var kvs []*mvccpb.KeyValue
	for i := range keys {
		kvs = append(kvs, &mvccpb.KeyValue{Key: fmt.Appendf(nil, "/p/%08d", i), Value: []byte("v"), CreateRevision: 5, ModRevision: 5})
	}
	require.NoError(tb, m.reset(kvs, 10))
	return m
}

func event(key string, mod int64) *clientv3.Event {
	return &clientv3.Event{Type: mvccpb.Event_PUT, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte("v"), CreateRevision: 1, ModRevision: mod}}
}

func TestOldEventsChangeNothing(t *testing.T) {
	m := testMirror(t, 3)
	was := dump(m.view())
	err := m.apply([]*clientv3.Event{event("/p/new", 11), event("/p/old", 10)})
	require.ErrorIs(t, err, errOutOfOrder)
	require.True(t, mustReload(err))
	require.Equal(t, was, dump(m.view()))
}

func TestEtcdThatWentBackIsRefused(t *testing.T) {
	m := testMirror(t, 3)
	require.ErrorIs(t, m.advance(9), ErrWentBack)
	require.ErrorIs(t, m.reset(nil, 9), ErrWentBack)
	require.Equal(t, 3, m.tree.Len())
	require.True(t, isFinal(m.advance(9)))
}

// TestReloadDecodesWhatHasChanged, and nothing else: what didn't is the same value.
func TestReloadDecodesWhatHasChanged(t *testing.T) {
	var decoded []string
	m := newMirror(Config{Logger: slog.New(slog.DiscardHandler), Decode: func(kv *mvccpb.KeyValue) (any, error) {
		decoded = append(decoded, string(kv.GetKey()))
		return decode(kv)
	}})
	at := func(key string, mod int64) *mvccpb.KeyValue {
		return &mvccpb.KeyValue{Key: []byte(key), Value: fmt.Append(nil, mod), CreateRevision: 1, ModRevision: mod}
	}
	require.NoError(t, m.reset([]*mvccpb.KeyValue{at("/p/a", 5), at("/p/b", 5), at("/p/c", 5)}, 10))
	decoded = nil
	require.NoError(t, m.reset([]*mvccpb.KeyValue{at("/p/a", 5), at("/p/b", 11), at("/p/d", 12)}, 12))
	require.Equal(t, []string{"/p/b", "/p/d"}, decoded)
	require.Equal(t, 3, m.tree.Len())
	a, ok := m.view().Get("/p/a")
	require.True(t, ok)
	require.Equal(t, "=5", a.Value)
}

// askedWatcher answers a question for how far it is.
type askedWatcher struct {
	clientv3.Watcher
	answer func(context.Context) error
}

func (w askedWatcher) RequestProgress(ctx context.Context) error { return w.answer(ctx) }

// TestQuestionsThatFail: an error of etcd's is told; that it didn't answer in time isn't one.
func TestQuestionsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, askProgress(t.Context(), askedWatcher{answer: func(context.Context) error { return nil }}))
		require.ErrorIs(t, askProgress(t.Context(), askedWatcher{answer: func(context.Context) error { return errBad }}), errBad)
		silent := askedWatcher{answer: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		require.NoError(t, askProgress(t.Context(), silent))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, askProgress(ctx, silent), context.Canceled)
	})
}

func TestMadeUpHeadersAreIgnored(t *testing.T) {
	m := testMirror(t, 0)
	ids := &etcdserverpb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 3}
	require.NoError(t, m.identify(ids))
	require.NoError(t, m.identify(&etcdserverpb.ResponseHeader{}))
	require.Equal(t, identity{cluster: 1, member: 2, term: 3}, m.identity)
	require.ErrorIs(t, m.identify(&etcdserverpb.ResponseHeader{ClusterId: 9, MemberId: 2, RaftTerm: 3}), ErrOtherCluster)
}

// TestViewCostsNothing holds that a view doesn't copy the keys.
func TestViewCostsNothing(t *testing.T) {
	small, large := testMirror(t, 10), testMirror(t, 20_000)
	cost := func(m *mirror) float64 { return testing.AllocsPerRun(100, func() { m.view() }) }
	require.InDelta(t, cost(small), cost(large), 1)
}

func BenchmarkPublishOneChange(b *testing.B) {
	for _, keys := range []int{1000, 100_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			m := testMirror(b, keys)
			b.ReportAllocs()
			for i := range b.N {
				require.NoError(b, m.apply([]*clientv3.Event{event(fmt.Sprintf("/p/%08d", i%keys), int64(11+i))}))
				m.view()
			}
		})
	}
}
