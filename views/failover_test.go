package views_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/views"
	"broadsheet.dev/broadsheet/views/keep"
)

// anyHost is a connection that leads to the host which was put last.
type anyHost struct {
	now atomic.Pointer[grpc.ClientConn]
}

func (a *anyHost) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return a.now.Load().Invoke(ctx, method, args, reply, opts...)
}

func (a *anyHost) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return a.now.Load().NewStream(ctx, desc, method, opts...)
}

// follower has what a subscription has told.
type follower struct {
	mu     sync.Mutex
	rows   map[string]int
	epoch  uint64
	at     map[string]int64
	events int
	err    error
	done   chan struct{}
}

// follow a subscription until its context ends.
func follow(changes *views.Changes) *follower {
	f := &follower{rows: map[string]int{}, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for f.take(changes.Next()) {
		}
	}()
	return f
}

func (f *follower) take(p views.Part, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err != nil {
		return false
	}
	for _, row := range texts(p.Removed) {
		f.count(row, -1)
	}
	for _, row := range texts(p.Added) {
		f.count(row, 1)
	}
	if p.Snapshot && f.events > 0 {
		f.err = errors.New("a snapshot in the midst")
		return false
	}
	if p.End {
		f.events++
		if p.Epoch <= f.epoch && f.events > 1 {
			f.err = fmt.Errorf("epoch %d after %d", p.Epoch, f.epoch)
			return false
		}
		f.epoch, f.at = p.Epoch, p.Cut
	}
	return true
}

func (f *follower) count(row string, by int) {
	if f.rows[row] += by; f.rows[row] == 0 {
		delete(f.rows, row)
	}
}

// await until it has been told of an epoch, and return its rows of the last one.
func (f *follower) await(t *testing.T, epoch uint64) []string {
	t.Helper()
	var out []string
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.epoch < epoch && f.err == nil {
			return false
		}
		out = nil
		for row, n := range f.rows {
			out = append(out, slices.Repeat([]string{row}, max(n, 0))...)
		}
		return true
	}, time.Minute, time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NoError(t, f.err)
	slices.Sort(out)
	return out
}

// TestFailover: hosts are killed and stopped, at once or one after another, while rows come and a subscription runs. The view is exact, and the
// subscription tells each change once.
func TestFailover(t *testing.T) {
	for name, plan := range map[string]func(testing.TB) views.Plan{"groups": sums, "rows": filtered} {
		t.Run(name, func(t *testing.T) { failover(t, plan(t)) })
	}
}

func failover(t *testing.T, plan views.Plan) {
	w := newWorld(t, 2)
	w.adjust = func(c *views.Config) { c.Batch, c.Cache = 2000, 1000 }
	front := new(anyHost)
	hosts := []*viewHost{w.host(), w.host()}
	front.now.Store(hosts[0].conn)
	w.keep(hosts[0], viewID, plan, 1)
	w.append(0, line(1, 100, "first"))
	state := w.exact(hosts[0], viewID, plan, w.heads())
	ctx, cancel := context.WithCancel(t.Context())
	changes := views.NewClient(front).Subscribe(ctx, viewID, nil)
	f := follow(changes)
	f.await(t, state.Epoch)
	n := 0
	for round := range 6 {
		stop := make(chan struct{})
		var appending sync.WaitGroup
		appending.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var text strings.Builder
				for range rand.IntN(40) {
					text.WriteString(line(n%9, n, strconv.Itoa(n)))
					n++
				}
				w.append(rand.IntN(2), text.String())
			}
		})
		next := w.host()
		hosts[0].Await(keep.ShardID(viewID), func(s *shards.ListResponse_Shard) bool { return s.GetRoute().GetPrimary() >= 0 })
		old := hosts[0]
		hosts = append(hosts[1:], next)
		front.now.Store(hosts[round%2].conn)
		if round%3 == 2 {
			old.Stop()
		} else {
			require.NoError(t, old.Kill(t.Context()))
		}
		if round == 4 { // everybody: the log is all that is left
			require.NoError(t, hosts[0].Kill(t.Context()))
			require.NoError(t, hosts[1].Kill(t.Context()))
			hosts = []*viewHost{w.host(), w.host()}
			front.now.Store(hosts[0].conn)
		}
		w.read(hosts[0], viewID, w.heads())
		close(stop)
		appending.Wait()
		state = w.exact(hosts[round%2], viewID, plan, w.heads())
		got := f.await(t, state.Epoch)
		require.Equal(t, w.expect(plan, f.at), got, "what the subscription has told, at epoch %d", f.epoch)
	}
	cancel()
	<-f.done
	require.NoError(t, changes.Close())
	require.Greater(t, f.events, 5)
}

