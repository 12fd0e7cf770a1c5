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
	// stepResume ends the suspension of a journal that nobody holds: onCommitted.
	stepResume
	// stepAwaitAllocator waits for etcd to be seen at appendFSM.revision, where the allocator may
	// have given a resumed journal its brokers: onAllocated.
	stepAwaitAllocator
	// stepAwaitRoute waits for the journal to get another route, or for appendFSM.pause, as the append
	// can't be applied now, and wasn't: onRouted.
	stepAwaitRoute
	// stepProxy forwards the append to the primary: onProxied.
	stepProxy
	// stepReceive the next message: onMessage.
	stepReceive
	// stepGather the content of that message: onGathered.
	stepGather
	// stepAwaitIndex waits for the first listing of the journal's stores, and for the first of
	// them to be healthy: onIndex.
	stepAwaitIndex
	// stepBarrier asks for the head without the pipeline, if it is known to stand: onBarrier.
	stepBarrier
	// stepCommit takes the append's turn in the pipeline: onCommitted.
	stepCommit
	// stepDone has an outcome: either appendFSM.response or appendFSM.err.
	stepDone
)

// String is the step in lower case.
func (s appendStep) String() string {
	return [...]string{
		"resolve", "resume", "await allocator", "await route", "proxy", "receive", "gather", "await index", "barrier", "commit", "done",
	}[s]
}

// errReplicaClosed tells that the replica was given up: the journal is to be
// resolved again.
var errReplicaClosed = errors.New("replica is closed")

// appendFSM decides what an Append RPC does, step by step. It has no I/O, no clock
// and no goroutine: broker.append is its driver.
//
// The body is gathered before the append takes its turn, so that a slow writer delays
// nobody. What is decided then, in a group with others, is in group.go.
//
// Invariant: response and err are nil until stepDone, and then exactly one is set.
type appendFSM struct {
	step     appendStep
	req      *protocol.AppendRequest // parameters: the first message
	revision int64                   // of etcd, at which to resolve
	resolved resolution              // last outcome of stepResolve
	resumed  bool                    // the journal's suspension was ended for this append
	blocked  error                   // why it has to wait for another route
	pause    time.Duration           // after which it may be tried again without one

	chunks, size int64 // messages with content, and their bytes
	delayed      int64 // of chunks, that the journal's rate held up
	complete     bool  // the empty message was received
	gathered     bool  // nothing more is received

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
	}
	return f
}

func (f *appendFSM) fail(err error) { f.step, f.err = stepDone, err }

func (f *appendFSM) respond(r *protocol.AppendResponse) {
	r.Header, r.TotalChunks, r.DelayedChunks = f.resolved.header, f.chunks, f.delayed
	f.step, f.response = stepDone, r
}

// refuse with a status.
func (f *appendFSM) refuse(s protocol.Status) { f.respond(&protocol.AppendResponse{Status: s}) }

