package async

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is of appends that Close found under way, and of what comes after it. The
	// one that was being sent may be applied; its error wraps client.ErrUnknownOutcome too.
	ErrClosed = errors.New("append service is closed")
	// ErrFull is of a write that would have the service hold more than its HardLimit. The
	// write can only be discarded.
	ErrFull = errors.New("append service holds as much as it may")
	// ErrEnded is of a write that was released or discarded.
	ErrEnded = errors.New("write has ended")
)

// NotAppliedError is of an append that certainly was not applied, because of something
// else that failed. It doesn't wrap that: what happened to the other, such as an
// unknown outcome, didn't happen to this one.
type NotAppliedError struct {
	// Journal of the append.
	Journal string
	// Reason says what failed, to be followed by how.
	Reason string
	// Cause is how it failed.
	Cause error
}

// Error names the journal, what failed and how.
func (e *NotAppliedError) Error() string {
	return fmt.Sprintf("append to %s: not applied: %s: %s", e.Journal, e.Reason, e.Cause)
}

const (
	reasonEarlier    = "an earlier append of its run failed"
	reasonDependency = "what it waits for failed"
)
