package broker

import (
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

// appendStep is what the driver of an append has to do next. It tells the outcome
// to the method that is named with the step.
type appendStep int

const (
	// stepResolve the journal at appendFSM.revision or later: onResolved.
	stepResolve appendStep = iota
	// stepReceive the next message: onMessage.
	stepReceive
	// stepGather the content of that message: onGathered.
	stepGather
	// stepAwaitIndex waits for the first listing of the journal's stores: onIndex.
	stepAwaitIndex
	// stepBarrier looks at what is durable, without the pipeline: onView.
	stepBarrier
	// stepAcquire takes the pipeline and looks at the head: onView.
	stepAcquire
	// stepRoll closes the open fragment and begins the next: onRolled.
	stepRoll
	// stepWrite the gathered content with appendFSM.registers: onWritten.
	stepWrite
	// stepSettle waits until all that was written before the pipeline was given
	// back is durable: onSettled.
	stepSettle
	// stepDone has an outcome: either appendFSM.response or appendFSM.err.
	stepDone
)

// String is the step in lower case.
func (s appendStep) String() string {
	return [...]string{
		"resolve", "receive", "gather", "await index", "barrier", "acquire", "roll", "write", "settle", "done",
	}[s]
}

// holdsPipeline tells whether the driver keeps the pipeline for the step. On every
// step for which it doesn't, it gives the pipeline back before it goes on.
func (s appendStep) holdsPipeline() bool { return s == stepRoll || s == stepWrite }

// errReplicaClosed tells that the replica was given up: the journal is to be
// resolved again.
var errReplicaClosed = errors.New("replica is closed")

// headView is what an append is decided by: the head of the journal, either as the
// pipeline holds it or as far as it is durable.
type headView struct {
	end       int64                     // write head
	registers *protocol.LabelSet        // registers at end
	codec     protocol.CompressionCodec // of the open fragment
	openBegin int64                     // begin of the open fragment, which ends at end
	first     time.Time                 // first append of the open fragment
	now       time.Time

	indexBegin, indexEnd int64 // bounds of the fragment index
}

// committed is what was written of an append.
type committed struct {
	begin, end int64
	sum        [20]byte
}

// appendFSM decides what an Append RPC does, step by step. It has no I/O, no clock
// and no goroutine: broker.append is its driver.
//
// The body is gathered before the pipeline is taken, so that a slow writer delays
// nobody; the pipeline is given back before the wait for durability, so that
// appends overlap there. What was decided with the pipeline in hand may rest on
// appends that aren't durable yet, so no outcome, good or bad, is told before they
// are: a refusal by registers that a crash takes back was no refusal.
//
// A barrier, which is an empty append without preconditions, is ordered before all
// appends that aren't durable. So it needs neither the pipeline nor a sync.
//
// Invariant: response and err are nil until stepDone, and then exactly one is set.
type appendFSM struct {
	step     appendStep
	req      *protocol.AppendRequest // parameters: the first message
	revision int64                   // of etcd, at which to resolve
	resolved resolution              // last outcome of stepResolve

	chunks, size int64 // messages with content, and their bytes
	complete     bool  // the empty message was received
	gathered     bool  // nothing more is received

	registers *protocol.LabelSet       // to write with the content; nil is unchanged
	pending   *protocol.AppendResponse // to answer once settled

	response *protocol.AppendResponse
	err      error
}

// newAppendFSM begins with the first message of an append.
func newAppendFSM(req *protocol.AppendRequest) *appendFSM {
	f := &appendFSM{req: req, step: stepResolve}
	f.revision = max(req.GetMinEtcdRevision(), req.GetHeader().GetEtcd().GetRevision())
	switch err := req.Validate(); {
	case err != nil:
		f.fail(err)
	case req.GetJournal() == "":
		f.fail(errors.New("append stream: first message names no journal"))
	case req.GetSuspend() == protocol.AppendRequest_SUSPEND_IF_FLUSHED,
		req.GetSuspend() == protocol.AppendRequest_SUSPEND_NOW:
		f.fail(status.Errorf(codes.Unimplemented, "journal %s: suspending a journal (%s) is not supported",
			req.GetJournal(), req.GetSuspend()))
	}
	return f
}

func (f *appendFSM) fail(err error) { f.step, f.err, f.pending = stepDone, err, nil }

func (f *appendFSM) respond(r *protocol.AppendResponse) {
	f.step, f.response, f.pending = stepDone, r, nil
}

// refuse answers a status at once: it rests on nothing that may be lost.
func (f *appendFSM) refuse(s protocol.Status) {
	f.respond(&protocol.AppendResponse{Status: s, Header: f.resolved.header, TotalChunks: f.chunks})
}

// settle answers r once all that was written before is durable.
func (f *appendFSM) settle(r *protocol.AppendResponse) {
	r.Header, r.TotalChunks = f.resolved.header, f.chunks
	f.step, f.pending = stepSettle, r
}

// onResolved takes the outcome of stepResolve.
func (f *appendFSM) onResolved(r resolution, err error) {
	if f.resolved = r; err != nil {
		f.fail(err)
		return
	}
	level := r.spec.GetSuspend().GetLevel()
	suspended := level != protocol.JournalSpec_Suspend_NONE
	switch {
	case suspended && f.req.GetSuspend() == protocol.AppendRequest_SUSPEND_RESUME:
		f.fail(status.Errorf(codes.Unimplemented, "journal %s: resuming a suspended journal (level %s) is not supported",
			f.req.GetJournal(), level))
		return
	case suspended:
		f.refuse(protocol.Status_SUSPENDED)
		return
	case r.status != protocol.Status_OK:
		f.refuse(r.status)
		return
	}
	switch have, want := len(r.header.GetRoute().GetMembers()), int(r.spec.GetReplication()); {
	case have > want:
		f.revision = r.header.GetEtcd().GetRevision() + 1 // one of them is about to go
	case have < want:
		f.refuse(protocol.Status_INSUFFICIENT_JOURNAL_BROKERS)
	case f.gathered:
		f.step = stepAwaitIndex
	default:
		f.step = stepReceive
	}
}

// onMessage takes the outcome of stepReceive.
func (f *appendFSM) onMessage(msg *protocol.AppendRequest, err error) {
	switch {
	case errors.Is(err, io.EOF) && f.complete:
		f.gathered, f.step = true, stepAwaitIndex
		return
	case errors.Is(err, io.EOF):
		f.fail(fmt.Errorf("append stream: %w", io.ErrUnexpectedEOF)) // The client rolls back.
		return
	case err != nil:
		f.fail(err)
		return
	case f.complete:
		f.fail(errors.New("append stream: message after the empty one, which commits"))
		return
	case msg.GetJournal() != "":
		f.fail(fmt.Errorf("append stream: message %d names a journal (%q): only the first may", f.chunks+2, msg.GetJournal()))
		return
	}
	if err := msg.Validate(); err != nil {
		f.fail(err)
		return
	}
	if len(msg.GetContent()) == 0 {
		f.complete = true // EOF has to follow
		return
	}
	f.chunks++
	f.size += int64(len(msg.GetContent()))
	if f.mayHaveContent() {
		f.step = stepGather
		return
	}
	// It is refused in any case, but an earlier precondition may say otherwise why.
	f.gathered, f.step = true, stepAwaitIndex
}

func (f *appendFSM) mayHaveContent() bool {
	return f.resolved.spec.Flag().MayWrite() && f.req.GetSuspend() != protocol.AppendRequest_SUSPEND_KEEP
}

// onGathered takes the outcome of stepGather.
func (f *appendFSM) onGathered(err error) {
	if f.step = stepReceive; err != nil {
		f.fail(err)
	}
}

// onIndex takes the outcome of stepAwaitIndex: an error of type *indexError says that the
// stores can't be listed.
func (f *appendFSM) onIndex(err error) {
	var unhealthy *indexError
	switch {
	case errors.Is(err, errReplicaClosed):
		f.step = stepResolve
	case errors.As(err, &unhealthy):
		f.refuse(protocol.Status_FRAGMENT_STORE_UNHEALTHY)
		f.response.StoreHealthError = unhealthy.Error()
	case err != nil:
		f.fail(err)
	case f.isBarrier():
		f.step = stepBarrier
	default:
		f.step = stepAcquire
	}
}

func (f *appendFSM) isBarrier() bool {
	check := f.req.GetCheckRegisters()
	return f.size == 0 && f.req.GetOffset() == 0 && f.req.GetUnionRegisters() == nil && f.req.GetSubtractRegisters() == nil &&
		len(check.GetInclude().GetLabels()) == 0 && len(check.GetExclude().GetLabels()) == 0
}

// onView takes the outcome of stepAcquire or stepBarrier, and decides.
func (f *appendFSM) onView(v headView, err error) {
	if errors.Is(err, errReplicaClosed) {
		f.step = stepResolve
		return
	}
	if err != nil {
		f.fail(err)
		return
	}
	barrier := f.step == stepBarrier
	f.decide(v)
	if barrier && f.step == stepSettle {
		f.onSettled(nil) // What is durable has settled.
	}
}

func (f *appendFSM) decide(v headView) {
	s, err := f.preconditions(v)
	switch {
	case err != nil:
		f.fail(err)
	case s == protocol.Status_REGISTER_MISMATCH:
		f.settle(&protocol.AppendResponse{Status: s, Registers: presentSet(v.registers)})
	case s != protocol.Status_OK:
		f.settle(&protocol.AppendResponse{Status: s})
	case f.size == 0:
		f.settle(f.commitResponse(v, committed{begin: v.end, end: v.end, sum: protocol.SumOf(nil).Digest()}))
	default:
		f.plan(v)
	}
}

// preconditions are checked in the order of the protocol.
func (f *appendFSM) preconditions(v headView) (protocol.Status, error) {
	offset := f.req.GetOffset()
	greatest := max(v.end, v.indexEnd)
	switch {
	// Registers that were never set match any check.
	case len(v.registers.GetLabels()) != 0 && !f.req.GetCheckRegisters().Matches(v.registers):
		return protocol.Status_REGISTER_MISMATCH, nil
	// A read-only journal may be a view of another cluster's store, which runs ahead.
	case offset == 0 && v.indexEnd > v.end && f.resolved.spec.Flag().MayWrite():
		return protocol.Status_INDEX_HAS_GREATER_OFFSET, nil
	case offset != 0 && offset != greatest:
		return protocol.Status_WRONG_APPEND_OFFSET, nil
	case offset > v.end:
		return 0, status.Errorf(codes.Unimplemented,
			"journal %s: resetting its head from %d to the end of its stored fragments (%d) is not supported",
			f.resolved.spec.GetName(), v.end, offset)
	case f.size != 0 && !f.mayHaveContent():
		return protocol.Status_NOT_ALLOWED, nil
	case f.size == 0 && (f.req.GetUnionRegisters() != nil || f.req.GetSubtractRegisters() != nil):
		return 0, errors.New("register modification requires non-empty Append")
	}
	return protocol.Status_OK, nil
}

// plan the write of an append that passed.
func (f *appendFSM) plan(v headView) {
	f.registers = nil
	if f.req.GetUnionRegisters() != nil || f.req.GetSubtractRegisters() != nil {
		f.registers = protocol.UnionLabelSets(f.req.GetUnionRegisters(),
			protocol.SubtractLabelSet(v.registers, f.req.GetSubtractRegisters()))
	}
	after := f.registers
	if after == nil {
		after = v.registers
	}
	// The commit is filled in once it is written.
	f.pending = f.commitResponse(v, committed{})
	f.pending.Registers = presentSet(after)
	if f.step = stepWrite; rollIsDue(f.resolved.spec, v) {
		f.step = stepRoll
		f.pending.Commit.CompressionCodec = f.resolved.spec.GetFragment().GetCompressionCodec()
	}
}

func (f *appendFSM) commitResponse(v headView, c committed) *protocol.AppendResponse {
	return &protocol.AppendResponse{
		Commit: &protocol.Fragment{
			Journal:          f.resolved.spec.GetName(),
			Begin:            c.begin,
			End:              c.end,
			Sum:              protocol.SumFromDigest(c.sum),
			CompressionCodec: v.codec,
		},
		Registers: presentSet(v.registers),
	}
}

// onRolled takes the outcome of stepRoll.
func (f *appendFSM) onRolled(err error) {
	if f.step = stepWrite; err != nil {
		f.fail(err)
	}
}

// onWritten takes the outcome of stepWrite.
func (f *appendFSM) onWritten(c committed, err error) {
	if err != nil {
		f.fail(err)
		return
	}
	r := f.pending
	r.Commit.Begin, r.Commit.End, r.Commit.Sum = c.begin, c.end, protocol.SumFromDigest(c.sum)
	f.settle(r)
}

// onSettled takes the outcome of stepSettle.
func (f *appendFSM) onSettled(err error) {
	if err != nil {
		f.fail(err)
		return
	}
	f.respond(f.pending)
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
