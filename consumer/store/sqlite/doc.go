// Package sqlite keeps the state of a shard in SQLite: the application has SQL, and the state is in the recovery log.
//
// It is a module of its own: who doesn't use it doesn't have its dependencies. SQLite is github.com/ncruces/go-sqlite3's, without cgo.
//
// # What
//
// The application works in a *sql.Tx, which it gets by Tx, of a database primary.db. StartCommit writes the checkpoint to Gazette's table
// gazette_checkpoint in the same transaction, and commits it. Who else wants to read takes a Snapshot: a database of its own, read-only, as
// it was at the last commit that was acknowledged.
//
// SQLite writes pages of a file, again and again; a recovery log keeps every byte that is written. So the pages are values of
// a pebblestore, by a VFS: a page that a transaction writes again and again is written once, as one value, and compactions
// bound what the log has to keep of all that were written ever.
//
//	store.go     Store: the transaction under way, and its commit
//	vfs.go       what SQLite takes for files
//	pages.go     the database's bytes, as pages of a pebblestore
//	snapshot.go  what others read
//
// docs/format/state-stores.md has the keys and values.
//
// # Why SQLite never syncs
//
// All that SQLite writes is held until StartCommit, is then put into the transaction under way of the pebblestore, and is committed there as one
// batch. So the database is at any time as it was between two transactions of SQLite: there is nothing that a journal would have to roll
// back after a crash, whatever PRAGMA synchronous says. The journal is for ROLLBACK only, and is in memory; journal_mode can't be changed. The
// next transaction reads what this one wrote while the pebblestore commits it: that is pipelining, for free.
//
// # Invariants
//
//   - State and checkpoint are of one batch: after a crash both are as of the same transaction.
//   - A page is the one that was written there, or an error: each has a checksum of its content and its place, and none is left out.
//   - After the first read or write of the database that failed nothing is committed, and SQLite's rolling back makes no difference. The
//     same holds for a transaction that the application, or SQLite for an error of its own, has ended.
//   - There is one connection to the database. Another one, or another database, is refused; one in memory isn't.
//   - A transaction, and each temporary file of SQLite's, is bounded by Config.MaxTransaction.
//
// # Goroutines
//
// Those of pebblestore, and of database/sql: they end with Close.
//
// # Testing
//
// storetest: kill at any operation, fail at any operation, recover from what was recorded. A model of a file for the pages, golden bytes of
// keys and values, and bytes that are damaged: in values, and in files.
package sqlite
