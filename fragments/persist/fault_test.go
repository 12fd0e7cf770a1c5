package persist_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/fragments/persist"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestFailAtEachStep fails each operation of the store's file system in turn, once:
// Persist goes on until the fragment is stored, durably, and nothing else is left.
func TestFailAtEachStep(t *testing.T) {
	for _, existed := range []bool{false, true} {
		for _, c := range codecs[:2] {
			t.Run(fmt.Sprintf("%s existed %v", c, existed), func(t *testing.T) {
				for step := 1; ; step++ {
					if failAtStep(t, c, existed, step) {
						return
					}
				}
			})
		}
	}
}

// failAtStep tells whether there is no such step.
func failAtStep(t *testing.T, c protocol.CompressionCodec, existed bool, step int) bool {
	t.Helper()
	ops := 0
	synctest.Test(t, func(t *testing.T) {
		fs := storetest.NewCrashFS()
		if existed {
			create(t, fs, completed(c, text).ContentPath(), compress(t, c, text))
		}
		b := newBench(t, fs)
		failed := ""
		fs.Before = func(op string) error {
			if ops++; ops == step {
				failed = op
				return syscall.EIO
			}
			return nil
		}
		got, err := b.Persist(t.Context(), spec(), completed(c, text))
		require.NoError(t, err, "%s failed", failed)
		fs.Before = nil
		b.requireStored(t, got, text)
		newBench(t, fs.Crash(storetest.LoseAll)).requireStored(t, got, text)
		if failed != "" && !strings.HasPrefix(failed, "remove ") && !strings.HasPrefix(failed, "close "+got.ContentPath()) {
			require.Contains(t, b.log.String(), "input/output error", "%s failed", failed)
		}
	})
	return ops < step
}

// TestCrashAtEachStep crashes the process at each operation of the store's file
// system, with and without power: the next process persists the fragment, for good.
func TestCrashAtEachStep(t *testing.T) {
	for step := 1; ; step++ {
		ops := 0
		synctest.Test(t, func(t *testing.T) {
			fs := storetest.NewCrashFS()
			ctx, cancel := context.WithCancel(t.Context())
			fs.Before = func(string) error {
				if ops++; ops >= step {
					cancel()
					return storetest.ErrCrashed
				}
				return nil
			}
			c := completed(protocol.CompressionCodec_GZIP, text)
			got, err := newBench(t, fs).Persist(ctx, spec(), c)
			if ops < step {
				require.NoError(t, err)
				cancel()
			}
			for _, loss := range storetest.Losses {
				after := fs.Crash(loss)
				if err == nil {
					newBench(t, after).requireStored(t, got, text)
				}
				got, err := newBench(t, after).Persist(t.Context(), spec(), c)
				require.NoError(t, err)
				b := newBench(t, after.Crash(storetest.LoseAll))
				b.requireStored(t, got, text)
			}
		})
		if ops < step {
			return
		}
	}
}

// faulty is a store some of whose operations are replaced.
type faulty struct {
	store.Store
	stat func(ctx context.Context) error
}

func (f faulty) Stat(ctx context.Context, path string) (store.Object, error) {
	if err := f.stat(ctx); err != nil {
		return store.Object{}, err
	}
	return f.Store.Stat(ctx, path)
}

// TestStoreDownForHours counts what an outage costs: ever fewer attempts, up to one
// in a minute, no file in between; then the fragment is stored.
func TestStoreDownForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("the store is down")
		start, attempts := time.Now(), 0
		b := newBench(t, nil)
		files, err := b.stores.Open("file:///")
		require.NoError(t, err)
		var times []time.Duration
		f := faulty{Store: files, stat: func(context.Context) error {
			if time.Since(start) < 3*time.Hour {
				attempts++
				times = append(times, time.Since(start))
				return down
			}
			return nil
		}}
		under := newBench(t, nil, func(c *persist.Config) { c.Stores = stores{f} })
		got, err := under.Persist(t.Context(), spec(), completed(protocol.CompressionCodec_GZIP, text))
		require.NoError(t, err)
		b.requireStored(t, got, text)
		under.requireMetric(t, "broadsheet_persist_retries_total", float64(attempts))
		require.Equal(t, attempts, strings.Count(under.log.String(), "fragment is not persisted yet"))
		require.Contains(t, under.log.String(), "the store is down")
		require.InDelta(t, 3*60*4/3, attempts, 60, "about one in 45 seconds")
		require.LessOrEqual(t, times[1], 100*time.Millisecond)
		for i := 1; i < len(times); i++ {
			require.Less(t, times[i]-times[i-1], time.Minute)
			require.GreaterOrEqual(t, times[i]-times[i-1], 50*time.Millisecond)
		}
		require.Less(t, time.Since(start), 3*time.Hour+time.Minute)
	})
}

