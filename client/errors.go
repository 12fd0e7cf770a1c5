package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// ErrUnknownOutcome is of an append, or a change of specs, that may or may not have
// been made: it was asked for, and no answer came. It wraps what happened instead.
// Repeating it may make it twice.
var ErrUnknownOutcome = errors.New("outcome unknown")

// OffsetJumpError is of a read whose next byte the journal no longer has, while it
// has later ones: bytes [From, To) are missing. A new Reader at To reads on.
type OffsetJumpError struct {
	// Journal that was read.
	Journal string
	// From is the offset that was asked for.
	From int64
	// To is the offset that was offered instead.
	To int64
}

// Error names the journal and both offsets.
func (e *OffsetJumpError) Error() string {
	return fmt.Sprintf("read %s: offset jumps from %d to %d", e.Journal, e.From, e.To)
}

// ProtocolError is of a broker that sent what the protocol doesn't allow.
type ProtocolError struct {
	// RPC that it was sent by.
	RPC string
	// Reason why it isn't allowed.
	Reason string
}

// Error names the RPC and the reason.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s: broker broke the protocol: %s", e.RPC, e.Reason)
}

func violation(rpc, format string, args ...any) error {
	return &ProtocolError{RPC: rpc, Reason: fmt.Sprintf(format, args...)}
}

// validated returns a ProtocolError for a response that isn't valid.
func validated(rpc string, response interface{ Validate() error }) error {
	if err := response.Validate(); err != nil {
		return violation(rpc, "%s", err)
	}
	return nil
}

// asError returns the error of a response's status; nil for OK.
func asError(s protocol.Status, journal, detail string) error {
	if s == protocol.Status_OK {
		return nil
	}
	return &protocol.StatusError{Status: s, Journal: journal, Detail: detail}
}

// trailerDetail has what a broker of ours tells about a refusal besides its status.
const trailerDetail = "broadsheet-detail"

// detailIn a trailer; "" if there is none.
func detailIn(trailer metadata.MD) string {
	return strings.Join(trailer.Get(trailerDetail), "; ")
}

// cause returns the cause of the context's end, if it has ended, instead of the RPC
// error that came of it.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// transient reports whether an RPC failed because the broker wasn't reached or went
// away, so that another attempt may well succeed.
func transient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted:
		return true
	default:
		return false
	}
}

// refused reports whether an RPC failed before its handler did anything.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented:
		return true
	default:
		return false
	}
}
