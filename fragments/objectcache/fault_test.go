package objectcache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// faultyFS fails one of its operations, by number.
type faultyFS struct {
	FS
	err error

	mu     sync.Mutex
	number int
	fail   int // 0 is none
	failed string
}

func (f *faultyFS) op(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.number++; f.number == f.fail {
		f.failed = name
		return f.err
	}
	return nil
}

func (f *faultyFS) Create(name string) (io.WriteCloser, error) {
	if err := f.op("create"); err != nil {
		return nil, err
	}
	w, err := f.FS.Create(name)
	return &faultyFile{f, w}, err
}

func (f *faultyFS) Open(name string) (io.ReadCloser, error) {
	if err := f.op("open"); err != nil {
		return nil, err
	}
	return f.FS.Open(name)
}

func (f *faultyFS) Rename(from, to string) error {
	if err := f.op("rename"); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultyFS) Remove(name string) error {
	if err := f.op("remove"); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faultyFS) Stat(name string) (fs.FileInfo, error) {
	if err := f.op("stat"); err != nil {
		return nil, err
	}
	return f.FS.Stat(name)
}

func (f *faultyFS) List() ([]fs.DirEntry, error) {
	if err := f.op("list"); err != nil {
		return nil, err
	}
	return f.FS.List()
}

type faultyFile struct {
	fs *faultyFS
	io.WriteCloser
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fs.op("write"); err != nil {
		n, _ := f.WriteCloser.Write(p[:len(p)/2])
		return n, err
	}
	return f.WriteCloser.Write(p)
}

func (f *faultyFile) Close() error {
	return errors.Join(f.fs.op("close"), f.WriteCloser.Close())
}

// TestEachStepMayFail: whatever the file system refuses, nobody gets a file that isn't whole, the bound
// holds, and when it works again so does the cache.
func TestEachStepMayFail(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; ; n++ {
		dir, s := t.TempDir(), newShelf()
		disk := &faultyFS{FS: directory(dir), err: syscall.ENOSPC, fail: n}
		contents := []string{numbered(0, 4000), numbered(1, 4000), numbered(2, 4000)}
		var all []fragments.Fragment
		for _, content := range contents {
			all = append(all, s.put(t, none, content))
		}
		use := func(cache *Cache) error {
			var errs []error
			for i, f := range append(all, all...) {
				pin, err := cache.Fetch(t.Context(), f)
				errs = append(errs, err)
				if err == nil {
					require.Equal(t, contents[i%3], contentOf(t, pin))
					pin.Release()
				}
				_, size := files(t, dir)
				require.LessOrEqual(t, size, int64(9000), "fault %d", n)
			}
			return errors.Join(errs...)
		}
		cfg := Config{Dir: dir, Stores: s, Bound: 9000, FS: disk}
		cache, err := Open(cfg)
		if err == nil {
			if err = use(cache); err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
			}
			require.NoError(t, cache.Close())
		}
		disk.mu.Lock()
		failed := disk.failed
		disk.fail = 0
		disk.mu.Unlock()
		if failed == "" {
			require.NoError(t, err)
			break // no operation has that number
		}
		seen[failed] = true
		cache, err = Open(cfg)
		require.NoError(t, err, "after fault %d", n)
		require.NoError(t, use(cache), "after fault %d", n)
		_, size := files(t, dir)
		require.Equal(t, cache.ledger.used, size, "after fault %d", n)
		require.NoError(t, cache.Close())
	}
	for _, op := range []string{"list", "create", "write", "close", "rename", "remove", "stat"} {
		require.True(t, seen[op], op)
	}
}

// TestAVerificationMayFail: a file that can't be read is brought anew.
func TestAVerificationMayFail(t *testing.T) {
	dir, s := t.TempDir(), newShelf()
	f := s.put(t, zstd, numbered(1, 4000))
	first := open(t, Config{Dir: dir, Stores: s})
	fetch(t, first, f).Release()
	require.NoError(t, first.Close())
	disk := &faultyFS{FS: directory(dir), err: errBoom}
	cache := open(t, Config{Dir: dir, Stores: s, FS: disk})
	disk.mu.Lock()
	disk.fail = disk.number + 2 // the second is Open
	disk.mu.Unlock()
	require.Equal(t, numbered(1, 4000), contentOf(t, fetch(t, cache, f)))
	require.Contains(t, []string{"stat", "open"}, disk.failed)
	require.Equal(t, 2, s.count(f))
}

