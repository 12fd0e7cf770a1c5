package broker

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// A group has at most so many appends, and so many bytes unless it is one append.
	maxGroup      = 1024
	maxGroupBytes = 1 << 20
)

// headView is what appends are decided by: the head of the journal as the holder of
// the pipeline has it.
type headView struct {
	end       int64                     // write head
	registers *protocol.LabelSet        // registers at end
	codec     protocol.CompressionCodec // of the open fragment
	openBegin int64                     // begin of the open fragment, which ends at end
	first     time.Time                 // first append of the open fragment
	now       time.Time

	indexBegin, indexEnd int64 // bounds of the fragment index
}

// ruling about an append.
type ruling int

const (
	// rulingJoined: the append is of the group. Its result is told once the group is
	// acknowledged, with which everything before it is that the result rests on (R10).
	rulingJoined ruling = iota
	// rulingFull: the group takes no more. The append begins the next.
	rulingFull
	// rulingRoll: the open fragment is to be closed first, and then the append decided again.
	rulingRoll
	// rulingReset: the head is to be set to the append's offset first.
	rulingReset
	// rulingForward: the head is to be moved to the offset at which the journal was suspended.
	rulingForward
	// rulingSuspend: the journal is to be suspended as the append asks for.
	rulingSuspend
	// rulingResume: the journal's suspension is to be ended first.
	rulingResume
)

// String is the ruling in lower case.
func (v ruling) String() string {
	return [...]string{"joined", "full", "roll", "reset", "forward", "suspend", "resume"}[v]
}

// group is a row of appends that are written, proposed and made durable as one, each with its
// own checks and result. It decides without I/O, clock or goroutine.
//
// Invariant: head is the journal's as it is when all appends that joined are applied.
type group struct {
	head    headView
	begin   int64 // of the first append
	tickets []*ticket
	writes  []*ticket // those with content that is to be written
	changed bool      // registers are to be set
	synced  bool      // it is acknowledged once it is on every member's disk, whatever the mode is

	done chan struct{} // closed once the group has an outcome
	err  error         // of the outcome
}

// newGroup begins at a head.
func newGroup(v headView) *group {
	return &group{head: v, begin: v.end, done: make(chan struct{})}
}

// add decides about an append, which is in the group if the ruling is rulingJoined.
func (g *group) add(t *ticket) ruling {
	if t.run != nil && t.run.failed.Load() {
		g.join(t, outcome{notApplied: true})
		return rulingJoined
	}
	if t.attempt != nil && t.attempt.stopped.Load() {
		g.join(t, outcome{again: true})
		return rulingJoined
	}
	if len(g.tickets) == maxGroup || t.size > 0 && len(g.writes) > 0 && (t.small == nil || g.head.end-g.begin+t.size > maxGroupBytes) {
		return rulingFull
	}
	s, v, err := g.precondition(t)
	switch {
	case v != rulingJoined && len(g.tickets) > 0:
		return rulingFull
	case v != rulingJoined:
		return v
	case err != nil:
		g.refuse(t, outcome{err: err})
	case s == protocol.Status_REGISTER_MISMATCH:
		g.refuse(t, outcome{response: &protocol.AppendResponse{Status: s, Registers: presentSet(g.head.registers)}})
	case s != protocol.Status_OK:
		g.refuse(t, outcome{response: &protocol.AppendResponse{Status: s}})
	case t.size == 0:
		g.join(t, g.applied(t, g.head.end))
	case rollIsDue(t.spec, g.head) && len(g.tickets) > 0:
		return rulingFull
	case rollIsDue(t.spec, g.head):
		return rulingRoll
	default:
		g.write(t)
	}
	return rulingJoined
}

func (g *group) join(t *ticket, o outcome) {
	t.result = o
	g.synced = g.synced || t.synced
	g.tickets = append(g.tickets, t)
}

func (g *group) refuse(t *ticket, o outcome) {
	if t.run != nil {
		t.run.failed.Store(true)
	}
	g.join(t, o)
}

// write plans the write of an append that passed.
func (g *group) write(t *ticket) {
	if t.setsRegisters() {
		g.head.registers = g.registersAfter(t)
		g.changed = true
	}
	begin := g.head.end
	g.head.end += t.size
	if g.head.first.IsZero() {
		g.head.first = g.head.now
	}
	g.writes = append(g.writes, t)
	g.join(t, g.applied(t, begin))
}

// registersAfter an append that sets registers.
func (g *group) registersAfter(t *ticket) *protocol.LabelSet {
	base := g.head.registers
	if t.union != nil {
		base = withoutReset(base)
	}
	return protocol.UnionLabelSets(t.union, protocol.SubtractLabelSet(base, t.subtract))
}

// applied is the outcome of an append from an offset up to the head.
func (g *group) applied(t *ticket, begin int64) outcome {
	if t.run != nil {
		return outcome{applied: true, begin: begin, end: g.head.end, registers: g.head.registers}
	}
	return outcome{response: &protocol.AppendResponse{
		Commit: &protocol.Fragment{
			Journal:          t.spec.GetName(),
			Begin:            begin,
			End:              g.head.end,
			Sum:              protocol.SumFromDigest(t.sum),
			CompressionCodec: g.head.codec,
		},
		Registers: presentSet(g.head.registers),
	}}
}

