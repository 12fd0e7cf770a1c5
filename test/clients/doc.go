// Package clients runs real Postgres clients against a real `broadsheet serve`.
//
// # What
//
// Each client has a program in its own language, in the folder of that language, which does the
// same steps in the client's own way: connect, browse the catalog, describe a result, read every type, write, copy,
// cancel, roll back, meet errors, and over TLS with SCRAM be refused whatever it should be. It prints a line for each step,
// "step: ok" or what it saw instead, and leaves a table, which the test reads. The environment
// tells it where to connect, in libpq's variables, and CLIENT_TABLE and CLIENT_OTHER_CA.
//
// Every program runs twice against one server: as a user who is trusted, in the clear, and as one who proves a
// password over TLS. It also runs against a PostgreSQL 15, which says whether what it expects is true.
//
// Programs of pgjdbc and SQLAlchemy print what the driver tells of a database, by every method that it has for it, which has
// to be what it tells in PostgreSQL: testdata/metadata.
//
// pgbench runs its three protocols against the same server.
//
// # Invariants
//
//   - What a client can't do, or we can't yet, stands in one table, with the reason (programs_test.go). A step
//     that stands there and is done fails the test too.
//   - No program waits for a time: a query is canceled once the server's list of sessions shows
//     that it runs.
//   - Nothing of this runs in `make test`, which needs none of the clients: `make test-clients` installs and runs them.
//
// # Goroutines
//
// None but those of the servers that the tests start, and stop.
//
// # Testing
//
// PostgreSQL tests the programs.
package clients
