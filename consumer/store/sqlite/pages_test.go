package sqlite

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/shards"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

func openBeneath(t *testing.T, fs vfs.FS) *pebblestore.Store {
	t.Helper()
	beneath, err := pebblestore.Open(pebblestore.Config{FS: fs, Dir: "/d"})
	require.NoError(t, err)
	return beneath
}

// TestFormat is how keys and values are, pinned by the format's page.
func TestFormat(t *testing.T) {
	fs := vfs.NewMem()
	beneath := openBeneath(t, fs)
	p, err := openPages(beneath, 1<<20)
	require.NoError(t, err)
	require.NoError(t, p.writeAt([]byte("second"), pageSize+2))
	require.NoError(t, p.flush())
	var got []string
	require.NoError(t, beneath.Scan(nil, nil, func(key, value []byte) error {
		short := hex.EncodeToString(value)
		if len(value) > 100 {
			require.Len(t, value, pageSize+4)
			short = short[:16] + ".." + short[len(short)-8:]
		}
		got = append(got, hex.EncodeToString(key)+"  "+short)
		return nil
	}))
	require.NoError(t, beneath.Close())
	want := "706167650000000000000000  0000000000000000..dd39328e\n" +
		"706167650000000000000001  00007365636f6e64..838de3a7\n" +
		"73697a65  00000000000010081b70da0a\n"
	require.Equal(t, want, strings.Join(got, "\n")+"\n")
	page, err := os.ReadFile("../../../docs/format/state-stores.md")
	require.NoError(t, err)
	require.Contains(t, string(page), want)

	// The table is Gazette's.
	a := open(t, Config{})
	a.commit(t, 7)
	tx, err := a.Tx(t.Context())
	require.NoError(t, err)
	var schema string
	require.NoError(t, tx.QueryRow("SELECT sql FROM sqlite_schema WHERE name = 'gazette_checkpoint'").Scan(&schema))
	require.Contains(t, string(page), schema)
	var value []byte
	require.NoError(t, tx.QueryRow("SELECT checkpoint FROM gazette_checkpoint WHERE rowid = 0").Scan(&value))
	encoded, err := at(7).Marshal()
	require.NoError(t, err)
	require.Equal(t, encoded, value)
	require.NoError(t, a.Close())
}

// TestPages are a file as a model has it: bytes that grow, are written over, cut off and grow again, flushed now and then.
func TestPages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	fs := vfs.NewMem()
	beneath := openBeneath(t, fs)
	p, err := openPages(beneath, 1<<30)
	require.NoError(t, err)
	var model, committed []byte
	for i := range 3000 {
		switch rnd.IntN(12) {
		case 0:
			size := rnd.IntN(12 * pageSize)
			require.NoError(t, p.resize(int64(size)))
			model = append(model, make([]byte, max(0, size-len(model)))...)[:size]
		case 1:
			require.NoError(t, p.flush())
			require.NoError(t, beneath.StartCommit(t.Context(), at(int64(i))).Err())
			committed = bytes.Clone(model)
		case 2: // What wasn't committed is gone.
			require.NoError(t, beneath.Close())
			beneath = openBeneath(t, fs)
			p, err = openPages(beneath, 1<<30)
			require.NoError(t, err)
			model = bytes.Clone(committed)
		default:
			content := bytes.Repeat([]byte{byte(i)}, 1+rnd.IntN(2*pageSize))
			offset := rnd.IntN(10 * pageSize)
			require.NoError(t, p.writeAt(content, int64(offset)))
			model = append(model, make([]byte, max(0, offset+len(content)-len(model)))...)
			copy(model[offset:], content)
		}
		require.EqualValues(t, len(model), p.size)
		b := make([]byte, rnd.IntN(3*pageSize))
		offset := rnd.IntN(12 * pageSize)
		n, err := p.readAt(b, int64(offset))
		want := model[min(offset, len(model)):min(offset+len(b), len(model))]
		if len(want) < len(b) {
			require.ErrorIs(t, err, io.EOF)
		} else {
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(want, b[:n]), "step %d: %d bytes at %d", i, len(b), offset)
	}
	require.NoError(t, beneath.Close())
}

