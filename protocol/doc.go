// Package protocol is the vocabulary of journals: wire messages, their validation,
// names, labels and selectors.
//
// # What
//
// The messages are generated from proto/broker/protocol/protocol.proto by `make
// generate`; everything else here works on them without I/O.
//
// # Invariants
//
//   - Wire names and numbers are those of Gazette (design D1); buf guards them.
//   - Validate of a message accepts just what a Gazette client or broker accepts.
//
// # Goroutines
//
// None.
//
// # Testing
//
// Tables of valid and invalid messages, golden bytes, fuzzing of selectors and names.
package protocol
