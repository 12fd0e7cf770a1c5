package client

import (
	"io"

	"broadsheet.dev/broadsheet/protocol"
)

// readFSM is the reading side of Read RPCs: it checks what brokers send, and keeps
// where the read is. It does no I/O. One RPC at a time is read, from begin to ended;
// the next one goes on where the last one ended.
//
// Invariants:
//   - offset is that of the next byte to be returned; -1 until a broker has told
//     where the write head is, if that was asked for.
//   - Content is returned only at offset, and below until, the end of the fragment
//     that metadata announced.
type readFSM struct {
	req    *protocol.ReadRequest
	offset int64
	head   int64 // the greatest write head that was told

	missing int // RPCs in a row that didn't find the journal

	// Of the running RPC.
	direct  bool // it asks for what isn't stored, only
	started bool
	until   int64
	status  protocol.Status
	detail  string                 // of the status, that came with the end
	at      *protocol.ReadResponse // the last metadata, until content follows it
}

func newReadFSM(req *protocol.ReadRequest) *readFSM {
	return &readFSM{req: req, offset: req.GetOffset()}
}

// complete reports whether all that was asked for has been returned.
func (f *readFSM) complete() bool {
	return f.req.GetEndOffset() != 0 && f.offset >= f.req.GetEndOffset()
}

// begin an RPC, and return its request. If it is direct, the broker tells only where
// stored content is.
func (f *readFSM) begin(direct bool) *protocol.ReadRequest {
	f.direct, f.started, f.until, f.status, f.detail, f.at = direct, false, 0, protocol.Status_OK, "", nil
	return &protocol.ReadRequest{
		Journal:         f.req.GetJournal(),
		Offset:          f.offset,
		Block:           f.req.GetBlock(),
		DoNotProxy:      direct || f.req.GetDoNotProxy(),
		MetadataOnly:    f.req.GetMetadataOnly(),
		EndOffset:       f.req.GetEndOffset(),
		BeginModTime:    f.req.GetBeginModTime(),
		MinEtcdRevision: f.req.GetMinEtcdRevision(),
	}
}

// receive a message of the RPC, and return its content, if any.
func (f *readFSM) receive(m *protocol.ReadResponse) ([]byte, error) {
	if err := validated("Read", m); err != nil {
		return nil, err
	}
	if f.status != protocol.Status_OK {
		return nil, violation("Read", "sent a message after status %s", f.status)
	}
	if len(m.GetContent()) != 0 {
		return f.content(m)
	}
	return nil, f.metadata(m)
}

func (f *readFSM) content(m *protocol.ReadResponse) ([]byte, error) {
	n := int64(len(m.GetContent()))
	limit := f.limit()
	switch {
	case !f.started:
		return nil, violation("Read", "sent content before metadata")
	case f.req.GetMetadataOnly():
		return nil, violation("Read", "sent content though only metadata was asked for")
	case m.GetOffset() != f.offset:
		return nil, violation("Read", "sent content at offset %d (expected %d)", m.GetOffset(), f.offset)
	case n > limit-f.offset:
		return nil, violation("Read", "sent %d bytes at offset %d, beyond the end of its fragment or of the read at %d", n, f.offset, limit)
	}
	f.offset += n
	f.at = nil
	return m.GetContent(), nil
}

func (f *readFSM) metadata(m *protocol.ReadResponse) error {
	if !f.started && m.GetHeader() == nil {
		return violation("Read", "sent no header with its first message")
	}
	f.started = true
	f.head = max(f.head, m.GetWriteHead())
	f.status = m.GetStatus()
	if f.status == protocol.Status_OFFSET_NOT_YET_AVAILABLE && f.offset == -1 {
		f.offset = m.GetOffset()
	}
	if f.status != protocol.Status_OK || m.GetFragment() == nil {
		return nil
	}
	switch at := m.GetOffset(); {
	case f.offset == -1 || at == f.offset:
		f.offset = at
	case at < f.offset:
		return violation("Read", "went back to offset %d (expected %d)", at, f.offset)
	case f.req.GetBeginModTime() == 0:
		return &OffsetJumpError{Journal: f.req.GetJournal(), From: f.offset, To: at}
	default:
		f.offset = at // older fragments are to be skipped
	}
	f.until, f.at, f.missing = m.GetFragment().GetEnd(), m, 0
	return nil
}

// stored returns where content is stored at the offset, once an RPC has ended with
// that; nil if it ended otherwise.
func (f *readFSM) stored() *protocol.ReadResponse {
	if !f.direct || f.status != protocol.Status_OK || f.at == nil || f.at.GetFragmentUrl() == "" || f.complete() {
		return nil
	}
	return f.at
}

// limit is where to stop within the fragment at the offset.
func (f *readFSM) limit() int64 {
	if end := f.req.GetEndOffset(); end != 0 {
		return min(f.until, end)
	}
	return f.until
}

// advance by content that was read from a store.
func (f *readFSM) advance(n int) { f.offset += int64(n) }

// readEnd is what the end of an RPC means for the read.
type readEnd int

const (
	// readResumes: the read goes on with another RPC.
	readResumes readEnd = iota
	// readMoves: the read goes on with another broker.
	readMoves
	// readStored: the read goes on where stored tells.
	readStored
	// readEnds: the read has ended, with io.EOF or an error.
	readEnds
)

// missingTries is how often a blocking read asks for a journal that isn't found: it may be
// new.
const missingTries = 3

// ended takes the end of the RPC, io.EOF if it was graceful, and tells what it means
// and why.
func (f *readFSM) ended(err error) (readEnd, error) {
	graceful := err == io.EOF //nolint:errorlint // as gRPC returns it
	switch {
	case f.status != protocol.Status_OK && (graceful || transient(err)):
		return f.refused(), asError(f.status, f.req.GetJournal(), f.detail)
	case !graceful && transient(err):
		return readResumes, err
	case !graceful:
		return readEnds, err
	case f.complete() || f.req.GetMetadataOnly() && f.started:
		return readEnds, io.EOF
	case f.stored() != nil:
		return readStored, nil
	}
	return readResumes, io.ErrUnexpectedEOF
}

// refused tells what a status means.
func (f *readFSM) refused() readEnd {
	switch {
	case f.status == protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
		return readResumes
	case f.status == protocol.Status_NOT_JOURNAL_BROKER && !f.req.GetDoNotProxy():
		return readMoves
	case f.status == protocol.Status_JOURNAL_NOT_FOUND && f.req.GetBlock():
		if f.missing++; f.missing < missingTries {
			return readResumes
		}
	}
	return readEnds
}
