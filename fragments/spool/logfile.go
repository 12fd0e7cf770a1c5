package spool

import (
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logFile appends records to a log. The appender and a syncer may do so at once.
type logFile struct {
	file vfs.File // Nil while the log isn't written to.
	name string
	salt [8]byte

	mu       sync.Mutex
	position int64  // Where the next record goes.
	scratch  []byte // Kept between records if it is small.
}

// maxScratch is how much memory an idle log may keep, in bytes.
const maxScratch = 256

// append writes a record. If it can't, it leaves the log as it was; a *FailedError
// says that not even this was possible.
func (l *logFile) append(r *record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := r.appendTo(l.scratch[:0], l.salt, l.position)
	if err != nil {
		return err
	}
	if cap(b) <= maxScratch {
		l.scratch = b
	}
	length := int64(len(b))
	if _, err := l.file.WriteAt(b, l.position); err != nil {
		err = fmt.Errorf("write %s: %w", l.name, err)
		// Part of the record, or all of it, may be there. Left alone it could come
		// back as an append that was reported as failed.
		if undo := clearFrom(l.file, l.position); undo != nil {
			return &FailedError{File: l.name, Err: fmt.Errorf("%w, which can't be taken back: %w", err, undo)}
		}
		return err
	}
	l.position += length
	return nil
}

// sync makes all records durable, and the file's size.
func (l *logFile) sync() error { return syncData(l.file, l.name) }

// close the file, if it is open.
func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", l.name, err)
	}
	return nil
}

func syncData(f vfs.File, name string) error {
	if err := f.SyncData(); err != nil {
		return &FailedError{File: name, Err: fmt.Errorf("sync: %w", err)}
	}
	return nil
}
