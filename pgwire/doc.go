// Package pgwire is a server for the Postgres v3 protocol. It knows no SQL.
//
// # What
//
// A Server accepts connections, does the startup, and turns messages into calls of a
// Session that a Backend opened: prepare, bind, execute, copy. Rows are written
// straight into one buffer that is flushed when full and when idle.
//
// # Invariants
//
//   - No bytes from a client crash the server; lengths are checked before memory is
//     taken, and memory per connection is bounded.
//   - Calls to a Session never overlap; a cancel request ends the running call's context
//     and never reaches the next one.
//   - After an error in the extended protocol everything is skipped up to Sync.
//   - Every error has a SQLSTATE.
//
// # Goroutines
//
// One per connection, and while a call runs one that watches for the client to go
// away; all are awaited by Serve.
//
// # Testing
//
// Message-level scenario files, pgx and psql over loopback, fuzzing of the startup
// packet and of the message stream.
package pgwire
