// Package cut checks that a query reads its tables at an exact cut, whatever happens to their journals.
//
// # What
//
// Three brokers with replicas in three zones, two gateways, and a table over journals of each codec. One writer appends
// to each journal rows that are numbered without gaps; the sessions of both gateways ask questions of many shapes
// while fragments are rolled and stored, and brokers leave, are killed and come back. Each answer
// is checked for itself (property S of the design): of each journal it has the rows from the first to a last, all of
// them, each once; the last is at or behind what was acknowledged before the query began, and before what was begun when
// it ended; no session, of either gateway, goes back behind what it has seen. A read-only transaction and AS OF CUT see the same again.
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
// The short form is a test of every run, the long one `make cuts`, with 100,000 queries. The checker has a test of its own, with answers
// that each break one rule.
package cut
