package committed

import (
	"fmt"
	"maps"
	"slices"

	"broadsheet.dev/broadsheet/message"
)

// Verdict on a line.
type Verdict uint8

const (
	// Committed is a line of a row, or of a reject.
	Committed Verdict = iota
	// Ack is a line that acknowledges others, and is no row.
	Ack
	// Duplicate is a line that stands earlier in the journal, too.
	Duplicate
	// RolledBack is a line of a transaction, or of a part of it, that was given up.
	RolledBack
	// Open is a line of a transaction that isn't decided where the window ends. Once it is
	// committed, it is of a later window.
	Open
	// Earlier is a line before the window, which isn't committed in it. It is read since
	// others are.
	Earlier
)

var verdicts = [...]string{Committed: "committed", Ack: "ack", Duplicate: "duplicate", RolledBack: "rolled back", Open: "open", Earlier: "earlier"}

// String is the verdict in words.
func (v Verdict) String() string { return verdicts[v] }

// State of a journal up to an offset. The zero value is that of a journal's begin.
type State struct {
	// Offset of the first line that the state doesn't know of.
	Offset int64 `json:"offset"`
	// Producers of the lines before it.
	Producers []message.ProducerState `json:"producers,omitempty"`
}

// Validate that what is pending is before the offset.
func (s State) Validate() error {
	if s.Offset < 0 {
		return fmt.Errorf("state at offset %d: must not be negative", s.Offset)
	}
	for _, p := range s.Producers {
		if p.Begin >= s.Offset || p.Begin < message.NoSpan {
			return fmt.Errorf("state at offset %d: producer %s has a transaction from %d on", s.Offset, p.Producer, p.Begin)
		}
		if p.Begin != message.NoSpan && p.Seen <= p.Acked {
			return fmt.Errorf("state at offset %d: producer %s has a transaction without clocks", s.Offset, p.Producer)
		}
	}
	return nil
}

// Pending is the offset from which on lines may be committed by what follows: that of the
// earliest open transaction, or the Offset if there is none. What is before it need not
// be kept.
func (s State) Pending() int64 {
	out := s.Offset
	for _, p := range s.Producers {
		if p.Begin != message.NoSpan {
			out = min(out, p.Begin)
		}
	}
	return out
}

// Prune returns the state without producers whose clocks are all before a clock. What
// they have open is given up by that, so whoever prunes must know that it won't be
// committed, and everyone must go on from what is returned.
func (s State) Prune(before message.Clock) State {
	s.Producers = slices.DeleteFunc(slices.Clone(s.Producers), func(p message.ProducerState) bool {
		return max(p.Seen, p.Acked) < before
	})
	return s
}

// Limits of what a window holds.
type Limits struct {
	// Transactions that aren't committed as a whole, of a window. 0 is 65536.
	Transactions int
	// Producers of a journal that are remembered, see message.NewLedger. 0 is 65536.
	// Another number may come to other verdicts: it must be that of the whole chain.
	Producers int
}

const defaultLimit = 1 << 16

