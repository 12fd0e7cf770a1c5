package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestSnapshotSeesWhatWasMadeBefore(t *testing.T) {
	w := newWorld(t)
	a, b := w.run(), w.run()
	for i := range 20 {
		table, err := a.CreateTable(t.Context(), testSpec(fmt.Sprintf("t%d", i)))
		require.NoError(t, err)
		_, ok := w.snapshot(b).Table("public", table.Name)
		require.True(t, ok)
		require.NoError(t, b.DropTable(t.Context(), table))
		_, ok = w.snapshot(a).Table("public", table.Name)
		require.False(t, ok)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	_, err := a.Snapshot(ctx)
	require.ErrorIs(t, err, cause)
}

func TestSnapshotOverEtcdRestart(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	_, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	w.etcd.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	_, err = c.Snapshot(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "what can't be known to be new isn't shown")
	cancel()
	w.etcd.Start(t)
	require.Len(t, w.snapshot(c).Tables(), 1)
}

func TestBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		reads := int64(0)
		b := newBarrier(func(ctx context.Context) (int64, error) {
			mu.Lock()
			reads++
			n := reads
			mu.Unlock()
			select {
			case <-time.After(time.Second):
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		var wg sync.WaitGroup
		results := make([]int64, 40)
		ask := func(i int) {
			wg.Go(func() {
				var err error
				results[i], err = b.await(t.Context())
				if err != nil {
					t.Error(err)
				}
			})
		}
		ask(0)
		synctest.Wait() // the first read runs
		for i := 1; i < 40; i++ {
			ask(i)
		}
		wg.Wait()
		require.Equal(t, int64(1), results[0])
		for _, r := range results[1:] {
			require.Equal(t, int64(2), r, "the read that was running may be older than the question")
		}
		require.Equal(t, int64(2), reads)

		// Whoever reads for others and gives up lets another of them read.
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		wg.Go(func() {
			if _, err := b.await(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		ask(0) // waits for the turn; its batch is its own
		wg.Wait()
		require.Equal(t, int64(4), results[0])

		shared := b.join() // a batch with a second member
		ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		wg.Go(func() { _, _ = b.await(ctx) }) // joins it, and reads for both
		wg.Wait()
		<-shared.done
		require.True(t, shared.abandoned)

		failure := errors.New("failed")
		b.read = func(context.Context) (int64, error) { return 0, failure }
		_, err := b.await(t.Context())
		require.ErrorIs(t, err, failure)
	})
}

func TestUnreadableEntries(t *testing.T) {
	w := newWorld(t)
	c := w.run()
	table, err := c.CreateTable(t.Context(), testSpec("clicks"))
	require.NoError(t, err)
	key := c.keys.table("postgres", "public", "clicks")
	for name, value := range map[string]string{
		"newer":       strings.Replace(table.encode(), `"format":1`, `"format":3`, 1),
		"no format":   strings.Replace(table.encode(), `"format":1,`, ``, 1),
		"garbage":     "garbage",
		"empty":       "",
		"type":        strings.Replace(table.encode(), "int8", "int16", 1),
		"codec":       strings.Replace(table.encode(), "zstd", "brotli", 1),
		"interval":    strings.Replace(table.encode(), "10m0s", "soon", 1),
		"another key": strings.Replace(table.encode(), `"clicks"`, `"clacks"`, 1),
		"no options":  strings.Replace(table.encode(), `"options"`, `"others"`, 1),
		"too many":    strings.Replace(table.encode(), `"journals":1`, `"journals":1000000000`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := w.client.Txn(t.Context()).Then(clientv3.OpPut(key, value), c.putVersion()).Commit()
			require.NoError(t, err)
			s := w.snapshot(c)
			require.GreaterOrEqual(t, s.Revision(), r.Header.GetRevision())
			_, ok := s.Table("public", "clicks")
			require.False(t, ok)
			require.Empty(t, s.Tables())
			err = s.Unreadable("public", "clicks")
			require.ErrorIs(t, err, ErrUnreadable)
			require.NoError(t, s.Unreadable("public", "clacks"))
			_, err = c.CreateTable(t.Context(), testSpec("clicks"))
			require.ErrorIs(t, err, ErrExists)
			if name != "another key" {
				require.ErrorIs(t, c.DropTable(t.Context(), w.table("public", "clicks")), ErrUnreadable)
			}
			got, err := w.client.Get(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, value, string(got.Kvs[0].GetValue()), "it is left alone")
		})
	}
	_, err = w.client.Put(t.Context(), c.keys.database("postgres"), `{"format":3}`)
	require.NoError(t, err)
	_, err = Open(t.Context(), w.config())
	require.ErrorIs(t, err, ErrUnreadable)
}
