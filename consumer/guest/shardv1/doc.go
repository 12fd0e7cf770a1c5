// Package shardv1 has the messages and the service by which programs in any language are applications of shards.
//
// # What
//
// Generated from proto/broadsheet/shard/v1/shard.proto by `make generate`, whose comments are the documentation for
// programs.
//
// # Invariants
//
// None but those of the messages, which package guest checks.
//
// # Goroutines
//
// None.
//
// # Testing
//
// In package guest, which serves it.
package shardv1
