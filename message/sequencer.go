package message

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	defaultRing      = 8192
	defaultRingBytes = 64 << 20
	defaultProducers = 1 << 16
)

// ErrReplay is what Next returns if messages that are committed left the ring: they must
// be read again.
var ErrReplay = errors.New("committed messages must be read again: see ReplayRange and StartReplay")

// SequencerConfig bounds what a Sequencer holds.
type SequencerConfig struct {
	// Messages that are pending and held; what is beyond is read again. 0 is 8192.
	Messages int
	// Bytes of their frames; a single message may be larger. 0 is 64 MiB.
	Bytes int64
	// Producers of a journal that are remembered, see NewLedger. 0 is 65536.
	Producers int
}

// Validate that no bound is negative.
func (c SequencerConfig) Validate() error {
	switch {
	case c.Messages < 0:
		return fmt.Errorf("ring of %d messages: must not be negative", c.Messages)
	case c.Bytes < 0:
		return fmt.Errorf("ring of %d bytes: must not be negative", c.Bytes)
	case c.Producers < 0:
		return fmt.Errorf("memory of %d producers: must not be negative", c.Producers)
	}
	return nil
}

func (c SequencerConfig) withDefaults() SequencerConfig {
	if c.Messages == 0 {
		c.Messages = defaultRing
	}
	if c.Bytes == 0 {
		c.Bytes = defaultRingBytes
	}
	if c.Producers == 0 {
		c.Producers = defaultProducers
	}
	return c
}

// JournalState is how far a Sequencer got in a journal.
type JournalState struct {
	// ReadThrough is the offset to read from.
	ReadThrough int64
	// Producers of messages before it.
	Producers []ProducerState
}

// Range of a journal.
type Range struct {
	// Journal as it is read.
	Journal string
	// Begin and End of what is in the range.
	Begin, End int64
}

// String is the range in the form of errors.
func (r Range) String() string { return fmt.Sprintf("%s [%d, %d)", r.Journal, r.Begin, r.End) }

// Sequencer takes the messages of journals as they stand there, and gives those that are
// committed, each once, when they are. It does no I/O: what doesn't fit its ring it
// asks to be read again.
//
// Push a message, then call Next until it returns io.EOF, then push the next.
type Sequencer struct {
	cfg      SequencerConfig
	journals map[string]*journal
	last     *journal // of the last message
	ring     ring
	out      delivery
	mark     mark
}

// journal of a Sequencer.
type journal struct {
	name        string
	ledger      *Ledger
	readThrough int64
}

// delivery of a message that was committed as it was pushed, and before it, if it is an
// acknowledgement, of those that it commits.
//
// Until the message itself is delivered, a checkpoint says that it wasn't read, and of its
// producer what is in then: up to which of its messages all were delivered.
type delivery struct {
	env     Envelope
	in      *journal  // nil if nothing is to be delivered
	of      *producer // nil if the message has no UUID
	then    ProducerState
	through Clock
	next    uint64 // slot
	replay  Range  // to be read first; empty if nothing is
	from    Iterator
	reached int64 // offset up to which it was read
}

// mark of where a Sequencer was before it returned a message.
type mark struct {
	in          *journal // nil if it returned none yet
	of          *producer
	then        ProducerState
	readThrough int64
}

// NewSequencer returns one that knows nothing.
func NewSequencer(cfg SequencerConfig) (*Sequencer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sequencer: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Sequencer{cfg: cfg, journals: make(map[string]*journal), ring: newRing(cfg.Messages, cfg.Bytes)}, nil
}

