// Package parse is the SQL front end: what a statement is, what it names, and whether
// it may run.
//
// # What
//
// Text is split and parsed with PostgreSQL's own grammar (pg_query_go). Our own
// statements and clauses are recognized on the token stream of PostgreSQL's scanner
// by small recursive-descent parsers, cut out, and the rest goes to the grammar. The
// result is one typed Statement per SQL statement; for queries a tree that can be
// rewritten and printed as the SQL that DuckDB runs.
//
// # Invariants
//
//   - Fails closed: a statement kind, option or function that isn't listed is refused by
//     its name with SQLSTATE 0A000 or 42501.
//   - Never matches text: words in strings, comments, quoted identifiers or used as column
//     names are untouched.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Scenario files: statement in, statement or error out; the hostile list; fuzzing.
package parse
