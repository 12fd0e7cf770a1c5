package message

import (
	"cmp"
	"fmt"
)

// NoSpan is the Begin of a span that isn't there.
const NoSpan = -1

// ProducerState is what a reader of a journal knows of one of its producers.
//
// Acked <= Seen always; they're equal if nothing is pending.
type ProducerState struct {
	// Producer that it is about.
	Producer Producer `json:"producer"`
	// Acked is the clock up to which its messages are decided: what comes with it, or
	// less, is a duplicate.
	Acked Clock `json:"acked,string"`
	// Seen is the greatest clock of its messages. 0 is restored as Acked.
	Seen Clock `json:"seen,string"`
	// Begin is the offset of the first pending message; NoSpan if there is none.
	Begin int64 `json:"begin"`
}

// Decision on a message.
type Decision struct {
	// Outcome of the message.
	Outcome Outcome
	// Begin of the span that it begins, extends, commits or rolls back; else NoSpan.
	Begin int64
	// After and Through bound the clocks of what an AckCommit commits: those pending
	// messages with After < clock <= Through.
	After, Through Clock
	// Seen is the greatest clock that was pending: an AckCommit that has less rolls
	// something back.
	Seen Clock
}

// Ledger is what a reader of a journal knows of its producers, and so the rules by which
// messages are committed. See docs/format/message.md for them. The zero value knows
// none, and remembers as many as it hears of.
type Ledger struct {
	producers map[Producer]*producer
	last      *producer // of the last message
	idle      list      // without pending messages, by when they were last heard of
	open      list      // with pending messages, likewise
	newest    Clock
	most      int
	forgot    *producer // by the last Decide
}

// producer in a Ledger.
type producer struct {
	ProducerState

	in         *list
	prev, next *producer // in it
	chain      chain     // of its messages in a Sequencer's ring
}

// NewLedger returns a ledger that remembers a number of producers at most, 0 for any.
// Beyond it, that which wasn't heard of for longest is forgotten; and one that has
// pending messages only if all have.
func NewLedger(most int) *Ledger { return &Ledger{most: most} }

// Decide what becomes of the next message, which begins at an offset. Offsets ascend.
func (l *Ledger) Decide(offset int64, u UUID) Decision {
	d, _ := l.decide(offset, u)
	return d
}

// decide returns the producer as well; nil if there is none.
func (l *Ledger) decide(offset int64, u UUID) (Decision, *producer) {
	l.forgot = nil
	clock := u.Clock()
	if clock == 0 {
		return Decision{Outcome: NoUUID, Begin: NoSpan}, nil
	}
	p := l.hear(u.Producer(), clock)
	var d Decision
	switch u.Flags() {
	case ContinueTxn:
		d = p.pend(offset, clock)
	case AckTxn:
		d = p.ack(clock)
	default:
		d = p.outside(clock)
	}
	l.file(p)
	return d, p
}

// outside decides on a message outside of transactions. One of flags that aren't known is
// taken for it.
func (p *producer) outside(clock Clock) Decision {
	if clock <= p.Acked {
		return Decision{Outcome: OutsideDuplicate, Begin: NoSpan}
	}
	d := Decision{Outcome: OutsideCommit, Begin: p.Begin}
	if p.Begin != NoSpan {
		d.Outcome = OutsideRollback
	}
	p.Acked, p.Seen, p.Begin = clock, clock, NoSpan
	return d
}

// pend decides on a message of a transaction.
func (p *producer) pend(offset int64, clock Clock) Decision {
	switch {
	case clock <= p.Acked:
		return Decision{Outcome: ContinueAcked, Begin: NoSpan}
	case clock <= p.Seen:
		return Decision{Outcome: ContinueDuplicate, Begin: p.Begin}
	}
	p.Seen = clock
	if p.Begin != NoSpan {
		return Decision{Outcome: ContinueExtend, Begin: p.Begin}
	}
	p.Begin = offset
	return Decision{Outcome: ContinueBegin, Begin: offset}
}

// ack decides on an acknowledgement. One that isn't newer than the last is of a
// transaction that is decided: it is there again since an append was repeated, or since
// a recovered process couldn't know that it was applied. Both can happen while the next
// transaction is pending, which it must not roll back.
func (p *producer) ack(clock Clock) Decision {
	switch {
	case clock < p.Acked:
		return Decision{Outcome: AckLate, Begin: NoSpan}
	case clock == p.Acked:
		return Decision{Outcome: AckRepeated, Begin: NoSpan}
	}
	d := Decision{Outcome: AckEmpty, Begin: NoSpan}
	if p.Begin != NoSpan {
		d = Decision{Outcome: AckCommit, Begin: p.Begin, After: p.Acked, Through: clock, Seen: p.Seen}
	}
	p.Acked, p.Seen, p.Begin = clock, clock, NoSpan
	return d
}

