// Package client is the only door to brokers for every other part of the system.
//
// # What
//
// Appender, Append, Reader, barriers, lists, watches and watched lists, Apply, fragment
// listings and the health of stores, over the journal protocol, with errors that
// callers can decide on. It works on any broker that speaks the protocol; what only
// ours offer is used where it is offered.
//
//	*protocol.StatusError     the broker answered with a status; nothing was changed
//	ErrUnknownOutcome         an append or change may have been made, or not
//	*BatchError               of ApplyInBatches: some changes were made
//	*OffsetJumpError          bytes of the journal are gone
//	*direct.Error             a stored fragment can't be read, nor may brokers do so
//	*StoreHealthError         a broker can't use a fragment store
//	*ProtocolError            the broker sent what it mustn't
//	*protocol.ValidationError the request isn't valid, and wasn't sent
//	others                    gRPC's errors, or the cause of the context's end
//
// Below it: client/async appends in the background, client/mapping chooses among
// partitions, client/publish publishes messages and transactions, client/direct reads
// fragments from their stores.
//
// Who is asked: without a route cache the broker of the configured endpoint, which
// proxies. With one, appends go to the primary and reads to a member, preferably of our
// zone, as brokers told with their answers; List, Apply and what no route is known for
// go to the endpoint. A member that can't be reached, or says that it isn't one, is
// asked again only after a broker named it again.
//
// # Invariants
//
//   - An append whose outcome is unknown is never repeated silently: it ends with
//     ErrUnknownOutcome. AppendAtLeastOnce is for who wants it repeated. What is always
//     repeated, until the context ends, is an append that certainly wasn't applied: it
//     was refused for a passing lack of brokers, or they went away before the
//     message that commits was sent, or on a stream it came behind another's that
//     was refused.
//   - A Reader returns the bytes of [offset, ...) with none missing and none twice,
//     over any number of broken streams, brokers and stores; a jump over a hole is an
//     error that names both offsets. What a store can't give is read through brokers,
//     unless it was found to be wrong only after some of it was returned.
//   - A Barrier is of an append that was started after the call began, shared by all
//     callers that were waiting then.
//   - A Watch's snapshots are whole, and their revisions ascend.
//   - What a broker sends is validated before it is used. If the endpoint is reached by
//     TLS, so is every endpoint that brokers name.
//   - A refusal is remembered by nothing: the next call asks again. Routes are believed
//     for their TTL; that a broker offers no append streams, for ten minutes.
//
// # Goroutines
//
// With a route cache one that closes idle connections; for each append stream one that
// sends and one that receives, until it was idle for half a minute or broke. They
// belong to the Client, whose Close ends them and waits. No other outlives a call, but
// those of gRPC and net/http, which Close ends too. A caller of Barrier runs the append
// for others that wait, and hands over if its context ends. WatchedList.Run and
// Watch run in the caller's goroutine.
//
// # Testing
//
// testdata has choreographies, good ones and every bad one, played by an in-process
// server on a unix socket, which also cuts connections. Reading, barriers, append
// streams and the route cache are checked against models with random cuts and orders.
// A cluster in memory has its members fail and its stores lie. A real broker is in test/.
package client
