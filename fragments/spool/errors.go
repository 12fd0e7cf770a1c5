package spool

import (
	"errors"
	"fmt"
)

// ErrClosed is returned by what is asked of a journal after Close.
var ErrClosed = errors.New("spool is closed")

// ErrRange is wrapped by errors for offsets that a content doesn't have, or that
// aren't acknowledged yet.
var ErrRange = errors.New("offset is out of the readable range")

// ErrUnacknowledged is wrapped by the error of a Roll while bytes of the open fragment
// are above the watermark.
var ErrUnacknowledged = errors.New("the open fragment isn't wholly acknowledged")

// ErrCutBelowCompleted is wrapped by the error of a cut that would take away bytes of a
// completed fragment.
var ErrCutBelowCompleted = errors.New("the cut is below the open fragment")

// ErrCutBelowWatermark is wrapped by the error of a cut that would take away
// acknowledged bytes of the open fragment.
var ErrCutBelowWatermark = errors.New("the cut is below the watermark")

// ErrCutInside is wrapped by the error of a cut that isn't where a commit ends.
var ErrCutInside = errors.New("the cut is inside a commit")

// ErrCut says that a commit was cut before it was durable, or after: it is void.
var ErrCut = errors.New("the commit was cut")

// FormatError is a file of a newer format version than this program knows. The
// file is left as it is.
type FormatError struct {
	// File that has the version.
	File string
	// Version it has, and the newest that is Known.
	Version, Known uint64
}

// Error names the file.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s has format version %d, and this program knows up to %d", e.File, e.Version, e.Known)
}

// CorruptError is damage to a journal's files which can't be the mark of a crash
// alone: to go on would cut promised bytes, or serve wrong ones. Nothing was
// changed.
type CorruptError struct {
	// File that is damaged, or missing.
	File string
	// Position of the damage in the file, in bytes.
	Position int64
	// Kept is the offset of the journal up to which its files are whole; -1 if that
	// isn't known.
	Kept int64
	// Promised is an offset up to which the journal is known to have been durable, so
	// that it may be acknowledged; -1 if the damage is certain without one.
	Promised int64
	// Reason says what is wrong.
	Reason string
}

// Error names the file, where it is damaged, and the offsets.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("%s is damaged at byte %d: %s", e.File, e.Position, e.Reason)
	if e.Kept >= 0 {
		s += fmt.Sprintf("; the journal is whole up to offset %d", e.Kept)
	}
	if e.Promised >= 0 {
		s += fmt.Sprintf(", and promised up to %d", e.Promised)
	}
	return s
}

// corrupt is a CorruptError for damage that is certain by itself.
func corrupt(file string, position int64, format string, args ...any) *CorruptError {
	return &CorruptError{File: file, Position: position, Kept: -1, Promised: -1, Reason: fmt.Sprintf(format, args...)}
}

// FailedError says that a file of the journal can't be trusted any more, since the
// disk refused to make it durable or to bring it back to what it was. The journal
// takes no appends until it is opened anew.
type FailedError struct {
	// File that failed.
	File string
	// Err is the file system's error.
	Err error
}

// Error names the file.
func (e *FailedError) Error() string { return fmt.Sprintf("spool failed at %s: %v", e.File, e.Err) }

// Unwrap is the file system's error.
func (e *FailedError) Unwrap() error { return e.Err }
