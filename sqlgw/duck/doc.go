// Package duck is the one door to DuckDB.
//
// # What
//
// An instance with external access closed to all but the fragment root, locked, and
// with its memory limited; connections that prepare one statement at a time; results
// streamed chunk by chunk into columnar batches; and table functions whose rows come
// from Go, written into DuckDB's vectors directly. Pinned to DuckDB 1.5.6.
//
// # Invariants
//
//   - A result is never held whole.
//   - Arrow.RegisterView is never used: it returns wrong columns.
//   - Open runs a self-test of scan correctness and fails if it doesn't hold.
//   - A context that ends interrupts the running statement; the connection is usable
//     afterwards.
//   - Text with more than one statement is refused.
//
// # Goroutines
//
// One per running call, which waits for its context to interrupt it; ended with it.
//
// # Testing
//
// Every type through scans and results and back; the hostile list against the sandbox;
// the differential test of the two reading paths.
package duck
