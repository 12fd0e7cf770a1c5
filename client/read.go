package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/protocol"
)

// errClosed is what a Reader says once it was closed.
var errClosed = errors.New("reader is closed")

// Reader returns the content of a journal from an offset on, each byte once and none
// left out. When a stream breaks, or a broker hands the journal over, it goes on
// with another at its offset. What is stored it reads from its store, if the Client
// does; through brokers, if that fails. A Reader isn't safe for concurrent use, but
// for Close.
type Reader struct {
	client  *Client
	ctx     context.Context //nolint:containedctx // the lifetime of the reader
	cancel  context.CancelCauseFunc
	busy    sync.Mutex // who holds it may use all that follows
	fsm     *readFSM
	call    *call                                             // of stream
	stream  grpc.ServerStreamingClient[protocol.ReadResponse] // nil between RPCs
	stop    context.CancelFunc                                // of stream
	began   int64                                             // offset at which stream began
	idle    int                                               // RPCs in a row that brought nothing
	stored  storedRead
	pending []byte // content that wasn't returned yet
	err     error  // ended the read
}

// NewReader returns a reader of a request: its Journal from its Offset, or from the
// write head if that is -1; up to EndOffset, if not 0, at which it returns io.EOF.
//
// With Block it waits for what isn't there yet. Without, it ends with a StatusError of
// OFFSET_NOT_YET_AVAILABLE, and Head then tells the write head. With MetadataOnly
// it returns io.EOF once Offset and Head are known. BeginModTime lets it skip older
// fragments. DoNotProxy is refused unless it is MetadataOnly: content of stores is
// read through brokers.
//
// The context bounds the whole read. Nothing is sent before the first Read.
func (c *Client) NewReader(ctx context.Context, req *protocol.ReadRequest) *Reader {
	r := &Reader{client: c, fsm: newReadFSM(req)}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	if err := req.Validate(); err != nil {
		r.err = fmt.Errorf("read %s: %w", req.GetJournal(), err)
	} else if req.GetHeader() != nil {
		r.err = fmt.Errorf("read %s: a header is for brokers to attach", req.GetJournal())
	} else if req.GetDoNotProxy() && !req.GetMetadataOnly() && c.stores == nil {
		r.err = fmt.Errorf("read %s: do_not_proxy asks for metadata_only, or for a client that reads fragments from their stores", req.GetJournal())
	}
	return r
}

// Offset of the next byte that Read returns; -1 if the read began at the write head
// and that isn't known yet.
func (r *Reader) Offset() int64 {
	if r.fsm.offset < 0 {
		return r.fsm.offset
	}
	return r.fsm.offset - int64(len(r.pending))
}

// Head is the greatest write head that brokers have told; 0 if none has yet.
func (r *Reader) Head() int64 { return r.fsm.head }

// FragmentEnd is the end of the fragment that is being read, as the broker told it: what
// is between Offset and it is there to be read, and it is between two appends. It isn't
// beyond Offset before the first Read, and once the fragment was read.
func (r *Reader) FragmentEnd() int64 { return r.fsm.until }

// Read content, at least one byte unless p is empty. See NewReader for how it ends,
// and OffsetJumpError.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.busy.Lock()
	defer r.leave()
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// WriteTo writes content to w until the read ends, which isn't an error if it ends
// with io.EOF. It spares a copy.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	r.busy.Lock()
	defer r.leave()
	var total int64
	for {
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				return total, nil
			}
			return total, err
		}
		n, err := w.Write(r.pending)
		total += int64(n)
		r.pending = r.pending[n:]
		if err != nil {
			return total, fmt.Errorf("write content of %s: %w", r.fsm.req.GetJournal(), err)
		}
	}
}

// Close ends the reader, and a Read that waits. It never fails.
func (r *Reader) Close() error {
	r.cancel(errClosed)
	r.releaseIfIdle()
	return nil
}

