// Package client is the only door to brokers for every other part of the system.
//
// # What
//
// Appender, Reader, lists and watches, Apply and fragment listings over the journal
// protocol, with errors that callers can decide on. It works on any broker that
// speaks the protocol.
//
// # Invariants
//
//   - An append whose outcome is unknown is never repeated silently: it ends with
//     ErrUnknownOutcome.
//   - A Reader returns the bytes of [offset, ...) with none missing; a jump over a
//     hole is an error that names both offsets.
//
// # Goroutines
//
// None that outlive a call.
//
// # Testing
//
// Against an in-process server that plays message choreographies, and a real broker
// in test/.
package client
