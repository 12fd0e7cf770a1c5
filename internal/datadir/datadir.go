// Package datadir takes hold of a data directory.
//
// # What
//
// A data directory belongs to one server at a time, has a format version, and a
// short run directory beside it for unix sockets, whose paths are limited to about
// a hundred bytes (docs/format/data-directory.md).
//
// # Invariants
//
//   - While a Dir is open no other process can open the same directory.
//   - A directory of a newer format is refused by name and left untouched; so is one that
//     holds anything else.
//   - Two servers never share a run directory. Those of servers that were killed are removed at the next start
//     of any server of this user.
//
// # Goroutines
//
// None.
//
// # Testing
//
// datadir_test.go, and the servers of test/.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/durable"
)

// Format is the newest version of the directory's layout that this program knows.
const Format = 1

const (
	lockFile   = "LOCK"
	formatFile = "FORMAT"
	formatHead = "broadsheet data directory, format "
)

// LockedError tells that another process holds the directory.
type LockedError struct {
	Dir   string
	Owner string // process id of the owner, or "" if it isn't known
}

func (e *LockedError) Error() string {
	by := "another process"
	if e.Owner != "" {
		by = "process " + e.Owner
	}
	return fmt.Sprintf("data directory %s is in use by %s", e.Dir, by)
}

// NewerError tells that the directory was written by a newer program.
type NewerError struct {
	Dir    string
	Format int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("data directory %s has format %d, and this program knows up to %d", e.Dir, e.Format, Format)
}

// Dir is a data directory that this process holds. Close it to give it up.
type Dir struct {
	path string
	run  *runDir
	lock *os.File
}

// Open makes the directory if there is none, and takes hold of it. Errors are a
// LockedError, a NewerError, or of the file system.
func Open(path string) (*Dir, error) {
	if path == "" { // which Abs takes for the working directory
		return nil, errors.New("data directory: no path is given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := checkOurs(path); err != nil { // before anything is written into it
		return nil, err
	}
	d := &Dir{path: path}
	if d.lock, err = lock(path); err != nil {
		return nil, err
	}
	if err := checkFormat(path); err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	if d.run, err = makeRunDir(path); err != nil {
		return nil, errors.Join(err, d.lock.Close())
	}
	return d, nil
}

// Path is the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// Sub makes and returns a directory inside.
func (d *Dir) Sub(name string) (string, error) {
	p := filepath.Join(d.path, name)
	if err := os.MkdirAll(p, 0o750); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return p, nil
}

// Run is the directory for unix sockets, readable by this user only. It is empty
// when Open returns, and removed by Close.
func (d *Dir) Run() string { return d.run.path }

// Close removes the run directory and gives the lock up.
func (d *Dir) Close() error {
	return errors.Join(d.run.close(), d.lock.Close())
}

func lock(path string) (*os.File, error) {
	name := filepath.Join(path, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		owner, _ := os.ReadFile(name)
		return nil, errors.Join(&LockedError{Dir: path, Owner: strings.TrimSpace(string(owner))}, f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), f.Close())
	}
	return f, nil
}

// checkFormat reads the directory's version, or writes ours into an empty one.
func checkFormat(path string) error {
	name := filepath.Join(path, formatFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(path, name)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), formatHead)
	v, err := strconv.Atoi(text)
	if !ok || err != nil || v < 1 {
		return fmt.Errorf("data directory: %s isn't a format file of this program", name)
	}
	if v > Format {
		return &NewerError{Dir: path, Format: v}
	}
	return nil
}

// checkOurs refuses a directory that has no version and holds other things than we leave before
// it has one: it isn't taken over, nor touched.
func checkOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == formatFile }) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != formatFile+durable.Suffix {
			return fmt.Errorf("data directory %s: holds %s but no %s file, so it isn't one of this program", path, e.Name(), formatFile)
		}
	}
	return nil
}

// writeFormat marks a new directory, durably.
func writeFormat(path, name string) error {
	if err := checkOurs(path); err != nil {
		return err
	}
	if err := durable.WriteFile(name, []byte(formatHead+strconv.Itoa(Format)+"\n")); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
