// Package bi replays what tools for business intelligence send, tool by tool, and holds each answer against
// PostgreSQL 15's.
//
// # What
//
// testdata/tools has a file for each tool: one session, with its settings, in the order in which the tool asks
// when it connects, browses, describes, lists and previews, and in the protocol of its driver: simple or extended, with results
// in text or in binary, by cursors or by portals with a limit of rows. The statements are written for this test, after what
// the tools are known to need. testdata/schema.sql is what they find.
//
// An answer is the types of parameters, the names and types of columns, the rows, the command tag, the
// SQLSTATE and the transaction's status. Rows are compared as a multiset unless the statement is "ordered", and only whether there are any if
// it is "loose". OIDs of 16000 or more differ from server to server, and stand as "oid"; {expression} in a
// statement is an OID by its name. "mask" names columns whose values are the server's own, "differs" why an answer is another one
// here, and "refused" with which SQLSTATE.
//
// # Invariants
//
//   - Answers come from PostgreSQL only: TestAnswersArePostgres holds them against a real one, and
//     writes them anew with -rewrite.
//   - What differs by design stands at the statement with its reason. One that doesn't differ any more fails the test, as does one that is
//     refused otherwise than it says.
//
// # Goroutines
//
// None but those of the servers that the tests start, a `broadsheet serve` and a PostgreSQL, and
// stop.
//
// # Testing
//
// PostgreSQL tests the scenarios.
package bi
