// Package clock says where statements read: at a cut, a place of each journal, or at a time, which the
// marks of the clock journal turn into one.
//
// # What
//
// A Cut has a text that sessions hand on: it names journals, what makes each of them that one, and
// offsets. A Mark is a line of the clock journal: a time, and how far journals went by then. A Log is that
// journal, read up to an offset: it says which mark is to be appended, and what the cut of its last mark is.
//
// The time of a row is that of the first mark whose place is at or beyond the row's end. The rows
// of a table as of a time t are those whose time is t or earlier: the cut is that of the last mark at or before t.
//
// # Invariants
//
//   - The text of a cut is read back as the same cut, and every cut has one text only.
//   - What isn't such a text is an error that says why: damaged, cut off, of another version.
//   - Marks are true: all bytes below a place were acknowledged before the mark's time, by the clock of who
//     wrote it. They needn't be complete: bytes above a place may have been, too.
//   - Times ascend, in the order of the journal, whatever the clocks of those who write it say; each mark
//     is appended at the offset up to which its writer has read. So once there is a mark later than t, the cut as of
//     t never changes.
//   - Who begins at any full mark understands the marks after it as who has read all.
//
// # Goroutines
//
// None: everything here is computed from what it is given.
//
// # Testing
//
// The formats are pinned by golden files; round trips and damage by properties (rapid) and fuzzing. Writers
// with clocks that are wrong, over a model of journals that are appended to, removed and made again, against the
// invariants above (rapid).
package clock
