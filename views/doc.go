// Package views keeps materialized views: shards whose state is what a query makes of a table, as the table grows.
//
// # What
//
// A view's query is taken apart (Plan): Partial, over some lines of the table, makes the rows that are kept of them; Merge makes one row
// of all that are kept of a group. DuckDB runs both, and so decides what values are and mean; this package holds rows by their groups'
// keys, as bytes (rowcodec), in Pebble below the shard's recovery log. App is the application of such shards; its host is any
// consumer.Host in a process that has DuckDB.
//
//	config.go, plan.go   what an App is given: Config, Definition, Plan
//	app.go, view.go      the application, and a view that is kept here
//	line.go, batch.go    messages, which are lines of any number, and what a transaction has of them
//	engine.go, bisect.go the queries, and the row on which one fails
//	maintain.go, cache.go, state.go  what a transaction makes of the state, and how it is written
//	board.go             the state that readers are shown
//	service.go, await.go, subscribe.go  the RPCs
//	client.go, changes.go  Client, which reads views by any host of theirs
//
// A transaction gathers lines, undecoded, up to Config.Batch bytes. As it ends, the definition is asked for, which is then as new as the
// lines are; they are decoded as the gateway decodes them, while DuckDB scans them; for each group that is met the kept row is looked up and
// merged. What was changed is written as a delta beside it.
//
// # Invariants
//
//   - A state that is shown is committed and acknowledged; it is what the query makes of its table at the state's cut: all lines that are
//     committed by then, none twice, and of no producer's transaction a part. What ends between two messages of one isn't shown.
//   - Lines that are no rows of the table are left out, as a query leaves them out. A row on which the query fails, or with which a
//     sum is too much, fails the shard, by its place; the shard does without it once a label says so.
//   - Memory is bounded: of a batch by bytes and lines, of what it makes by Config.Transaction, of groups by Config.Cache, for all views together.
//   - Epochs ascend by one with each transaction, whoever has the view. Of an epoch that was shown, nothing ever changes.
//   - A subscription has each change once, in the order of epochs, over any number of hosts. If it can't, it ends with an error.
//   - A state of another query, or of another way to take it apart, is refused, and stays as it is.
//
// # Goroutines
//
// None of its own. Shards are their host's goroutines; an App, its board and its service are for all, and a Reading or Changes is for one.
//
// # Testing
//
// On real brokers, recovery logs and DuckDB: what a view has is compared with its query over the table at the view's cut, while hosts are
// killed and standbys take over, in batches of one line and without a cache, of tables of messages with transactions that are rolled back, repeated and
// larger than a batch. The page docs/format/views.md; messages of lines by rapid; FuzzState.
package views
