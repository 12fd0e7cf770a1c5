package broker

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/task"
)

// triedDisk says when a file is removed: the last that a try of it does.
type triedDisk struct {
	vfs.FS

	removed func()
}

func (d *triedDisk) Remove(name string) error {
	d.removed()
	return d.FS.Remove(name)
}

// TestDiskIsFoundFullWhileTried: who finds the disk to be full after it was tried, and before that is told, isn't
// forgotten: the disk is tried again.
func TestDiskIsFoundFullWhileTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		fs := &triedDisk{FS: vfs.NewMem()}
		d := newDisk(fs, "", newDescriptors(log), log)
		tries, before := 0, error(nil)
		fs.removed = func() {
			tries++
			if tries == 1 {
				d.note(syscall.EDQUOT)
			} else {
				before = d.isFull()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		g := task.New(ctx, "disk")
		g.Go("run", d.run)
		d.note(syscall.ENOSPC)
		require.NoError(t, wait(t.Context(), 10*diskProbe))
		synctest.Wait()
		require.Equal(t, 2, tries)
		require.ErrorIs(t, before, syscall.EDQUOT, "it was cleared by the first try")
		require.NoError(t, d.isFull())
		cancel()
		require.NoError(t, g.Wait())
	})
}
