// Package sqlgw is the SQL gateway: sessions that plan statements at a cut and run
// them with DuckDB over fragments and the live head.
//
// # What
//
// A statement is parsed and checked (parse), its names resolved in a catalog
// snapshot, and a cut fixed: for each journal the offset H that a zero-byte append
// returned after the statement began. Each table becomes a scan of [begin, H): files
// that are proven clean are read in place by DuckDB, everything else by the decoder.
//
// # Invariants
//
//   - Every append acknowledged before the statement began is in its cut, each row once.
//   - An uncovered range is an error that names it, never skipped.
//   - A statement reads a journal from one place on wherever it names it, and a transaction with one cut in all its
//     statements (reach); no later one begins before that. Retention takes nothing from under who reads within its grace.
//   - User text never reaches DuckDB unparsed, and names only tables, never files.
//   - A row that doesn't fit never stops a query and is never lost: it is a reject.
//   - An execution lets go of its engine connection, scans, turn and place when it ends, however
//     it ends.
//   - At most Config.Queries executions that read tables are in the engine at the same time, first
//     come first served, and at most Config.Unread more are open. See below.
//   - A statement is answered within enginePatience of its end, whatever the engine does, unless maxLeft others go on already.
//   - Statements that are parsed, prepared or run hold at most Config.Parsing, as parse.Piece estimates it.
//   - After a panic or a failed check of the engine nothing is answered any more.
//
// # Views
//
// A view of the catalog is a query in PostgreSQL's grammar in which each name says what it means by itself. Its relations are
// found by their ids, its tree is put where the view's name stands (parse.View), never its text, and the tables below are read at
// the statement's one cut. Who names the view is asked for it; its owner, or with security_invoker who asks, for what it reads.
// What views become together is bounded while they are resolved, before any is parsed.
//
// # Materialized views
//
// A materialized view is an entry of the catalog, and rows that a host keeps (Views). A statement that names one fixes its cut as others do, and
// asks for a state that has read so far; what it reads beside the view is read where that state is, so that rows of two cuts are never in one answer.
// What is kept are groups: the last step of the view's query stands in the place of its name. SUBSCRIBE runs that step over what each change
// has removed and added, and tells the difference. VERIFY is a query of the view and of its table, in one statement. Rows on which a view fails
// are skipped by its entry (ALTER MATERIALIZED VIEW ... SKIP), and left out of what VERIFY reads of the table.
//
// # What is left out
//
// Bounds of a WHERE clause on the metadata columns narrow what is read of journals (narrowing), never by more than the engine would
// leave out itself. EXPLAIN tells what was chosen and pruned (notes), and how the engine goes about it, in PostgreSQL's shape.
//
// # Clients that don't read
//
// Rows go from the engine to the client one batch at a time. Where a client doesn't read, its
// session waits in the socket with one batch, one buffer of the wire, and what the engine ran
// ahead (a batch or two, and the buffers of what it scans); the engine works for others. An execution is
// away then, as it is between two fetches of a cursor. If others wait for a turn, one that has
// been away for a tenth of a second loses its own, and waits for another before it goes to the
// engine again: a result may be read at any pace, and is whole. Those that are open without a
// turn are counted, since the engine's memory is; if a query is to begin and all places are taken, the
// one that has been away longest, five seconds at least, is ended: its client is told 53000
// when it reads on. Nothing is taken from anyone for whom nobody waits. The states are in turns;
// who waits does what there is to do.
//
// # Temporary tables
//
// A session's are values in memory (tempTable): what changes one puts another in its place, so that rollbacks and open queries have what
// they had. UPDATE and DELETE are queries whose rows become the table's. The engine reads them as scans of one statement; no other
// session has a name for them.
//
// # Transactions
//
// A session's transaction is a state machine (transaction). What it writes is staged (staging) and
// appended when it commits, journal by journal; its queries read it beside the journals. A statement
// that is a transaction by itself, in the simple protocol, appends directly. Statements and cursors of SQL
// are the connection's (pgwire.Names). What sessions say to each other goes through postOffice, when
// the transaction that said it is committed; what they do to each other, through roster; what they keep from each other, through lockTable. Tables that
// sessions listen to are watched (tableWatches): one watch of each, which its listeners share. Functions that do something to a session are called by the session
// itself, for each row that it sends (acts); the engine computes their arguments only. Who a session acts as is a setting (setrole).
//
// # Where statements read
//
// A session's settings say how fresh a cut has to be, an AS OF clause that it is another one: one that a session
// printed, or that of a mark of the clock journal (sqlgw/clock). The gateway remembers the heads that it learns (knownHeads): for
// statements that take older ones, so that sessions never go back, and for marks. A clockmaster reads and
// writes the clock journal; a watchman finds the heads that nobody here asks for.
//
// # Tables of messages
//
// What such a table shows is decided by its journals' lines (message/committed): commits has an index of each journal, which says
// where the lines are that aren't rows at a cut. It is extended when a statement reads beyond it, and never asked for less than the
// whole. A tail holds the lines of open transactions, or where they are, until they're committed.
//
// # Transactional tables
//
// Rows for such tables are always staged, and committed by a Coordinator (package atomic): all of a transaction, or nothing. Before a
// cut is taken of them, what is committed by then is settled, whoever committed it.
//
// # Goroutines
//
// Run proves fragments, forgets idle heads, marks what moved, and settles transactions: one goroutine each, until its context is done.
// One group per table that sessions listen to: one goroutine that tells them, one for each journal; begun with the first listener, ended and awaited by the last that leaves.
// One group per running subscription, which reads its journals, or the changes of its view; ended with it, or with its cursor.
//
// Each call of the engine is in a goroutine of its own (inEngine), for which its session waits. Where a call goes on a quarter
// of a second after it was ended, which happens while the engine plans or makes one value, the session goes on without it; another goroutine
// (afterwards) waits for it, and lets go of what it has then. While there are maxLeft such calls no other begins, and one that goes on for
// engineGrace ends the process. Calls of the grammar are in goroutines of their own, too (apart), which nobody waits for after the deadline.
//
// # Testing
//
// Scenario files for the cut planner, settings, assignment and COPY; commits whose appends fail; sinks over journals that
// fail at each step; storms of queries that end in every way; turns under a fake clock, and
// clients over loopback that don't read, read on, or go away; files of proofs cut and flipped
// anywhere; whole sessions by psql and pgx against a real
// server in test/.
package sqlgw