// damaged is a store of 40 pages or so, in which one value beneath was changed.
func damaged(t *testing.T, change func(*pebblestore.Store) error) (vfs.FS, map[string]string) {
	t.Helper()
	fs := vfs.NewMem()
	a := open(t, Config{FS: fs})
	require.NoError(t, a.fill(0, 200))
	a.commit(t, 1)
	model, err := a.All()
	require.NoError(t, err)
	require.NoError(t, a.Close())
	beneath := openBeneath(t, fs)
	require.NoError(t, change(beneath))
	require.NoError(t, beneath.StartCommit(t.Context(), at(1)).Err())
	require.NoError(t, beneath.Close())
	return fs, model
}

// read all that a store has: the error of opening it, or of reading it, or of the next commit.
func read(t *testing.T, fs vfs.FS) (map[string]string, error) {
	t.Helper()
	s, err := Open(t.Context(), Config{FS: fs, Dir: "/d"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it may say that it failed
	got, err := (app{s}).All()
	if err == nil {
		_, err = s.RestoreCheckpoint(t.Context())
	}
	if err != nil && s.Failure() != nil {
		require.Error(t, s.StartCommit(t.Context(), at(2)).Err(), "after %v", err)
		err = s.Failure()
	}
	return got, err
}

// TestDamagedPages are errors, whichever page it is and whatever became of it, and never other rows.
func TestDamagedPages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test
	const pages = 30
	changes := map[string]func(b *pebblestore.Store, key []byte) error{
		"a bit": func(b *pebblestore.Store, key []byte) error {
			value, ok, err := b.Get(key)
			require.True(t, ok)
			require.NoError(t, err)
			value[rnd.IntN(len(value))] ^= 1 << rnd.IntN(8)
			return b.Set(key, value)
		},
		"another page": func(b *pebblestore.Store, key []byte) error {
			other := pageKey((int64(key[len(key)-1]) + 1) % pages)
			value, ok, err := b.Get(other)
			require.True(t, ok)
			require.NoError(t, err)
			return b.Set(key, value)
		},
		"none": func(b *pebblestore.Store, key []byte) error { return b.Delete(key) },
		"short": func(b *pebblestore.Store, key []byte) error {
			return b.Set(key, make([]byte, pageSize))
		},
	}
	for name, change := range changes {
		found := 0
		for n := range int64(pages) {
			fs, model := damaged(t, func(b *pebblestore.Store) error { return change(b, pageKey(n)) })
			got, err := read(t, fs)
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt, "%s of page %d", name, n)
				found++
				continue
			}
			require.Equal(t, model, got, "%s of page %d: it isn't one that was read", name, n)
		}
		require.Greater(t, found, pages/2, name)
	}
	for name, change := range map[string]func(b *pebblestore.Store) error{
		"no size":  func(b *pebblestore.Store) error { return b.Delete([]byte(sizeKey)) },
		"a size":   func(b *pebblestore.Store) error { return b.Set([]byte(sizeKey), make([]byte, 12)) },
		"no pages": func(b *pebblestore.Store) error { return b.DeleteRange(pageKey(0), pageKey(-1)) },
	} {
		fs, _ := damaged(t, change)
		_, err := read(t, fs)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
}

// TestDamagedFiles: a byte of a table is another one. What is read then is right, or an error.
func TestDamagedFiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test
	fs := vfs.NewMem()
	s, err := openApp(t.Context(), fs, "/d")
	require.NoError(t, err)
	a := s.(app)
	for i := range 10 {
		require.NoError(t, a.fill(i*30, (i+1)*30))
		a.commit(t, int64(i))
	}
	model, err := a.All()
	require.NoError(t, err)
	require.NoError(t, a.Close())
	names, err := fs.List("/d")
	require.NoError(t, err)
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".sst") })
	require.NotEmpty(t, names)
	failed := 0
	for range 100 {
		name := "/d/" + names[rnd.IntN(len(names))]
		copied := vfs.NewMem()
		_, err = vfs.Clone(fs, copied, "/d", "/d")
		require.NoError(t, err)
		f, err := copied.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		at, one := rnd.Int64N(info.Size()), make([]byte, 1)
		_, err = f.ReadAt(one, at)
		require.NoError(t, err)
		one[0] ^= 1 << rnd.IntN(8)
		_, err = f.WriteAt(one, at)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		got, err := read(t, copied)
		if err != nil {
			failed++
			continue
		}
		require.Equal(t, model, got, "byte %d of %s", at, name)
	}
	require.Greater(t, failed, 30)
}

