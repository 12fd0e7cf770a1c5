package keyspace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/internal/task"
)

// TestRandomWrites changes keys under and beside the prefix from several writers,
// compacts, and stops and restarts the watch, while every view that is published
// is compared with what etcd says it held at the view's revision.
func TestRandomWrites(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := newHarness(t, 0).load().watch()

	writers := task.New(t.Context(), "writers")
	for w := range 3 {
		r := rand.New(rand.NewPCG(seed, uint64(w)))
		writers.Go(strconv.Itoa(w), func(context.Context) error {
			for range 200 {
				if err := h.randomWrite(r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	var written error
	done := make(chan struct{})
	waiter := task.New(t.Context(), "waiter")
	waiter.Go("wait", func(context.Context) error {
		defer close(done)
		written = writers.Wait()
		return nil
	})
	r := rand.New(rand.NewPCG(seed, 99))
	last := int64(0)
	for running := true; running; {
		changed := h.keys.Changed()
		v := h.keys.View()
		require.GreaterOrEqual(t, v.Revision(), last)
		last = v.Revision()
		h.equalsEtcd(v)
		switch r.IntN(10) {
		case 0:
			require.NoError(t, h.stop())
			rev := h.put("/p/compacted", strconv.FormatInt(last, 10))
			_, err := h.client.Compact(t.Context(), rev)
			require.NoError(t, err)
			h.watch()
			h.await(rev)
		case 1:
			require.NoError(t, h.stop())
			h.watch()
		default:
			select {
			case <-changed:
			case <-done:
				running = false
			}
		}
	}
	require.NoError(t, written)
	require.NoError(t, waiter.Wait())
	h.equalsEtcd(h.await(h.put("/p/end", "1")))
}

func (h *harness) randomWrite(r *rand.Rand) error {
	key := func() string { return fmt.Sprintf("/%c/%d", "ppq"[r.IntN(3)], r.IntN(20)) }
	var err error
	switch r.IntN(4) {
	case 0:
		_, err = h.client.Delete(h.t.Context(), key())
	case 1:
		_, err = h.client.Txn(h.t.Context()).Then(
			clientv3.OpPut("/p/x", strconv.Itoa(r.Int())), clientv3.OpDelete("/p/y"), clientv3.OpPut("/p/z", "1")).Commit()
	default:
		_, err = h.client.Put(h.t.Context(), key(), strconv.Itoa(r.Int()))
	}
	return err
}
