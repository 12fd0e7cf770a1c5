// Package async appends to journals without waiting for brokers.
//
// # What
//
// A Service appends in the background. A Run is one producer's use of it: Start begins a
// write to a journal, Release hands it over and returns a Future of its append. Writes
// of a run to a journal are appended in their order, and many small ones as one append
// where that makes no difference. An append may wait for others, or for any operation:
// a commit, say. Pending is a barrier over all that a run has under way.
//
// # Invariants
//
//   - A write is appended as a whole or not at all, after all earlier ones of its run to
//     its journal, and after every operation that it waits for succeeded.
//   - A failure is of a run and a journal. If an append fails for good, every later
//     append of that run to that journal fails with *NotAppliedError, whether it was
//     started or is yet to be: it certainly was not applied. Other journals and
//     runs go on. The failure lasts until the run's owner says that it has seen it, by
//     Reset: from then on the run may be used for that journal again. A new Run
//     begins without failures. So none is remembered for ever, and none is overlooked.
//   - Writes become one append only if their parameters are the same and don't name an
//     offset or change registers, the later one waits for nothing that the earlier
//     doesn't, and the earlier wasn't begun to be sent.
//   - An append of unknown outcome isn't repeated, and fails its run's journal, unless
//     the run was made AtLeastOnce. Refusals are never repeated, but for a passing lack
//     of brokers: a mismatch of registers is one, whatever is checked.
//   - What the service holds is bounded: from Limit on Start waits, and no Write goes
//     beyond HardLimit. What an append has beyond MemoryPerAppend is in an unlinked
//     file. All of it is released when the append has its outcome, however long
//     its Future is kept.
//
// # Goroutines
//
// One for each journal of a run that has appends under way, named by the journal; it
// ends with the last of them. All end with Close, which waits for them.
//
// # Testing
//
// A model checks order, wholeness, dependencies and outcomes against an appender that
// refuses, loses and delays at random. Scenarios for every failure, bounds, leaks of
// files and goroutines, and choreographies with the client.
package async
