// Package remote keeps the state of a shard in a SQL database elsewhere, which many shards may share.
//
// # What
//
// The application works in a *sql.Tx, which it gets by Tx, on tables of its own. StartCommit writes the checkpoint to the row of the shard in
// the table gazette_checkpoints in the same transaction, and commits it. A shard that has such a store needs no recovery log.
//
//	remote.go   Store
//	dialect.go  statements, as PostgreSQL, MySQL and SQLite take them
//
// # Fencing
//
// The row has a fence: a number that RestoreCheckpoint increments. Each commit is on condition that the fence is still that of its
// store; if it isn't, the shard has another primary by now, and nothing is committed: neither checkpoint nor state. A
// shard without a row has fence 0, and its first commit makes the row: of two that try, the primary key lets one succeed.
//
// MySQL doesn't count rows as changed whose new value is the old one. A row that seems to be gone is looked at again there, and locked: a
// plain SELECT would see the transaction's past.
//
// # Invariants
//
//   - State and checkpoint are committed together, by the store whose fence is in the row, or not at all.
//   - The next transaction is begun once the commit before is done: what it reads has what that one wrote. So Tx waits.
//   - After a failure nothing is committed.
//
// # Goroutines
//
// One for each commit: it ends with Close, which waits for it. The *sql.DB is the caller's.
//
// # Testing
//
// PostgreSQL 15: two stores of a shard, of which the older is a zombie. A driver that records statements for the
// other dialects, and fails at any of them.
package remote
