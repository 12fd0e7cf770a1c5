// Package recoverylog records what is done to the files of a directory in a journal, and rebuilds the files from it.
//
// # What
//
// A store keeps its state in files. A Recorder writes each operation on them to the recovery log, in the order in which it
// is done: FS is the file system, of the kind that Pebble takes, which does that. Whoever has the log and Hints of where
// in it to begin has the files: a Player reads the log, applies what it says to a directory, and goes on doing so as the
// log grows, until it is told to finish at the log's end or to take the log over.
//
//	record.go, fs.go      Recorder and its file system
//	fsm.go                what a log says: a pure state machine over operations
//	segments.go, hints.go which parts of which logs the live files are in, and their form in etcd
//	read.go               operations from a journal's bytes
//	plan.go               what to read when, and what is a loss of data: the pure machine of a Player
//	play.go, stage.go     the Player, its driver: it reads, and writes files
//	handoff.go            how a Player takes a log over, and what it needs of brokers
//	prune.go              which fragments no hints need
//
// docs/format/recovery-log.md is the format, and Gazette's.
//
// A store is used so: play the log to an empty directory and take it over, make a Recorder of what was Recovered, open
// the database on its FS. To commit, let Barrier wait for what the commit depends on, write, and take another Barrier:
// once that has succeeded, the commit is in the log.
//
// # Invariants
//
//   - C4: files that are played are those that were recorded, byte by byte, up to any barrier that was waited for.
//   - C5: after a hand-off was appended, and read in its order, no append of a recorder before it is in the log: each
//     append checks that the author register is still the recorder's own. A journal whose registers were lost lets
//     anything pass, so each barrier looks whether they are there: a recorder that was fenced stays fenced, and one that
//     wasn't fails, too. What a fenced one appended is out of sequence.
//   - C7: any hints that were ever written lead to the same files, as long as the fragments are there that prune.go keeps.
//   - An operation is in the log whole, with the bytes that it writes, or not at all; so is a rename, with the file that it
//     replaces.
//   - A log that ends between any two appends has all that was done to the files up to some time, and nothing that was
//     done later, whether or not it was synced.
//   - What isn't in sequence, whoever wrote it, changes no file.
//   - A log that lacks what hints promise, or may lack what follows them, is an error that wraps ErrDataLoss, never a store
//     with less in it. Nothing of it is left on the disk, and the log isn't taken over.
//   - What a Recorder holds is bounded by its async.Service, whose limit holds up who writes; a Player has as many files
//     open as it may, and one frame in memory.
//
// # Goroutines
//
// None of its own: a Player runs in its caller's, a Recorder appends by an async.Run.
//
// # Testing
//
// Golden bytes of the format page; scenarios of the machines; a model of a file system whose operations are recorded
// by hosts that take over from each other, cut anywhere, and played; a Pebble whose log is cut after each append. A real
// broker is in test/recoverylog.
package recoverylog