// Push the next message of its journal, and tell what becomes of it. It is an error of the
// program if Next has more to return.
func (s *Sequencer) Push(env Envelope) Outcome {
	if s.out.in != nil {
		panic("message: Push before Next returned io.EOF")
	}
	in := s.journal(env.Journal)
	uuid := env.Message.GetUUID()
	before := in.ledger.before(uuid)
	d, p := in.ledger.decide(env.Begin, uuid)
	if forgot := in.ledger.forgot; forgot != nil {
		s.ring.clearChain(forgot)
	}
	if !d.Outcome.Delivers() {
		if d.Outcome.Pends() {
			s.ring.add(env, uuid.Clock(), p)
		}
		in.readThrough = env.End
		return d.Outcome
	}
	in.readThrough = env.Begin
	s.out = delivery{env: env, in: in, of: p, then: before, through: d.Through}
	switch d.Outcome {
	case OutsideRollback:
		s.ring.clearChain(p)
	case AckCommit:
		s.out.next = p.chain.first
		until := env.Begin
		if s.out.next != 0 {
			until = s.ring.at(s.out.next).env.Begin
		}
		if d.Begin < until {
			s.out.replay = Range{env.Journal, d.Begin, until}
		}
	default: // the message alone is delivered
	}
	return d.Outcome
}

// Forgot returns the state of the producer that was forgotten by the last Push, since its
// journal had too many. What it had pending can't be committed any more.
func (s *Sequencer) Forgot() (ProducerState, bool) {
	if s.last == nil {
		return ProducerState{}, false
	}
	return s.last.ledger.Forgot()
}

// before returns the state of a message's producer before the message.
func (l *Ledger) before(u UUID) ProducerState {
	id := u.Producer()
	if p := l.last; p != nil && p.Producer == id {
		return p.ProducerState
	}
	if p := l.producers[id]; p != nil {
		l.last = p
		return p.ProducerState
	}
	return ProducerState{Producer: id, Acked: u.Clock() - 1, Seen: u.Clock() - 1, Begin: NoSpan}
}

func (s *Sequencer) journal(name string) *journal {
	if s.last != nil && s.last.name == name {
		return s.last
	}
	j := s.journals[name]
	if j == nil {
		j = &journal{name: name, ledger: NewLedger(s.cfg.Producers)}
		s.journals[name] = j
	}
	s.last = j
	return j
}

// Next returns the next message that is committed, or io.EOF if there is none until
// another is pushed. An acknowledgement is delivered as well, after what it commits.
//
// ErrReplay asks for StartReplay. Other errors are those of the replay's iterator; the
// call may be repeated, with another StartReplay or without.
func (s *Sequencer) Next() (Envelope, error) {
	if s.out.in == nil {
		return Envelope{}, io.EOF
	}
	s.mark = mark{in: s.out.in, of: s.out.of, then: s.out.then, readThrough: s.out.in.readThrough}
	if _, needed := s.ReplayRange(); needed {
		if s.out.from == nil {
			return Envelope{}, ErrReplay
		}
		switch env, ended, err := s.replayed(); {
		case err != nil:
			return Envelope{}, fmt.Errorf("replay %s: %w", s.out.replay, err)
		case !ended:
			return env, nil
		}
		s.out.replay, s.out.from = Range{}, nil
	}
	for s.out.next != 0 {
		at := s.ring.at(s.out.next)
		env, clock := at.env, at.clock
		s.out.next, s.out.of.chain.first = at.after, at.after
		s.ring.clear(at)
		if s.commits(clock, env.Begin) {
			return env, nil
		}
	}
	return s.finish(), nil
}

// commits reports whether a message of the producer's span is to be delivered: it is
// committed by the acknowledgement, and neither a duplicate nor delivered already. All
// that follows a message which is rolled back is a duplicate, or rolled back as well.
func (s *Sequencer) commits(clock Clock, begin int64) bool {
	switch then := &s.out.then; {
	case clock <= then.Acked:
		return false
	case clock > s.out.through:
		s.out.through = then.Acked
		return false
	default:
		then.Acked, then.Begin = clock, begin
		return true
	}
}

