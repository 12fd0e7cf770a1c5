// Package cut checks that a query reads its tables at an exact cut, whatever happens to their journals.
//
// # What
//
// Three brokers with replicas in three zones, two gateways, and a table over journals of each codec. One writer appends
// to each journal rows that are numbered without gaps; the sessions of both gateways ask questions of many shapes
// while fragments are rolled, stored and, a few seconds later, removed as their retention says, and brokers leave, are killed
// and come back. Each answer
// is checked for itself (property S of the design): of each journal it has the rows from a first to a last, all of
// them, each once; none is missing before the first that was sent within the retention; the last is at or behind what was
// acknowledged before the query began, and before what was begun when
// it ended; no session, of either gateway, goes back behind what it has seen, at either end. A read-only transaction sees the same
// again, two mentions of the table in one statement see the same, and AS OF CUT goes to the same last row.
//
// # Invariants
//
//   - The checker knows only what writers were told and what queries answered.
//   - An append whose outcome isn't known is made again at its offset, so that numbers have no gaps and no twins.
//   - A query may fail while brokers change, with an error; it is then no evidence. Few may.
//
// # Goroutines
//
// Writers and sessions are tasks of one group, which the test awaits. Brokers are moved by the test's own goroutine.
//
// # Testing
//
// The short form is a test of every run, the long one `make cuts`, with 100,000 queries, which tells every few seconds how far it
// is, and what failed by SQLSTATE. Each goes on until brokers were moved and the first rows of every journal were gone. The checker has a test of its own, with answers
// that each break one rule. What gateways remember of the heads of journals has tests by itself, over journals that roll, are
// stored, move, and are removed and made again; and so have files that vanish while queries run.
package cut
