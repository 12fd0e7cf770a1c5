package pebblestore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type app struct{ *Store }

func (a app) Set(key, value string) error { return a.Store.Set([]byte(key), []byte(value)) }

func (a app) Delete(key string) error { return a.Store.Delete([]byte(key)) }

func (a app) All() (map[string]string, error) {
	out := make(map[string]string)
	err := a.Scan(nil, nil, func(key, value []byte) error {
		out[string(key)] = string(value)
		return nil
	})
	return out, err
}

// small tables: what happens to files happens often.
func openApp(_ context.Context, fs vfs.FS, dir string) (storetest.App, error) {
	s, err := Open(Config{FS: fs, Dir: dir, MemTableSize: 16 << 10})
	return app{s}, err
}

func TestStore(t *testing.T) { storetest.Run(t, openApp) }

func TestStoreUnderRecoveryLog(t *testing.T) { storetest.RunRecorded(t, openApp) }

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	if cfg.FS == nil {
		cfg.FS = vfs.NewMem()
	}
	cfg.Dir = "/d"
	s, err := Open(cfg)
	require.NoError(t, err)
	return s
}

func at(offset int64) *shards.Checkpoint {
	return &shards.Checkpoint{Sources: map[string]*shards.Checkpoint_Source{"a/journal": {ReadThrough: offset}}}
}

// TestCheckpointKey is Gazette's, pinned: what is at it is the plain message.
func TestCheckpointKey(t *testing.T) {
	require.Equal(t, "0012636865636b706f696e740001", hex.EncodeToString([]byte(checkpointKey)))
	page, err := os.ReadFile("../../../docs/format/state-stores.md")
	require.NoError(t, err)
	require.Contains(t, string(page), hex.EncodeToString([]byte(checkpointKey)), "the format's page")
	s := open(t, Config{})
	require.NoError(t, s.StartCommit(t.Context(), at(7)).Err())
	value, ok, err := get(s.db, []byte(checkpointKey))
	require.NoError(t, err)
	require.True(t, ok)
	want, err := at(7).Marshal()
	require.NoError(t, err)
	require.Equal(t, want, value)
	require.NoError(t, s.Close())
}

// TestTheCheckpointIsNotTheApplications: it can't see it, nor change it.
func TestTheCheckpointIsNotTheApplications(t *testing.T) {
	s := open(t, Config{})
	require.NoError(t, s.Set([]byte("\x00"), []byte("low")))
	require.NoError(t, s.Set([]byte("a"), []byte("high")))
	require.NoError(t, s.StartCommit(t.Context(), at(7)).Err())
	key := []byte(checkpointKey)
	require.ErrorIs(t, s.Set(key, nil), ErrReserved)
	require.ErrorIs(t, s.Delete(key), ErrReserved)
	_, ok, err := s.Get(key)
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, []string{"\x00", "a"}, keys(t, s.Scan))
	require.NoError(t, s.DeleteRange(nil, []byte("z")))
	require.NoError(t, s.DeleteRange(key, append(slices.Clone(key), 0)))
	require.NoError(t, s.DeleteRange([]byte("b"), []byte("a")))
	require.Empty(t, keys(t, s.Scan))
	cp, err := s.RestoreCheckpoint(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, cp.GetSources()["a/journal"].GetReadThrough())
	require.NoError(t, s.Close())
}

func keys(t *testing.T, scan func(from, to []byte, fn func(key, value []byte) error) error) []string {
	t.Helper()
	var out []string
	require.NoError(t, scan(nil, nil, func(key, _ []byte) error {
		out = append(out, string(key))
		return nil
	}))
	return out
}

func TestReads(t *testing.T) {
	s := open(t, Config{})
	for _, k := range []string{"a", "b", "c"} {
		require.NoError(t, s.Set([]byte(k), nil))
	}
	require.NoError(t, s.StartCommit(t.Context(), at(1)).Err())
	value, ok, err := s.Get([]byte("a"))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []byte{}, value)
	_, ok, err = s.Get([]byte("d"))
	require.NoError(t, err)
	require.False(t, ok)
	var seen []string
	stop := errors.New("enough")
	err = s.Scan([]byte("a"), []byte("c"), func(key, _ []byte) error {
		seen = append(seen, string(key))
		require.NoError(t, s.Delete(key))
		require.NoError(t, s.Set([]byte("bb"), nil))
		if len(seen) == 2 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, []string{"a", "b"}, seen)
	require.Equal(t, []string{"bb", "c"}, keys(t, s.Scan))
	require.NoError(t, s.Close())
}

// TestGetEach holds that what is told of many keys is what Get tells of each: of what is in tables, in memory, in the transaction before and in
// this one.
func TestGetEach(t *testing.T) {
	cache := NewCache(1 << 20)
	s, other := open(t, Config{MemTableSize: 16 << 10, Cache: cache}), open(t, Config{Cache: cache})
	cache.Close() // its stores go on with it
	require.NoError(t, other.Close())
	key := func(i int) []byte { return fmt.Appendf(nil, "key %05d", i) }
	for round := range 6 {
		for i := round; i < 3000; i += 7 {
			require.NoError(t, s.Set(key(i), fmt.Appendf(nil, "%d of %d", i, round)))
		}
		require.NoError(t, s.Delete(key(7*round)))
		require.NoError(t, s.Set(key(7*round+1), nil))
		if round < 5 {
			require.NoError(t, s.StartCommit(t.Context(), at(int64(round))).Err())
		}
	}
	keys := [][]byte{[]byte(checkpointKey), nil, {0xff}}
	for i := range 3100 {
		keys = append(keys, key(i), append(key(i), 0))
	}
	slices.SortFunc(keys, bytes.Compare)
	next := 0
	require.NoError(t, s.GetEach(slices.Values(keys), func(value []byte, ok bool) error {
		want, has, err := s.Get(keys[next])
		require.NoError(t, err)
		require.Equal(t, has, ok, "%q", keys[next])
		require.Equal(t, string(want), string(value), "%q", keys[next])
		next++
		return nil
	}))
	require.Len(t, keys, next)
	enough := errors.New("enough")
	require.ErrorIs(t, s.GetEach(slices.Values(keys), func([]byte, bool) error { return enough }), enough)
	require.NoError(t, s.Close())
}

