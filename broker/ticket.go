package broker

import (
	"io"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/protocol"
)

// ticket is an append whose body is gathered, and which waits for its turn.
type ticket struct {
	spec *protocol.JournalSpec // as the append was resolved
	// What the append asks for.
	offset          int64
	check           *protocol.LabelSelector
	union, subtract *protocol.LabelSet
	suspend         protocol.AppendRequest_Suspend
	synced          bool // acknowledged once it is on every member's disk, whatever the mode is
	size            int64
	sum             [20]byte // SHA-1 of the content
	content         io.Reader
	small           []byte   // the content, if it is in memory
	run             *run     // of a stream; nil for an append that is alone
	attempt         *attempt // of a stream; nil for an append that is alone
	result          outcome
	finished        chan struct{} // closed once there is a result; nil if finish is set
	finish          func(*ticket) // called once there is a result
}

// run is a row of appends to a journal none of which may be applied past a failed one.
// It is read by who has the tenure, once that is ours.
type run struct{ failed atomic.Bool }

// attempt is a row of appends of a stream to a journal, as it was resolved. Once one of them has
// to be resolved again so has every later one, which would else come before it.
type attempt struct{ stopped atomic.Bool }

// outcome of an append. It is one of: a response, whose header is missing; for an append of a
// stream that is OK, its range; an error; or that the journal is to be resolved again, at a revision of etcd or later.
type outcome struct {
	response   *protocol.AppendResponse
	applied    bool // to [begin, end), which leaves these registers
	begin, end int64
	registers  *protocol.LabelSet
	err        error
	again      bool
	revision   int64
	blocked    error         // with again: why it has to wait for another route; it wasn't applied
	pause      time.Duration // with blocked: after which it may be tried again without one
	resumed    bool          // the journal was suspended, and isn't any more
	notApplied bool          // because of an append before it in its run
	unknown    bool          // err leaves open whether it was applied
}

// complete the ticket.
func (t *ticket) complete(o outcome) {
	t.result = o
	if o.again && t.attempt != nil {
		t.attempt.stopped.Store(true)
	}
	if t.finish != nil {
		t.finish(t)
		return
	}
	close(t.finished)
}

// isBarrier tells whether the append only asks for the write head.
func (t *ticket) isBarrier() bool {
	return t.size == 0 && !t.synced && t.offset == 0 && t.union == nil && t.subtract == nil && !t.checks() &&
		t.suspend <= protocol.AppendRequest_SUSPEND_NO_RESUME
}

// checks tells whether registers are asked for.
func (t *ticket) checks() bool {
	return len(t.check.GetInclude().GetLabels()) != 0 || len(t.check.GetExclude().GetLabels()) != 0
}

// setsRegisters tells whether the append changes registers.
func (t *ticket) setsRegisters() bool { return t.union != nil || t.subtract != nil }

// mayHaveContent tells whether content is allowed.
func (t *ticket) mayHaveContent() bool {
	return t.spec.Flag().MayWrite() && t.suspend <= protocol.AppendRequest_SUSPEND_NO_RESUME
}

// written is the range of content that an append is to be written to; false if it writes nothing.
func (o outcome) written(t *ticket) (int64, int64, bool) {
	if o.applied {
		return o.begin, o.end, t.size > 0
	}
	c := o.response.GetCommit()
	return c.GetBegin(), c.GetEnd(), t.size > 0 && c != nil
}