// TestStoresMaySendAnything: what isn't the fragment's content isn't kept, wherever it differs.
func TestStoresMaySendAnything(t *testing.T) {
	for _, c := range []protocol.CompressionCodec{none, protocol.CompressionCodec_GZIP, zstd, protocol.CompressionCodec_SNAPPY} {
		t.Run(c.String(), func(t *testing.T) {
			dir, s := t.TempDir(), newShelf()
			cache := open(t, Config{Dir: dir, Stores: s})
			want := numbered(1, 300)
			f := s.put(t, c, want)
			size := len(s.objects[f.ContentPath()])
			attempt := func(what string, at int, body func(context.Context, io.Reader) io.Reader, wants error) {
				s.sending(body)
				pin, err := cache.Fetch(t.Context(), f)
				if err == nil { // as where a bit means nothing
					require.Equal(t, want, contentOf(t, pin), "%s at %d", what, at)
					cache.mu.Lock()
					cache.remove(pin.entry)
					cache.mu.Unlock()
					pin.Release()
					return
				}
				if wants != nil {
					require.ErrorIs(t, err, wants, "%s at %d", what, at)
				}
				names, _ := files(t, dir)
				require.Empty(t, names, "%s at %d", what, at)
				require.Zero(t, cache.ledger.used, "%s at %d", what, at)
			}
			for at := range size {
				attempt("flipped", at, func(_ context.Context, r io.Reader) io.Reader { return &flipped{r: r, left: at} }, ErrCorrupt)
				attempt("cut", at, func(_ context.Context, r io.Reader) io.Reader { return io.LimitReader(r, int64(at)) }, ErrCorrupt)
				attempt("failed", at, func(_ context.Context, r io.Reader) io.Reader {
					return io.MultiReader(io.LimitReader(r, int64(at)), iotest.ErrReader(errBoom))
				}, errBoom)
			}
			attempt("longer", size, func(_ context.Context, r io.Reader) io.Reader {
				return io.MultiReader(r, iotest.OneByteReader(neverEnds{}))
			}, ErrCorrupt)
			s.sending(func(_ context.Context, r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) })
			require.Equal(t, want, contentOf(t, fetch(t, cache, f)))
		})
	}
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) { return copy(p, "more"), nil }

// flipped is a reader that flips a bit of one byte.
type flipped struct {
	r    io.Reader
	left int
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left >= 0 && f.left < n {
		p[f.left] ^= 1
	}
	f.left -= n
	return n, err
}

// TestRandomUse keeps the promises: pinned files are there with their content, and the bound holds.
func TestRandomUse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, s := t.TempDir(), newShelf()
		const bound = 10_000
		cfg := Config{Dir: dir, Stores: s, Bound: bound}
		cache, err := Open(cfg)
		require.NoError(r, err)
		var all []fragments.Fragment
		var contents []string
		for i := range 8 {
			c := []protocol.CompressionCodec{none, zstd}[i%2]
			contents = append(contents, numbered(i, 1000+i*700))
			all = append(all, s.put(r, c, contents[i]))
		}
		pinned := map[*Pin]string{}
		r.Repeat(map[string]func(*rapid.T){
			"fetch": func(r *rapid.T) {
				i := rapid.IntRange(0, len(all)-1).Draw(r, "fragment")
				pin, err := cache.Fetch(t.Context(), all[i])
				if err != nil {
					require.ErrorIs(r, err, ErrNoRoom)
					return
				}
				pinned[pin] = contents[i]
			},
			"release": func(*rapid.T) {
				for pin := range pinned {
					pin.Release()
					delete(pinned, pin)
					return
				}
			},
			"restart": func(r *rapid.T) {
				clear(pinned)
				require.NoError(r, cache.Close())
				cache, err = Open(cfg)
				require.NoError(r, err)
			},
			"": func(r *rapid.T) {
				for pin, want := range pinned {
					require.Equal(r, want, contentOf(r, pin))
				}
				_, size := files(r, dir)
				require.LessOrEqual(r, size, int64(bound))
				require.Equal(r, size, cache.ledger.used)
			},
		})
		require.NoError(r, cache.Close())
	})
}
