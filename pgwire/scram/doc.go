// Package scram is the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802,
// RFC 7677), as PostgreSQL 15 speaks them.
//
// # What
//
// A Verifier is what a server keeps of a password: it can tell who knows the password, and
// doesn't let anybody log in. Its text is that of PostgreSQL's pg_authid.rolpassword. An Exchange is
// one authentication: a state machine over two messages of the client, with no I/O.
//
// # Invariants
//
//   - A user without a verifier is answered as one with a wrong password is: the same messages, a salt that
//     stays the same, and as many HMACs. See Account.
//   - A client that could have bound the channel to TLS and was led to believe that the
//     server can't is refused.
//   - Nothing that depends on a secret is compared byte by byte.
//   - Passwords go through SASLprep where it takes them, and are used as they are where it doesn't: as
//     PostgreSQL and its clients do.
//
// # Goroutines
//
// None.
//
// # Testing
//
// The vectors of RFC 7677, verifiers that a PostgreSQL 15 made, conversations with each
// thing wrong in turn, properties over passwords, users and changed messages, the number of HMACs, and
// fuzzing of both messages. Real clients are in pgwire's tests.
package scram
