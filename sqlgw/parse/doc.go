// Package parse is the SQL front end: what a statement is, what it names, and whether
// it may run.
//
// # What
//
// Text is split (Split) and parsed (Parse) with PostgreSQL's own grammar (pg_query_go). Our own
// statements and clauses are recognized on the token stream of PostgreSQL's scanner
// by small recursive-descent parsers, cut out, and the rest goes to the grammar. The
// result is one typed Statement per SQL statement.
//
// For queries it is a Select: it lists the relations that it names, and SQL prints it as what
// DuckDB runs, with what a Binding has in their places. Printing goes once through the tree
// and turns PostgreSQL's meaning into DuckDB's words, some of which are functions that sqlgw/duck
// adds; Print also tells the types of results that DuckDB has no types for. A Dialect may add functions, types and
// operators (the system catalogs').
//
// A Select over one table can be taken apart (Incremental) into queries that keep its results as the table grows.
//
// # Invariants
//
//   - Fails closed: a statement kind, clause, kind of expression, option, function, type,
//     operator or collation that isn't listed is refused by its name with SQLSTATE 0A000, 42501,
//     42883 or 42704.
//   - No name that a user chose is one that DuckDB looks up: relations are replaced, WITH queries
//     renamed, columns resolved here. So no file, setting or table of DuckDB can be named.
//   - Never matches text: words in strings, comments, quoted identifiers or used as column
//     names are untouched.
//   - What reaches the grammar is bounded in length, tokens and nesting: its memory and its C stack
//     hold it, and it ends soon.
//   - A Statement never changes.
//   - The query of a view sees nothing of the query that names it, nor that of the view's.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Scenario files (testdata/scenarios): statement in, statement, SQL or error out; the hostile list
// among them. Views (testdata/views): what is kept of one, how it is told, and what reads it. Queries that are taken apart
// (testdata/incremental): the queries that they become, and what is refused; and that these have the answer by parts, of any rows cut in any
// way, that the query has at once. Results of queries in DuckDB, which are PostgreSQL 15's (testdata/results). A test that
// plants what may not be there in every field of the trees. The lists of functions, settings and
// keywords against DuckDB's own. Fuzzing: the lexer against PostgreSQL's scanner, everything else
// against panics, our own statements against what they print.
package parse
