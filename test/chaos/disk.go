package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is a file system of its own, which can be filled. It is in memory, and so outlives its broker but not
// the run.
type disk struct{ dir string }

// mountDisk makes a disk of a size at a directory. It takes root's rights.
func mountDisk(dir string, size int64) (*disk, error) {
	if err := mkdirs(dir); err != nil {
		return nil, err
	}
	if err := unix.Mount("chaos", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, fmt.Sprintf("size=%d", size)); err != nil {
		return nil, fmt.Errorf("mount a disk at %s: %w", dir, err)
	}
	return &disk{dir: dir}, nil
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill the disk to the last byte.
func (d *disk) fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return errors.Join(fmt.Errorf("fill the disk at %s: %w", d.dir, err), f.Close())
	}
	return f.Close()
}

// free what was filled.
func (d *disk) free() error { return os.Remove(d.filler()) }

// unmount the disk, with all that is on it.
func (d *disk) unmount() error { return unix.Unmount(d.dir, unix.MNT_DETACH) }

// fillDisk fills the disk of a broker, or that of the store.
func (n *nemesis) fillDisk(ctx context.Context) error {
	i := n.rand.IntN(len(n.cluster.disks))
	d := n.cluster.disks[i]
	if err := d.fill(); err != nil {
		return err
	}
	err := n.rest(ctx, lease/2, 3*lease)
	if err := errors.Join(err, d.free()); err != nil {
		return err
	}
	// A broker that can't write may have ended.
	return n.revive(ctx, n.cluster.brokers...)
}
