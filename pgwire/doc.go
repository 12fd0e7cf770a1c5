// Package pgwire is a server for the Postgres v3 protocol. It knows no SQL.
//
// # What
//
// A Server accepts connections, does the startup, and turns messages into calls of a
// Session that a Backend opened: prepare, bind, execute, copy. A session uses the same prepared
// statements and portals by Names, for PREPARE and DECLARE. Rows are written
// straight into one buffer, which is sent when it is full, when the session asks for it,
// and always before the server waits for the client. Sequences of messages, SQLSTATEs and
// texts are those of PostgreSQL 15, wherever a client can tell.
//
// Protocol 3.0 and 3.2 are spoken; later minor versions and unknown protocol options are
// negotiated down. Function calls by message are answered with 0A000.
//
// Connections are encrypted, by TLS 1.2 or later, if they ask for it or begin with it and Config has a certificate;
// else they are told no. Config.Rules say who may connect, and how they prove who they are: by a password
// (SCRAM-SHA-256, over TLS also bound to it), or a certificate. Package hba has the rules and package scram the
// proof, both without I/O; Users gives what only the server's owner knows.
//
// # Invariants
//
//   - No bytes from a client crash the server, and a panic of a session ends that session
//     only, with XX000.
//   - Nothing is served, and no place of a session taken, before Config.Rules are met. A user that doesn't
//     exist is told what one with a wrong password is told, after as much work.
//   - Nothing that came unencrypted is used after the request for TLS. A write that is interrupted tears
//     no record of TLS: see secured.
//   - Memory is taken as bytes arrive, never for a length that was announced. A connection
//     holds at most 24 KiB until it is a session: 10 for the longest startup packet, which is
//     PostgreSQL's, a stack, and what Go has for a socket. While idle it holds 64 KiB; during a
//     message, what its limits allow (Config.MaxMessage, MaxRow, MaxPreparedBytes). COPY
//     data of any length needs 64 KiB. TLS adds what Go's has: with it, a connection that has done the handshake
//     holds at most 32 KiB until it is a session. A handshake takes place and time of a connection that starts.
//   - No address has all places: Config.MaxPerAddress and MaxStartingPerAddress. Before a proof nothing is asked of
//     Config.Users but the roles and the verifier of the one user, once each.
//   - A connection is never dropped without a word: one that is too many is told 53300, and
//     waiting for what it wants holds up no other. See refusals.
//   - A client that doesn't read stops its session when one buffer is full: a row may only
//     add itself to it.
//   - Calls to a Session never overlap: what others have for it waits until its connection asks
//     (Line.Wake, Notifications), which it does when it rests. A connection rests from a ReadyForQuery
//     to the first byte of the next message; only then may it be woken, sent a notification without
//     being asked, or ended because its session's patience is over.
//   - A Session learns of every error that its client was told (Failed), whoever found it.
//   - A cancel request ends the context of the call that runs when the request is answered by closing its connection, and never a later one; it
//     also ends the call's waiting for the client, to send or to receive, and yet no message
//     is torn by it. Wrong secrets are taken at a rate that doesn't find one.
//   - A call's context ends soon after its client went away, on Linux at any time, elsewhere
//     when it is next read from or written to; and at once when the server stops. The cause
//     tells which.
//   - A session only sends whole messages: a row that it didn't end, or that has other columns
//     than were described, reaches no client.
//   - After an error in the extended protocol everything is skipped up to Sync.
//   - Every error has a SQLSTATE.
//
// # Goroutines
//
//	goroutine   started by  ends when                           owns
//	accept      Serve       the listener is closed              the listener
//	watch       Serve       Serve's context is done             nothing: it looks for clients that went
//	                                                            away during a call, ten times a second,
//	                                                            and tells every connection of the end
//	connection  accept      its client leaves, an error is      the connection, its Session, and their
//	            (each)      fatal, or the server stops          buffers: all calls are made by it
//
// Serve awaits all of them. Other connections, other sessions, and watch, may only interrupt or wake
// one: see lifeline.
//
// # Testing
//
// testdata/postgres are conversations, with PostgreSQL 15's own answers: this package's
// server, over a scripted session, has to give the same, and a flag lets a real server write
// them anew. testdata/broadsheet are those in which there is no PostgreSQL to ask: limits,
// cancels, shutdown, sessions that break their contract. Authentication is tried by pgx and psql
// over TLS and without, with passwords and certificates that are right and wrong. Besides: pgx and psql over
// loopback, memory of idle connections, fuzzing of the startup packet and of the stream of
// messages, and the allocations of a row.
package pgwire
