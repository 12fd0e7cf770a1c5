// Package score replays statements that Postgres clients were seen to send, and counts how many of
// them are answered as PostgreSQL 15 answers them.
//
// # What
//
// testdata/statements.jsonl has the statements: each with the clients that send it, the protocol
// they use, and what it needs to run (parameters, data of a COPY, what stands before it in its session).
// testdata/schema.sql is the schema that they were seen on. testdata/answers.jsonl has PostgreSQL 15's
// answers: types of parameters, names and types of columns, rows, command tag, transaction
// status, SQLSTATE. A statement scores if the server's answer is the same.
//
// Rows are compared as a multiset, of texts. Where they depend on what the server is, as a list of
// its functions does, it is only compared whether there are any: testdata/loose.txt says of which statements, and why. OIDs of what
// the schema made differ from server to server, and are replaced by their place: {journal.orders}
// in a statement is that relation's OID, and an OID of 16000 or more in an answer is "oid".
//
// UPDATE, DELETE and TRUNCATE of a table are refused here, with 0A000: testdata/refused.txt lists these
// statements, which score if they are refused so.
//
// # Invariants
//
//   - Nothing here or in the server knows a statement by its text.
//   - What misses is listed with its reason in testdata/misses.txt; a miss that isn't listed, or one
//     that is but scores, fails the test, as does a score below the floor.
//   - Answers come from PostgreSQL only: TestAnswersArePostgres holds them against a real one, and
//     writes them anew with -rewrite.
//
// # Goroutines
//
// None but those of the servers that the tests start, a `broadsheet serve` and a PostgreSQL, and
// stop.
//
// # Testing
//
// The comparison has tests of its own.
package score
