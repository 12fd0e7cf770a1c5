// Package meaning asks PostgreSQL and Broadsheet the same questions, and says where the answers differ.
//
// # What
//
// testdata/same has statements, each with what PostgreSQL 15 answers: the types of the columns and the rows as text, or the
// SQLSTATE. testdata/differs.txt lists those that are answered otherwise here, by what differs: each heading is a row of the
// table "What differs from PostgreSQL" in docs/sql.md.
//
// # Invariants
//
//   - Answers come from PostgreSQL only: TestAnswersArePostgres holds them against a real one, and
//     writes them anew with -rewrite.
//   - A difference that isn't listed fails the test, and so does one that is listed but isn't there.
//   - No heading stands for nothing: docs/sql.md has it, and a statement shows it.
//
// # Goroutines
//
// None but those of the servers that the tests start and stop.
//
// # Testing
//
// It is a test.
package meaning
