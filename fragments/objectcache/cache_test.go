package objectcache

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/codec"
	"broadsheet.dev/broadsheet/protocol"
)

// TestFileNames are those of docs/format/object-cache.md.
func TestFileNames(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format/object-cache.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(doc), "```text\n")
	name, _, _ := strings.Cut(rest, "\n")
	f := newShelf().put(t, zstd, "a line\n")
	k, ok := keyOf(f)
	require.True(t, ok)
	require.Equal(t, name, k.fileName(23))
	parsed, size, ok := parseFileName(name)
	require.True(t, ok)
	require.Equal(t, k, parsed)
	require.EqualValues(t, 23, size)
	for _, other := range []string{"", lockName, "1.partial", name + "x", strings.ToUpper(name), name[1:], strings.Replace(name, "-", "--", 1), strings.Replace(name, ".zst", ".zstandard", 1)} {
		_, _, ok := parseFileName(other)
		require.False(t, ok, other)
	}
}

func TestAnObjectIsCopiedOnce(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{none, protocol.CompressionCodec_GZIP, zstd, protocol.CompressionCodec_SNAPPY} {
		t.Run(c.String(), func(t *testing.T) {
			s, reg := newShelf(), prometheus.NewRegistry()
			cache := open(t, Config{Dir: t.TempDir(), Stores: s, Registerer: reg})
			want := numbered(1, 300_000)
			f := s.put(t, c, want)
			_, ok := cache.Pin(f)
			require.False(t, ok, "it isn't there yet")
			pin := fetch(t, cache, f)
			require.Equal(t, want, contentOf(t, pin))
			info, err := os.Stat(pin.Path())
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o222, "it can be written")
			require.Equal(t, codec.Extension(c), filepath.Ext(pin.Path()))

			other := f // the same content elsewhere
			other.Journal, other.Begin, other.End = "acme/others", 0, f.Length()
			again, ok := cache.Pin(other)
			require.True(t, ok)
			require.Equal(t, pin.Path(), again.Path())
			third := fetch(t, cache, f)
			require.Equal(t, 1, s.count(f))
			require.Equal(t, "2", told(t, reg, "hits_total"))
			require.Equal(t, strconv.FormatInt(info.Size(), 10), told(t, reg, "bytes"))
			require.Equal(t, strconv.FormatInt(info.Size(), 10), told(t, reg, "download_bytes_total"))
			for _, p := range []*Pin{pin, again, third, pin} {
				p.Release()
			}
			require.Equal(t, 1, cache.ledger.idle.Len())
		})
	}
}

func TestWhatCantBeKept(t *testing.T) {
	s := newShelf()
	cache := open(t, Config{Dir: t.TempDir(), Stores: s, Bound: 1000})
	f := s.put(t, none, numbered(1, 500))
	for want, bad := range map[error]fragments.Fragment{
		ErrUnfit:    {Journal: f.Journal, Begin: f.Begin, End: f.End, Codec: none, Store: f.Store},
		ErrTooLarge: s.put(t, none, numbered(2, 1001)),
	} {
		_, err := cache.Fetch(t.Context(), bad)
		require.ErrorIs(t, err, want)
	}
	offload := f
	offload.Codec = protocol.CompressionCodec_GZIP_OFFLOAD_DECOMPRESSION
	_, err := cache.Fetch(t.Context(), offload)
	require.ErrorIs(t, err, ErrUnfit)
	foreign := f
	foreign.Store = "s3://other/"
	_, err = cache.Fetch(t.Context(), foreign)
	require.ErrorContains(t, err, "s3://other/")
}

// TestRoomIsMadeOfWhatIsUnused the longest, and of nothing that is in use.
func TestRoomIsMadeOfWhatIsUnused(t *testing.T) {
	s, reg, dir := newShelf(), prometheus.NewRegistry(), t.TempDir()
	cache := open(t, Config{Dir: dir, Stores: s, Bound: 1000, Registerer: reg})
	var all []fragments.Fragment
	for i := range 4 {
		all = append(all, s.put(t, none, numbered(i, 400)))
	}
	first := fetch(t, cache, all[0])
	fetch(t, cache, all[1]).Release()
	fetch(t, cache, all[2]).Release()
	require.NoFileExists(t, filepath.Join(dir, keyName(t, all[1])))
	third := fetch(t, cache, all[3])
	require.NoFileExists(t, filepath.Join(dir, keyName(t, all[2])))
	require.FileExists(t, first.Path())
	_, err := cache.Fetch(t.Context(), all[1])
	require.ErrorIs(t, err, ErrNoRoom)
	require.Equal(t, "1", told(t, reg, "refused_total"))
	require.Equal(t, "2", told(t, reg, "evictions_total"))
	_, size := files(t, dir)
	require.EqualValues(t, 800, size)
	first.Release()
	fetch(t, cache, all[1]).Release()
	require.Equal(t, numbered(3, 400), contentOf(t, third))
}

