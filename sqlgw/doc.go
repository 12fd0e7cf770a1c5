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
//   - An execution lets go of its engine connection, scans and turn when it ends, however
//     it ends; at most Config.Queries read tables at the same time, first come first served.
//   - After a panic or a failed check of the engine nothing is answered any more.
//
// # Goroutines
//
// One group per running subscription, which reads its journals; ended with it.
//
// # Testing
//
// Scenario files for the cut planner, settings, assignment and COPY; sinks over journals that
// fail at each step; storms of queries that end in every way; files of proofs cut and flipped
// anywhere; whole sessions by psql and pgx against a real
// server in test/.
package sqlgw
