// Package pgcatalog answers what clients ask PostgreSQL's system catalogs.
//
// # What
//
// Relations shaped like PostgreSQL 15's pg_catalog and information_schema, filled from
// the catalog, kept as tables of DuckDB; and a rewriting of the parsed statement that
// leads its names, functions, operators and casts to them.
//
// # Invariants
//
//   - A statement is rewritten on its tree; none is recognized by its text.
//   - Built-in types have PostgreSQL's own OIDs; ours begin at 16384 and stay.
//
// # Goroutines
//
// None.
//
// # Testing
//
// psql's own statements, against PostgreSQL 15's answers.
package pgcatalog
