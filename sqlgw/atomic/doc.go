// Package atomic commits transactions over several journals, all of each or nothing.
//
// # What
//
// Lines are appended to their journals as messages of a transaction, which nobody sees (docs/format/message.md). One
// record of what acknowledges them is then appended to the journal of records: that is the commit. At last the
// acknowledgements are appended to each journal, by whoever gets to it: the gateway that committed, or any other that
// finds the record. docs/format/transactions.md has the record.
//
//	publish to each journal      fails: rolled back, and its producer is never used again
//	append the record            fails: rolled back; unknown: committed or not, which is said
//	acknowledge in each journal  fails: committed, and finished later
//
// A Commit is that as a state machine. Unsettled is what one knows of the journal of records: which records aren't
// acknowledged everywhere. A Coordinator drives both over brokers. Commit commits. Settle finishes what is
// recorded at the time, and is called before a cut is taken of journals: so a cut has all of a transaction that was
// committed before, wherever, and even if who committed it has died. Settled records are passed over by those that
// come later, who begin at the last checkpoint.
//
// # Invariants
//
//   - A record is appended only once all lines are known to be.
//   - An acknowledgement is appended only once the record is known to be.
//   - Lines of a journal are acknowledged whole: with a clock above theirs, and by one line.
//   - A producer is used for one transaction at a time, and for another one only if the last is known to be acknowledged in all of its
//     journals, or never reached any.
//   - Records and acknowledgements may be appended again, by anyone and at any time: they say nothing new. So is a lost append
//     of lines, whenever it comes, for they're never acknowledged.
//   - What is before Unsettled.Settled is acknowledged everywhere.
//
// # Goroutines
//
// None of its own. A Coordinator may be used by many; its Run is to be called once, and ends with its context.
//
// # Testing
//
// testdata/commit walks the states. Over journals in memory, every call that a commit makes fails in each way, or is the
// last of its process; others then settle what is there, and readers of the lines check that all of a transaction is
// committed, or nothing. test/system does so with processes that are killed.
package atomic
