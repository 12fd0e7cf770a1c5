// Package pebblestore keeps the state of a shard in Pebble: ordered keys, in the place that RocksDB has in Gazette.
//
// # What
//
// A Store is a Pebble database below a directory of a file system, which is that of a recovery log. The application gets, sets
// and deletes keys and scans ranges of them; it sees what it wrote. StartCommit commits all that was written since the last
// one, as one batch, together with the checkpoint under Gazette's key. Whoever else wants to read
// takes a Snapshot: state and checkpoint of the last commit that was acknowledged, at one instant.
//
//	store.go     Store: the transaction under way, and its commit
//	snapshot.go  what others read
//	options.go   how Pebble is set up for a recovery log
//	cut.go       the file system that is cut off from the log when that fails
//
// # Why two batches
//
// The next transaction is consumed while this one commits, and has to see what this one wrote, which isn't in the database yet.
// So there is a batch of what the transaction under way has written, which is what will be committed, and an indexed batch of that and of
// all that the transaction before has written, through which the application reads: where the transaction before is in the
// database by now, the same is found twice. (Merges aren't offered: they'd be done twice.) The simpler way, to wait until the
// commit is done before the next write, would make a shard as slow as its log.
//
// # Invariants
//
//   - A batch is committed after everything that it waits for has succeeded; not a byte of it is in the log before.
//   - A commit is acknowledged once the log has it: Pebble syncs its write-ahead log, which is a barrier of the recovery log.
//   - No failure of a file ends the process, as Pebble would have it: the store is cut off from its log and fails. What it does
//     to its files from then on is local, and in vain.
//   - Keys are the application's, but for the one of the checkpoint, which it can neither see nor change.
//
// # Concurrency
//
// A Store belongs to one goroutine at a time. Snapshot, and what it returns, are for all.
//
// # Goroutines
//
// Pebble's own, and one for each commit: all end with Close, which waits for them.
//
// # Testing
//
// storetest: kill at any operation, fail at any operation, pipelining, leaks. Golden bytes of the checkpoint's key.
package pebblestore
