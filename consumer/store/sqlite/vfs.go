package sqlite

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// database is the name of the file that is kept: Gazette's.
const database = "primary.db"

var (
	// ErrOneDatabase is of a second connection, or of another database: a store has one of each.
	ErrOneDatabase = errors.New("a store has one database, and one connection to it")
	// ErrJournalMode is of an application that wants a journal of its own.
	ErrJournalMode = errors.New("the journal is in memory: journal_mode can't be changed")
)

// files are what SQLite opens: the database, once, and temporary files.
type files struct {
	kept    *pages
	limit   int64 // of each temporary file
	opened  bool  // the database is
	failure error // the first of the database, after which nothing is committed
}

// fail says to SQLite what went wrong, and keeps it in mind.
func (f *files) fail(code sqlite3.ExtendedErrorCode, err error) error {
	err = fmt.Errorf("%s: %w", database, err)
	if f.failure == nil {
		f.failure = err
	}
	return vfs.SystemError(err, code)
}

// Open as of vfs.VFS.
func (f *files) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	const temporary = vfs.OPEN_TEMP_DB | vfs.OPEN_TRANSIENT_DB | vfs.OPEN_TEMP_JOURNAL | vfs.OPEN_SUBJOURNAL
	switch {
	case name == "" || flags&temporary != 0:
		return &temporaryFile{limit: f.limit}, flags | vfs.OPEN_MEMORY, nil
	case name != database || flags&vfs.OPEN_MAIN_DB == 0 || f.opened:
		return nil, flags, vfs.SystemError(fmt.Errorf("open %s: %w", name, ErrOneDatabase), sqlite3.CANTOPEN)
	}
	f.opened = true
	return &file{files: f}, flags, nil
}

// Delete as of vfs.VFS: there are no such files.
func (*files) Delete(string, bool) error { return sqlite3.IOERR_DELETE_NOENT }

// Access as of vfs.VFS.
func (f *files) Access(name string, _ vfs.AccessFlag) (bool, error) { return name == database, nil }

// FullPathname as of vfs.VFS.
func (*files) FullPathname(name string) (string, error) { return name, nil }

// temporaryFile is in memory, and bounded.
type temporaryFile struct {
	vfsutil.SliceFile

	limit int64
}

// WriteAt as of vfs.File.
func (t *temporaryFile) WriteAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) > t.limit {
		return 0, vfs.SystemError(fmt.Errorf("%w (a temporary file has more than %d bytes)", ErrTooLarge, t.limit), sqlite3.FULL)
	}
	return t.SliceFile.WriteAt(b, offset)
}

// SizeHint as of vfs.FileSizeHint: it isn't followed.
func (*temporaryFile) SizeHint(int64) error { return nil }

// file is the database, as the one connection has it open.
type file struct {
	files *files
	lock  vfs.LockLevel
}

var (
	_ vfs.FileLockState = (*file)(nil)
	_ vfs.FilePragma    = (*file)(nil)
)

// Close as of vfs.File.
func (f *file) Close() error {
	f.files.opened = false
	return nil
}

// ReadAt as of vfs.File.
func (f *file) ReadAt(b []byte, offset int64) (int, error) {
	n, err := f.files.kept.readAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, f.files.fail(readCode(err), err)
	}
	return n, err
}

func readCode(err error) sqlite3.ExtendedErrorCode {
	if errors.Is(err, ErrCorrupt) {
		return sqlite3.IOERR_DATA
	}
	return sqlite3.IOERR_READ
}

// WriteAt as of vfs.File.
func (f *file) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.files.kept.writeAt(b, offset); err != nil {
		return 0, f.files.fail(sqlite3.IOERR_WRITE, err)
	}
	return len(b), nil
}

// Truncate as of vfs.File.
func (f *file) Truncate(size int64) error {
	if err := f.files.kept.resize(size); err != nil {
		return f.files.fail(sqlite3.IOERR_TRUNCATE, err)
	}
	return nil
}

// Sync as of vfs.File: see doc.go.
func (*file) Sync(vfs.SyncFlag) error { return nil }

// Size as of vfs.File.
func (f *file) Size() (int64, error) { return f.files.kept.size, nil }

// Lock as of vfs.File: there is nobody to lock out.
func (f *file) Lock(lock vfs.LockLevel) error {
	f.lock = max(f.lock, lock)
	return nil
}

// Unlock as of vfs.File.
func (f *file) Unlock(lock vfs.LockLevel) error {
	f.lock = min(f.lock, lock)
	return nil
}

// CheckReservedLock as of vfs.File.
func (f *file) CheckReservedLock() (bool, error) { return f.lock >= vfs.LOCK_RESERVED, nil }

// LockState as of vfs.FileLockState.
func (f *file) LockState() vfs.LockLevel { return f.lock }

// SectorSize as of vfs.File.
func (*file) SectorSize() int { return pageSize }

// DeviceCharacteristics as of vfs.File: bytes beside those that are written never change.
func (*file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SAFE_APPEND
}

// Pragma as of vfs.FilePragma: it refuses what isn't done, and leaves all else to SQLite.
func (*file) Pragma(name, value string) (string, error) {
	if strings.EqualFold(name, "journal_mode") && value != "" && !strings.EqualFold(value, journalMode) {
		err := fmt.Errorf("%w to %s", ErrJournalMode, value)
		return err.Error(), err
	}
	return "", sqlite3.NOTFOUND
}
