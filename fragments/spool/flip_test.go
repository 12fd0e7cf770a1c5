package spool_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// TestFlippedBits flips bits everywhere in the files of a journal, in each byte of
// them: opening it is an error, or every byte, the registers and the opening are right.
func TestFlippedBits(t *testing.T) {
	for _, c := range []struct {
		name    string
		mode    spool.Mode
		percent int   // kept of what is unsynced
		appends int   // since it was last opened
		bytes   int64 // flipped at once, at a multiple of it, so that one record has them all
	}{
		{"process killed", spool.Synced, 100, 2, 1},
		{"power lost", spool.Synced, 0, 2, 1},
		{"process killed, mode replicated", spool.Replicated, 100, 2, 1},
		{"process killed after it was opened", spool.Synced, 100, 0, 1},
		{"process killed, damage to 8 bytes", spool.Synced, 100, 2, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := newHookFS(vfs.NewCrashableMem())
			a := flipLife(t, fs, c.mode, c.appends)
			harmless, refused := 0, 0
			for _, name := range filesOf(t, fs.crash(c.percent, newRand(1))) {
				size := sizeOf(t, fs.crash(c.percent, newRand(1)), name)
				for at := int64(0); at < size; at += c.bytes {
					mem := fs.crash(c.percent, newRand(1))
					flip(t, mem, name, at, c.bytes)
					err := openAndCheck(mem, a.model, c.mode)
					var wrong *wrongError
					require.NotErrorAs(t, err, &wrong, "byte %d of %s", at, name)
					if err == nil {
						harmless++
					} else {
						refused++
					}
				}
			}
			require.Greater(t, refused, harmless)
		})
	}
}

// wrongError is what a journal that could be opened shows and mustn't.
type wrongError struct{ error }

func openAndCheck(fs vfs.FS, m *model, mode spool.Mode) error {
	j, err := openJournal(fs, mode, 0)
	if err != nil {
		return err
	}
	if err := m.check(j); err != nil {
		return &wrongError{err}
	}
	return j.Close()
}

// flipLife leaves small files of all kinds.
func flipLife(t *testing.T, fs vfs.FS, mode spool.Mode, appends int) *actor {
	t.Helper()
	j, err := openJournal(fs, mode, 0)
	require.NoError(t, err)
	a := &actor{model: newModel(), j: j, dense: true}
	for i := range 3 {
		for range 2 {
			c, err := a.append(20, protocol.MustLabelSet("author", strconv.Itoa(i)))
			require.NoError(t, err)
			require.NoError(t, a.durable(c))
		}
		if i < 2 {
			require.NoError(t, a.roll(0, protocol.CompressionCodec_NONE))
		}
	}
	require.NoError(t, a.drop(1)) // Its log stays, as the one before does.
	require.NoError(t, j.Close())
	a.j, err = openJournal(fs, mode, 0)
	require.NoError(t, err)
	a.opening = a.j.State().Opening
	for range appends {
		c, err := a.append(20, nil)
		require.NoError(t, err)
		require.NoError(t, a.durable(c))
	}
	return a
}

func filesOf(t *testing.T, fs *vfs.MemFS) []string {
	t.Helper()
	var out []string
	dirs, err := fs.List(spoolDir)
	require.NoError(t, err)
	for _, dir := range dirs {
		path := spoolDir + "/" + dir
		info, err := fs.Stat(path)
		require.NoError(t, err)
		if !info.IsDir() {
			out = append(out, path)
			continue
		}
		names, err := fs.List(path)
		require.NoError(t, err)
		for _, name := range names {
			out = append(out, path+"/"+name)
		}
	}
	slices.Sort(out)
	return out
}

func sizeOf(t *testing.T, fs vfs.FS, name string) int64 {
	t.Helper()
	info, err := fs.Stat(name)
	require.NoError(t, err)
	return info.Size()
}

// flip one bit in each of n bytes.
func flip(t *testing.T, fs vfs.FS, name string, at, n int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	b := make([]byte, n)
	got, _ := f.ReadAt(b, at)
	for i := range got {
		b[i] ^= 1 << ((at + int64(i)) % 8)
	}
	_, err = f.WriteAt(b[:got], at)
	require.NoError(t, errors.Join(err, f.Close()))
}

// TestUnreadableDirectory: damage to the directory's own files is an error too.
func TestUnreadableDirectory(t *testing.T) {
	fs := vfs.NewCrashableMem()
	_, err := spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.NoError(t, err)
	for _, name := range []string{"FORMAT", "DISK"} {
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		flip(t, clone, spoolDir+"/"+name, 3, 20)
		_, err = spool.Open(context.Background(), config(clone, spool.Synced, 0))
		corrupt := new(spool.CorruptError)
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, spoolDir+"/"+name, corrupt.File)
	}
	require.NoError(t, fs.Remove(spoolDir+"/DISK"))
	_, err = spool.Open(context.Background(), config(fs, spool.Synced, 0))
	require.Error(t, err)
}

// TestOtherSum: a completed fragment whose content isn't what it was completed with is
// refused, even if all checksums are right.
func TestOtherSum(t *testing.T) {
	fs := newHookFS(vfs.NewCrashableMem())
	a := flipLife(t, fs, spool.Synced, 1)
	for _, name := range filesOf(t, fs.mem) {
		if strings.HasSuffix(name, "/0000000000000000.log") {
			f, err := fs.mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
			require.NoError(t, err)
			require.NoError(t, spool.ForgeSum(f, sizeOf(t, fs.mem, name)))
			require.NoError(t, f.Close())
		}
	}
	corrupt := new(spool.CorruptError)
	require.ErrorAs(t, openAndCheck(fs.crash(100, newRand(1)), a.model, spool.Synced), &corrupt)
	require.Contains(t, corrupt.Reason, "SHA-1")
}
