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
// The sequencing of committed messages comes with consumers.
//
// # Invariants
//
//   - Bits of UUIDs and bytes of frames are those of docs/format/message.md, which
//     are Gazette's.
//   - A Ticker's clocks ascend, whatever the wall clock does; UUIDs of one producer,
//     with clocks of one Ticker, are unique.
//   - A frame is read whole, or it is an error: none is cut short at the end of its
//     input, and none is larger than the reader allows.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Golden bytes of docs/format/message.md, properties with rapid, and fuzzed frames.
package message
