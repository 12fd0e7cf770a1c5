package datadir_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/datadir"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	_, err = datadir.Open(path)
	var locked *datadir.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, path, locked.Dir)
	require.NotEmpty(t, locked.Owner)
	require.DirExists(t, d.Run(), "the second attempt must not hurt the first's run directory")
	require.NoError(t, d.Close())
	require.NoDirExists(t, d.Run())

	d, err = datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

func TestNewerFormatIsRefusedByName(t *testing.T) {
	path := t.TempDir()
	name := filepath.Join(path, "FORMAT")
	require.NoError(t, os.WriteFile(name, []byte("broadsheet data directory, format 2\n"), 0o600))
	_, err := datadir.Open(path)
	var newer *datadir.NewerError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, 2, newer.Format)
	require.ErrorContains(t, err, path)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "broadsheet data directory, format 2\n", string(b))
}

func TestForeignDirectoryIsNotTakenOver(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "thesis.txt"), nil, 0o600))
	_, err := datadir.Open(path)
	require.ErrorContains(t, err, "thesis.txt")
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left in it")
}

func TestEmptyPathIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := datadir.Open("")
	require.ErrorContains(t, err, "no path")
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestGarbledFormatFile(t *testing.T) {
	for _, text := range []string{"", "1", "broadsheet data directory, format x", "broadsheet data directory, format 0"} {
		path := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(path, "FORMAT"), []byte(text), 0o600))
		_, err := datadir.Open(path)
		require.ErrorContains(t, err, "isn't a format file", text)
	}
}

func TestTwoDirectoriesSideBySide(t *testing.T) {
	a, err := datadir.Open(filepath.Join(t.TempDir(), "a"))
	require.NoError(t, err)
	b, err := datadir.Open(filepath.Join(t.TempDir(), "b"))
	require.NoError(t, err)
	require.NotEqual(t, a.Run(), b.Run())
	require.Less(t, len(a.Run()), 80)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

// TestFormatPage: the file is what docs/format/data-directory.md says.
func TestFormatPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d, err := datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	b, err := os.ReadFile(filepath.Join(path, "FORMAT"))
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/format/data-directory.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "| `FORMAT` | one line: `"+strings.TrimSuffix(string(b), "\n")+"` |")
}

// TestDeadRunDirectories: what servers that were killed have left is removed, and only that.
func TestDeadRunDirectories(t *testing.T) {
	base, err := os.MkdirTemp("", "bs") //nolint:usetesting // a long one isn't used
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	t.Setenv("XDG_RUNTIME_DIR", base)
	living, err := datadir.Open(filepath.Join(t.TempDir(), "living"))
	require.NoError(t, err)
	prefix := filepath.Join(base, fmt.Sprintf("broadsheet-%d-", os.Getuid()))
	dead, unknown, others := prefix+"dead", prefix+"unknown", filepath.Join(base, "broadsheet-other")
	for _, dir := range []string{dead, unknown, others} {
		require.NoError(t, os.Mkdir(dir, 0o700))
	}
	for _, dir := range []string{dead, others} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "broker.sock"), nil, 0o600))
	}
	require.NoError(t, os.Symlink(others, prefix+"link"))

	d, err := datadir.Open(filepath.Join(t.TempDir(), "next"))
	require.NoError(t, err)
	require.NoDirExists(t, dead)
	for _, dir := range []string{living.Run(), d.Run(), unknown} {
		require.DirExists(t, dir)
	}
	_, err = os.Lstat(prefix + "link")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(others, "broker.sock"))
	require.NoError(t, errors.Join(living.Close(), d.Close()))
	require.NoDirExists(t, living.Run())
}

// TestRunDirectoriesAtOnce: servers that start together, of which each looks for dead ones, don't take each other
// for dead.
func TestRunDirectoriesAtOnce(t *testing.T) {
	base, err := os.MkdirTemp("", "bs") //nolint:usetesting // as above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	t.Setenv("XDG_RUNTIME_DIR", base)
	root := t.TempDir()
	var servers sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		servers.Go(func() {
			for range 20 {
				d, err := datadir.Open(filepath.Join(root, strconv.Itoa(i)))
				if err == nil {
					_, err = os.Stat(filepath.Join(d.Run(), "lock"))
					err = errors.Join(err, d.Close())
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		})
	}
	servers.Wait()
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
}

// TestSomebodyElsesLock isn't waited for: others can put what they like where a run directory will be.
func TestSomebodyElsesLock(t *testing.T) {
	base, err := os.MkdirTemp("", "bs") //nolint:usetesting // as above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	t.Setenv("XDG_RUNTIME_DIR", base)
	path, theirs := filepath.Join(t.TempDir(), "data"), t.TempDir()
	d, err := datadir.Open(path)
	require.NoError(t, err)
	run := d.Run()
	require.NoError(t, d.Close())
	lock, err := os.Create(filepath.Join(theirs, "lock"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lock.Close()) })
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	require.NoError(t, os.Symlink(theirs, run))

	d, err = datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.FileExists(t, lock.Name())
}
