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
//   - A spool is released only when the store is known to hold its content.
//   - A failure is retried with back-off until the persister is stopped; content stays
//     in its spool.
//
// # Goroutines
//
// A bounded number of uploads, started and awaited by the caller's group.
//
// # Testing
//
// A store that fails at every operation, in turn.
package persist
