// Package wire encodes and decodes messages for gRPC so that their content is copied
// once, or not at all.
//
// # What
//
// Codec is the protobuf codec of gRPC, with the same bytes on the wire. Where a message has a
// field of bytes that is named content, and is large, the codec of gRPC copies what it
// receives into one buffer and then the content out of it; Codec copies once, into memory
// that the message keeps. An Outgoing sends content that isn't copied at all, to any number
// of streams. An Incoming receives one message after the other into the same memory.
//
// # Invariants
//
//   - Codec decodes what the codec of gRPC decodes, to an equal message, and refuses what
//     that refuses.
//   - The content of a message that isn't received by an Incoming belongs to the message.
//   - The content of an Outgoing isn't changed before its buffer is free again.
//
// # Goroutines
//
// None.
//
// # Testing
//
// A fuzz target holds it against the codec of gRPC; messages go over a real connection.
package wire
