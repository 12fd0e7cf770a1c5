package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// Append a whole body; nil is an empty one. While brokers can't take the append and
// it is certain that nothing of it was applied, it is tried again until the context
// ends, provided that the body is an io.Seeker that can be rewound. All other
// failures are those of Appender.Commit, and are returned at once.
func (c *Client) Append(ctx context.Context, p AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	return c.appendUntil(ctx, p, body, isRepeatable)
}

// AppendAtLeastOnce is Append, but tries again also when the outcome is unknown: what it
// returns without an error was applied once or more often. It is for content that
// readers can tell duplicates of. Conditions of an append that are no longer true once
// it was applied, such as an offset, may then refuse it: once an outcome was
// unknown, any error is an ErrUnknownOutcome.
func (c *Client) AppendAtLeastOnce(ctx context.Context, p AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	unknown := false
	response, err := c.appendUntil(ctx, p, body, func(err error) bool {
		if isLost(err) {
			unknown = true
			return true
		}
		return isRepeatable(err)
	})
	if err != nil && unknown && !errors.Is(err, ErrUnknownOutcome) {
		err = fmt.Errorf("%w, of an earlier attempt: %w", ErrUnknownOutcome, err)
	}
	return response, err
}

// appendUntil tries until an error isn't repeatable, or the context ends.
func (c *Client) appendUntil(ctx context.Context, p AppendParams, body io.Reader, repeatable func(error) bool) (*protocol.AppendResponse, error) {
	rewind := rewinder(body)
	for attempt := 0; ; attempt++ {
		response, err := c.appendOnce(ctx, p, body)
		if err == nil || ctx.Err() != nil || !repeatable(err) {
			return response, err
		}
		if rewind == nil {
			return response, fmt.Errorf("%w (not tried again: its body can't be rewound)", err)
		}
		if rerr := rewind(); rerr != nil {
			return response, fmt.Errorf("%w (not tried again: rewind its body: %w)", err, rerr)
		}
		if err = c.await(ctx, attempt, "append", p.Journal, err); err != nil {
			return response, fmt.Errorf("append to %s: %w", p.Journal, err)
		}
	}
}

// bodyError is of the reader of a body. It may be of another RPC, and must not be
// taken for one of this append.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// appendOnce makes one attempt: by a stream, if that is possible and the body is small,
// or by an RPC.
func (c *Client) appendOnce(ctx context.Context, p AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	if !c.streams.takes(p) {
		return c.appendByRPC(ctx, p, body)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	content, rest, err := gather(body)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", p.Journal, &bodyError{err})
	}
	if rest == nil {
		response, err := c.appendByStream(ctx, p, content)
		if !errors.Is(err, errNoStream) {
			return response, err
		}
		rest = bytes.NewReader(nil)
	}
	return c.appendByRPC(ctx, p, io.MultiReader(bytes.NewReader(content), rest))
}

// gather a body of up to maxStreamed bytes. If it has more, it returns the rest too.
func gather(body io.Reader) ([]byte, io.Reader, error) {
	if body == nil {
		return nil, nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(body, maxStreamed+1))
	if err != nil || len(content) <= maxStreamed {
		return content, nil, err
	}
	return content, body, nil
}

func (c *Client) appendByRPC(ctx context.Context, p AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	a, err := c.NewAppender(ctx, p)
	if err != nil {
		return nil, err
	}
	if body != nil {
		if _, err = io.Copy(a, body); err != nil {
			if a.err != nil {
				return a.response, a.err
			}
			a.Abort()
			return nil, fmt.Errorf("append to %s: %w", p.Journal, &bodyError{err})
		}
	}
	return a.Commit()
}

// rewinder returns a function that seeks the body to where it is now; nil if it
// can't.
func rewinder(body io.Reader) func() error {
	if body == nil {
		return func() error { return nil }
	}
	seeker, ok := body.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	return func() error {
		_, err := seeker.Seek(start, io.SeekStart)
		return err
	}
}

// isRepeatable reports whether an append certainly was not applied, for a reason
// that will pass.
func isRepeatable(err error) bool {
	var (
		s    *protocol.StatusError
		body *bodyError
	)
	switch {
	case errors.Is(err, ErrUnknownOutcome) || errors.As(err, &body):
		return false
	case errors.As(err, &s):
		return s.Status == protocol.Status_NOT_JOURNAL_PRIMARY_BROKER ||
			s.Status == protocol.Status_NO_JOURNAL_PRIMARY_BROKER ||
			s.Status == protocol.Status_INSUFFICIENT_JOURNAL_BROKERS
	}
	return status.Code(err) == codes.Unavailable // and before the commit was sent
}

// isLost reports whether an append has an unknown outcome because the broker, or one of
// its peers, failed or went away: not because it broke the protocol.
func isLost(err error) bool {
	if _, broke := errors.AsType[*ProtocolError](err); broke || !errors.Is(err, ErrUnknownOutcome) {
		return false
	}
	switch status.Code(err) {
	case codes.Unknown, codes.Internal: // how brokers say that they failed
		return true
	default:
		return transient(err)
	}
}
