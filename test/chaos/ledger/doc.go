// Package ledger is the application by which the chaos tests see whether each message has its effect exactly once.
//
// # What
//
// Deposits come by input journals: each has an account, an amount, and a number that goes up by one from deposit to deposit of one
// depositor in one journal. A shard keeps balances and the last numbers in its store, and publishes a Receipt of each deposit. A
// number that isn't the next is noted in the state as it comes: one that came twice, or one that didn't.
//
// Shards keep their state in Pebble, or as JSON if their id begins with "json". Open opens what either left in a directory, so
// that it is checked from outside.
//
// # Invariants
//
//   - An effect is a change of the state and a receipt. There is no other.
//   - State is the same in either store: numbers by names.
//
// # Goroutines
//
// None.
//
// # Testing
//
// By the chaos tests; what they check is tested there against states and receipts that are wrong.
package ledger
