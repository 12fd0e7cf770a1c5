// Package pgcatalog answers what clients ask PostgreSQL's system catalogs.
//
// # What
//
// Relations of PostgreSQL 15's pg_catalog and information_schema (relations.txt), made from
// the catalog for each statement that names them; and a parse.Dialect that leads
// PostgreSQL's functions, types and operators to SQL over them.
//
// DuckDB has no types like oid, name, "char" or regclass. Values of the first three are
// numbers and texts. A regclass, regtype, regnamespace or regrole is a number
// where it is made of a quoted constant, so that it can be compared with OIDs, and the name
// that it prints where it is made of anything else, so that it can be shown; of a parameter
// it isn't made, since what that is for can't be told.
// Clients are told the types' own names and OIDs, and get names in text and OIDs in
// binary (Names), whichever of the two the value is.
// Columns of type regproc hold names, and are told as text. Arrays are lists; lists that no row has are NULL.
//
// # Invariants
//
//   - A statement is rewritten on its tree; none is recognized by its text.
//   - Relations have PostgreSQL 15's columns, in its order and of its types. One that is
//     empty is so because there are no such things; what isn't known is left out, so that
//     naming it is an error.
//   - Built-in types, relations, roles and schemas have PostgreSQL's own OIDs, and relations of
//     Broadsheet's that PostgreSQL doesn't know 16000 and more; those of the catalog begin at 16384
//     and stay.
//   - A template hides no name of the query that it is put into, whatever that names.
//
// # Goroutines
//
// None. A Catalog doesn't change once it is made.
//
// # Testing
//
// Rows, templates and psql's own statements, in a DuckDB of the test's, against what
// PostgreSQL 15 answers (testdata/). test/psql runs psql.
package pgcatalog
