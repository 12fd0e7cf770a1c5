package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// Content is sent in chunks of at least minChunk bytes, but for the last, and of at
// most maxChunk. The latter is far below the 4 MiB that a Gazette broker accepts.
const minChunk, maxChunk = 32 << 10, 1 << 20

// AppendParams say where an append goes, and on which conditions it is made.
type AppendParams struct {
	// Journal to append to, optionally with a ";meta" suffix.
	Journal string
	// Offset that the append must begin at. 0 is any.
	Offset int64
	// Check, if not nil, must match the journal's registers; an empty set of registers
	// matches any.
	Check *protocol.LabelSelector
	// Union and Subtract, if not nil, change the registers once the append is made:
	// Subtract first. They ask for content.
	Union, Subtract *protocol.LabelSet
	// Suspend says how to deal with a suspended journal; the zero value resumes it.
	Suspend protocol.AppendRequest_Suspend
	// Synced asks that the append be acknowledged only once it is on the disks of all members, whatever the
	// brokers' own mode is. Other brokers than Broadsheet's don't know of it.
	Synced bool
}

func (p AppendParams) request() *protocol.AppendRequest {
	return &protocol.AppendRequest{
		Journal:           p.Journal,
		Offset:            p.Offset,
		CheckRegisters:    p.Check,
		UnionRegisters:    p.Union,
		SubtractRegisters: p.Subtract,
		Suspend:           p.Suspend,
		Synced:            p.Synced,
	}
}

// Validate the journal, the offset and the labels.
func (p AppendParams) Validate() error {
	if p.Journal == "" {
		return errors.New("append: no journal is named")
	}
	if err := p.request().Validate(); err != nil {
		return fmt.Errorf("append to %s: %w", p.Journal, err)
	}
	return nil
}

// Appender is one append under way. What is written to it is applied as a whole by
// Commit, or not at all. One of Commit and Abort must be called. An Appender isn't
// safe for concurrent use.
type Appender struct {
	ctx     context.Context //nolint:containedctx // the lifetime of the append
	cancel  context.CancelFunc
	journal string
	call    *call
	stream  grpc.ClientStreamingClient[protocol.AppendRequest, protocol.AppendResponse]
	chunk   protocol.AppendRequest // reused: sending encodes it
	buf     []byte                 // less than minChunk bytes that aren't sent
	written int64

	// committing is set just before the message that commits is sent. Until then, what
	// fails was not applied, whatever the failure.
	committing bool
	response   *protocol.AppendResponse
	err        error // ended the append
}

// NewAppender begins an append. The append ends if the context does.
func (c *Client) NewAppender(ctx context.Context, p AppendParams) (*Appender, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	a := &Appender{journal: p.Journal}
	a.ctx, a.cancel = context.WithCancel(ctx)
	var err error
	if a.call, err = c.begin(a.ctx, p.Journal, CapabilityAppend, rolePrimary); err != nil {
		return nil, a.end(err)
	}
	stream, err := a.call.journals.Append(a.call.ctx)
	if err != nil {
		return nil, a.end(err)
	}
	a.stream = stream
	if err = a.send(p.request()); err != nil {
		return nil, err
	}
	return a, nil
}

// Write content. It is sent in large chunks, and may be rejected by a later Write,
// or by Commit.
func (a *Appender) Write(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	rest := p
	if len(a.buf) != 0 {
		n := min(len(rest), minChunk-len(a.buf))
		a.buf = append(a.buf, rest[:n]...)
		rest = rest[n:]
		if len(a.buf) == minChunk {
			if err := a.flush(); err != nil {
				return 0, err
			}
		}
	}
	for len(rest) >= minChunk {
		n := min(len(rest), maxChunk)
		if err := a.sendContent(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	a.buf = append(a.buf, rest...)
	a.written += int64(len(p))
	return len(p), nil
}

// Commit asks the broker to apply the append, and waits until it has. If it returns
// ErrUnknownOutcome, the append may be applied; with any other error it isn't. The
// response is returned with a StatusError too: it has the registers.
func (a *Appender) Commit() (*protocol.AppendResponse, error) {
	if a.err != nil {
		return a.response, a.err
	}
	if err := a.flush(); err != nil {
		return a.response, err
	}
	a.committing = true
	if err := a.send(new(protocol.AppendRequest)); err != nil {
		return a.response, err
	}
	err := a.receive()
	if err == nil {
		commit := a.response.GetCommit()
		if n := commit.GetEnd() - commit.GetBegin(); n != a.written {
			err = violation("Append", "committed %d bytes of %d", n, a.written)
		}
	}
	if err != nil {
		return a.response, a.end(err)
	}
	a.call.client.metrics.appendBytes.WithLabelValues(a.journal).Add(float64(a.written))
	a.err = errEnded
	a.call.end(nil)
	a.cancel()
	return a.response, nil
}

// errEnded is what an Appender says once it was committed or aborted.
var errEnded = errors.New("append has ended")

// Abort ends the append; nothing of it is applied. After Commit it does nothing.
func (a *Appender) Abort() {
	if a.err == nil {
		a.err = errEnded
		_ = a.stream.CloseSend() // the broker sees an end without a commit
	}
	a.cancel()
	_ = a.stream.RecvMsg(new(protocol.AppendResponse)) // the stream's own resources
	a.call.end(nil)
}

// flush sends what is buffered.
func (a *Appender) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	err := a.sendContent(a.buf)
	a.buf = a.buf[:0]
	return err
}

func (a *Appender) sendContent(p []byte) error {
	a.chunk.Content = p
	err := a.send(&a.chunk)
	a.chunk.Content = nil
	return err
}

// send a message. If the broker has ended the RPC, what it said ends the append.
func (a *Appender) send(m *protocol.AppendRequest) error {
	err := a.stream.Send(m)
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		if err = a.receive(); err == nil {
			a.committing = true // it claims to have applied what it wasn't asked to
			err = violation("Append", "answered OK before the append was committed")
		}
	}
	return a.end(err)
}

// receive the response.
func (a *Appender) receive() error {
	r, err := a.stream.CloseAndRecv()
	if err != nil {
		return err
	}
	if err = validated("Append", r); err != nil {
		return err
	}
	a.response = r
	a.call.learn(r.GetHeader())
	return asError(r.GetStatus(), a.journal, cmp.Or(r.GetStoreHealthError(), detailIn(a.stream.Trailer())))
}

// trailerNotApplied is how a broker of ours says that an append which was committed failed, and left nothing
// behind. Of others that isn't known.
const trailerNotApplied = "broadsheet-not-applied"

// toldNothing tells whether the broker said so. The call has ended, as trailers come last.
func (a *Appender) toldNothing() bool {
	return a.stream != nil && len(a.stream.Trailer().Get(trailerNotApplied)) > 0
}

// end the append with an error, and say whether it may have been applied.
func (a *Appender) end(err error) error {
	var s *protocol.StatusError
	switch {
	case errors.As(err, &s): // which names the journal
		a.err = fmt.Errorf("append: %w", err)
	case a.committing && !refused(err) && !a.toldNothing():
		a.err = fmt.Errorf("append to %s: %w: %w", a.journal, ErrUnknownOutcome, cause(a.ctx, err))
	default:
		a.err = fmt.Errorf("append to %s: %w", a.journal, cause(a.ctx, err))
	}
	if a.call != nil {
		a.call.end(err)
	}
	a.cancel()
	return a.err
}
