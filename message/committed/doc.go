// Package committed tells the committed lines of a journal from the others, up to a cut.
//
// # What
//
// A table's journal may have messages (design D8): lines with UUIDs, of transactions that
// are committed by a later line, or rolled back, or not decided yet; and lines that are
// there twice. A line belongs to a cut if the line that commits it ends at the cut or
// before it.
//
// A State is what must be known of a journal up to an offset, to decide on what follows:
// the sealed offset of a table carries it. A Decider goes over the lines of the window
// from a State to a cut, and makes a Window: it knows what became of every transaction
// in it, and has the State at its end. A Walk then goes over the lines again, from the
// Window's Begin on, and gives each its Verdict. A Reader does both over a Source of
// bytes.
//
// Windows follow one another: each begins with the State that the last one ended with. A
// line is Committed in exactly one of them, that which has the line that commits it. If
// it was pending before, Begin is before the window, and so is what must be read again.
// State.Pending is from which offset on that can be.
//
// The UUID of a line is found by a Finder: by a Pointer (RFC 6901), such as /_meta/uuid,
// in a line of JSON, or by CSV, in the first field. A Pointer finds the value without
// checking what it needn't read: the first key of a name counts, what follows the value
// isn't looked at, and what precedes it only as far as strings and brackets go. What it
// finds is a UUID if it is a string of 36 characters that message.UUID.Validate takes. A
// line in which none is found, whatever it is, has none, and is committed where it
// stands: it is a row, or a reject, as in any other table.
//
// An Index knows the same of all cuts of a journal at once, and says it the other way round: where the lines are that
// aren't rows. Who has rows of a range from elsewhere leaves those out, and a range without any may be read as it is.
// An open transaction costs an Index a place, not reading its lines again. Windows are for who can't hold one, and for
// who goes on from a State.
//
// A reader that holds lines in memory as they are appended, and can't go over them twice,
// does without this package: message.Ledger has the rules.
//
// # Invariants
//
//   - Over any chain of windows, each line that is committed by the rules of
//     docs/format/message.md is Committed once, in the window that its commit is in;
//     duplicates and what was rolled back never are.
//   - A verdict depends on the bytes of the journal and on the State that the chain began
//     with, not on where it was cut.
//   - A line whose newline isn't there yet isn't one: a window ends before it.
//   - Memory is bounded: by the producers that are remembered, and by the transactions
//     of a window that aren't committed as a whole. If there are too many, the window
//     ends early, and another follows. Of a line more than MaxLine isn't held.
//   - An Index is bounded by the number of its places, and says ErrTooManyHoles if there are more. It forgets what only
//     older cuts need, and says ErrCompacted of those.
//   - Bytes that a Source doesn't give are an error, never left out.
//
// # Goroutines
//
// None. A Reader, and an Index, belong to one goroutine at a time. A Window, and Holes, may be shared.
//
// # Testing
//
// A list that holds all lines says what is committed at each cut; any lines, cuts and
// bounds must come to the same, and to what a message.Sequencer delivers. Pointers are
// compared with encoding/json, on generated and fuzzed lines.
package committed
