// Package message gives messages of journals their identity, and their bounds in the
// stream of bytes.
//
// # What
//
// A UUID says who published a message (its Producer, one for each run of a process),
// when and in which order (its Clock), and whether it is part of a transaction (its
// Flags): what readers need to tell duplicates, and what was rolled back, from what
// was committed. A Framing puts messages one after another and finds their bounds
// again: Lines, or Fixed, which precedes each by its length. Which one a journal has,
// its content-type tells.
//
// A Ledger is what a reader of a journal knows of its producers, and decides what
// becomes of each message: docs/format/message.md has the rules. A Sequencer holds what
// is pending and delivers what is committed, in the order of acknowledgements, over any
// number of journals; package committed decides on the lines of a range instead.
//
// Uncommitted and Committed are iterators over a reader of a journal. Which type a
// message has, and how it is decoded, is passed to them: there is no registry. A Codec
// has the encodings of Gazette's content types.
//
// # Invariants
//
//   - Bits of UUIDs and bytes of frames are those of docs/format/message.md, which
//     are Gazette's.
//   - A Ticker's clocks ascend, whatever the wall clock does; UUIDs of one producer,
//     with clocks of one Ticker, are unique.
//   - A frame is read whole, or it is an error: none is cut short at the end of its
//     input, and none is larger than the reader allows.
//   - What a Ledger decides depends on the messages of the journal and on the state that
//     it began with; on no wall clock, and on nobody's pace.
//   - Nothing but a newer message of the same producer rolls back what is pending, as long
//     as the producer is remembered: what it has pending is gone once it is forgotten,
//     beyond the bound, which Forgot tells, or by Prune. An acknowledgement that is
//     repeated, or late, does nothing, where Gazette's would roll back: it is of a
//     transaction that was decided, and an append that was repeated must lose nothing.
//   - What a Sequencer delivers depends on the messages alone: not on the size of its ring,
//     nor on where it was restarted from a checkpoint. The one exception is an
//     acknowledgement with the very clock of a message that it commits, which no
//     producer should send: if a checkpoint is taken between the two, the
//     acknowledgement isn't delivered.
//   - Producers that are remembered, and messages and bytes that are held, are bounded.
//
// # Goroutines
//
// None. Sequencers and Ledgers belong to one goroutine at a time.
//
// # Testing
//
// Golden bytes of docs/format/message.md, properties with rapid, and fuzzed frames.
// testdata/sequencer walks the rules. A list that holds everything is the model of the
// Sequencer, for any messages, ring and restarts; and of producers that crash, repeat
// appends and recover, exactly what they committed is delivered.
package message
