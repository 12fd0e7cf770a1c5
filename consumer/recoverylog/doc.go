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
//	play.go, handoff.go   the Player: the machine that decides is pure, the driver reads, writes files and appends
//	prune.go              which fragments no hints need
//
// docs/format/recovery-log.md is the format, and Gazette's.
//
// # Invariants
//
//   - C4: files that are played are those that were recorded, byte by byte, up to any barrier that was waited for.
//   - C5: after a hand-off was appended, and read in its order, no append of a recorder before it is in the log: each
//     append checks that the author register is still the recorder's own. A journal whose registers were lost matches no
//     check: a recorder that was fenced stays fenced, and one that wasn't fails, too.
//   - C7: any hints that were ever written lead to the same files, as long as the fragments are there that prune.go keeps.
//   - An operation is in the log whole, with the bytes that it writes, or not at all.
//   - What isn't in sequence, whoever wrote it, changes no file.
//   - A log that lacks what hints promise is an error that says so, never a store with less in it.
//
// # Goroutines
//
// None of its own: a Player runs in its caller's, a Recorder appends by an async.Run.
//
// # Testing
//
// Golden bytes of the format page; scenarios of the machines; a model of a file system whose operations are recorded,
// cut anywhere, and played; a broker in which zombies go on writing.
package recoverylog
