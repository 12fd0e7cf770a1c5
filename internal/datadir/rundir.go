package datadir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runLock is a file of a run directory that its owner holds a lock of, for as long as it lives.
const runLock = "lock"

// runDir is a run directory that this process owns.
type runDir struct {
	path string
	lock *os.File
}

// close removes the directory.
func (r *runDir) close() error {
	return errors.Join(os.RemoveAll(r.path), r.lock.Close())
}

// runBase is where run directories are: a place whose name is short, as the paths of sockets have to be.
func runBase() string {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" || len(base) > 40 {
		base = os.TempDir()
	}
	if len(base) > 40 {
		base = "/tmp"
	}
	return base
}

// runPrefix is what the names of this user's run directories begin with.
func runPrefix() string { return fmt.Sprintf("broadsheet-%d-", os.Getuid()) }

// makeRunDir makes the run directory of a data directory, whose lock this process has: one for each pair of user
// and directory, so that a restart finds and clears what a crash left. What dead owners of others have left
// it removes as well.
func makeRunDir(path string) (*runDir, error) {
	base := runBase()
	sum := sha256.Sum256([]byte(path))
	run := filepath.Join(base, runPrefix()+hex.EncodeToString(sum[:6]))
	removeDeadRuns(base, run)
	for {
		made, err := tryRunDir(run)
		if err != nil {
			return nil, fmt.Errorf("run directory: %w", err)
		}
		if made != nil {
			return made, nil
		}
	}
}

// tryRunDir makes it anew. It returns nil if somebody has taken it for a dead one's meanwhile, who removed it.
func tryRunDir(run string) (*runDir, error) {
	// Who removes a directory holds its lock until that is done. Nobody begins to while we do. In one that somebody else
	// has made they may hold a lock for ever.
	if isOurs(run) {
		if old, err := os.OpenFile(filepath.Join(run, runLock), os.O_RDWR|syscall.O_NOFOLLOW, 0); err == nil {
			defer func() { _ = old.Close() }() // The lock goes with it.
			if err := unix.Flock(int(old.Fd()), unix.LOCK_EX); err != nil {
				return nil, err
			}
		}
	}
	if err := os.RemoveAll(run); err != nil {
		return nil, err
	}
	if err := os.Mkdir(run, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(run, runLock), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if !isStill(lock) { // Somebody found it before it was locked.
		return nil, lock.Close()
	}
	return &runDir{path: run, lock: lock}, nil
}

// isStill tells whether the file is still the one of its name.
func isStill(f *os.File) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(ours, there)
}

// removeDeadRuns removes the run directories of this user whose owners are dead, but for one. What can't be removed,
// or whose owner isn't known, stays: nobody is the worse for it.
func removeDeadRuns(base, but string) {
	found, err := filepath.Glob(filepath.Join(base, runPrefix()+"*"))
	if err != nil {
		return
	}
	for _, run := range found {
		if run != but && isOurs(run) {
			removeIfDead(run)
		}
	}
}

// isOurs tells whether it is a directory that this user has made: others can make some of any name in /tmp.
func isOurs(run string) bool {
	info, err := os.Lstat(run)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

func removeIfDead(run string) {
	lock, err := os.OpenFile(filepath.Join(run, runLock), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }() // The lock goes with it.
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !isStill(lock) {
		return
	}
	_ = os.RemoveAll(run)
}
