package recoverylog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// Journals is what a Player needs of brokers. Brokers makes it of a client.
type Journals interface {
	// AppendAtLeastOnce as of client.Client. An empty body makes a write barrier.
	AppendAtLeastOnce(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error)
	// ReadRange returns a reader of the bytes [begin, end) of a journal, which are there. If some are gone, its error wraps
	// *client.OffsetJumpError.
	ReadRange(ctx context.Context, journal string, begin, end int64) io.ReadCloser
	// AwaitBeyond waits until a journal is longer than an offset, and returns its write head.
	AwaitBeyond(ctx context.Context, journal string, offset int64) (int64, error)
}

// Brokers returns the journals of a client.
func Brokers(c *client.Client) Journals { return brokers{c} }

type brokers struct{ *client.Client }

// ReadRange as of Journals.
func (b brokers) ReadRange(ctx context.Context, journal string, begin, end int64) io.ReadCloser {
	return b.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: begin, EndOffset: end, Block: true})
}

// AwaitBeyond as of Journals. Bytes that are gone are for who reads them.
func (b brokers) AwaitBeyond(ctx context.Context, journal string, offset int64) (int64, error) {
	r := b.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: offset, Block: true, MetadataOnly: true})
	_, err := r.Read(make([]byte, 1))
	jumped, isJump := errors.AsType[*client.OffsetJumpError](err)
	switch {
	case isJump:
		return max(r.Head(), jumped.To), errors.Join(r.Close())
	case errors.Is(err, io.EOF):
		return r.Head(), errors.Join(r.Close())
	}
	return 0, errors.Join(err, r.Close())
}

// writeHead of a journal, by a zero-byte append. It resumes a journal that is suspended.
func writeHead(ctx context.Context, j Journals, journal string) (int64, error) {
	r, err := j.AppendAtLeastOnce(ctx, client.AppendParams{Journal: journal}, nil)
	if err != nil {
		return 0, fmt.Errorf("write head: %w", err)
	}
	return r.GetCommit().GetEnd(), nil
}

// handOff appends an operation that does nothing, and with it makes the author that of the log: whatever the register has, it is replaced. It
// returns where the operation ends.
func handOff(ctx context.Context, j Journals, log string, fsm *FSM, author uint32) (int64, error) {
	seqNo, sum := fsm.Next()
	payload, err := proto.Marshal(&RecordedOp{SeqNo: seqNo, Checksum: sum, Author: author})
	if err != nil {
		return 0, fmt.Errorf("encode a hand-off: %w", err)
	}
	frame, err := message.Fixed.AppendFrame(nil, payload)
	if err != nil {
		return 0, fmt.Errorf("encode a hand-off: %w", err)
	}
	r, err := j.AppendAtLeastOnce(ctx, client.AppendParams{Journal: log, Union: authorSet(author)}, bytes.NewReader(frame))
	if err != nil {
		return 0, fmt.Errorf("hand off to author %08x: %w", author, err)
	}
	return r.GetCommit().GetEnd(), nil
}