// leave gives the reader back. Whoever sees that it was closed meanwhile releases it.
func (r *Reader) leave() {
	r.busy.Unlock()
	if r.ctx.Err() != nil {
		r.releaseIfIdle()
	}
}

// releaseIfIdle releases what a reader holds that was closed. If it is being read, leave
// does.
func (r *Reader) releaseIfIdle() {
	if !r.busy.TryLock() {
		return
	}
	defer r.busy.Unlock()
	if r.err == nil {
		r.err = context.Cause(r.ctx)
		r.finish()
	}
}

// fill makes some content pending, or ends the read.
func (r *Reader) fill() error {
	for len(r.pending) == 0 && r.err == nil {
		r.err = r.next()
		if r.err != nil {
			r.finish()
		}
	}
	if len(r.pending) != 0 {
		return nil
	}
	return r.err
}

// finish releases what the read holds, and gives its error its place.
func (r *Reader) finish() {
	r.endStream(r.err)
	r.stored.close()
	_, jumped := errors.AsType[*OffsetJumpError](r.err)
	_, refused := errors.AsType[*protocol.StatusError](r.err)
	switch {
	case r.err == io.EOF || jumped: //nolint:errorlint // readers return io.EOF itself
	case refused: // which names the journal
		r.err = fmt.Errorf("read: %w", r.err)
	default:
		r.err = fmt.Errorf("read %s: %w", r.fsm.req.GetJournal(), r.err)
	}
	r.cancel(errClosed)
}

// next takes one step: it begins an RPC, receives a message, or reads from a store.
func (r *Reader) next() error {
	if r.stored.file != nil {
		return r.readStored()
	}
	if r.stream == nil {
		if r.fsm.complete() {
			return io.EOF
		}
		return r.begin()
	}
	m, err := r.stream.Recv()
	if err != nil {
		return r.ended(err)
	}
	if r.pending, err = r.fsm.receive(m); err == nil {
		r.call.learn(m.GetHeader())
	}
	r.client.metrics.readBytes.WithLabelValues(r.fsm.req.GetJournal()).Add(float64(len(r.pending)))
	return err
}

// detour is after how many RPCs that brought nothing the broker at home is asked to read
// for us, whatever routes tell.
const detour = 2

func (r *Reader) begin() error {
	ctx, stop := context.WithCancel(r.ctx)
	r.stop, r.began = stop, r.fsm.offset
	as := roleMember
	if r.idle >= detour {
		as = roleAny
	}
	direct := r.client.stores != nil && as == roleMember && !r.fsm.req.GetMetadataOnly() && !r.stored.avoids(r.fsm.offset)
	var err error
	if r.call, err = r.client.begin(ctx, r.fsm.req.GetJournal(), CapabilityRead, as); err != nil {
		return err
	}
	stream, err := r.call.journals.Read(r.call.ctx, r.fsm.begin(direct))
	if err != nil {
		return r.ended(err)
	}
	r.stream = stream
	return nil
}

// ended decides on the end of an RPC, and pauses before another.
func (r *Reader) ended(err error) error {
	if r.stream != nil {
		r.fsm.detail = detailIn(r.stream.Trailer())
	}
	r.endStream(err)
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	what, err := r.fsm.ended(err)
	switch what {
	case readEnds:
		return err
	case readStored:
		r.idle = 0
		return r.openStored()
	case readResumes, readMoves:
	}
	if r.fsm.offset != r.began {
		r.idle = 0
	}
	r.idle++
	if what == readMoves && r.idle == 1 && r.client.routes != nil {
		return nil // the broker told who has the journal
	}
	return r.client.await(r.ctx, r.idle-1, "read", r.fsm.req.GetJournal(), err)
}

func (r *Reader) endStream(err error) {
	if r.stop != nil {
		r.stop()
	}
	if r.call != nil {
		r.call.end(err)
	}
	r.stream, r.stop, r.call = nil, nil, nil
}
