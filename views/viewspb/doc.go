// Package viewspb has the messages and the service by which materialized views are read.
//
// # What
//
// Generated from proto/broadsheet/views/v1/views.proto by `make generate`, whose comments are the documentation for clients of
// any language.
//
// # Invariants
//
// None but those of the messages, which package views checks.
//
// # Goroutines
//
// None.
//
// # Testing
//
// In package views, whose server and client speak it to each other.
package viewspb
