// Package duck is the one door to DuckDB.
//
// # What
//
// An instance with external access closed to all but the fragment root, locked, and
// with its memory limited; connections that prepare one statement at a time; results
// streamed chunk by chunk into columnar batches; table functions whose rows come
// from Go, written into DuckDB's vectors directly; and the text of the typed read of
// JSON files in place. Pinned to DuckDB 1.5.6, which Open checks.
//
// A DB opens Conns (cheap, one for each statement that is to run at the same time), a
// Conn prepares Stmts, a Stmt's Query gives Rows. A scan is registered once under a name
// and told apart by tokens: SELECT ... FROM name('token'). Settings give a few
// texts PostgreSQL's meaning: 7/2 is 3, NULLs are ordered as if they were the greatest,
// the time zone is UTC until a Conn adopts a session's style (sqlgw/style). Functions whose names begin with bs_ (functions.go) print and read values
// as PostgreSQL does where DuckDB has another form: text of any value, bytea, jsonb.
//
// # Invariants
//
//   - A result is never held whole: DuckDB runs ahead of the reader by 64 KiB, or a chunk of 2048
//     rows with their texts if that is more. Query returns once that much is there, or the end.
//   - Arrow.RegisterView is never used: it returns wrong columns.
//   - Open runs a self-test of scan correctness, of what is refused, and fails if it
//     doesn't hold.
//   - A context that ends interrupts the running statement; its cause is the error, and the
//     connection is usable afterwards. What DuckDB can't interrupt (range, repeat and their
//     kin build one value) isn't: bound it in the statement, and the process by RLIMIT_AS, under
//     which it fails as out of memory.
//   - Text with more than one statement is refused, and nothing of it runs.
//   - A source is closed exactly once, at the latest when the call that ended its statement
//     (Next, Close of the rows or the connection) returns. Errors and panics of sources are the
//     statement's error, by identity.
//   - No value enters DuckDB that it can't hold: some of those crash it.
//   - What DuckDB holds of ours is counted; Close of the instance fails if any is left.
//   - The settings are defence in depth, not authorization. testdata/sandbox shows what they refuse
//     and what they don't: COPY into the fragment root and the temporary directory, ATTACH ':memory:', PRAGMA,
//     CALL, SET streaming_buffer_size and TimeZone. Prepare, Query and Exec run whatever they are given: statements of users pass an
//     allow-list first, and the fragment root is read-only by the file system.
//
// # Memory of two languages
//
// The calls are those of the pinned driver's bindings; our own cgo is the six callbacks in
// callbacks.go. Go reads and writes DuckDB's vectors as slices over its memory (view), only
// while DuckDB lends them, and never stores a Go pointer there. DuckDB holds handles
// (runtime/cgo) in C memory, and gives each back once.
//
// # Goroutines
//
//	goroutine              started by            stopped by              owns
//	interrupter (call.go)  the end of a context  the return of the call  nothing
//
// No call leaves one behind. DuckDB's own threads call the callbacks, one at a time for each
// source.
//
// # Testing
//
// Every type through scans, parameters and results and back (rapid); interrupts at any moment;
// sources that break at each step; the leak counters; the hostile list against the
// sandbox; every JSON form of testdata/json_forms; memory in a child under RLIMIT_AS;
// and the differential test of the two reading paths, DuckDB's read_json and
// fragments/columnar, on the table of forms, on drawn lines, on written rows and by fuzzing.
package duck
