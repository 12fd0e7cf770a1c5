package embedetcd

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/durable"
)

// formatVersion of the data directory that this program writes.
const formatVersion = 1

// ErrNewerFormat says that a data directory was written by a newer program.
var ErrNewerFormat = errors.New("written by a newer version of Broadsheet")

// ErrLocked says that another process has the directory.
var ErrLocked = errors.New("in use by another process")

// format is the content of the file FORMAT of a data directory.
type format struct {
	Format int `json:"format"`
	// EtcdMajor and EtcdMinor are of the newest etcd that has opened the directory.
	EtcdMajor int64 `json:"etcd_major"`
	EtcdMinor int64 `json:"etcd_minor"`
	// Token tells this cluster apart from all others; the ids of the cluster and
	// its member follow from it.
	Token string `json:"token"`
	// Ready tells that the first start has ended well. An etcd that was killed in its
	// first moments may have a log without members, and would wait for them for ever:
	// what a directory has before it was ever ready is thrown away. Nobody wrote there.
	Ready bool `json:"ready"`
}

// newer tells whether data of format f can't be opened by a program of format g.
func (f format) newer(g format) bool {
	if f.Format != g.Format {
		return f.Format > g.Format
	}
	if f.EtcdMajor != g.EtcdMajor {
		return f.EtcdMajor > g.EtcdMajor
	}
	return f.EtcdMinor > g.EtcdMinor
}

// takeFormat reads the FORMAT of dir, refuses what is newer than ours, and leaves
// it at our version. A directory without data is new and gets one.
func takeFormat(dir string, ours format) (format, error) {
	path := filepath.Join(dir, "FORMAT")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newFormat(dir, ours)
	}
	if err != nil {
		return format{}, fmt.Errorf("embedetcd: %w", err)
	}
	var have format
	if err := json.Unmarshal(b, &have); err != nil {
		return format{}, fmt.Errorf("embedetcd: %s: %w", path, err)
	}
	if have.Format < 1 || have.Token == "" {
		return format{}, fmt.Errorf("embedetcd: %s: not a format file: %q", path, b)
	}
	if have.newer(ours) {
		return format{}, fmt.Errorf("embedetcd: %s: %w: format %d of etcd %d.%d, this program has format %d of etcd %d.%d",
			dir, ErrNewerFormat, have.Format, have.EtcdMajor, have.EtcdMinor, ours.Format, ours.EtcdMajor, ours.EtcdMinor)
	}
	if !have.Ready {
		if err := os.RemoveAll(storeDir(dir)); err != nil {
			return format{}, fmt.Errorf("embedetcd: %w", err)
		}
	}
	ours.Token, ours.Ready = have.Token, have.Ready
	if ours == have {
		return have, nil
	}
	return ours, writeFormat(path, ours)
}

// newFormat begins a directory that holds no data yet.
func newFormat(dir string, ours format) (format, error) {
	if _, err := os.Stat(storeDir(dir)); !errors.Is(err, fs.ErrNotExist) {
		return format{}, errors.Join(fmt.Errorf("embedetcd: %s holds data but no FORMAT file", dir), err)
	}
	var err error
	if ours.Token, err = newToken(); err != nil {
		return format{}, err
	}
	return ours, writeFormat(filepath.Join(dir, "FORMAT"), ours)
}

// markReady notes that the first start has ended well.
func markReady(dir string, f format) error {
	if f.Ready {
		return nil
	}
	f.Ready = true
	return writeFormat(filepath.Join(dir, "FORMAT"), f)
}

// storeDir is where etcd keeps its files.
func storeDir(dir string) string { return filepath.Join(dir, "store") }

func newToken() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("embedetcd: cluster token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// writeFormat replaces the file at once and durably.
func writeFormat(path string, f format) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("embedetcd: %s: %w", path, err)
	}
	if err := durable.WriteFile(path, append(b, '\n')); err != nil {
		return fmt.Errorf("embedetcd: %w", err)
	}
	return nil
}

// lock takes the lock file at path for the life of the returned file. The kernel
// gives it up when the process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedetcd: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("embedetcd: %s: %w", filepath.Dir(path), err), f.Close())
	}
	return f, nil
}
