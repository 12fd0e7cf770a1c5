// Package clock says where statements read: at a cut, a place of each journal, or at a time, which the
// marks of the clock journal turn into one.
//
// # What
//
// A Cut has a text that sessions hand on: it names journals, what makes each of them that one, and
// offsets.
//
// # Invariants
//
//   - The text of a cut is read back as the same cut, and every cut has one text only.
//   - What isn't such a text is an error that says why: damaged, cut off, of another version.
//
// # Goroutines
//
// None: everything here is computed from what it is given.
//
// # Testing
//
// The formats are pinned by golden files; round trips and damage by properties (rapid) and fuzzing.
package clock