// TestStopped has Persist end with its context, at once, saying why and what failed.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, stopping := errors.New("the store is down"), errors.New("the broker stops")
		b := newBench(t, nil, func(c *persist.Config) {
			c.Stores = stores{faulty{stat: func(context.Context) error { return down }}}
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		start := time.Now()
		time.AfterFunc(10*time.Minute, func() { cancel(stopping) })
		_, err := b.Persist(ctx, spec(), completed(protocol.CompressionCodec_GZIP, text))
		require.ErrorIs(t, err, stopping)
		require.ErrorIs(t, err, down)
		require.ErrorContains(t, err, completed(protocol.CompressionCodec_GZIP, text).ContentPath())
		require.Equal(t, 10*time.Minute, time.Since(start))
		b.requireMetric(t, "gazette_spool_persisted_total", 0)
	})
}

// TestHangingStore has an attempt that would never end: it is given up and made anew.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, attempts := newBench(t, nil), 0
		files, err := b.stores.Open("file:///")
		require.NoError(t, err)
		f := faulty{Store: files, stat: func(ctx context.Context) error {
			if attempts++; attempts == 1 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}}
		under := newBench(t, nil, func(c *persist.Config) { c.Stores = stores{f} })
		start := time.Now()
		_, err = under.Persist(t.Context(), spec(), completed(protocol.CompressionCodec_GZIP, text))
		require.NoError(t, err)
		require.InDelta(t, 5*time.Minute, time.Since(start), float64(time.Second))
		require.Contains(t, under.log.String(), "took longer than 5m0s")
	})
}

// TestUploadsAreBounded persists many at the same time; those that wait for their
// turn end with their context.
func TestUploadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, all = 3, 20
		var now, most atomic.Int64
		b := newBench(t, nil)
		files, err := b.stores.Open("file:///")
		require.NoError(t, err)
		f := faulty{Store: files, stat: func(context.Context) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			timer := time.NewTimer(time.Second)
			<-timer.C
			return nil
		}}
		under := newBench(t, nil, func(c *persist.Config) { c.Stores, c.MaxUploads = stores{f}, bound })
		var group errgroup.Group
		for i := range all {
			group.Go(func() error {
				_, err := under.Persist(t.Context(), spec(), completed(protocol.CompressionCodec_NONE, strconv.Itoa(i)))
				return err
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = under.Persist(ctx, spec(), completed(protocol.CompressionCodec_NONE, "late"))
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, group.Wait())
		require.EqualValues(t, bound, most.Load())
		under.requireMetric(t, "gazette_spool_persisted_total", all)
	})
}

// TestNoSpaceToCompress waits until there is some.
func TestNoSpaceToCompress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		temp := filepath.Join(t.TempDir(), "temp")
		b := newBench(t, nil, func(c *persist.Config) { c.TempDir = temp })
		time.AfterFunc(time.Hour, func() {
			if err := os.Mkdir(temp, 0o700); err != nil {
				t.Error(err)
			}
		})
		got, err := b.Persist(t.Context(), spec(), completed(protocol.CompressionCodec_GZIP, text))
		require.NoError(t, err)
		b.requireStored(t, got, text)
		require.Contains(t, b.log.String(), "file to compress to")
	})
}

// TestEncodingIsRefused: a store that can't have a fragment decompressed isn't asked again and again.
func TestEncodingIsRefused(t *testing.T) {
	files, err := store.NewRegistry(store.RegistryConfig{FileRoot: t.TempDir(), FileOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	b := newBench(t, nil, func(c *persist.Config) { c.Stores = files })
	s := spec()
	s.Fragment.Stores = []string{"s3://bucket/"}
	_, err = b.Persist(t.Context(), s, completed(protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION, text))
	var refused *persist.RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, store.ErrEncoding)
}
