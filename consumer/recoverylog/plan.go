package recoverylog

import (
	"errors"
	"fmt"
)

// ErrDataLoss is of a log that lacks what its hints say of it, or what was recorded behind them: nothing is recovered from it.
var ErrDataLoss = errors.New("possible data loss")

// What a log lacks. Each is with ErrDataLoss.
var (
	// ErrBeyondHead is of hints that say of more than the log has.
	ErrBeyondHead = errors.New("hints are beyond the log's write head")
	// ErrHintsUnused is of operations of hints that aren't in the log.
	ErrHintsUnused = errors.New("operations of the hints aren't in the log")
	// ErrJump is of bytes that are gone from the log, and which had, or may have had, operations.
	ErrJump = errors.New("bytes that may have operations are gone")
)

// DataLossError is what a log lacks. It wraps ErrDataLoss, and one of those above.
type DataLossError struct {
	// Log that lacks it.
	Log string
	// Detail says where.
	Detail string
	// Reason is one of those above.
	Reason error
}

// Error names the log, the reason and where.
func (e *DataLossError) Error() string {
	return fmt.Sprintf("%s: %s: %s (%s)", ErrDataLoss, e.Log, e.Reason, e.Detail)
}

// Unwrap returns ErrDataLoss and the reason.
func (e *DataLossError) Unwrap() []error { return []error{ErrDataLoss, e.Reason} }

// What a player is to do when it is at the end of the log.
type goal int

const (
	tail   goal = iota // wait for more
	finish             // be done
	take               // append a hand-off, and be done once it was read in sequence
)

// What is to be done next.
type task int

const (
	getHead task = iota // get the log's write head
	read                // read the next operation of the log, from an offset on
	await               // wait for a longer log, or another goal
	inject              // append a hand-off
	done
)

// step is what is to be done next.
type step struct {
	task   task
	log    string
	offset int64
}

// playback decides what to read of which log, and when all was read. It does no I/O.
//
// Invariants: segments of hints are read in their order, each up to the write head that its log had at first, at most; then the
// log of the hints goes on, from the last segment there, or its begin. What was asked for is reached at a write head
// that was told after it was asked for.
type playback struct {
	fsm   *FSM
	log   string           // of the hints
	heads map[string]int64 // as far as they are known
	at    string           // the log that is being read; empty before any
	pos   map[string]int64 // up to where each log was read

	goal    goal
	fresh   bool // the write head was told after the goal was set
	tailing bool // the write head was reached
	jumped  bool // and no operation in sequence came since, behind all hints

	author   uint32
	injected int64 // end of the hand-off; 0 if there is none that is yet to be read
	taken    bool
}

func newPlayback(hints *FSMHints) (*playback, error) {
	fsm, err := NewFSM(hints)
	if err != nil {
		return nil, err
	}
	return &playback{fsm: fsm, log: hints.GetLog(), heads: make(map[string]int64), pos: make(map[string]int64)}, nil
}

// aim at something else, from now on.
func (p *playback) aim(g goal, author uint32) {
	p.goal, p.author, p.fresh = g, author, false
}

// next tells what to do.
func (p *playback) next() (step, error) {
	if p.fsm.Unused() {
		return p.nextHinted(p.fsm.segments[0])
	}
	head, ok := p.heads[p.log]
	p.at = p.log
	pos := p.pos[p.log]
	switch {
	case p.taken:
		return step{task: done}, nil
	case !ok:
		return step{task: getHead, log: p.log}, nil
	case pos < head:
		return step{task: read, log: p.log, offset: pos}, nil
	}
	p.tailing = true
	switch {
	case p.goal == tail:
		return step{task: await, log: p.log, offset: pos}, nil
	case !p.fresh:
		return step{task: getHead, log: p.log}, nil
	case p.jumped:
		return step{}, &DataLossError{Log: p.log, Reason: ErrJump, Detail: fmt.Sprintf("nothing follows operation %d", p.fsm.next-1)}
	case p.goal == finish:
		return step{task: done}, nil
	}
	return step{task: inject, log: p.log}, nil
}

