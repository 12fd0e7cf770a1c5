// Package guest lets a program in any language be the application of a shard: docs/any-language.md has its protocol.
//
// # What
//
// App is a consumer.Application whose transactions are done by a program that is connected, by the gRPC service
// broadsheet.shard.v1.Shard or by JSON over HTTP. State is kept in Pebble, under the shard's recovery log.
//
//	guest.go     the application: messages are laid on the desk of their shard, and what comes of them is done
//	document.go  messages as bytes, with their UUIDs
//	desk.go      a shard's transaction, the seat of whoever does it, and leases
//	changes.go   what a program wants, checked before anything of it is done
//	outputs.go   where it may publish to
//	service.go, run.go  the RPCs; forward.go passes them on to the primary
//	http.go, json.go, decode.go  the same in JSON
//
// # Invariants
//
//   - Of a transaction nothing has happened until its program has answered it as a whole, and what it wants was checked.
//     Then all of it happens, with the transaction, or the shard fails.
//   - One program at a time has the seat of a shard's desk, and only it is given the transaction. Whoever comes to the seat
//     is given the transaction from its first message on, with the same token.
//   - What lies on a desk is bounded, in messages and bytes; so is what a program sends, and what it is told at once.
//   - Whoever waits, here or at another host by this one, ends when the shard does, and when this host begins to stop.
//   - What a program reads of the state has all transactions that it has answered.
//
// # Goroutines
//
// Two for each stream, "receive" and "send", which receive what its program says and send what it is told, and end with the stream;
// App.Close awaits them. The stream's own waits for neither, so that a program which doesn't read holds up nobody.
// All others are the host's. A lease that runs out does so on a timer, which the end of the shard's store stops.
//
// # Testing
//
// Programs over gRPC and HTTP against hosts with a real broker, etcd and recovery log, one of which is ended by force; the JSON decoder
// by fuzzing.
package guest