// hear of a producer, by a message with a clock. Of one that isn't known, all before is
// taken for decided.
func (l *Ledger) hear(id Producer, clock Clock) *producer {
	l.newest = max(l.newest, clock)
	if p := l.last; p != nil && p.Producer == id {
		return p
	}
	p := l.producers[id]
	if p == nil {
		if l.most > 0 && len(l.producers) >= l.most {
			l.forgot = cmp.Or(l.idle.oldest, l.open.oldest)
			l.drop(l.forgot)
		}
		p = l.add(ProducerState{Producer: id, Acked: clock - 1, Seen: clock - 1, Begin: NoSpan})
	}
	l.last = p
	return p
}

// file a producer that was heard of in its list, as the newest.
func (l *Ledger) file(p *producer) {
	to := &l.idle
	if p.Begin != NoSpan {
		to = &l.open
	}
	if p.in == to && to.newest == p {
		return
	}
	if p.in != nil {
		p.in.remove(p)
	}
	to.append(p)
}

func (l *Ledger) add(s ProducerState) *producer {
	if l.producers == nil {
		l.producers = make(map[Producer]*producer)
	}
	p := &producer{ProducerState: s}
	l.producers[s.Producer] = p
	return p
}

func (l *Ledger) drop(p *producer) {
	delete(l.producers, p.Producer)
	p.in.remove(p)
	if l.last == p {
		l.last = nil
	}
}

// Forgot returns the state of the producer that was forgotten by the last Decide, since
// there were too many. What it had pending can't be committed any more.
func (l *Ledger) Forgot() (ProducerState, bool) {
	if l.forgot == nil {
		return ProducerState{}, false
	}
	return l.forgot.ProducerState, true
}

// Len is how many producers are remembered.
func (l *Ledger) Len() int { return len(l.producers) }

// Newest is the greatest clock of any message.
func (l *Ledger) Newest() Clock { return l.newest }

// Pending returns the offset from which on messages are pending, or NoSpan if none are.
func (l *Ledger) Pending() int64 {
	least := int64(NoSpan)
	for p := range l.open.all {
		if least == NoSpan || p.Begin < least {
			least = p.Begin
		}
	}
	return least
}

// PendingFrom reports whether there is a pending span that begins at an offset or after
// it.
func (l *Ledger) PendingFrom(offset int64) bool {
	for p := range l.open.all {
		if p.Begin >= offset {
			return true
		}
	}
	return false
}

// Prune forgets the producers whose clocks are all before a clock, with what they have
// pending, which can't be committed any more. It returns how many.
func (l *Ledger) Prune(before Clock) int { return len(l.prune(before, nil)) }

// prune all but one.
func (l *Ledger) prune(before Clock, but *producer) []*producer {
	var out []*producer
	for _, in := range []*list{&l.idle, &l.open} {
		for p := range in.all {
			if p.Seen < before && p != but {
				out = append(out, p)
			}
		}
	}
	for _, p := range out {
		l.drop(p)
	}
	return out
}

// States of all producers, in an order that Restore keeps.
func (l *Ledger) States() []ProducerState {
	out := make([]ProducerState, 0, len(l.producers))
	for _, in := range []*list{&l.idle, &l.open} {
		for p := range in.all {
			out = append(out, p.ProducerState)
		}
	}
	return out
}

// Restore the states of producers of which nothing is known yet.
func (l *Ledger) Restore(states []ProducerState) error {
	for _, s := range states {
		if l.producers[s.Producer] != nil {
			return fmt.Errorf("producer %s is there twice", s.Producer)
		}
		s.Seen = max(s.Seen, s.Acked)
		s.Begin = max(s.Begin, NoSpan)
		l.newest = max(l.newest, s.Seen)
		l.file(l.add(s))
	}
	return nil
}

// list of producers, oldest first.
type list struct{ oldest, newest *producer }

func (l *list) append(p *producer) {
	p.in, p.prev, p.next = l, l.newest, nil
	if l.newest == nil {
		l.oldest = p
	} else {
		l.newest.next = p
	}
	l.newest = p
}

func (l *list) remove(p *producer) {
	if p.prev == nil {
		l.oldest = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.newest = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.in, p.prev, p.next = nil, nil, nil
}

// all yields the producers.
func (l *list) all(yield func(*producer) bool) {
	for p := l.oldest; p != nil && yield(p); p = p.next {
	}
}