// nextHinted tells what to do about the segment that is to be passed next.
func (p *playback) nextHinted(s segment) (step, error) {
	head, ok := p.heads[s.log]
	lost := func(reason error, format string, args ...any) (step, error) {
		return step{}, &DataLossError{Log: s.log, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case !ok:
		return step{task: getHead, log: s.log}, nil
	case s.firstOffset >= head || s.lastOffset > head:
		return lost(ErrBeyondHead, "operations %d to %d are at offsets %d to %d, and the write head is %d", s.firstSeqNo, s.lastSeqNo, s.firstOffset, s.lastOffset, head)
	}
	pos, begun := p.pos[s.log]
	// Bytes between segments are never read, however few they are: they may have been pruned, and brokers not know it
	// yet, or not want to tell of a gap that is so young.
	if !begun || p.at != s.log || s.firstOffset > pos {
		pos = max(pos, s.firstOffset)
		p.at, p.pos[s.log] = s.log, pos
	}
	if pos >= head {
		return lost(ErrHintsUnused, "operations %d to %d were not found up to the write head %d", p.fsm.next, s.lastSeqNo, head)
	}
	return step{task: read, log: s.log, offset: pos}, nil
}

// head says what the write head of a log is.
func (p *playback) head(log string, head int64) {
	p.heads[log] = max(p.heads[log], head)
	if log == p.log && p.goal != tail {
		p.fresh = true
	}
}

// errTorn is of an operation that goes on behind the write head: none that was appended does.
var errTorn = fmt.Errorf("%w: it goes on behind the write head", ErrMalformed)

// op says what was read next. An error that wraps ErrDataLoss is fatal, one of a rejected operation isn't: its content is passed over, up
// to where the log is read next.
func (p *playback) op(op *RecordedOp, payload []byte) error {
	end := op.GetLastOffset()
	if end > p.heads[p.at] {
		p.pos[p.at] = op.GetFirstOffset() + 1
		return errTorn
	}
	p.pos[p.at] = end
	hinted := p.fsm.Unused()
	expected, _ := p.fsm.Next()
	err := p.fsm.Apply(op, payload)
	switch {
	case err == nil, errors.Is(err, ErrNotTracked):
		p.jumped = false
	case p.jumped && !hinted && errors.Is(err, ErrWrongSeqNo) && op.GetSeqNo() > expected:
		return &DataLossError{Log: p.at, Reason: ErrJump, Detail: fmt.Sprintf("operation %d follows operation %d", op.GetSeqNo(), expected-1)}
	}
	if p.injected != 0 && !hinted {
		p.taken = err == nil && op.GetAuthor() == p.author
		if end >= p.injected {
			p.injected = 0 // another's operation had its number
		}
	}
	return err
}

// jump says that bytes of the log that is being read are gone.
func (p *playback) jump(to int64) error {
	from := p.pos[p.at]
	p.pos[p.at] = max(from, to)
	if !p.fsm.Unused() {
		p.jumped = true
		return nil
	}
	if s := p.fsm.segments[0]; s.lastOffset != 0 && to > s.lastOffset {
		return &DataLossError{Log: p.at, Reason: ErrJump, Detail: fmt.Sprintf("from %d to %d; operations %d to %d end at %d", from, to, p.fsm.next, s.lastSeqNo, s.lastOffset)}
	}
	return nil
}

// skipped says that the log was read up to an offset, and what was read isn't an operation.
func (p *playback) skipped(to int64) { p.pos[p.at] = max(p.pos[p.at], to) }

// wrote says where the hand-off ends.
func (p *playback) wrote(end int64) {
	p.injected = end
	p.heads[p.log] = max(p.heads[p.log], end)
}
