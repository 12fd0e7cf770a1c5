// Package fragments knows fragments: their names, and which of them cover a journal.
//
// # What
//
// A fragment is a closed byte range [Begin, End) of a journal, the SHA-1 of its
// content, and the file that holds it: a local spool or an object in a store.
// This package formats and parses their names (docs/format/fragment-names.md),
// chooses the cover set that covers a range without needless overlap, and keeps
// an Index of a journal's local and stored fragments that readers query and wait
// on. Subpackages: codec (compression), store (object stores), spool (the local
// file of an open fragment and its commit log), persist (spool to store) and
// columnar (content to columns).
//
// # Invariants
//
//   - Entries of a cover set are strictly increasing in both Begin and End, and
//     none is wholly covered by another.
//   - Covered is true of a local fragment only when stored ones hold all its content;
//     only then may its owner drop it. A listing never takes away what was persisted
//     while it was made.
//   - The index serves nothing above the watermark, which is the End of the last entry
//     it was told of by SetLocal.
//   - A parsed name formats to the path that it was parsed from.
//
// # Goroutines
//
// None; Index is safe for concurrent use.
//
// # Testing
//
// Scenario files under testdata for the cover set, the index and names; rapid against
// a byte-wise model; the examples of docs/format/fragment-names.md; fuzzing of the
// name parser.
package fragments
