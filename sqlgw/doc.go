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
//   - User text never reaches DuckDB unparsed, and names only tables, never files.
//   - A row that doesn't fit never stops a query and is never lost: it is a reject.
//
// # Goroutines
//
// One group per running subscription, which reads its journals; ended with it.
//
// # Testing
//
// Scenario files for the cut planner; whole sessions by psql and pgx against a real
// server in test/.
package sqlgw
