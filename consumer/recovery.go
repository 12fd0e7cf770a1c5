package consumer

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
)

// RecoveryLogs plays recovery logs.
type RecoveryLogs interface {
	// NewPlayer returns a player of a log into a directory, from hints on; they have the log's name, if nothing
	// else.
	NewPlayer(hints *recoverylog.FSMHints, dir string) (Player, error)
}

// Player of a recovery log.
type Player interface {
	// Play the log, and tail it, until TakeOver was called and is done. Files are removed if it fails.
	Play(ctx context.Context) error
	// CaughtUp is closed once all that was in the log when Play began is played.
	CaughtUp() <-chan struct{}
	// TakeOver fences off whoever records the log, and ends Play behind all that they have recorded.
	TakeOver() error
	// Recorder of the log from then on, once Play has returned nil. It records until the context ends: whoever waits
	// for the log then, waits no more.
	Recorder(ctx context.Context) (Recorder, error)
}

// Recorder of a recovery log: what is done to files by its FS is in the log, in the order in which it is done.
type Recorder interface {
	// Dir that the files are in, of the FS.
	Dir() string
	// FS that records.
	FS() vfs.FS
	// Barrier ends once all that was recorded before, and all of waitFor, is done.
	Barrier(waitFor ...async.Operation) async.Operation
	// Hints by which the files are recovered as they are now.
	Hints(ctx context.Context) (*recoverylog.FSMHints, error)
	// Close lets go of what it holds, and removes the files.
	Close() error
}
