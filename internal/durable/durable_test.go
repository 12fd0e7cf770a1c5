package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

var errStopped = errors.New("the machine has stopped")

// machine is a file system that stops before some step, of those that change it.
type machine struct {
	*vfs.MemFS
	left int // steps that it does yet
}

func (m *machine) step() error {
	if m.left == 0 {
		return errStopped
	}
	m.left--
	return nil
}

func (m *machine) create(path string) (file, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	f, err := m.Create(path, vfs.WriteCategoryUnspecified)
	return stepped{f, m}, err
}

func (m *machine) rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.Rename(from, to)
}

func (m *machine) openDir(path string) (file, error) {
	f, err := m.OpenDir(path)
	return stepped{f, m}, err
}

type stepped struct {
	vfs.File
	machine *machine
}

func (s stepped) Write(b []byte) (int, error) {
	if err := s.machine.step(); err != nil {
		return 0, err
	}
	return s.File.Write(b)
}

func (s stepped) Sync() error {
	if err := s.machine.step(); err != nil {
		return err
	}
	return s.File.Sync()
}

// readAfterLoss reads a file as it is when the power is back; "" if there is none.
func readAfterLoss(t *testing.T, m *vfs.MemFS, path string) string {
	t.Helper()
	f, err := m.CrashClone(vfs.CrashCloneCfg{}).Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, errors.Join(err, f.Close()))
	return string(b)
}

// TestPowerLoss stops the machine before each step, and after the last.
func TestPowerLoss(t *testing.T) {
	for _, old := range []string{"", "old"} {
		const steps = 5 // create, write, sync, rename, sync of the directory
		for n := range steps + 1 {
			m := &machine{MemFS: vfs.NewCrashableMem(), left: -1}
			if old != "" {
				require.NoError(t, write(m, "NOTE", []byte(old)))
			}
			m.left = n
			err := write(m, "NOTE", []byte("new"))
			if n < steps {
				require.ErrorIs(t, err, errStopped, "step %d", n)
				require.Equal(t, old, readAfterLoss(t, m.MemFS, "NOTE"), "step %d", n)
				m.left = -1
				require.NoError(t, write(m, "NOTE", []byte("new")), "after step %d", n)
			}
			require.Zero(t, max(m.left, 0), "steps that were counted on")
			require.Equal(t, "new", readAfterLoss(t, m.MemFS, "NOTE"))
		}
	}
}

func TestDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "NOTE")
	for _, content := range []string{"first and longer", "second"} {
		require.NoError(t, WriteFile(path, []byte(content)))
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(b))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	require.NoFileExists(t, path+Suffix)

	require.NoError(t, Remove(path))
	require.NoFileExists(t, path)
	require.NoError(t, Remove(path), "it is gone")
	require.ErrorIs(t, WriteFile(filepath.Join(path, "NOTE"), nil), fs.ErrNotExist)
}