// Validate that no limit is negative.
func (l Limits) Validate() error {
	switch {
	case l.Transactions < 0:
		return fmt.Errorf("limit of %d transactions: must not be negative", l.Transactions)
	case l.Producers < 0:
		return fmt.Errorf("limit of %d producers: must not be negative", l.Producers)
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	if l.Transactions == 0 {
		l.Transactions = defaultLimit
	}
	if l.Producers == 0 {
		l.Producers = defaultLimit
	}
	return l
}

// fate of a transaction, or of what was written of it: lines with clocks from one on have a
// verdict; those below are committed.
type fate struct {
	from    message.Clock
	verdict Verdict
}

// Window has what became of the transactions in a part of a journal.
type Window struct {
	from, to State
	limits   Limits
	begin    int64
	// fates by the offset of a transaction's first line; of those that are committed as a
	// whole there is none.
	fates map[int64]fate
	// recalled are the producers whose transactions were open before the window, and are
	// committed in it.
	recalled map[message.Producer]message.ProducerState
}

// Begin is the offset to walk from: that of the first line that is committed in the window,
// or of the window's first.
func (w *Window) Begin() int64 { return w.begin }

// End of the window: where its last line ends.
func (w *Window) End() int64 { return w.to.Offset }

// State at its end, which the next window begins with.
func (w *Window) State() State { return w.to }

// Decider takes the lines of a window, and finds out what becomes of its transactions.
type Decider struct {
	window *Window
	ledger *message.Ledger
	end    int64
	// pending are the offsets of transactions that were open at the window's begin.
	pending map[int64]message.ProducerState
}

// NewDecider returns a decider on the lines from a state's offset on.
func NewDecider(from State, limits Limits) (*Decider, error) {
	if err := from.Validate(); err != nil {
		return nil, err
	}
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	limits = limits.withDefaults()
	d := &Decider{
		window: &Window{from: from, limits: limits, begin: from.Offset, fates: make(map[int64]fate), recalled: make(map[message.Producer]message.ProducerState)},
		ledger: message.NewLedger(limits.Producers), end: from.Offset, pending: make(map[int64]message.ProducerState),
	}
	if err := d.ledger.Restore(from.Producers); err != nil {
		return nil, fmt.Errorf("state at offset %d: %w", from.Offset, err)
	}
	for _, p := range from.Producers {
		if p.Begin != message.NoSpan {
			d.pending[p.Begin] = p
		}
	}
	return d, nil
}

// Take the next line. It returns false, and doesn't take it, if the window can't hold more:
// it ends here.
func (d *Decider) Take(begin, end int64, u message.UUID) bool {
	if len(d.window.fates) >= d.window.limits.Transactions {
		return false
	}
	d.end = end
	decision := d.ledger.Decide(begin, u)
	if forgot, ok := d.ledger.Forgot(); ok && forgot.Begin != message.NoSpan {
		d.decide(forgot.Begin, fate{0, RolledBack})
	}
	switch decision.Outcome {
	case message.OutsideRollback:
		d.decide(decision.Begin, fate{0, RolledBack})
	case message.AckCommit:
		if decision.Seen > decision.Through {
			d.decide(decision.Begin, fate{decision.Through + 1, RolledBack})
		}
		if p, ok := d.pending[decision.Begin]; ok {
			d.window.begin = min(d.window.begin, decision.Begin)
			d.window.recalled[p.Producer] = p
			delete(d.pending, decision.Begin)
		}
	default:
	}
	return true
}

// decide on a transaction.
func (d *Decider) decide(begin int64, f fate) {
	d.window.fates[begin] = f
	if f.from == 0 {
		delete(d.pending, begin)
	}
}

// Window of the lines that were taken. What is open is of a later one.
func (d *Decider) Window() *Window {
	w := d.window
	w.to = State{Offset: d.end, Producers: d.ledger.States()}
	for _, p := range w.to.Producers {
		if p.Begin != message.NoSpan {
			w.fates[p.Begin] = fate{0, Open}
		}
	}
	return w
}

// Walk over the lines of a window once more.
type Walk struct {
	window   *Window
	ledger   *message.Ledger
	recalled map[message.Producer]message.ProducerState // Acked is that of the last line
}

// Walk from the window's begin on.
func (w *Window) Walk() *Walk {
	k := &Walk{window: w, ledger: message.NewLedger(w.limits.Producers), recalled: maps.Clone(w.recalled)}
	_ = k.ledger.Restore(w.from.Producers) // as the decider did
	return k
}

// Line returns the verdict on the next line.
func (k *Walk) Line(begin int64, u message.UUID) Verdict {
	if begin < k.window.from.Offset {
		return k.earlier(begin, u)
	}
	d := k.ledger.Decide(begin, u)
	switch d.Outcome {
	case message.NoUUID, message.OutsideCommit, message.OutsideRollback:
		return Committed
	case message.OutsideDuplicate, message.ContinueDuplicate, message.ContinueAcked:
		return Duplicate
	case message.ContinueBegin, message.ContinueExtend:
		return k.pending(d.Begin, u.Clock())
	case message.AckCommit, message.AckEmpty, message.AckRepeated, message.AckLate:
	}
	return Ack
}

// pending returns the verdict on a line of a transaction.
func (k *Walk) pending(begin int64, clock message.Clock) Verdict {
	if len(k.window.fates) == 0 {
		return Committed
	}
	if f, ok := k.window.fates[begin]; ok && clock >= f.from {
		return f.verdict
	}
	return Committed
}

// earlier returns the verdict on a line before the window.
func (k *Walk) earlier(begin int64, u message.UUID) Verdict {
	p, ok := k.recalled[u.Producer()]
	clock := u.Clock()
	if !ok || begin < p.Begin || u.Flags() != message.ContinueTxn || clock <= p.Acked {
		return Earlier
	}
	p.Acked = clock
	k.recalled[p.Producer] = p
	if k.pending(p.Begin, clock) != Committed {
		return Earlier // it was open; nobody waits for more
	}
	return Committed
}

// Missing returns a producer of whose recalled lines not all were walked over, once the
// walk has come to the window's own lines: the journal isn't the one that the state is of.
func (k *Walk) Missing() (message.Producer, bool) {
	for id, p := range k.recalled {
		if p.Acked != p.Seen {
			return id, true
		}
	}
	return message.Producer{}, false
}