// replayed returns the next message of the replay that is committed, or that it has ended,
// with all of its range.
func (s *Sequencer) replayed() (Envelope, bool, error) {
	r := s.out.replay
	for {
		env, err := s.out.from.Next()
		if skipped, is := errors.AsType[*SkippedError](err); is {
			s.out.reached = max(s.out.reached, skipped.Range.End)
			return Envelope{}, false, err
		}
		switch {
		case errors.Is(err, io.EOF) && s.out.reached < r.End:
			return Envelope{}, false, fmt.Errorf("it ends at %d: %w", s.out.reached, io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF):
			return Envelope{}, true, nil
		case err != nil:
			return Envelope{}, false, err
		}
		begun := s.out.reached > r.Begin
		if env.Begin < r.Begin || env.End > r.End || env.Journal != r.Journal || (!begun && env.Begin != r.Begin) {
			return Envelope{}, false, fmt.Errorf("it has a message of %s", Range{env.Journal, env.Begin, env.End})
		}
		s.out.reached = env.End
		uuid := env.Message.GetUUID()
		if uuid.Producer() == s.out.of.Producer && uuid.Flags() == ContinueTxn && s.commits(uuid.Clock(), env.Begin) {
			return env, false, nil
		}
	}
}

// finish a delivery by the message that began it.
func (s *Sequencer) finish() Envelope {
	out := s.out
	out.in.readThrough = out.env.End
	if out.of != nil {
		out.of.chain = chain{}
	}
	s.out = delivery{}
	return out.env
}

// ReplayRange is what Next needs to be read again; false if it needs nothing.
func (s *Sequencer) ReplayRange() (Range, bool) { return s.out.replay, s.out.replay.End != 0 }

// StartReplay gives an iterator of all messages of the range, from its begin on, which
// returns io.EOF at its end only: before, it is io.ErrUnexpectedEOF. If there was another,
// it is no longer used, and what was delivered isn't once more.
func (s *Sequencer) StartReplay(it Iterator) { s.out.from, s.out.reached = it, s.out.replay.Begin }

// PendingFrom reports whether there is a pending span of a journal that begins at an
// offset or after it.
func (s *Sequencer) PendingFrom(name string, offset int64) bool {
	j := s.journals[name]
	return j != nil && j.ledger.PendingFrom(offset)
}

// Prune forgets, in each journal, producers that are behind its newest message by more
// than a horizon, with what they have pending. The newest isn't taken to be later than
// now, so that a producer whose wall clock is fast makes no other one forgotten.
func (s *Sequencer) Prune(horizon time.Duration, now time.Time) int {
	n := 0
	for _, j := range s.journals {
		newest, age := min(j.ledger.Newest(), ClockAt(now)), ClockOf(horizon)
		if newest < age {
			continue
		}
		gone := j.ledger.prune(newest-age, s.out.of)
		for _, p := range gone {
			s.ring.clearChain(p)
		}
		n += len(gone)
	}
	return n
}

// Checkpoint is the state of all journals as if nothing had been read but what Next
// returned, and what needn't be delivered. It may be taken at any time.
func (s *Sequencer) Checkpoint() map[string]JournalState {
	out := make(map[string]JournalState, len(s.journals))
	for name, j := range s.journals {
		state := JournalState{ReadThrough: j.readThrough, Producers: j.ledger.States()}
		if s.out.in == j && s.out.of != nil {
			for i := range state.Producers {
				if state.Producers[i].Producer == s.out.of.Producer {
					state.Producers[i] = s.out.then
				}
			}
		}
		out[name] = state
	}
	return out
}

// CheckpointBefore is the Checkpoint as if the message that Next has just returned hadn't been returned: who takes
// up there is given it first. It is an error of the program if the last call wasn't such a Next.
func (s *Sequencer) CheckpointBefore() map[string]JournalState {
	m := s.mark
	if m.in == nil {
		panic("message: CheckpointBefore without a message that Next returned")
	}
	out := s.Checkpoint()
	state := out[m.in.name]
	state.ReadThrough = m.readThrough
	for i := range state.Producers {
		if m.of != nil && state.Producers[i].Producer == m.of.Producer {
			state.Producers[i] = m.then
		}
	}
	out[m.in.name] = state
	return out
}

// Restore a checkpoint, before any Push. Journals must be read from their ReadThrough on.
func (s *Sequencer) Restore(states map[string]JournalState) error {
	for name, state := range states {
		j := s.journal(name)
		if err := j.ledger.Restore(state.Producers); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
		j.readThrough = state.ReadThrough
	}
	return nil
}
