package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/vfs"

	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

// Snapshot is the database as it was at a commit that was acknowledged. Its methods may be called concurrently.
type Snapshot struct {
	db      *sql.DB
	name    string // of the VFS
	beneath *pebblestore.Snapshot
	files   *snapshotFiles
}

// Snapshot of the last commit that was acknowledged. It may be called concurrently with anything, and by anybody. Whoever has it
// calls its Close; once the store is closed, it only says so.
func (s *Store) Snapshot() (*Snapshot, error) {
	beneath, err := s.beneath.Snapshot()
	if err != nil {
		return nil, err
	}
	size, err := sizeIn(beneath)
	if err != nil {
		return nil, errors.Join(err, beneath.Close())
	}
	p := &Snapshot{beneath: beneath, files: &snapshotFiles{in: beneath, size: size, limit: s.files.limit}}
	p.name = fmt.Sprintf("broadsheet-snapshot-%p", p)
	vfs.Register(p.name, p.files)
	query := url.Values{"vfs": {p.name}, "mode": {"ro"}, "immutable": {"1"}}
	if p.db, err = driver.Open("file:" + database + "?" + query.Encode()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.db.SetMaxOpenConns(1)
	return p, nil
}

// QueryContext as of sql.DB.
func (p *Snapshot) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, query, args...)
}

// QueryRowContext as of sql.DB.
func (p *Snapshot) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.db.QueryRowContext(ctx, query, args...)
}

// Failure is the first read that failed, for which SQLite says no more than "disk I/O error"; nil if there is none.
func (p *Snapshot) Failure() error {
	if err := p.files.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Close the snapshot.
func (p *Snapshot) Close() error {
	var err error
	if p.db != nil {
		err = p.db.Close()
	}
	vfs.Unregister(p.name)
	return errors.Join(err, p.beneath.Close())
}

// snapshotFiles are what SQLite opens of a snapshot.
type snapshotFiles struct {
	in      *pebblestore.Snapshot
	size    int64
	limit   int64
	failure atomic.Pointer[error]
}

// Open as of vfs.VFS.
func (f *snapshotFiles) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name == database && flags&vfs.OPEN_MAIN_DB != 0 {
		return &snapshotFile{of: f}, flags | vfs.OPEN_READONLY, nil
	}
	return (&files{limit: f.limit}).Open(name, flags)
}

// Delete as of vfs.VFS.
func (*snapshotFiles) Delete(string, bool) error { return sqlite3.READONLY }

// Access as of vfs.VFS.
func (*snapshotFiles) Access(name string, _ vfs.AccessFlag) (bool, error) {
	return name == database, nil
}

// FullPathname as of vfs.VFS.
func (*snapshotFiles) FullPathname(name string) (string, error) { return name, nil }

// snapshotFile is the database, which nothing changes.
type snapshotFile struct {
	file

	of *snapshotFiles
}

// Close as of vfs.File.
func (*snapshotFile) Close() error { return nil }

// ReadAt as of vfs.File.
func (f *snapshotFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := readAt(b, offset, f.of.size, func(page int64) ([]byte, error) { return pageIn(f.of.in, page) })
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", database, err)
		f.of.failure.CompareAndSwap(nil, &err)
		return 0, vfs.SystemError(err, readCode(err))
	}
	return n, err
}

// WriteAt as of vfs.File.
func (*snapshotFile) WriteAt([]byte, int64) (int, error) { return 0, sqlite3.READONLY }

// Truncate as of vfs.File.
func (*snapshotFile) Truncate(int64) error { return sqlite3.READONLY }

// Size as of vfs.File.
func (f *snapshotFile) Size() (int64, error) { return f.of.size, nil }
