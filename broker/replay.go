package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"broadsheet.dev/broadsheet/protocol"
)

// rewindable is a source of an append's messages after the first, which can be read again as long as all of
// them are there.
type rewindable interface {
	appendSource
	// rewind to the second message, and tell whether that could be done.
	rewind() bool
}

// replaySource keeps the messages of a source that were received, so that an append can be forwarded once more.
// It gives up once they take more than limit bytes, or the budget has none left.
type replaySource struct {
	source appendSource
	budget *budget
	limit  int64

	kept []*protocol.AppendRequest
	next int // of kept
	held int64
	lost bool  // not all are kept
	end  error // of the source; nil before
}

// Recv as of appendSource.
func (s *replaySource) Recv() (*protocol.AppendRequest, error) {
	if s.next < len(s.kept) {
		s.next++
		return s.kept[s.next-1], nil
	}
	if s.end != nil {
		return nil, s.end
	}
	m, err := s.source.Recv()
	if err != nil {
		s.end = err
		return nil, err
	}
	s.keep(m)
	return m, nil
}

// messageToll is what a message that is kept counts for besides its content: it takes memory without any too.
const messageToll = 256

func (s *replaySource) keep(m *protocol.AppendRequest) {
	if s.lost {
		return
	}
	n := int64(messageToll + len(m.GetJournal()) + len(m.GetContent()))
	if s.held+n > s.limit || !s.budget.take(n) {
		s.close()
		s.lost = true
		return
	}
	s.held += n
	// What is received next may come into the same memory.
	kept := &protocol.AppendRequest{Journal: m.GetJournal(), Content: bytes.Clone(m.GetContent())}
	s.kept = append(s.kept, kept)
	s.next = len(s.kept)
}

// rewind as of rewindable. A client that has failed isn't waited for again.
func (s *replaySource) rewind() bool {
	if s.lost || s.end != nil && !errors.Is(s.end, io.EOF) {
		return false
	}
	s.next = 0
	return true
}

// close gives what is kept back.
func (s *replaySource) close() {
	s.budget.give(s.held)
	s.kept, s.next, s.held = nil, 0, 0
}

// bodyChunk is how much content a message of a bodySource has at the most.
const bodyChunk = 256 << 10

// bodySource yields the messages of an append whose body was gathered here, before another broker became its primary.
type bodySource struct {
	body    *body
	content io.Reader
	ended   bool
}

func newBodySource(b *body) *bodySource {
	s := &bodySource{body: b}
	s.rewind()
	return s
}

// Recv as of appendSource.
func (s *bodySource) Recv() (*protocol.AppendRequest, error) {
	if s.ended {
		return nil, io.EOF
	}
	chunk := make([]byte, bodyChunk)
	n, err := io.ReadFull(s.content, chunk)
	switch {
	case n > 0 && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)):
		return &protocol.AppendRequest{Content: chunk[:n]}, nil
	case errors.Is(err, io.EOF):
		s.ended = true
		return new(protocol.AppendRequest), nil
	default:
		return nil, &diskError{fmt.Errorf("read the gathered append: %w", err)}
	}
}

// rewind as of rewindable.
func (s *bodySource) rewind() bool {
	mem, file := s.body.content()
	if s.content, s.ended = file, false; file == nil {
		s.content = bytes.NewReader(mem)
	}
	return true
}