// onResolved takes the outcome of stepResolve.
func (f *appendFSM) onResolved(r resolution, err error) {
	if f.resolved = r; err != nil {
		f.fail(err)
		return
	}
	full := r.spec.GetSuspend().GetLevel() == protocol.JournalSpec_Suspend_FULL
	have, want := len(r.header.GetRoute().GetMembers()), r.desired
	lacks := r.status == protocol.Status_NO_JOURNAL_PRIMARY_BROKER || r.status == protocol.Status_OK && have < want
	switch {
	case full && f.req.GetSuspend() == protocol.AppendRequest_SUSPEND_RESUME:
		f.step = stepResume
		return
	case full:
		f.refuse(protocol.Status_SUSPENDED)
		return
	case f.resumed && lacks:
		f.step, f.revision = stepAwaitAllocator, r.header.GetEtcd().GetRevision()+1
		return
	case r.status == protocol.Status_NOT_JOURNAL_PRIMARY_BROKER && !f.req.GetDoNotProxy() && f.req.GetHeader() == nil:
		f.step = stepProxy // The primary counts its members, too.
		return
	case r.status != protocol.Status_OK:
		f.refuse(r.status)
		return
	}
	switch {
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

// onAllocated takes the outcome of stepAwaitAllocator: false if it took too long.
func (f *appendFSM) onAllocated(inTime bool, err error) {
	switch {
	case err != nil:
		f.fail(err)
	case inTime:
		f.step = stepResolve
	case f.resolved.status != protocol.Status_OK:
		f.refuse(f.resolved.status)
	default:
		f.refuse(protocol.Status_INSUFFICIENT_JOURNAL_BROKERS)
	}
}

// onRouted takes the outcome of stepAwaitRoute: false if it took too long. Then it is certain that the append wasn't
// applied, and a status says so, which an error wouldn't.
func (f *appendFSM) onRouted(inTime bool, err error) {
	switch {
	case err != nil:
		f.fail(err)
	case inTime:
		f.step = stepResolve
	default:
		f.refuse(protocol.Status_INSUFFICIENT_JOURNAL_BROKERS)
	}
}

// forwardAgain is the pause before an append is forwarded again to a primary that couldn't be reached.
const forwardAgain = 500 * time.Millisecond

// onProxied takes the outcome of stepProxy: the primary's answer, or an error. If the append can be sent again,
// which an error allows only while it wasn't committed, it goes to the primary after this one.
func (f *appendFSM) onProxied(r *protocol.AppendResponse, again bool, err error) {
	known, theirs := f.resolved.header.GetEtcd().GetRevision(), r.GetHeader().GetEtcd().GetRevision()
	switch {
	case again && err == nil && r.GetStatus() == protocol.Status_NOT_JOURNAL_PRIMARY_BROKER && theirs > known:
		f.step, f.revision = stepResolve, theirs
	case again && status.Code(err) == codes.Unavailable:
		f.step, f.revision, f.blocked, f.pause = stepAwaitRoute, known+1, err, forwardAgain
	case err != nil:
		f.fail(err)
	default:
		f.step, f.response = stepDone, r
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
	if f.resolved.spec.Flag().MayWrite() && f.req.GetSuspend() <= protocol.AppendRequest_SUSPEND_NO_RESUME {
		f.step = stepGather
		return
	}
	// It is refused in any case, but an earlier precondition may say otherwise why.
	f.gathered, f.step = true, stepAwaitIndex
}

// onGathered takes the outcome of stepGather: whether the content was held up.
func (f *appendFSM) onGathered(delayed bool, err error) {
	if delayed {
		f.delayed++
	}
	if f.step = stepReceive; err != nil {
		f.fail(err)
	}
}

// onIndex takes the outcome of stepAwaitIndex: an error of type *indexError says that the
// stores can't be listed, or that the first isn't healthy.
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
	case f.size == 0 && f.ticket().isBarrier():
		f.step = stepBarrier
	default:
		f.step = stepCommit
	}
}

// ticket of the append, without its content.
func (f *appendFSM) ticket() *ticket {
	return &ticket{
		spec: f.resolved.spec, offset: f.req.GetOffset(), check: f.req.GetCheckRegisters(),
		union: f.req.GetUnionRegisters(), subtract: f.req.GetSubtractRegisters(), suspend: f.req.GetSuspend(),
		size: f.size, synced: f.req.GetSynced(),
	}
}

// onBarrier takes the outcome of stepBarrier. If the head can't be told so, the append takes its turn.
func (f *appendFSM) onBarrier(o outcome) {
	if o.again {
		f.step = stepCommit
		return
	}
	f.onCommitted(o)
}

// onCommitted takes the outcome of stepCommit or stepResume.
func (f *appendFSM) onCommitted(o outcome) {
	switch {
	case o.again && o.blocked != nil:
		f.step, f.blocked, f.pause = stepAwaitRoute, o.blocked, o.pause
		f.revision = max(f.revision, f.resolved.header.GetEtcd().GetRevision()+1)
	case o.again:
		f.resumed = f.resumed || o.resumed
		f.step, f.revision = stepResolve, max(f.revision, o.revision)
	case o.err != nil:
		f.fail(o.err)
	default:
		f.respond(o.response)
	}
}