// TestSnapshots have the state and the checkpoint of one commit that was acknowledged, whatever goes on.
func TestSnapshots(t *testing.T) {
	s := open(t, Config{})
	empty, err := s.Snapshot()
	require.NoError(t, err)
	require.NoError(t, s.Set([]byte("a"), []byte("1")))
	require.NoError(t, s.StartCommit(t.Context(), at(1)).Err())
	one, err := s.Snapshot()
	require.NoError(t, err)
	require.NoError(t, s.Set([]byte("a"), []byte("2")))
	held := make(chan struct{})
	op := s.StartCommit(t.Context(), at(2), held2{held})
	same, err := s.Snapshot()
	require.NoError(t, err)
	close(held)
	require.NoError(t, op.Err())
	for _, p := range []*Snapshot{one, same} {
		value, ok, err := p.Get([]byte("a"))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "1", string(value))
		require.Equal(t, []string{"a"}, keys(t, p.Scan))
		cp, err := p.Checkpoint()
		require.NoError(t, err)
		require.EqualValues(t, 1, cp.GetSources()["a/journal"].GetReadThrough())
	}
	require.Empty(t, keys(t, empty.Scan))
	_, ok, err := one.Get([]byte(checkpointKey))
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, one.Close())
	require.NoError(t, one.Close())
	_, _, err = one.Get(nil)
	require.ErrorIs(t, err, store.ErrClosed)

	// The store is closed under the others, once none of their calls is under way.
	require.NoError(t, same.Scan(nil, nil, func(_, _ []byte) error { return nil }))
	require.NoError(t, s.Close())
	_, err = same.Checkpoint()
	require.ErrorIs(t, err, store.ErrClosed)
	require.NoError(t, same.Close())
	_, err = s.Snapshot()
	require.ErrorIs(t, err, store.ErrClosed)
}

type held2 struct{ done chan struct{} }

func (h held2) Done() <-chan struct{} { return h.done }

func (h held2) Err() error {
	<-h.done
	return nil
}

func TestTransactionsAreBounded(t *testing.T) {
	s := open(t, Config{MaxTransaction: 1000})
	require.NoError(t, s.Set([]byte("a"), bytes.Repeat([]byte("x"), 500)))
	err := s.Set([]byte("b"), bytes.Repeat([]byte("x"), 500))
	require.ErrorIs(t, err, ErrTooLarge)
	require.EqualError(t, err, `write "b": the transaction is too large (more than 1000 bytes)`)
	require.Equal(t, []string{"a"}, keys(t, s.Scan))
	require.NoError(t, s.StartCommit(t.Context(), at(1)).Err())
	require.NoError(t, s.Set([]byte("b"), bytes.Repeat([]byte("x"), 500)))
	require.NoError(t, s.Close())
}

// TestFilesForALog: no write-ahead log is used again, and the manifest doesn't grow old.
func TestFilesForALog(t *testing.T) {
	base := vfs.NewMem()
	reused := &noReuse{FS: base}
	s := open(t, Config{FS: reused, MemTableSize: 16 << 10})
	for i := range 200 {
		require.NoError(t, s.Set(fmt.Appendf(nil, "key %d", i%20), bytes.Repeat([]byte("x"), 2000)))
		require.NoError(t, s.StartCommit(t.Context(), at(int64(i))).Err())
	}
	require.NoError(t, s.Close())
	require.Zero(t, reused.times)
	names, err := base.List("/d")
	require.NoError(t, err)
	logs := slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".log") })
	require.LessOrEqual(t, len(logs), 3, "old ones are removed")
}

type noReuse struct {
	vfs.FS

	times int
}

func (f *noReuse) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.times++
	return f.FS.ReuseForWrite(oldname, newname, category)
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]Config{
		"no Dir":                                     {},
		"CacheSize is negative (-1)":                 {Dir: "d", CacheSize: -1},
		"MemTableSize isn't of 0 to 1 GiB (-1)":      {Dir: "d", MemTableSize: -1},
		"MaxTransaction isn't of 0 to 2 GiB (1<<32)": {Dir: "d", MaxTransaction: 1 << 32},
	} {
		_, err := Open(cfg)
		require.EqualError(t, err, "pebble store: "+strings.ReplaceAll(want, "1<<32", "4294967296"))
	}
}

// BenchmarkCommit is how many transactions of one row a second are committed, without a log.
func BenchmarkCommit(b *testing.B) {
	s, err := Open(Config{FS: vfs.NewMem(), Dir: "/d"})
	require.NoError(b, err)
	defer s.Close()
	cp := at(1)
	for i := 0; b.Loop(); i++ {
		require.NoError(b, s.Set(fmt.Appendf(nil, "key %d", i%1000), []byte("value")))
		require.NoError(b, s.StartCommit(b.Context(), cp).Err())
	}
}
