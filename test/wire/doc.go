// Package wire holds what goes over the wire against a real PostgreSQL 15: the data of COPY in each
// format and with each option, and the values of each type, in text and in binary, in both directions.
//
// # What
//
// Both servers are given the same statements and the same bytes. What they answer (types, values, data, SQLSTATE,
// message and place of an error, rows that a COPY left) has to be the same. Differences that are meant
// stand in testdata/differs.txt with their reason, and in docs/sql.md.
//
// # Invariants
//
//   - No answer is written down here: it is PostgreSQL's.
//   - A difference that isn't listed fails, and so does one that is listed and isn't there.
//
// # Goroutines
//
// None but those of the servers that the tests start and stop.
//
// # Testing
//
// These are tests. Without PostgreSQL they are not run.
package wire