// TestDiskFull: the commit fails and says so, the process lives and reads, and the store is there again when there is space.
func TestDiskFull(t *testing.T) {
	for _, after := range []int{0, 1, 2, 3, 5, 8, 13, 21, 34} {
		t.Run(fmt.Sprintf("after %d writes", after), func(t *testing.T) {
			fs, full := vfs.NewMem(), false
			writes := 0
			disk := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if !full || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
					return nil
				}
				writes++
				if writes <= after {
					return nil
				}
				return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
			}))
			a := open(t, Config{FS: disk})
			require.NoError(t, a.fill(0, 100))
			a.commit(t, 1)
			full = true
			committed, failed := 100, error(nil)
			for i := 1; failed == nil; i++ {
				require.NoError(t, a.fill(i*100, (i+1)*100))
				failed = a.StartCommit(t.Context(), at(int64(i+1))).Err()
				if failed == nil {
					committed += 100
				}
			}
			require.ErrorIs(t, failed, syscall.ENOSPC)
			require.Equal(t, committed+100, a.count(t))
			full = false
			require.ErrorIs(t, a.StartCommit(t.Context(), new(shards.Checkpoint)).Err(), syscall.ENOSPC, "it isn't as if nothing had happened")
			require.NoError(t, a.Close())

			a = open(t, Config{FS: fs})
			cp, err := a.RestoreCheckpoint(t.Context())
			require.NoError(t, err)
			through := int(cp.GetSources()["a/journal"].GetReadThrough()) * 100
			require.Equal(t, through, a.count(t))
			require.Contains(t, []int{committed, committed + 100}, through)
			a.requireSound(t)
			require.NoError(t, a.Close())
		})
	}
}

// TestReadsThatFail are errors of SQLite, with which the store has failed: it commits nothing any more.
func TestReadsThatFail(t *testing.T) {
	broken := errors.New("broken")
	fail := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt && strings.HasSuffix(op.Path, ".sst") {
			return broken
		}
		return nil
	})}
	fs := vfs.NewMem()
	a := open(t, Config{FS: errorfs.Wrap(fs, &fail), MemTableSize: 64 << 10, CacheSize: 1})
	for i := range 10 {
		require.NoError(t, a.fill(i*100, (i+1)*100))
		a.commit(t, int64(i))
	}
	model, err := a.All()
	require.NoError(t, err)
	require.NoError(t, a.Set("a", "1"))
	require.NoError(t, a.exec("PRAGMA shrink_memory"))
	fail.On()
	_, err = a.All()
	fail.Off()
	require.ErrorIs(t, err, sqlite3.IOERR)
	require.ErrorIs(t, a.Failure(), broken)
	require.ErrorIs(t, a.StartCommit(t.Context(), at(20)).Err(), broken)
	require.NoError(t, a.Close())
	got, err := read(t, fs)
	require.NoError(t, err)
	require.Equal(t, model, got)
}

// FuzzUnseal: a value that is taken for that of a key is the one that was sealed for it.
func FuzzUnseal(f *testing.F) {
	f.Add([]byte(sizeKey), seal([]byte(sizeKey), make([]byte, 8)))
	f.Add(pageKey(7), seal(pageKey(7), make([]byte, pageSize)))
	f.Add(pageKey(7), []byte(nil))
	f.Fuzz(func(t *testing.T, key, sealed []byte) {
		for _, length := range []int{8, pageSize} {
			value, err := unseal(key, sealed, length)
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
				continue
			}
			require.Equal(t, sealed, seal(key, value))
		}
	})
}