// TestResume: a subscription goes on after the epoch that is named, or says that it can't.
func TestResume(t *testing.T) {
	w := newWorld(t, 1)
	var now atomic.Int64
	now.Store(1e9)
	w.adjust = func(c *views.Config) {
		c.DeltaBytes, c.DeltaAge = 400, time.Minute
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	}
	h := w.host()
	plan := sums(t)
	w.keep(h, viewID, plan, 0)
	begin := w.exact(h, viewID, plan, w.heads())
	var epochs []uint64
	var rows [][]string
	step := func(k int) {
		w.append(0, line(k, k, "a"))
		state, now := w.read(h, viewID, w.heads())
		epochs, rows = append(epochs, state.Epoch), append(rows, now)
	}
	for k := range 3 {
		step(k)
	}
	require.Less(t, begin.Epoch, epochs[0])
	replay := func(after int) error {
		s := h.client.Subscribe(t.Context(), viewID, &epochs[after])
		defer s.Close()
		have := map[string]int{}
		for _, row := range rows[after] {
			have[row]++
		}
		for {
			p, err := s.Next()
			if err != nil {
				return err
			}
			for _, row := range texts(p.Removed) {
				have[row]--
			}
			for _, row := range texts(p.Added) {
				have[row]++
			}
			if p.End && p.Epoch >= epochs[len(epochs)-1] {
				maps.DeleteFunc(have, func(_ string, n int) bool { return n == 0 })
				require.Equal(t, rows[len(rows)-1], slices.Sorted(maps.Keys(have)))
				return nil
			}
		}
	}
	for i := range 2 {
		require.NoError(t, replay(i))
	}
	beyond := epochs[2] + 100
	s := h.client.Subscribe(t.Context(), viewID, &beyond)
	_, err := s.Next()
	require.ErrorContains(t, err, "the view has no epoch")
	require.NoError(t, s.Close())

	for k := range 30 { // more than is kept
		step(k + 10)
	}
	require.NoError(t, replay(len(epochs)-2))
	err = replay(0)
	var remote *views.RemoteError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, codes.OutOfRange, remote.Code)
	now.Add(3600)
	step(50)
	require.Error(t, replay(len(epochs)-3), "it is too old")
	require.NoError(t, replay(len(epochs)-2))
}

// TestBrokenChange: where a host goes in the midst of a change, its rest comes from the next one.
func TestBrokenChange(t *testing.T) {
	w := newWorld(t, 1)
	one, two := w.host(), w.host()
	plan := views.Plan{Kind: views.Rows, Partial: parsed(t, "select k as k, repeat(s, 1000) as s from public.t")}
	w.keep(one, viewID, plan, 1)
	front := new(anyHost)
	front.now.Store(one.conn)
	state, _ := w.read(one, viewID, nil)
	s := views.NewClient(front).Subscribe(t.Context(), viewID, nil)
	defer s.Close()
	p, err := s.Next()
	require.NoError(t, err)
	require.True(t, p.Snapshot && p.End && p.Epoch >= state.Epoch)
	var text strings.Builder
	const rows = 2_000
	for i := range rows {
		text.WriteString(line(i, i, "0123456789"))
	}
	w.append(0, text.String())
	two.AwaitCode(keep.ShardID(viewID), shards.ReplicaStatus_PRIMARY)
	seen := map[int64]int{}
	take := func(b *columnar.Batch) {
		if b != nil {
			for _, k := range b.Cols[0].I64 {
				seen[k]++
			}
		}
	}
	p, err = s.Next() // 20 MB of rows are more than what is on its way
	require.NoError(t, err)
	require.False(t, p.End)
	take(p.Added)
	front.now.Store(two.conn)
	require.NoError(t, one.Kill(t.Context()))
	for len(seen) < rows {
		p, err := s.Next()
		require.NoError(t, err)
		require.Nil(t, p.Removed)
		take(p.Added)
	}
	for k, n := range seen {
		require.Equal(t, 1, n, "row %d", k)
	}
}