func keyName(t *testing.T, f fragments.Fragment) string {
	t.Helper()
	k, ok := keyOf(f)
	require.True(t, ok)
	return k.fileName(f.Length())
}

// gate holds bodies back until it is opened.
type gate struct {
	entered chan struct{}
	opened  chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 100), make(chan struct{})} }

func (g *gate) body(ctx context.Context, r io.Reader) io.Reader { return &gated{g, ctx, r} }

type gated struct {
	*gate
	ctx context.Context
	r   io.Reader
}

func (g *gated) Read(p []byte) (int, error) {
	g.entered <- struct{}{}
	select {
	case <-g.opened:
		return g.r.Read(p)
	case <-g.ctx.Done():
		return 0, context.Cause(g.ctx)
	}
}

// TestManyShareADownload, and those who leave don't end it for the others.
func TestManyShareADownload(t *testing.T) {
	s, g := newShelf(), newGate()
	cache := open(t, Config{Dir: t.TempDir(), Stores: s})
	f := s.put(t, none, numbered(1, 4000))
	s.sending(g.body)
	leaving, leave := context.WithCancel(t.Context())
	results := make(chan error, 10)
	var pins sync.Map
	for i := range 10 {
		go func() {
			ctx := t.Context()
			if i < 5 {
				ctx = leaving
			}
			pin, err := cache.Fetch(ctx, f)
			if pin != nil {
				pins.Store(pin, nil)
			}
			results <- err
		}()
	}
	<-g.entered
	require.Eventually(t, func() bool { return waiting(cache) == 10 }, 10*time.Second, time.Millisecond)
	leave()
	for range 5 {
		require.ErrorIs(t, <-results, context.Canceled)
	}
	close(g.opened)
	for range 5 {
		require.NoError(t, <-results)
	}
	require.Equal(t, 1, s.count(f))
	pins.Range(func(p, _ any) bool { p.(*Pin).Release(); return true })
	require.Equal(t, 1, cache.ledger.idle.Len())
}

func waiting(c *Cache) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, f := range c.flights {
		n += f.waiting
	}
	return n
}

// TestADownloadThatNobodyWaitsForEnds, and the next who asks gets another.
func TestADownloadThatNobodyWaitsForEnds(t *testing.T) {
	s, g, dir := newShelf(), newGate(), t.TempDir()
	cache := open(t, Config{Dir: dir, Stores: s})
	f := s.put(t, none, numbered(1, 4000))
	s.sending(g.body)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, err := cache.Fetch(ctx, f); ended <- err }()
	<-g.entered
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	s.sending(nil)
	fetch(t, cache, f).Release()
	require.Equal(t, 2, s.count(f))
	names, _ := files(t, dir)
	require.Equal(t, []string{keyName(t, f)}, names)
}

// TestCloseEndsDownloads and waits for them.
func TestCloseEndsDownloads(t *testing.T) {
	s, g, dir := newShelf(), newGate(), t.TempDir()
	cache := open(t, Config{Dir: dir, Stores: s})
	f := s.put(t, none, numbered(1, 4000))
	s.sending(g.body)
	ended := make(chan error)
	go func() { _, err := cache.Fetch(context.Background(), f); ended <- err }()
	<-g.entered
	require.NoError(t, cache.Close())
	require.Error(t, <-ended)
	names, _ := files(t, dir)
	require.Empty(t, names)
	_, err := cache.Fetch(t.Context(), f)
	require.ErrorIs(t, err, errClosed)
}

// TestASilentStoreIsGivenUp after a while, and no sooner.
func TestASilentStoreIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newShelf(), newGate()
		cache := open(t, Config{Dir: t.TempDir(), Stores: s, Idle: time.Hour})
		f := s.put(t, none, numbered(1, 4000))
		s.sending(g.body)
		began := time.Now()
		_, err := cache.Fetch(t.Context(), f)
		require.ErrorContains(t, err, "the store sent nothing for 1h0m0s")
		require.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, cache.Close())
	})
}

func TestOneProcessHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, Stores: newShelf(), Bound: 1}
	cache := open(t, cfg)
	_, err := Open(cfg)
	require.ErrorIs(t, err, errInUse)
	require.ErrorContains(t, err, dir)
	require.NoError(t, cache.Close())
	require.NoError(t, open(t, cfg).Close())
}

// TestARestartFindsWhatWasThere, but for what wasn't whole, and what a lower bound has no room for.
func TestARestartFindsWhatWasThere(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	cache := open(t, Config{Dir: dir, Stores: s})
	a, b := s.put(t, none, numbered(1, 4000)), s.put(t, zstd, numbered(2, 4000))
	old := time.Now().Add(-time.Hour)
	pin := fetch(t, cache, a)
	require.NoError(t, os.Chtimes(pin.Path(), old, old))
	fetch(t, cache, b)
	require.NoError(t, cache.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "7.partial"), []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))

	cache = open(t, Config{Dir: dir, Stores: s})
	for _, f := range []fragments.Fragment{a, b} {
		_, ok := cache.Pin(f)
		require.False(t, ok, "it wasn't looked at yet")
		fetch(t, cache, f).Release()
		require.Equal(t, 1, s.count(f))
	}
	require.NoFileExists(t, filepath.Join(dir, "7.partial"))
	require.FileExists(t, filepath.Join(dir, "README"))
	require.NoError(t, cache.Close())

	cache = open(t, Config{Dir: dir, Stores: s, Bound: 3999})
	require.NoFileExists(t, filepath.Join(dir, keyName(t, a)))
	fetch(t, cache, b).Release()
	require.Equal(t, 1, s.count(b))
}

// TestDamageIsFound however a file was damaged, while the cache runs and over a restart.
func TestDamageIsFound(t *testing.T) {
	ways := map[string]func(t *testing.T, path string){
		"truncated": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 17)) },
		"emptied":   func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 0)) },
		"longer": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, append(b, '\n'), 0o600))
		},
		"flipped": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[len(b)/2] ^= 4
			require.NoError(t, os.WriteFile(path, b, 0o600))
			require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)))
		},
		"removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"a link": func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "elsewhere")
			require.NoError(t, os.Rename(path, target))
			require.NoError(t, os.Symlink(target, path))
		},
	}
	for way, damage := range ways {
		for _, c := range []protocol.CompressionCodec{none, zstd} {
			for _, restart := range []bool{false, true} {
				name := way + " " + c.String()
				if restart {
					name += " over a restart"
				}
				t.Run(name, func(t *testing.T) {
					s, dir := newShelf(), t.TempDir()
					cache := open(t, Config{Dir: dir, Stores: s})
					want := numbered(1, 4000)
					f := s.put(t, c, want)
					pin := fetch(t, cache, f)
					path := pin.Path()
					pin.Release()
					if restart {
						require.NoError(t, cache.Close())
					}
					require.NoError(t, os.Chmod(path, 0o600)) // as whoever damages it might
					damage(t, path)
					if restart {
						cache = open(t, Config{Dir: dir, Stores: s})
					}
					_, ok := cache.Pin(f)
					require.False(t, ok)
					pin = fetch(t, cache, f)
					require.Equal(t, want, contentOf(t, pin))
					require.Equal(t, 2, s.count(f))
					_, size := files(t, dir)
					require.Equal(t, size, cache.ledger.used)
					info, err := os.Lstat(path)
					require.NoError(t, err)
					require.True(t, info.Mode().IsRegular())
				})
			}
		}
	}
}

// TestATouchedFileIsReadAgain and used on if it is whole.
func TestATouchedFileIsReadAgain(t *testing.T) {
	s := newShelf()
	cache := open(t, Config{Dir: t.TempDir(), Stores: s})
	f := s.put(t, none, numbered(1, 4000))
	pin := fetch(t, cache, f)
	require.NoError(t, os.Chtimes(pin.Path(), time.Time{}, time.Now().Add(-time.Hour)))
	_, ok := cache.Pin(f)
	require.False(t, ok)
	fetch(t, cache, f).Release()
	require.Equal(t, 1, s.count(f))
	pin.Release()
}

var errBoom = errors.New("boom")
