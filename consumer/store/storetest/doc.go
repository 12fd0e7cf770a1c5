// Package storetest is the property that every store of a shard's state must have, whoever wrote it.
//
// # What
//
// Run puts a store that keeps files to it: random transactions of a model application, over a file system that writes down each
// operation as a recovery log does. A store that is one's own is tested by a page:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(_ context.Context, fs vfs.FS, dir string) (storetest.App, error) {
//			return open(fs, dir) // with Set, Delete and All of the model's strings
//		})
//	}
//
// What Run checks:
//
//   - The log is cut after any operation, and played to an empty disk. The store opened there has the state and the checkpoint of
//     the last commit that was acknowledged by then, or of one that was under way: byte for byte, and both of the same. It goes
//     on from there.
//   - Any operation fails, and all after it: the process lives, that commit and each later one fails, and the log has a state as above.
//   - A commit begins after what it waits for, and is of what was done up to StartCommit, while the next transaction sees all of it.
//   - A commit whose wait fails, or is ended by Close, commits nothing; nor does any after it.
//   - Two commits at once are refused.
//
// RunRecorded is the same with the recovery log itself, recoverylog.Recorder and Player over brokers in memory: hosts are killed in the
// middle of a transaction, the next ones take the log over by hints, and in the end the log is cut after any append and played
// to an empty disk.
//
// That nothing is left running is for goleak, in the package of the test.
//
//	log.go       Log: files' operations, and playing them
//	run.go       Run, and the model
//	recorded.go  RunRecorded
//
// # Invariants
//
// No file of the log is on a disk; what is random comes from seeds that are fixed.
//
// # Goroutines
//
// Those of the appends of a life of RunRecorded, which end with it.
//
// # Testing
//
// A store that is right passes; ones that are wrong in one way each are found out.
package storetest
