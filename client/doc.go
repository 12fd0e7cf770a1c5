// Package client is the only door to brokers for every other part of the system.
//
// # What
//
// Appender, Reader, barriers, lists and watches, Apply and fragment listings over the
// journal protocol, with errors that callers can decide on. It works on any broker
// that speaks the protocol.
//
//	*protocol.StatusError     the broker answered with a status; nothing was changed
//	ErrUnknownOutcome         an append or change may have been made, or not
//	*OffsetJumpError          bytes of the journal are gone
//	*ProtocolError            the broker sent what it mustn't
//	*protocol.ValidationError the request isn't valid, and wasn't sent
//	others                    gRPC's errors, or the cause of the context's end
//
// # Invariants
//
//   - An append whose outcome is unknown is never repeated silently: it ends with
//     ErrUnknownOutcome. What is repeated, until the context ends, is an append that
//     certainly wasn't applied: it was refused for a passing lack of brokers, or
//     they went away before the message that commits was sent.
//   - A Reader returns the bytes of [offset, ...) with none missing and none twice,
//     over any number of broken streams; a jump over a hole is an error that names
//     both offsets.
//   - A Barrier is of an append that was started after the call began, shared by all
//     callers that were waiting then.
//   - A Watch's snapshots are whole, and their revisions ascend.
//   - What a broker sends is validated before it is used.
//
// # Goroutines
//
// None that outlive a call, but gRPC's own, which Close ends. A caller of Barrier runs
// the append for others that wait, and hands over if its context ends.
//
// # Testing
//
// testdata has choreographies, good ones and every bad one, played by an in-process
// server on a unix socket, which also cuts connections. Reading and barriers are
// checked against models with random cuts and orders. A real broker is in test/.
package client
