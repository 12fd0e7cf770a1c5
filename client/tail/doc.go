// Package tail reads the committed messages of journals, in parts: each up to where the journals end then.
//
// # What
//
// A Tail is of all journals that a selector matches. Each Read gives what was committed since the last one, and returns. It
// is for programs that look at journals now and then, and keep nothing; what is to outlive the process is for a shard
// (package consumer).
//
// # Invariants
//
//   - Each message that is committed is given once, in the order of its journal; acknowledgements aren't.
//   - A Read gives all that was acknowledged to its publishers before it was called.
//   - What was removed from a journal before it was read isn't given. A journal that was deleted and made again is another one.
//   - A journal that is fully suspended is resumed if there is more of it than was read.
//   - After an error nothing more is given: what was given would be a part.
//
// # Goroutines
//
// None.
//
// # Testing
//
// tail_test.go, with a broker in process.
package tail
