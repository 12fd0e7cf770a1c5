// Package persist moves closed fragments from their spools to a store.
//
// # What
//
// A Persister compresses a completed spool and puts it into the journal's first store
// under its content-addressed name. If an object of that name is there already, its
// length and checksum are verified before the spool may be dropped (rule R9).
//
// # Invariants
//
//   - Persist returns a fragment only when the store is known to hold its content, for
//     good. Until then the content stays in its spool.
//   - A failure is retried with back-off until the context ends. Not so what a retry
//     can't mend: a spec that can't be followed, and bytes that aren't what their name
//     says, in the store or in the spool.
//   - A fragment goes to the journal's first store. Only while the process exits, and if
//     that store doesn't permit it, to the next.
//   - Memory doesn't grow with the fragment.
//
// # Goroutines
//
// None: a bounded number of calls of Persist work at a time, in goroutines that the
// caller's group started and awaits.
//
// # Testing
//
// A store that fails, and crashes, at every operation in turn; outages of hours in
// synctest; objects and spools with wrong bytes.
package persist
