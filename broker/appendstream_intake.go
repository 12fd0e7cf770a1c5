package broker

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

// maxHandle is the greatest number that a stream may give a journal.
const maxHandle = 65535

// intake checks what a client sends on an AppendStream, and puts appends together from their parts. It
// does no I/O.
//
// Invariants:
//   - Sequences ascend by one. All parts of an append come one after the other.
//   - What an append asks for stands in its first part.
type intake struct {
	runs     map[uint32]*streamRun // by handle
	sequence uint64                // of the last append that was begun
	partial  *streamAppend         // of which more parts follow; or nil
}

// streamRun is what one Open begins: a run of appends to a journal.
type streamRun struct {
	order run
	open  *streaming.AppendStreamRequest_Open
	lane  *lane
	told  bool // a result has told the header; under appendStream.mu
}

func newIntake() *intake { return &intake{runs: make(map[uint32]*streamRun)} }

// open begins a run, and returns it and the one whose handle it takes, or nil.
func (in *intake) open(o *streaming.AppendStreamRequest_Open) (*streamRun, *streamRun, error) {
	switch {
	case in.partial != nil:
		return nil, nil, violation("Open of handle %d between the parts of append %d", o.GetHandle(), in.sequence)
	case o.GetHandle() == 0 || o.GetHandle() > maxHandle:
		return nil, nil, violation("Open: invalid Handle (%d; expected 1 <= Handle <= %d)", o.GetHandle(), maxHandle)
	case o.GetMinEtcdRevision() < 0:
		return nil, nil, violation("Open: invalid MinEtcdRevision (%d; expected >= 0)", o.GetMinEtcdRevision())
	}
	if err := protocol.ValidateJournal(o.GetJournal()); err != nil {
		return nil, nil, violation("Open.Journal: %s", err)
	}
	if o.GetHeader() != nil {
		if err := o.GetHeader().Validate(); err != nil {
			return nil, nil, violation("Open.Header: %s", err)
		}
	}
	before, begun := in.runs[o.GetHandle()], &streamRun{open: kept(o)}
	in.runs[o.GetHandle()] = begun
	return begun, before, nil
}

// kept is what is kept of an Open for as long as its handle is open: neither the route of its header nor what isn't
// known of it, which are as large as a message may be.
func kept(o *streaming.AppendStreamRequest_Open) *streaming.AppendStreamRequest_Open {
	k := &streaming.AppendStreamRequest_Open{
		Handle: o.GetHandle(), Journal: o.GetJournal(), MinEtcdRevision: o.GetMinEtcdRevision(), DoNotProxy: o.GetDoNotProxy(),
	}
	if h := o.GetHeader(); h != nil {
		k.Header = &protocol.Header{Route: protocol.EmptyRoute(), Etcd: &protocol.Header_Etcd{
			ClusterId: h.GetEtcd().GetClusterId(), MemberId: h.GetEtcd().GetMemberId(),
			Revision: h.GetEtcd().GetRevision(), RaftTerm: h.GetEtcd().GetRaftTerm(),
		}}
		if id := h.GetProcessId(); id != nil {
			k.Header.ProcessId = &protocol.ProcessSpec_ID{Zone: id.GetZone(), Suffix: id.GetSuffix()}
		}
	}
	return k
}

// append takes an append or a part of one. It returns the append that the part is of.
func (in *intake) append(m *streaming.AppendStreamRequest_Append) (*streamAppend, error) {
	if a := in.partial; a != nil {
		if m.GetSequence() != in.sequence || m.GetHandle() != a.of.open.GetHandle() {
			return nil, violation("append %d of handle %d between the parts of append %d", m.GetSequence(), m.GetHandle(), in.sequence)
		}
		if m.GetOffset() != 0 || conditional(m) {
			return nil, violation("append %d: only its first part may have an offset or registers", in.sequence)
		}
		if !m.GetMore() {
			in.partial = nil
		}
		return a, nil
	}
	r := in.runs[m.GetHandle()]
	switch {
	case m.GetSequence() != in.sequence+1:
		return nil, violation("append has sequence %d, expected %d", m.GetSequence(), in.sequence+1)
	case r == nil:
		return nil, violation("append %d: handle %d isn't open", m.GetSequence(), m.GetHandle())
	case m.GetOffset() < 0:
		return nil, violation("append %d: invalid Offset (%d; expected >= 0)", m.GetSequence(), m.GetOffset())
	}
	if conditional(m) {
		if err := validateRegisters(m); err != nil {
			return nil, violation("append %d: %s", m.GetSequence(), err)
		}
	}
	in.sequence++
	a := &streamAppend{sequence: m.GetSequence(), of: r}
	a.offset, a.check, a.union, a.subtract = m.GetOffset(), m.GetCheckRegisters(), m.GetUnionRegisters(), m.GetSubtractRegisters()
	a.run, a.synced = &r.order, m.GetSynced()
	if m.GetMore() {
		in.partial = a
	}
	return a, nil
}

// end tells whether the client may end here.
func (in *intake) end() error {
	if in.partial != nil {
		return violation("stream ended between the parts of append %d", in.sequence)
	}
	return nil
}

func conditional(m *streaming.AppendStreamRequest_Append) bool {
	return m.GetCheckRegisters() != nil || m.GetUnionRegisters() != nil || m.GetSubtractRegisters() != nil
}

func validateRegisters(m *streaming.AppendStreamRequest_Append) error {
	return errors.Join(
		named("CheckRegisters", m.GetCheckRegisters().Validate()),
		named("UnionRegisters", m.GetUnionRegisters().Validate()),
		named("SubtractRegisters", m.GetSubtractRegisters().Validate()),
	)
}

func named(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// violation of the protocol of append streams.
func violation(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "append stream: "+format, args...)
}
