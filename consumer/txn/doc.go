// Package txn decides what a shard does next: when a transaction begins, consumes, stalls, commits and is acknowledged.
//
// # What
//
// A Machine is told what happened (a message was read, none is there, a commit is done) and at which time; Next says
// what to do. Who drives it reads, consumes and commits; the machine has the rules:
//
//   - A transaction begins with the first message that is read, whether that is consumed or waits for its
//     acknowledgement, or is a duplicate: so every message that was read is in some checkpoint soon.
//   - It commits once no message is ready, its least duration is over, the transaction before has finished, and no
//     span of messages that began in it waits for its acknowledgement, unless the shard doesn't wait for that.
//   - Or once its greatest duration is over, or the application deferred a message to the next, or the shard is to stop:
//     then it reads no more. It stalls while the transaction before isn't finished, and commits as soon as it is.
//   - While a transaction commits the next one consumes. The commit is done once the store's is, which waits for all
//     that the transaction published; then its acknowledgements are appended; once they are, it has finished.
//
// # Invariants
//
//   - Two transactions are under way at most: one that consumes, and one that commits or is acknowledged.
//   - Acknowledgements are appended after their transaction was committed, once.
//   - Each message that is read is consumed in exactly one transaction. One that was deferred is the first of the next.
//   - After a failure nothing is consumed, committed or acknowledged. A shard that is to stop finishes what was begun.
//   - No I/O, no clock, no goroutine: time is what the caller says.
//
// # Goroutines
//
// None. A Machine belongs to one goroutine at a time.
//
// # Testing
//
// testdata/scenarios walks the rules; random schedules of messages, times, commits and crashes are checked against a
// store in which each message must have its effect once.
package txn
