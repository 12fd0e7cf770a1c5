package client

import (
	"cmp"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

const (
	// maxStreamed is the largest append that goes by a stream. Larger ones have an RPC of
	// their own, which no other waits for.
	maxStreamed = 1 << 20
	// streamBatch is from how many bytes on a message takes no more appends, and
	// streamOverhead what one of them has beside its content and labels, at most.
	streamBatch, streamOverhead = 256 << 10, 32
	// maxHandles is how many journals a stream has numbers for.
	maxHandles = 65535
)

// streamAppend is one append on its way over a stream.
type streamAppend struct {
	params   AppendParams
	content  []byte
	sequence uint64 // 0 until it is sent
	handle   *streamHandle
	run      int // of the handle

	done     chan struct{} // closed once there's a result
	response *protocol.AppendResponse
	err      error
}

// streamLane is what a run is of: appends to a journal that are bound to conditions, or
// those that aren't, which the others' refusals would hold up.
type streamLane struct {
	journal     string
	conditional bool
}

func laneOf(p AppendParams) streamLane {
	return streamLane{p.Journal, p.Offset != 0 || p.Check != nil || p.Union != nil || p.Subtract != nil}
}

// streamHandle is a lane's number on a stream.
type streamHandle struct {
	number uint32
	open   bool // the run goes on
	run    int  // counts runs
	header *protocol.Header
	flying []*streamAppend // without a result, in the order sent
}

// streamFSM is the client's side of an AppendStream. It does no I/O.
//
// Invariants:
//   - Sequences ascend by one. Each append that was sent is among the flying of its
//     lane, until its result.
//   - Results of a lane come in the order sent; one out of turn breaks the protocol.
//   - An append is sent in a run that no append failed in, as far as is known. What was
//     sent behind a failure is answered as not applied, and may be sent again.
type streamFSM struct {
	sequence uint64
	results  uint64
	handles  map[streamLane]*streamHandle
	bySeq    map[uint64]*streamAppend
}

func newStreamFSM() *streamFSM {
	return &streamFSM{handles: make(map[streamLane]*streamHandle), bySeq: make(map[uint64]*streamAppend)}
}

// idle reports whether nothing waits for a result.
func (f *streamFSM) idle() bool { return len(f.bySeq) == 0 }

// knows reports whether an append can be sent: its lane has a number, or can have one
// whatever n appends before it need.
func (f *streamFSM) knows(p AppendParams, n int) bool {
	return f.handles[laneOf(p)] != nil || len(f.handles)+n < maxHandles
}

// batch returns a message with appends from the front of a queue, and how many.
func (f *streamFSM) batch(queue []*streamAppend) (*streaming.AppendStreamRequest, int) {
	out := new(streaming.AppendStreamRequest)
	size, n := 0, 0
	for _, a := range queue {
		if size >= streamBatch {
			break
		}
		h := f.handles[laneOf(a.params)]
		if h == nil {
			h = &streamHandle{number: uint32(len(f.handles)) + 1}
			f.handles[laneOf(a.params)] = h
		}
		if !h.open {
			h.open = true
			h.run++
			out.Opens = append(out.Opens, &streaming.AppendStreamRequest_Open{Handle: h.number, Journal: a.params.Journal})
			size += streamOverhead + len(a.params.Journal)
		}
		f.sequence++
		a.sequence, a.handle, a.run = f.sequence, h, h.run
		h.flying, f.bySeq[a.sequence] = append(h.flying, a), a
		out.Appends = append(out.Appends, &streaming.AppendStreamRequest_Append{
			Sequence: a.sequence, Handle: h.number, Content: a.content, Offset: a.params.Offset,
			CheckRegisters: a.params.Check, UnionRegisters: a.params.Union, SubtractRegisters: a.params.Subtract,
			Synced: a.params.Synced,
		})
		size += a.size()
		n++
	}
	return out, n
}

// size that the append has in a message, at most.
func (a *streamAppend) size() int {
	size := streamOverhead + len(a.content)
	if p := a.params; p.Check != nil || p.Union != nil || p.Subtract != nil {
		size += proto.Size(p.Check) + proto.Size(p.Union) + proto.Size(p.Subtract)
	}
	return size
}

// receive results, and end their appends.
func (f *streamFSM) receive(m *streaming.AppendStreamResponse) error {
	for _, r := range m.GetResults() {
		if err := f.result(r); err != nil {
			return err
		}
	}
	return nil
}

func (f *streamFSM) result(r *streaming.AppendStreamResponse_Result) error {
	a := f.bySeq[r.GetSequence()]
	switch {
	case a == nil:
		return violation("AppendStream", "sent a result of append %d, which has none to come", r.GetSequence())
	case a.handle.flying[0] != a:
		return violation("AppendStream", "sent the result of append %d before that of %d", a.sequence, a.handle.flying[0].sequence)
	}
	if err := r.GetStatus().Validate(); err != nil {
		return violation("AppendStream", "Status: %s", err)
	}
	if r.GetHeader() != nil {
		if err := r.GetHeader().Validate(); err != nil {
			return violation("AppendStream", "Header: %s", err)
		}
		a.handle.header = r.GetHeader()
	}
	n := r.GetEnd() - r.GetBegin()
	if outcome := streamError(a, r); outcome != nil {
		a.err = outcome
	} else if r.GetBegin() < 0 || n != int64(len(a.content)) {
		return violation("AppendStream", "committed [%d, %d) of an append of %d bytes", r.GetBegin(), r.GetEnd(), len(a.content))
	}
	a.response = a.answer(r)
	if a.err != nil && a.run == a.handle.run {
		a.handle.open = false
	}
	f.results++
	a.handle.flying = a.handle.flying[1:]
	delete(f.bySeq, a.sequence)
	close(a.done)
	return nil
}

// answer is the response that an RPC of the append's own would have had. Its commit has
// only the range.
func (a *streamAppend) answer(r *streaming.AppendStreamResponse_Result) *protocol.AppendResponse {
	out := &protocol.AppendResponse{
		Status: r.GetStatus(), Header: a.handle.header, Registers: r.GetRegisters(), StoreHealthError: r.GetStoreHealthError(),
	}
	if a.err == nil {
		out.Commit = &protocol.Fragment{
			Journal: a.params.Journal, Begin: r.GetBegin(), End: r.GetEnd(), CompressionCodec: protocol.CompressionCodec_NONE,
		}
	}
	return out
}

// streamError returns the error of a result; nil if the append was applied.
func streamError(a *streamAppend, r *streaming.AppendStreamResponse_Result) error {
	var failed error
	isError := r.GetStatus() == protocol.Status_OK && r.GetError() != "" // with another status it is the detail of that
	if r.GetCode() != 0 || isError {
		code := codes.Code(uint32(r.GetCode()))
		if code == codes.OK {
			code = codes.Unknown
		}
		failed = status.Error(code, r.GetError())
	}
	switch refusal := asError(r.GetStatus(), a.params.Journal, cmp.Or(r.GetStoreHealthError(), r.GetError())); {
	case r.GetNotApplied():
		return errBehind
	case r.GetUnknown() && failed != nil:
		return fmt.Errorf("append to %s: %w: %w", a.params.Journal, ErrUnknownOutcome, failed)
	case r.GetUnknown():
		return fmt.Errorf("append to %s: %w", a.params.Journal, ErrUnknownOutcome)
	case refusal != nil: // which names the journal
		return fmt.Errorf("append: %w", refusal)
	case failed != nil:
		return fmt.Errorf("append to %s: %w", a.params.Journal, failed)
	}
	return nil
}

// broken ends all appends that were sent, as the stream did. If it was refused, or had
// not been begun, none of them was applied; otherwise nobody knows.
func (f *streamFSM) broken(err error) {
	for _, a := range f.bySeq {
		a.err = fmt.Errorf("append to %s: %w: %w", a.params.Journal, ErrUnknownOutcome, err)
		if f.refused(err) {
			a.err = fmt.Errorf("append to %s: %w", a.params.Journal, err)
		}
		close(a.done)
	}
	clear(f.bySeq)
	clear(f.handles)
}

// refused reports whether the stream was never served.
func (f *streamFSM) refused(err error) bool {
	switch status.Code(err) {
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		return f.results == 0
	default:
		return false
	}
}
