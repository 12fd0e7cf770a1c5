package duck

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// tempDir is the directory in which one instance spills.
//
// Invariant: while the lock file is locked, everything under spill is of the
// instance that holds it, so that emptying it takes nothing from anyone else.
type tempDir struct {
	spill string
	lock  *os.File
}

// takeTempDir makes dir if needed, locks it and empties what an earlier
// instance left. An empty dir gives a tempDir that holds nothing.
func takeTempDir(dir string) (*tempDir, error) {
	if dir == "" {
		return &tempDir{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("duck: temporary directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("duck: temporary directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("duck: temporary directory %s is in use: %w", dir, err), lock.Close())
	}
	t := &tempDir{spill: filepath.Join(dir, "spill"), lock: lock}
	if err := errors.Join(os.RemoveAll(t.spill), os.Mkdir(t.spill, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("duck: temporary directory: %w", err), lock.Close())
	}
	return t, nil
}

// release empties the directory and gives it back.
func (t *tempDir) release() error {
	if t.lock == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(t.spill), t.lock.Close())
}