// precondition checks in the order of the protocol.
func (g *group) precondition(t *ticket) (protocol.Status, ruling, error) {
	v, writable := g.head, t.spec.Flag().MayWrite()
	greatest := max(v.end, v.indexEnd)
	switch {
	case t.checks() && isReset(v.registers):
		return protocol.Status_REGISTER_MISMATCH, 0, nil
	// Registers that were never set match any check.
	case len(v.registers.GetLabels()) != 0 && !t.check.Matches(v.registers):
		return protocol.Status_REGISTER_MISMATCH, 0, nil
	case v.end < t.spec.GetSuspend().GetOffset():
		return 0, rulingForward, nil
	// A read-only journal may be a view of another cluster's store, which runs ahead.
	case t.offset == 0 && v.indexEnd > v.end && writable:
		return protocol.Status_INDEX_HAS_GREATER_OFFSET, 0, nil
	case t.offset != 0 && t.offset != greatest:
		return protocol.Status_WRONG_APPEND_OFFSET, 0, nil
	case t.offset > v.end:
		return 0, rulingReset, nil
	}
	if s, v := suspension(t); s != protocol.Status_OK || v != rulingJoined {
		return s, v, nil
	}
	switch {
	case t.size != 0 && !t.mayHaveContent():
		return protocol.Status_NOT_ALLOWED, 0, nil
	case t.size == 0 && t.setsRegisters():
		return 0, 0, errors.New("register modification requires non-empty Append")
	case t.setsRegisters():
		// The spool would refuse them, and with them all others of the group.
		if size := proto.Size(g.registersAfter(t)); size > spool.MaxRegisters {
			return 0, 0, status.Errorf(codes.InvalidArgument, "journal %s: its registers would take %d bytes, and may have up to %d",
				t.spec.GetName(), size, spool.MaxRegisters)
		}
	}
	return protocol.Status_OK, 0, nil
}

// suspension decides by the level of the journal's suspension and what the append says of it.
func suspension(t *ticket) (protocol.Status, ruling) {
	level := t.spec.GetSuspend().GetLevel()
	suspended := level != protocol.JournalSpec_Suspend_NONE
	switch t.suspend {
	case protocol.AppendRequest_SUSPEND_RESUME:
		if suspended {
			return 0, rulingResume
		}
	case protocol.AppendRequest_SUSPEND_NO_RESUME:
		if suspended {
			return protocol.Status_SUSPENDED, 0
		}
	case protocol.AppendRequest_SUSPEND_IF_FLUSHED, protocol.AppendRequest_SUSPEND_NOW:
		if t.size == 0 {
			return 0, rulingSuspend
		}
	case protocol.AppendRequest_SUSPEND_KEEP:
		if level == protocol.JournalSpec_Suspend_FULL {
			return protocol.Status_SUSPENDED, 0
		}
	}
	return protocol.Status_OK, 0
}

// isReset tells whether the registers are what a reset left.
func isReset(set *protocol.LabelSet) bool { return len(set.ValuesOf(epoch.ResetLabel)) != 0 }

// withoutReset is the set without what a reset left.
func withoutReset(set *protocol.LabelSet) *protocol.LabelSet {
	values := set.ValuesOf(epoch.ResetLabel)
	if len(values) == 0 {
		return set
	}
	return protocol.SubtractLabelSet(set, &protocol.LabelSet{Labels: []*protocol.Label{{Name: epoch.ResetLabel, Value: values[0]}}})
}

// rollIsDue tells whether the open fragment is to be closed before the next append:
// it is longer than its spec asks for, or an interval of flushing has ended, or it
// is the first of the journal, which is stored at once so that a loss of all
// brokers can't go unnoticed. An empty fragment is never closed.
func rollIsDue(spec *protocol.JournalSpec, v headView) bool {
	length := v.end - v.openBegin
	return length > 0 && (length > spec.GetFragment().GetLength() ||
		v.openBegin == v.indexBegin ||
		flushIsDue(v.first, v.now, spec.GetFragment().GetFlushInterval().AsDuration()))
}

// flushIsDue tells whether a multiple of the interval, in UTC, is in (first, now].
func flushIsDue(first, now time.Time, interval time.Duration) bool {
	return interval >= time.Second && !first.IsZero() && !now.Before(nextFlush(first, interval))
}

// nextFlush is the first multiple of the interval, in UTC, after t. The interval is
// a second or more.
func nextFlush(t time.Time, interval time.Duration) time.Time {
	seconds := int64(interval / time.Second)
	return time.Unix((t.Unix()/seconds+1)*seconds, 0)
}

// presentSet is the set, or an empty one: on the wire absent isn't empty.
func presentSet(set *protocol.LabelSet) *protocol.LabelSet {
	if set == nil {
		return new(protocol.LabelSet)
	}
	return set
}

// unknownError tells of an append that may have been applied, or not.
func unknownError(journal string, begin, end int64, err error) error {
	return fmt.Errorf("journal %s: whether the append of [%d, %d) was applied isn't known: %w", journal, begin, end, err)
}
