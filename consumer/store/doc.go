// Package store says what a shard keeps its state in: what a store must do, and no more.
//
// # What
//
// A Store is opened for a shard that has become primary, on a directory that its recovery log has filled, or on a
// database elsewhere. It holds the state of the application, which knows its type and uses it while it consumes
// messages, and the checkpoint of the last transaction; StartCommit makes both durable, together.
//
//	store/jsonfile   one value of the application, as a file of JSON
//	store/pebble     Pebble: ordered keys, in RocksDB's place
//	store/sqlite     SQLite, its pages in Pebble: a module of its own
//	store/remote     a SQL database elsewhere, fenced by a row
//
// Who writes another one has Commits for what a commit waits for, and storetest to put the store to.
//
// # Invariants
//
//   - State and checkpoint are of one transaction, always: after a crash at any instant, a store that is opened anew has
//     both as they were at the last commit that was acknowledged, or at one that was under way.
//   - A store whose shard has another primary by now commits nothing any more: its log has another author, or its row
//     another fence.
//   - StartCommit takes what the application did up to the call; what it does after it is of the next transaction, while
//     this one is still under way.
//
// # Goroutines
//
// One for each commit of Commits: it ends with their Close, which waits for it. Those of stores are named in their packages.
//
// # Testing
//
// storetest has the property that each store is put to: kill it at any operation, recover from the log alone on an empty
// disk, and the state is the model's at the last commit, byte by byte.
package store
