// Package streaming has the messages and the service that Broadsheet adds to the
// journal protocol: many appends to many journals on one stream.
//
// # What
//
// Generated from proto/broadsheet/v1/append_stream.proto by `make generate`, whose
// comments are the documentation for clients of any language.
//
// # Invariants
//
// None but those of the messages, which broker and client check.
//
// # Goroutines
//
// None.
//
// # Testing
//
// In broker and client, which speak it to each other.
package streaming
